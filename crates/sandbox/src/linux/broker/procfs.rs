//! Entries of process file systems: what of a process the broker opens for another.
//!
//! The kernel asks whether the opener may look into a process. That is the broker, whom it lets into more than the caller: so
//! into its own, since a thread may look into its process whatever rules bind it, and into process 1 of the sandbox and its
//! like, which share the supervisor's memory.

use super::place::file_id;
use super::plan::Holds;
use super::reply::Job;
use super::serve;
use super::walk;
use ringfence_model::facts::FileId;
use rustix::fs::{Mode, OFlags, Stat, openat};
use rustix::io::Errno;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What of process 1 may be read: what the kernel shows of a process that nobody may look into.
const SHOWN: &[&[u8]] = &[
    b"cgroup",
    b"cmdline",
    b"comm",
    b"cpuset",
    b"limits",
    b"loginuid",
    b"mountinfo",
    b"mounts",
    b"mountstats",
    b"oom_adj",
    b"oom_score",
    b"oom_score_adj",
    b"sched",
    b"schedstat",
    b"sessionid",
    b"stat",
    b"statm",
    b"status",
    b"task",
];

/// Whether this is an entry of the caller's own under our `/proc`: what it may write there, the kernel says.
pub(super) fn is_own_process(job: &Job<'_, '_>, stat: &Stat, path: &[u8]) -> bool {
    file_id(stat).device == job.shared.proc_device
        && walk::proc_owner(path).is_some_and(|owner| {
            // The memory of others is the kernel's to judge: it lets a debugger into its own children, and nobody further.
            path.ends_with(b"/mem")
                || owner == job.caller.thread
                || job.caller.status().is_ok_and(|status| owner == status.process)
        })
}

/// Whether this is in the directory of a process that the caller must not look into through us. A thread may look into its
/// own process, whatever rules bind it: so not into the supervisor. Where no Landlock rules bind us, the kernel would keep
/// the caller from others outside, and not us: by whichever mount of a process file system, it is let into those inside.
pub(super) fn is_foreign_process(
    job: &Job<'_, '_>,
    entry: &OwnedFd,
    stat: &Stat,
    path: &[u8],
    writes: bool,
) -> Result<bool, Errno> {
    let FileId { device, .. } = file_id(stat);
    let bound = job.rules().plan.holds == Holds::Everything;
    if device != job.shared.proc_device {
        if bound || !walk::has_number(path) || !walk::is_on_proc(entry.as_fd())? {
            return Ok(false);
        }
        // Its own shows those inside alone.
        if !job.caller.has_for_proc(device) {
            return Ok(true);
        }
        let Some(owner) = walk::proc_owner(path).filter(|_| hides(path, writes)) else { return Ok(false) };
        return Ok(process_of(job.caller.root(), &format!("proc/{owner}/status")).is_none_or(|process| process == 1));
    }
    let Some(owner) = walk::proc_owner(path) else {
        // What is mounted under another name doesn't tell.
        return Ok(!walk::has_proc(path) && walk::has_number(path));
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let ours = openat(&job.shared.proc, format!("self/task/{owner}"), flags, Mode::empty()).is_ok();
    let hidden = || hides(path, writes) && serve::shares_memory(job.shared, owner);
    Ok(ours || !(bound || job.caller.sees(owner)) || hidden())
}

/// Whether this is more than the kernel shows of a process that nobody may look into.
fn hides(path: &[u8], writes: bool) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_process = std::str::from_utf8(name).is_ok_and(|name| name.parse::<u32>().is_ok());
    writes || !(is_process || SHOWN.contains(&name))
}

/// What an entry says. A process that is gone by then is missing.
pub(super) fn text(dir: BorrowedFd<'_>, entry: &str) -> Result<Vec<u8>, Errno> {
    let file = openat(dir, entry, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::with_capacity(2048);
    std::fs::File::from(file).read_to_end(&mut text).map_err(|_| Errno::SRCH)?;
    Ok(text)
}

/// What stands in a `stat` behind the process's name: state, parent, and so on (`proc_pid_stat(5)`).
pub(super) fn behind_name(dir: BorrowedFd<'_>, stat: &str) -> Result<String, Errno> {
    let mut text = text(dir, stat)?;
    // The name in parentheses may hold anything, blanks and parentheses too.
    let end = text.iter().rposition(|byte| *byte == b')').ok_or(Errno::SRCH)?;
    String::from_utf8(text.split_off(end + 1)).map_err(|_| Errno::SRCH)
}

/// The process that a process or thread belongs to, by its status there.
fn process_of(root: BorrowedFd<'_>, status: &str) -> Option<u32> {
    let text = String::from_utf8(text(root, status).ok()?).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}
