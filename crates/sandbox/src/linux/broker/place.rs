//! A directory that was reached for a caller: held open, with what has been asked about it remembered.

use ringfence_model::facts::FileId;
use rustix::fs::{Mode, OFlags, StatFs, fstat, fstatfs, ioctl_getflags, openat, readlinkat};
use rustix::io::Errno;
use std::cell::OnceCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Identity from a `stat` structure.
#[must_use]
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
pub fn file_id(stat: &rustix::fs::Stat) -> FileId {
    FileId { device: stat.st_dev as u64, inode: stat.st_ino as u64 }
}

/// The path that the kernel gives for `fd`, by the directory of our own descriptors.
pub fn path_of(descriptors: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    Ok(readlinkat(descriptors, fd.as_raw_fd().to_string(), Vec::with_capacity(256))?.into_bytes())
}

/// Whether this is memory that has no name anywhere (`memfd_create`), by the path that the kernel gives for it.
pub fn is_memory(path: &[u8], stat: &rustix::fs::Stat) -> bool {
    path.starts_with(b"/memfd:") && stat.st_nlink == 0
}

/// A directory, open as a path.
pub struct Place<'broker> {
    dir: OwnedFd,
    descriptors: BorrowedFd<'broker>,
    id: OnceCell<FileId>,
    path: OnceCell<Vec<u8>>,
}

impl<'broker> Place<'broker> {
    /// Wraps `dir`; `descriptors` is the directory of our own descriptors.
    #[must_use]
    pub fn new(dir: OwnedFd, descriptors: BorrowedFd<'broker>) -> Self {
        Self { dir, descriptors, id: OnceCell::new(), path: OnceCell::new() }
    }

    /// The directory.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Gives the descriptor up.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.dir
    }

    /// Its identity.
    pub fn id(&self) -> Result<FileId, Errno> {
        if let Some(id) = self.id.get() {
            return Ok(*id);
        }
        let id = file_id(&fstat(&self.dir)?);
        Ok(*self.id.get_or_init(|| id))
    }

    /// Its path, as the kernel gives it.
    pub fn path(&self) -> Result<&[u8], Errno> {
        if let Some(path) = self.path.get() {
            return Ok(path);
        }
        let path = path_of(self.descriptors, self.dir.as_fd())?;
        Ok(self.path.get_or_init(|| path))
    }

    /// The path of `name` in it.
    pub fn path_to(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let mut path = self.path()?.to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Ok(path)
    }

    /// Whether names in it are compared otherwise than byte by byte.
    #[must_use]
    pub fn folds_names(&self) -> bool {
        folds_names(self.dir.as_fd())
    }
}

/// File systems that compare names byte by byte, by `f_type`, but for directories that are marked otherwise. What isn't here
/// may fold: FAT, NTFS, HFS+, ZFS, and whatever is behind a server or a daemon.
const EXACT: [u64; 12] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x1cd1,      // devpts
];
const FS_CASEFOLD_FL: u64 = 0x4000_0000;

/// Whether names in `dir` may be compared otherwise than byte by byte. What can't be told is yes.
pub(super) fn folds_names(dir: BorrowedFd<'_>) -> bool {
    let Ok(StatFs { f_type, .. }) = fstatfs(dir) else { return true };
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let kind = f_type as u64 & 0xffff_ffff;
    if !EXACT.contains(&kind) {
        return true;
    }
    // A directory of ext4, f2fs or tmpfs may fold case by itself. Whoever makes it unreadable hides that.
    let readable = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    match readable {
        Ok(readable) => ioctl_getflags(&readable).is_ok_and(|flags| u64::from(flags.bits()) & FS_CASEFOLD_FL != 0),
        Err(Errno::NOTDIR) => false,
        Err(_) => true,
    }
}

/// Whether a directory above `path` folds names.
pub(super) fn folds_above(path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    let mut known = false;
    for dir in path.ancestors().skip(1) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(dir) = openat(rustix::fs::CWD, dir, flags, Mode::empty()) else { continue };
        known = true;
        if folds_names(dir.as_fd()) {
            return true;
        }
    }
    !known
}
