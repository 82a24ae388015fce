//! What a call gets as its answer, and the job of answering one.

use super::caller::{Caller, Memory};
use super::names::MAKE_DIR;
use super::place::{Place, file_id};
use super::plan::Holds;
use super::rules::{BROAD_ROOTS, Refusal, Rules, open_any_at};
use super::shared::Shared;
use ringfence_model::text::{escape_bytes, shell_word};
use rustix::fs::Stat;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// The answer to a call.
#[derive(Debug)]
pub enum Reply {
    /// It returns a copy of this descriptor.
    Descriptor(OwnedFd, /* close on exec */ bool),
    /// It returns this.
    Value(i64),
    /// It fails.
    Fail(Errno),
    /// The kernel performs it: only where its own rules hold whatever the memory of the caller says by then.
    GoOn,
    /// Somebody else answers.
    Later,
}

impl From<Errno> for Reply {
    fn from(errno: Errno) -> Self {
        Self::Fail(errno)
    }
}

impl From<Result<(), Errno>> for Reply {
    fn from(result: Result<(), Errno>) -> Self {
        match result {
            Ok(()) => Self::Value(0),
            Err(errno) => Self::Fail(errno),
        }
    }
}

/// One call being answered.
pub struct Job<'broker, 'job> {
    /// What all workers share.
    pub shared: &'broker Arc<Shared>,
    /// Who calls.
    pub caller: Caller<'broker>,
    /// What this worker remembers.
    pub memory: &'job mut Memory,
    /// The notification's id.
    pub id: u64,
}

impl<'broker> Job<'broker, '_> {
    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &'broker Rules {
        &self.shared.rules
    }

    /// Records a refusal and answers with its errno.
    pub fn refuse(&self, refusal: Refusal, operation: &str, target: &[u8]) -> Reply {
        let errno = refusal.errno;
        self.record(refusal, operation, target);
        Reply::Fail(errno)
    }

    /// Records a refusal. Where a directory would be made in one that is too broad to grant, granting that directory is less.
    fn record(&self, mut refusal: Refusal, operation: &str, target: &[u8]) {
        if operation == MAKE_DIR && refusal.allow_with.iter().any(|grant| grant.starts_with(BROAD_ROOTS)) {
            let shown = shell_word(&escape_bytes(target));
            refusal.allow_with.insert(0, format!("--add-dir {shown}, once it is there"));
        }
        self.shared.record.add(refusal, operation, target);
    }

    /// Answers as the kernel did when `name` in `place` was to change. What mounts hold read-only is recorded.
    pub fn answer(&self, done: Result<(), Errno>, operation: &str, place: &Place, name: &[u8]) -> Reply {
        if done == Err(Errno::ROFS) {
            self.note_name(operation, place, name);
        }
        done.into()
    }

    /// As [`Self::answer`], for what is known by its whole path: it comes back as the kernel gave it.
    pub fn explained<T>(&self, done: Result<T, Errno>, operation: &str, path: &[u8]) -> Result<T, Errno> {
        done.inspect_err(|errno| {
            let _ = *errno == Errno::ROFS && self.note_mount(operation, path, || false);
        })
    }

    /// Records that mounts hold this name read-only; false if they don't.
    pub fn note_name(&self, operation: &str, place: &Place, name: &[u8]) -> bool {
        place.path_to(name).is_ok_and(|path| self.note_mount(operation, &path, || place.folds_names()))
    }

    /// As [`Self::note_name`], for a whole path.
    pub fn note_mount(&self, operation: &str, path: &[u8], folds: impl FnOnce() -> bool) -> bool {
        let Some(refusal) = self.rules().held_by_mounts(path, folds) else { return false };
        self.record(refusal, operation, path);
        true
    }

    /// Whether this is shared memory, where everybody has the same, that was made outside.
    pub fn is_foreign_memory(&self, path: &[u8], stat: &Stat) -> bool {
        self.rules().is_shared_memory(path) && !self.shared.inside.has_file(file_id(stat))
    }

    /// Remembers what was just made in `place`, if that is shared memory.
    pub fn remember_memory(&self, place: &Place, name: &[u8]) {
        if self.rules().plan.holds == Holds::Everything
            && place.path_to(name).is_ok_and(|path| self.rules().is_shared_memory(&path))
            && let Ok(entry) = open_any_at(place.fd(), OsStr::from_bytes(name))
        {
            self.shared.inside.add_file(entry);
        }
    }

    /// Makes this thread create files as the caller's umask says, and says which that is.
    pub fn wear_umask(&mut self) -> Result<u32, Errno> {
        let umask = self.caller.umask(&self.shared.umasks, self.memory)?;
        self.memory.wear_umask(umask);
        Ok(umask)
    }
}
