//! Standard streams that process 1 opens anew, by their paths as they are inside.

use super::shared::{Shared, word};
use super::talk::say;
use crate::sys::fs;
use std::ffi::CString;
use std::sync::atomic::Ordering::SeqCst;

/// A stream that is a file, and how it is to be opened.
#[derive(Debug, Clone)]
pub(crate) struct Reopen {
    /// 0, 1 or 2.
    pub stream: usize,
    pub path: CString,
    /// Which file it must be.
    pub device: u64,
    pub inode: u64,
    /// Access mode.
    pub flags: i32,
    /// It is a directory: if it can't be opened inside, the command doesn't get it.
    pub directory: bool,
}

/// Opens each, and puts it where the command takes it from. A file that isn't to be seen inside stays as it was given.
pub(super) fn reopen(shared: &Shared) {
    let launch = shared.launch();
    for wanted in &launch.reopen {
        let Some(place) = launch.stdio.get(wanted.stream) else { continue };
        match open(wanted, place.load(SeqCst)) {
            Some(fd) => {
                say(shared, word::STREAM, wanted.stream as u32, Some(fd));
                place.store(fd, SeqCst);
            }
            // Connecting it fails, and says so.
            None if wanted.directory => place.store(-1, SeqCst),
            None => {}
        }
    }
}

/// The same file, opened by its path, read as far as the one that was given.
fn open(wanted: &Reopen, given: i32) -> Option<i32> {
    const STRAIGHT: u64 = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    // Who has put a FIFO there meanwhile makes nobody wait.
    let flags = wanted.flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = fs::openat2(fs::CWD, &wanted.path, flags, STRAIGHT).ok()?;
    let above = fs::dup_above(opened, 3);
    fs::close(opened);
    let fd = above.ok()?;
    let same = fs::fstat(fd).is_ok_and(|stat| stat.st_dev == wanted.device && stat.st_ino == wanted.inode);
    if !same {
        fs::close(fd);
        return None;
    }
    let _ = fs::set_flags(fd, wanted.flags & libc::O_APPEND);
    if let Ok(at) = fs::position(given) {
        let _ = fs::set_position(fd, at);
    }
    Some(fd)
}
