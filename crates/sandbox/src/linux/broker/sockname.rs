//! `getsockname`: a unix socket is called what its maker called it.
//!
//! The broker binds it by its last name, in the directory that was judged, so that is the name the kernel knows. Programs
//! hand on what `getsockname` says, to children with another working directory too.

use super::reply::{Job, Reply};
use super::socket::unix_address;
use crate::sys::peek;
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, getsockname};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bound on remembered names; the oldest go first.
const KEPT: usize = 1024;

/// A name that the kernel has otherwise.
#[derive(Debug)]
struct Given {
    /// The socket.
    inode: u64,
    /// As the kernel has it.
    stored: Vec<u8>,
    /// As it was given.
    path: Vec<u8>,
}

/// Names of unix sockets bound inside, where the kernel has another.
#[derive(Debug, Default)]
pub struct Names {
    any: AtomicBool,
    given: Mutex<VecDeque<Given>>,
}

impl Names {
    /// Remembers that the socket `inode`, known to the kernel as `stored`, was given `path`.
    pub fn add(&self, inode: u64, stored: &[u8], path: &[u8]) {
        if stored == path {
            return;
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|known| known.inode != inode);
        if given.len() >= KEPT {
            given.pop_front();
        }
        given.push_back(Given { inode, stored: stored.to_vec(), path: path.to_vec() });
        self.any.store(true, Ordering::Release);
    }

    /// Whether any is remembered: else nobody needs to be looked at.
    #[must_use]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// What the socket was given; a connection has the name of the socket that accepted it.
    fn path(&self, inode: u64, stored: &[u8]) -> Option<Vec<u8>> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let own = given.iter().find(|known| known.inode == inode && known.stored == stored);
        own.or_else(|| given.iter().rev().find(|known| known.stored == stored)).map(|known| known.path.clone())
    }
}

/// `getsockname`. Nothing depends on the answer but what the caller believes, so the kernel answers wherever it knows.
pub(super) fn tell(job: &Job<'_, '_>, fd: i32, address: u64, length: u64) -> Reply {
    match name(job, fd) {
        Some(name) => write(job, &name, address, length).unwrap_or_else(Reply::Fail),
        None => Reply::GoOn,
    }
}

fn name(job: &Job<'_, '_>, fd: i32) -> Option<Vec<u8>> {
    let taken = job.caller.take(fd).ok()?;
    let known = SocketAddrUnix::try_from(getsockname(&taken).ok()?).ok()?;
    let path = job.shared.sockets.path(fstat(&taken).ok()?.st_ino, known.path_bytes()?)?;
    Some(unix_address(&path))
}

/// As the kernel does: as much as there is room for, and how much there is.
fn write(job: &Job<'_, '_>, name: &[u8], address: u64, length: u64) -> Result<Reply, Errno> {
    let room = job.caller.bytes(length, size_of::<i32>())?;
    let room = i32::from_ne_bytes(room.try_into().map_err(|_| Errno::FAULT)?);
    let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
    let whole = i32::try_from(name.len()).map_err(|_| Errno::INVAL)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    let put = |to: u64, data: &[u8]| {
        peek::process_vm_writev(job.caller.thread, to, data).map_err(|error| super::caller::errno(&error))
    };
    put(address, name.get(..room.min(name.len())).unwrap_or_default())?;
    put(length, &whole.to_ne_bytes())?;
    Ok(Reply::Value(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_called_as_what_accepted_it_and_the_oldest_is_forgotten() {
        let names = Names::default();
        names.add(1, b"s", b"s");
        assert!(!names.any());
        names.add(1, b"s", b"/a/s");
        names.add(2, b"s", b"/b/s");
        let path = |inode, stored| names.path(inode, stored);
        assert_eq!(path(1, b"s"), Some(b"/a/s".to_vec()));
        assert_eq!(path(2, b"s"), Some(b"/b/s".to_vec()));
        assert_eq!(path(3, b"s"), Some(b"/b/s".to_vec()));
        assert_eq!(path(1, b"t"), None);
        (10..10 + KEPT as u64).for_each(|inode| names.add(inode, b"u", b"/u"));
        assert_eq!(path(1, b"s"), None);
    }
}
