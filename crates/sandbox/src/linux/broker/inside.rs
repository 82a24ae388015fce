//! Which sockets were made inside: unix sockets by the file they are bound to, internet ones by port.
//!
//! A bound file is kept open as long as it is remembered, so that no other file can get its number.

use super::place::file_id;
use ringfence_model::facts::FileId;
use rustix::fs::fstat;
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

/// Bound on remembered socket files: each holds a descriptor of ours.
const KEPT: usize = 512;

/// Sockets made inside.
#[derive(Debug, Default)]
pub struct Inside {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<FileId, OwnedFd>,
    ports: HashSet<u16>,
    sources: HashSet<u16>,
    names: HashSet<Vec<u8>>,
    terminals: HashSet<u32>,
}

impl Inside {
    /// Remembers a socket file that was bound inside. When too many are remembered, those whose file is gone are dropped;
    /// if none is, this one isn't remembered and can't be connected to.
    pub fn add_file(&self, file: OwnedFd) {
        let Ok(stat) = fstat(&file) else { return };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.files.len() >= KEPT {
            inner.files.retain(|_, file| fstat(&*file).is_ok_and(|stat| stat.st_nlink > 0));
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

    /// Remembers a port that was bound inside.
    pub fn add_port(&self, port: u16) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).ports.insert(port);
    }

    /// Whether this port was bound inside.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).ports.contains(&port)
    }

    /// Remembers a port that a connection or datagram was sent from.
    pub fn add_source(&self, port: u16) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).sources.insert(port);
    }

    /// Whether something inside sent or listens at this port.
    #[must_use]
    pub fn has_source(&self, port: u16) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.sources.contains(&port) || inner.ports.contains(&port)
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

    /// Remembers a pseudo-terminal that was made inside. Its number comes round again only once it is closed, and whoever
    /// gets it outside then is open to what could have opened it before.
    pub fn add_terminal(&self, number: u32) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).terminals.insert(number);
    }

    /// Whether this pseudo-terminal was made inside.
    #[must_use]
    pub fn has_terminal(&self, number: u32) -> bool {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).terminals.contains(&number)
    }
}
