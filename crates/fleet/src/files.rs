//! Small files read whole with a bound, and replaced whole: readers see the old content or the new, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that couldn't be replaced. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("write {}", path.display())]
pub struct AtomicWriteError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// Reads a regular file of at most `limit` bytes; `None` where there is none.
pub fn read_bounded(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match open_for_reading(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// Opening must not wait: a FIFO in the file's place would hold a start for ever.
#[cfg(unix)]
fn open_for_reading(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    /// `O_NONBLOCK`, which Linux and the BSD family number differently.
    const NONBLOCK: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 0o4000 } else { 0x4 };
    OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open_for_reading(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Replaces `path` by `bytes`, readable by its owner alone. The new content is on disk under another name before it takes
/// this one, so a crash leaves the old or the new.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), AtomicWriteError> {
    let failed = |cause| AtomicWriteError { path: path.to_owned(), cause };
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file's path")));
    };
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    let beside = directory.join(beside);
    let written = write_new(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if let Err(cause) = written {
        // Nothing was replaced; what lies beside is of no use to anyone.
        let _ = fs::remove_file(&beside);
        return Err(failed(cause));
    }
    sync_directory(directory);
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = match options.open(path) {
        // A process of the same number crashed here before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates a directory and those above it, for its owner alone.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
pub(crate) fn private(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
pub(crate) fn private(_: &mut OpenOptions) {}

/// Makes the new name last. Where directories can't be synced the content is still whole, only perhaps the old one after
/// a power failure.
fn sync_directory(directory: &Path) {
    if cfg!(unix) {
        let _ = File::open(directory).and_then(|opened| opened.sync_all());
    }
}

/// Whether others than the owner may read or write the file. Always false where there are no mode bits.
#[cfg(unix)]
pub(crate) fn open_to_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn open_to_others(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_kept_private() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("policy.json");
        write_atomically(&path, b"one").expect("first");
        write_atomically(&path, b"two").expect("second");
        assert_eq!(read_bounded(&path, 10).expect("read"), Some(b"two".to_vec()));
        assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1, "nothing is left beside it");
        assert!(!open_to_others(&path).expect("mode"));
        assert!(read_bounded(&path, 2).is_err(), "one byte too many");
        assert_eq!(read_bounded(&dir.path().join("none"), 2).expect("absent"), None);
        assert!(read_bounded(dir.path(), 2).is_err(), "a directory");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn cf_08_a_full_disk_leaves_the_old_content() {
        let error = write_atomically(Path::new("/proc/version"), b"x").expect_err("not writable");
        assert!(error.to_string().contains("/proc/version"));
        let dir = tempfile::tempdir().expect("dir");
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success());
        if made {
            assert!(read_bounded(&fifo, 10).is_err(), "a FIFO neither blocks nor counts as a file");
        } else {
            eprintln!("SKIPPED: cf_08: no mkfifo");
        }
    }
}
