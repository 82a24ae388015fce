//! `execve` of files that can't be read.
//!
//! A program can only be started by its own process, so the kernel is told to go on after the look. What a path that is
//! changed in that moment could gain is to *run* a file that can't be read; reading it stays refused, since every open is
//! performed by the broker.

use super::call::At;
use super::place::path_of;
use super::reply::{Job, Reply};
use super::walk::{self, Named};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// Judges an `execve` or `execveat`.
pub(super) fn exec(job: &Job<'_, '_>, at: At, flags: i32) -> Reply {
    let looked = job.caller.string(at.path).and_then(|path| {
        if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            return job.caller.descriptor(at.dir);
        }
        let found = walk::find(&job.caller, at, &path)?;
        match walk::name(&job.caller, found, flags & libc::AT_SYMLINK_NOFOLLOW == 0)? {
            Named::Missing(_) => Err(Errno::NOENT),
            Named::There(_, entry) | Named::Nameless(entry) => Ok(entry),
        }
    });
    if !job.caller.alive() {
        return Reply::Later;
    }
    match looked.and_then(|entry| path_of(job.shared.descriptors.as_fd(), entry.as_fd())) {
        Err(errno) => Reply::Fail(errno),
        Ok(path) => match job.rules().denied_read(&path) {
            Some(refusal) => job.refuse(refusal, "execute", &path),
            None => Reply::GoOn,
        },
    }
}
