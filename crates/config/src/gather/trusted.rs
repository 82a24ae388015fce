//! Opening a file that constrains: it, every directory on the way and every link must be the administrator's alone.
//!
//! The path is walked from the root directory, each step on a descriptor, so that what was checked is what is opened.

use std::path::PathBuf;

pub mod access;
#[cfg(windows)]
mod windows;

/// Why a file that constrains wasn't read.
#[derive(Debug, thiserror::Error)]
pub enum TrustedError {
    /// Somebody else could have written it.
    #[error("{at}: {why}", at = ringfence_model::os_text::OsText::new(at.as_os_str()).display())]
    Untrusted {
        /// The step of the path at fault.
        at: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system said no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

#[cfg(unix)]
pub use unix::open;
#[cfg(windows)]
pub use windows::{Judged, open};

#[cfg(unix)]
mod unix {
    use super::TrustedError;
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
    use rustix::io::Errno;
    use std::collections::VecDeque;
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Component, Path, PathBuf};

    /// Links followed before it is called a circle, as the kernel does.
    const MAX_LINKS: usize = 40;

    /// Opens a file that belongs to `owner`, as every directory and link on the way must. None if there is no such file:
    /// the directories that lead to it are checked just as well where its own directory is there, since who can write one
    /// can remove a file from it. Where not even its directory exists there is nothing to distrust.
    pub fn open(file: &Path, owner: u32) -> Result<Option<File>, TrustedError> {
        let mut walk =
            Walk { owner, at: PathBuf::from("/"), stack: Vec::new(), rest: VecDeque::new(), links: 0, fault: None };
        walk.push(file);
        walk.begin()?;
        while let Some(name) = walk.rest.pop_front() {
            if let Some(found) = walk.step(&name)? {
                return Ok(found.file);
            }
        }
        Err(io::Error::from(Errno::ISDIR).into())
    }

    struct Found {
        file: Option<File>,
    }

    struct Walk {
        owner: u32,
        /// Where the walk is, for messages.
        at: PathBuf,
        /// Open directories, the root first; `..` of a link goes back in it.
        stack: Vec<OwnedFd>,
        rest: VecDeque<OsString>,
        links: usize,
        /// The first directory or link on the way that isn't the owner's alone.
        fault: Option<TrustedError>,
    }

    impl Walk {
        fn begin(&mut self) -> Result<(), TrustedError> {
            let root = rustix::fs::open("/", directory_flags(), Mode::empty()).map_err(io::Error::from)?;
            let checked = self.check(&rustix::fs::fstat(&root).map_err(io::Error::from)?, "directory");
            self.note(checked);
            self.stack.push(root);
            Ok(())
        }

        /// Puts the steps of a path before what is left to walk.
        fn push(&mut self, path: &Path) {
            for part in path.components().rev() {
                match part {
                    Component::Normal(name) => self.rest.push_front(name.to_owned()),
                    Component::ParentDir => self.rest.push_front("..".into()),
                    Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
                }
            }
        }

        /// One step: into a directory, along a link, or to the end.
        fn step(&mut self, name: &OsStr) -> Result<Option<Found>, TrustedError> {
            if name == ".." {
                if self.stack.len() > 1 {
                    self.stack.pop();
                    self.at.pop();
                }
                return Ok(None);
            }
            let Some(directory) = self.stack.last() else { return Err(io::Error::from(Errno::NOENT).into()) };
            let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // A link that dangles is no absence: somebody meant a file to be there.
                Err(Errno::NOENT) if self.links == 0 => {
                    return match self.fault.take() {
                        Some(fault) if self.rest.is_empty() => Err(fault),
                        _ => Ok(Some(Found { file: None })),
                    };
                }
                Err(error) => return Err(self.io(name, error)),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    self.links += 1;
                    if self.links > MAX_LINKS {
                        return Err(self.io(name, Errno::LOOP));
                    }
                    let checked = self.check_owner(&stat, name, "symbolic link");
                    self.note(checked);
                    let Some(directory) = self.stack.last() else { return Err(io::Error::from(Errno::NOENT).into()) };
                    let target =
                        rustix::fs::readlinkat(directory, name, Vec::new()).map_err(|error| self.io(name, error))?;
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.has_root() {
                        self.stack.truncate(1);
                        self.at = PathBuf::from("/");
                    }
                    self.push(&target);
                    Ok(None)
                }
                FileType::Directory => {
                    let opened = rustix::fs::openat(directory, name, directory_flags(), Mode::empty())
                        .map_err(|error| self.io(name, error))?;
                    self.at.push(name);
                    let checked = self.check(&rustix::fs::fstat(&opened).map_err(io::Error::from)?, "directory");
                    self.note(checked);
                    self.stack.push(opened);
                    Ok(None)
                }
                _ if !self.rest.is_empty() => Err(self.io(name, Errno::NOTDIR)),
                FileType::RegularFile => {
                    if let Some(fault) = self.fault.take() {
                        return Err(fault);
                    }
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
                    let opened = rustix::fs::openat(directory, name, flags, Mode::empty())
                        .map_err(|error| self.io(name, error))?;
                    self.at.push(name);
                    let stat = rustix::fs::fstat(&opened).map_err(io::Error::from)?;
                    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                        return Err(self.untrusted("it isn't a regular file".into()));
                    }
                    self.check(&stat, "file")?;
                    Ok(Some(Found { file: Some(File::from(opened)) }))
                }
                _ => {
                    self.at.push(name);
                    Err(self.untrusted("it isn't a regular file".into()))
                }
            }
        }

        fn note(&mut self, checked: Result<(), TrustedError>) {
            if let Err(fault) = checked {
                self.fault.get_or_insert(fault);
            }
        }

        fn check(&self, stat: &Stat, what: &str) -> Result<(), TrustedError> {
            if stat.st_uid != self.owner {
                return Err(self.untrusted(format!(
                    "this {what} belongs to user {}, not to {}",
                    stat.st_uid,
                    self.owner()
                )));
            }
            if stat.st_mode & 0o022 != 0 {
                let mode = stat.st_mode & 0o7777;
                return Err(self.untrusted(format!("others can write this {what} (mode {mode:04o})")));
            }
            Ok(())
        }

        fn check_owner(&self, stat: &Stat, name: &OsStr, what: &str) -> Result<(), TrustedError> {
            if stat.st_uid == self.owner {
                return Ok(());
            }
            let why = format!("this {what} belongs to user {}, not to {}", stat.st_uid, self.owner());
            Err(TrustedError::Untrusted { at: self.at.join(name), why })
        }

        fn owner(&self) -> String {
            if self.owner == 0 { "root".into() } else { format!("user {}", self.owner) }
        }

        fn untrusted(&self, why: String) -> TrustedError {
            TrustedError::Untrusted { at: self.at.clone(), why }
        }

        fn io(&self, name: &OsStr, error: Errno) -> TrustedError {
            let error = io::Error::from(error);
            let at = ringfence_model::os_text::OsText::new(self.at.join(name)).display();
            TrustedError::Io(io::Error::new(error.kind(), format!("{at}: {error}")))
        }
    }

    /// `O_PATH` where there is one: a directory that may be searched but not read is still walked.
    fn directory_flags() -> OFlags {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let access = OFlags::PATH;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let access = OFlags::RDONLY;
        access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
    }
}
