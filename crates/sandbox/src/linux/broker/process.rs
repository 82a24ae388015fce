//! Limits, priorities and schedules: a process may change its own, nobody else's. Descriptors for processes: for those inside.

use super::procfs;
use super::reply::{Job, Reply};
use super::rules::Refusal;
use crate::sys::{own, process};
use ringfence_model::{DenialKind, Origin};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// How often a way up is begun again that a process left in the middle of it.
const TRIES: usize = 3;
/// As many generations as are looked at.
const DEPTH: usize = 4096;

/// A call on process or thread `who`.
pub(super) fn change(job: &Job<'_, '_>, who: i32, which: i32, name: &'static str) -> Reply {
    if which == 0 && is_own(job, who) {
        // Nothing of it is in memory: the kernel does what was judged.
        return Reply::GoOn;
    }
    job.refuse(other_process(Errno::PERM), name, who.to_string().as_bytes())
}

fn other_process(errno: Errno) -> Refusal {
    Refusal {
        errno,
        kind: DenialKind::Process,
        rule: "other-process",
        origin: Origin::builtin("other processes are left alone"),
        allow_with: Vec::new(),
    }
}

/// `pidfd_open`. It is opened first: whoever has the number when it is judged, the descriptor is for that process, or for one
/// that has ended before.
pub(super) fn open(job: &Job<'_, '_>, pid: i32, flags: u32) -> Reply {
    if !job.caller.alive() {
        return Reply::Later;
    }
    let opened = match process::pidfd_open_with(pid, flags) {
        Ok(opened) => own(opened),
        Err(errno) => return Reply::Fail(Errno::from_raw_os_error(errno.0)),
    };
    if u32::try_from(pid).is_ok_and(|pid| is_inside(job, pid)) {
        return Reply::Descriptor(opened, true);
    }
    job.refuse(other_process(Errno::SRCH), "open", format!("process {pid}").as_bytes())
}

/// Whether this process or thread descends from process 1: whoever loses its parent becomes a child of that.
fn is_inside(job: &Job<'_, '_>, number: u32) -> bool {
    let first = job.shared.first;
    (0..TRIES).any(|_| {
        let mut at = number;
        let mut steps = 0;
        while let Some(parent) = parent(job, at).filter(|parent| *parent > 1 && steps < DEPTH) {
            if parent == first {
                return true;
            }
            (at, steps) = (parent, steps + 1);
        }
        false
    })
}

/// The parent of a process; none if it is gone.
fn parent(job: &Job<'_, '_>, number: u32) -> Option<u32> {
    let fields = procfs::behind_name(job.shared.proc.as_fd(), &format!("{number}/stat")).ok()?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

fn is_own(job: &Job<'_, '_>, who: i32) -> bool {
    if who == 0 {
        return true;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(job.caller.own_proc(), format!("task/{who}"), flags, Mode::empty()).is_ok()
        && job.caller.status().is_ok_and(|status| status.process == status.inner_process)
        && job.caller.alive()
}
