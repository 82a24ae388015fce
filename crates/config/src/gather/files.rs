//! This machine, as gathering sees it.

use super::World;
use super::preferences::Preference;
use super::project::Contents;
use super::trusted::TrustedError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The owner and the access list of an opened file as Windows puts them in text (SDDL). Asking needs a system call, which
/// this crate doesn't make: whoever embeds it on Windows gives one.
pub type Descriptor = fn(&File) -> io::Result<String>;

/// The machine that the process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine {
    #[cfg_attr(not(windows), allow(dead_code))]
    descriptor: Option<Descriptor>,
}

impl Machine {
    /// This machine, with what tells on Windows who may change a file. Without one, files that constrain are refused
    /// there, for nobody could say who wrote them.
    #[must_use]
    pub const fn with_descriptor(descriptor: Option<Descriptor>) -> Self {
        Self { descriptor }
    }
}

#[cfg(windows)]
impl Machine {
    fn read_judged(&self, file: &Path, judged: super::trusted::Judged) -> Result<Option<Vec<u8>>, TrustedError> {
        let Some(descriptor) = self.descriptor else {
            return match self.exists(file) {
                false => Ok(None),
                true => {
                    Err(TrustedError::Untrusted { at: file.into(), why: "nothing here can tell who wrote it".into() })
                }
            };
        };
        match super::trusted::open(file, descriptor, judged)? {
            Some(opened) => Ok(Some(read_regular(&opened)?)),
            None => Ok(None),
        }
    }
}

impl World for Machine {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        let opened = match open(file) {
            Ok(opened) => opened,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        read_regular(&opened).map(Some)
    }

    fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    #[cfg(unix)]
    fn read_trusted(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        read_owned(file, /* root */ 0)
    }

    #[cfg(windows)]
    fn read_trusted(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        self.read_judged(file, super::trusted::Judged::Way)
    }

    #[cfg(windows)]
    fn read_managed(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        self.read_judged(file, super::trusted::Judged::File)
    }

    fn preference(&self, key: &str) -> Result<Option<Preference>, TrustedError> {
        super::preferences::of_machine(self, key)
    }
    fn contents(&self, directory: &Path) -> io::Result<Option<Contents>> {
        super::project::contents_on_disk(self, directory)
    }

    fn keep(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(directory) = file.parent() {
            crate::edit::make_private_directory(directory)?;
        }
        crate::edit::write_private(file, bytes)
    }

    fn hostname(&self) -> Option<String> {
        super::host::name(self)
    }

    fn now(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// Reads a file that belongs to `owner`, as everything on the way to it must.
#[cfg(unix)]
pub fn read_owned(file: &Path, owner: u32) -> Result<Option<Vec<u8>>, TrustedError> {
    match super::trusted::open(file, owner)? {
        Some(opened) => Ok(Some(read_regular(&opened)?)),
        None => Ok(None),
    }
}

/// Most that is read of any file: more than the largest that is accepted, so that a longer one is seen to be too long.
const MOST: u64 = 4 << 20;

/// Reads an opened regular file, at most [`MOST`] of it.
pub(super) fn read_regular(file: &File) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens without waiting: a FIFO in the place of a file must not hold Ringfence up.
#[cfg(unix)]
fn open(file: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(file, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open(file: &Path) -> io::Result<File> {
    File::open(file)
}
