//! Unix sockets made outside that may be reached: known by where their paths lead when the broker begins.
//!
//! One may lie in a writable root, like the agent of ssh in `/tmp`. Then its name may be bound or removed inside, but nothing
//! may take it that was something else before: a link, or another socket that was made outside.

use super::place::{Place, file_id, path_of};
use super::rules::{Deed, Refusal, Rules, open_any, protected_path};
use ringfence_model::AbsPath;
use ringfence_model::confinement::{Protected, UnixSockets};
use ringfence_model::facts::FileId;
use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The paths of `sockets`, followed as far as they exist.
pub(super) fn resolve(sockets: &UnixSockets) -> Vec<Protected> {
    let UnixSockets::Only(list) = sockets else { return Vec::new() };
    let resolved = list.iter().map(|listed| {
        let path = followed(&listed.value).unwrap_or_else(|| listed.value.clone());
        Protected { path, found: None, reason: Cow::Borrowed("a listed unix socket"), origin: listed.origin.clone() }
    });
    resolved.collect()
}

fn followed(path: &AbsPath) -> Option<AbsPath> {
    let (mut at, mut missing) = (path.clone(), PathBuf::new());
    loop {
        if let Ok(found) = std::fs::canonicalize(at.as_path()) {
            return AbsPath::new(if missing.as_os_str().is_empty() { found } else { found.join(missing) }).ok();
        }
        let name = at.file_name()?.to_owned();
        missing = if missing.as_os_str().is_empty() { name.into() } else { PathBuf::from(name).join(missing) };
        at = at.parent()?;
    }
}

impl Rules {
    /// Whether a socket is what a listed path names now, without following any link that wasn't there at the start.
    pub(super) fn lists_socket(&self, descriptors: BorrowedFd<'_>, id: FileId) -> bool {
        if matches!(self.plan.unix, UnixSockets::Everything) {
            return true;
        }
        self.listed().iter().any(|listed| {
            let Ok(found) = open_any(listed.path.as_path()) else { return false };
            let straight = path_of(descriptors, found.as_fd());
            straight.is_ok_and(|path| path == listed.path.as_path().as_os_str().as_bytes())
                && rustix::fs::fstat(&found).is_ok_and(|stat| file_id(&stat) == id)
        })
    }

    /// Why what exists must not get this further name: it is a listed socket's.
    pub(super) fn is_listed_name(&self, parent: &Place, name: &[u8]) -> Option<Refusal> {
        self.listed_at(parent, name).map(protected_path)
    }
}

/// Whether `deed` may be done to the name of a listed socket.
pub(super) fn may(deed: Deed) -> bool {
    !matches!(deed, Deed::Symlink | Deed::Link | Deed::Arrive)
}
