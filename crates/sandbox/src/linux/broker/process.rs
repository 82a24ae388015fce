//! Limits, priorities and schedules: a process may change its own, nobody else's.

use super::reply::{Job, Reply};
use super::rules::Refusal;
use ringfence_model::{DenialKind, Origin};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

/// A call on process or thread `who`.
pub(super) fn change(job: &Job<'_, '_>, who: i32, which: i32, name: &'static str) -> Reply {
    if which == 0 && is_own(job, who) {
        // Nothing of it is in memory: the kernel does what was judged.
        return Reply::GoOn;
    }
    let refusal = Refusal {
        errno: Errno::PERM,
        kind: DenialKind::Process,
        rule: "other-process",
        origin: Origin::builtin("other processes are left alone"),
        allow_with: Vec::new(),
    };
    job.refuse(refusal, name, who.to_string().as_bytes())
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
