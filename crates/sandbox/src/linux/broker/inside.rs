//! Which sockets were made inside: unix sockets by the file they are bound to, internet ones by their own number.
//!
//! A bound file is kept open as long as it is remembered, so that no other file can get its number.

use super::place::file_id;
use ringfence_model::facts::FileId;
use rustix::fs::fstat;
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// Bound on remembered socket files: each holds a descriptor of ours.
const KEPT: usize = 512;

/// Bound on remembered internet sockets.
const SOCKETS: usize = 4096;
/// Bound on remembered pseudo-terminals: each holds a descriptor of ours.
const TERMINALS: usize = 256;

/// Whether a file still has a name.
fn is_there(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
}

/// Sockets made inside.
#[derive(Debug, Default)]
pub struct Inside {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<FileId, OwnedFd>,
    sockets: VecDeque<u64>,
    sources: HashSet<u16>,
    names: HashSet<Vec<u8>>,
    terminals: HashMap<u32, OwnedFd>,
}

impl Inside {
    /// Remembers a socket file that was bound inside. When too many are remembered, those whose file is gone are dropped;
    /// if none is, this one isn't remembered and can't be connected to.
    pub fn add_file(&self, file: OwnedFd) {
        let Ok(stat) = fstat(&file) else { return };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.files.len() >= KEPT {
            inner.files.retain(|_, file| is_there(file));
        }
        if inner.files.len() < KEPT {
            inner.files.insert(file_id(&stat), file);
        }
    }

    /// Whether so many socket files are remembered that further ones aren't.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).files.len() >= KEPT
    }

    /// Whether this socket file was bound inside.
    #[must_use]
    pub fn has_file(&self, id: FileId) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).files.contains_key(&id)
    }

    /// Remembers an internet socket that was bound inside, by its number, which no other socket has. Of too many the oldest
    /// is forgotten, and can't be reached any more.
    pub fn add_socket(&self, number: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.sockets.contains(&number) {
            return;
        }
        if inner.sockets.len() >= SOCKETS {
            inner.sockets.pop_front();
        }
        inner.sockets.push_back(number);
    }

    /// Whether this socket was bound inside.
    #[must_use]
    pub fn has_socket(&self, number: u64) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).sockets.contains(&number)
    }

    /// Remembers a port that a connection or datagram was sent from.
    pub fn add_source(&self, port: u16) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).sources.insert(port);
    }

    /// Whether something inside sent from this port, or was bound to it.
    #[must_use]
    pub fn has_source(&self, port: u16) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).sources.contains(&port)
    }

    /// Remembers an abstract name that was bound inside.
    pub fn add_name(&self, name: Vec<u8>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.names.len() < 4 * KEPT {
            inner.names.insert(name);
        }
    }

    /// Whether this abstract name was bound inside.
    #[must_use]
    pub fn has_name(&self, name: &[u8]) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).names.contains(name)
    }

    /// Remembers a pseudo-terminal that was made inside, by its file, open as a path. Its number comes round again once it
    /// is closed; that file doesn't. Of too many, those that are gone are forgotten; if none is, this one is.
    pub fn add_terminal(&self, number: u32, file: OwnedFd) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.terminals.len() >= TERMINALS {
            inner.terminals.retain(|_, file| is_there(file));
        }
        if inner.terminals.len() < TERMINALS {
            inner.terminals.insert(number, file);
        }
    }

    /// Whether this pseudo-terminal was made inside.
    #[must_use]
    pub fn has_terminal(&self, number: u32) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.terminals.get(&number).is_some_and(is_there)
    }
}
