//! Files that the command gets as standard streams: what it only reads is opened anew inside.
//!
//! A descriptor brings along the mount that it was opened through, which is the host's. By it the command could change
//! what it was only given to read: its mode and times, or by `/proc/self/fd` its content where no other rule holds that,
//! and through a directory whatever lies below. Opened by its path inside, it is bound by the mounts there. How far it was
//! read is carried over, and carried back when the command has ended, as if it were the same.

use crate::child::Reopen;
use crate::sys::fs;
use ringfence_model::Tier;
use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, major, seek};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The major device number of `/dev/null` and its like.
const MEMORY_DEVICES: u32 = 1;

/// A file that is opened anew inside.
#[derive(Debug)]
pub(super) struct Given {
    original: OwnedFd,
    /// How it is to be opened.
    pub reopen: Reopen,
    /// How far it was read before.
    start: u64,
    /// The one that the command has.
    inside: Option<OwnedFd>,
}

/// Those among the standard streams, where mounts hold the command.
pub(super) fn of(tier: Tier, numbers: &[i32; 3]) -> Vec<Given> {
    if !matches!(tier, Tier::Namespaces | Tier::Bwrap) {
        return Vec::new();
    }
    numbers.iter().enumerate().filter_map(|(stream, number)| look(stream, *number)).collect()
}

fn look(stream: usize, number: i32) -> Option<Given> {
    let stat = fs::fstat(number).ok()?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let may_be = match kind {
        // What was removed has no path, and nothing of it will be left.
        FileType::RegularFile => stat.st_nlink > 0,
        FileType::Directory => true,
        FileType::CharacterDevice => major(stat.st_rdev) == MEMORY_DEVICES,
        _ => false,
    };
    // Terminals and pipes, which most streams are, need no further look.
    if !may_be {
        return None;
    }
    let original = super::spawn::owned(fs::dup_above(number, 3).ok()?);
    let flags = fcntl_getfl(&original).ok()?;
    let reads = flags.contains(OFlags::PATH) || flags & OFlags::RWMODE == OFlags::RDONLY;
    if kind == FileType::RegularFile && !reads {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{}", original.as_raw_fd())).ok()?;
    let reopen = Reopen {
        stream,
        path: CString::new(path.into_os_string().into_encoded_bytes()).ok()?,
        device: stat.st_dev,
        inode: stat.st_ino,
        flags: (flags & (OFlags::RWMODE | OFlags::PATH | OFlags::APPEND)).bits().cast_signed(),
        directory: kind == FileType::Directory,
    };
    let start = seek(&original, SeekFrom::Current(0)).unwrap_or(0);
    Some(Given { original, reopen, start, inside: None })
}

/// Keeps what process 1 opened for one of them.
pub(super) fn keep(given: &mut [Given], stream: u32, inside: OwnedFd) {
    if let Some(one) = given.iter_mut().find(|one| u32::try_from(one.reopen.stream) == Ok(stream)) {
        one.inside = Some(inside);
    }
}

/// Carries back how far each was read.
pub(super) fn carry_back(given: &[Given]) {
    let at = |fd: BorrowedFd<'_>| seek(fd, SeekFrom::Current(0));
    for one in given.iter().filter(|one| !one.reopen.directory) {
        if let Some(inside) = &one.inside
            && let Ok(end) = at(inside.as_fd())
            && end != one.start
        {
            let _ = seek(&one.original, SeekFrom::Start(end));
        }
    }
}
