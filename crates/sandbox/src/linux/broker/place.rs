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

/// File systems that fold case or normalise, by `f_type`; what may do so behind a server or a daemon counts as well.
const FOLDING: [u64; 12] = [
    0x4d44,      // msdos, vfat
    0x2011_bab0, // exfat
    0x5346_544e, // ntfs
    0x7366_746e, // ntfs3
    0x482b,      // hfs+
    0x4244,      // hfs
    0xff53_4d42, // cifs
    0xfe53_4d42, // smb2
    0x517b,      // smb
    0x6573_5546, // fuse
    0x0102_1997, // 9p
    0x5a4f_4653, // vboxsf and zfs by their old number
];
const FS_CASEFOLD_FL: u64 = 0x4000_0000;

fn folds_names(dir: BorrowedFd<'_>) -> bool {
    let Ok(StatFs { f_type, .. }) = fstatfs(dir) else { return true };
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let kind = f_type as u64 & 0xffff_ffff;
    if FOLDING.contains(&kind) {
        return true;
    }
    // A directory of ext4, f2fs or tmpfs may fold case by itself.
    let Ok(readable) = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    ioctl_getflags(&readable).is_ok_and(|flags| u64::from(flags.bits()) & FS_CASEFOLD_FL != 0)
}
