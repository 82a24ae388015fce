//! The workers: take a notification, have it judged and performed, answer.

use super::call::{self, Call};
use super::caller::{Caller, Memory};
use super::crew::Crew;
use super::reply::{Job, Reply};
use super::shared::Shared;
use super::{exec, ipc, meta, names, open, process, socket, sockname};
use crate::sys::{notify, peek};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Nanoseconds a worker asks to run at a time. It needs few, and needs them at once: until it has heard of a call, a signal
/// makes that call fail with `EINTR` that would never do so without us, if its handler doesn't ask for a restart.
const SLICE: u64 = 100_000;

/// Makes the calling thread one that can do no more than a caller: no capabilities, none to be gained, a working directory
/// and umask of its own.
pub(super) fn become_worker() -> io::Result<()> {
    peek::unshare_fs()?;
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    peek::unblock_interrupt();
    peek::short_slices(SLICE);
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Answers until every caller is gone or the broker ends.
pub(super) fn work(shared: &Arc<Shared>) {
    let mut memory = Memory::default();
    let _answering = shared.crew.relief.answer();
    let mut staffed = false;
    while next(shared, &mut memory) {
        if !staffed {
            staffed = true;
            Crew::grow(shared);
        }
    }
}

/// Stands by, and answers beside others when they are held up, until every caller is gone or the broker ends.
pub(super) fn stand_by(shared: &Arc<Shared>) {
    let mut memory = Memory::default();
    while shared.crew.relief.stand_by(shared) {
        let _answering = shared.crew.relief.answer();
        Crew::grow(shared);
        loop {
            if !next(shared, &mut memory) {
                return;
            }
            if !shared.crew.relief.is_needed() {
                break;
            }
        }
    }
}

/// Answers the next call; false if there won't be one.
fn next(shared: &Arc<Shared>, memory: &mut Memory) -> bool {
    let notification = loop {
        if shared.ending.load(Ordering::Acquire) {
            return false;
        }
        match notify::recv(shared.listener.as_fd()) {
            Ok(notification) => break notification,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // Either a caller died before it was heard, or all are gone: the kernel doesn't say which.
                Some(libc::ENOENT) if !shared.is_over() => {}
                _ => return false,
            },
        }
    };
    let _busy = shared.crew.relief.take_up();
    shared.umasks.heard_of(notification.pid);
    memory.up_to(shared.umasks.generation());
    let reply = serve(shared, &notification, memory);
    answer(shared, notification.id, reply);
    true
}

/// Sends the answer. That the caller is gone by now is no failure.
pub(super) fn answer(shared: &Shared, id: u64, reply: Reply) {
    let listener = shared.listener.as_fd();
    let sent = match reply {
        Reply::Value(value) => notify::send_value(listener, id, value),
        Reply::Fail(errno) => notify::send_errno(listener, id, errno.raw_os_error()),
        Reply::GoOn => notify::send_continue(listener, id),
        Reply::Descriptor(fd, close_on_exec) => deliver(listener, id, fd, close_on_exec),
        Reply::Later => return,
    };
    // A descriptor may not fit into the caller's table: that is what its call fails with.
    if let Err(error) = sent
        && let Some(errno) = error.raw_os_error()
        && errno != libc::ENOENT
        && errno != libc::EINPROGRESS
    {
        let _ = notify::send_errno(listener, id, errno);
    }
}

/// Gives the caller its descriptor. One that writes is ours no more by the time the caller goes on: a file that anybody has
/// open for writing can't be executed, and a program that was just written is often run at once.
fn deliver(listener: BorrowedFd<'_>, id: u64, fd: OwnedFd, close_on_exec: bool) -> io::Result<()> {
    let reads = rustix::fs::fcntl_getfl(&fd).is_ok_and(|flags| (flags & OFlags::RWMODE) == OFlags::RDONLY);
    if reads {
        return notify::send_fd(listener, id, fd.as_fd(), close_on_exec);
    }
    let number = notify::add_fd(listener, id, fd.as_fd(), close_on_exec)?;
    drop(fd);
    notify::send_value(listener, id, number.into())
}

fn serve(shared: &Arc<Shared>, notification: &notify::Notification, memory: &mut Memory) -> Reply {
    let call = call::read(notification);
    if let Call::Umask(_) = call {
        // The only argument is in a register. What is remembered of umasks is forgotten first.
        shared.umasks.begin(notification.pid);
        return Reply::GoOn;
    }
    if let Call::SocketName { .. } = call
        && !shared.sockets.any()
    {
        return Reply::GoOn;
    }
    if let Call::Fork = call {
        return super::forks::judge(shared);
    }
    if let Call::Exec { at, .. } = call
        && is_launch(shared, notification.pid)
    {
        return launch(shared, notification.pid, at.path);
    }
    let caller = Caller::new(shared, notification, memory);
    let caller = match caller {
        Ok(caller) => caller,
        Err(_) if !notify::id_valid(shared.listener.as_fd(), notification.id) => return Reply::Later,
        Err(errno) => return errno.into(),
    };
    let mut job = Job { shared, caller, memory, id: notification.id };
    let reply = perform(&mut job, call);
    // A dead thread's directory under `/proc`: its number has come round, so look it up anew.
    if matches!(reply, Reply::Fail(Errno::SRCH)) && notify::id_valid(shared.listener.as_fd(), notification.id) {
        job.memory.forget(notification.pid);
        let again = Caller::new(shared, notification, job.memory);
        if let Ok(caller) = again {
            job.caller = caller;
            return perform(&mut job, call);
        }
    }
    reply
}

/// Whether this is the start of the command itself: until then its process is ours, shares our memory, and its root can't
/// be opened by a thread without capabilities. It makes no other call that the filter stops.
///
/// Its memory is ours if our secret stands at the secret's own address; nobody else knows either.
fn is_launch(shared: &Shared, pid: u32) -> bool {
    if shared.launched.load(Ordering::Acquire) {
        return false;
    }
    let ours = shares_memory(shared, pid);
    if !ours {
        shared.launched.store(true, Ordering::Release);
    }
    ours
}

/// Whether a process or thread shares our memory: our secret stands at the secret's own address there.
pub(super) fn shares_memory(shared: &Shared, pid: u32) -> bool {
    let mut seen = [0u8; 16];
    let address = std::ptr::from_ref(&shared.secret) as u64;
    peek::process_vm_readv(pid, address, &mut seen).is_ok_and(|count| count == seen.len() && seen == shared.secret)
}

/// Judges the program that the command is: its path is text of our own that nobody changes.
fn launch(shared: &Shared, pid: u32, path: u64) -> Reply {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use std::os::unix::ffi::OsStrExt;
    let found = super::caller::string_of(pid, path).and_then(|path| {
        // A path that is absolute leaves the directory aside.
        let path = shared.rules.cwd().join(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let entry = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        super::place::path_of(shared.descriptors.as_fd(), entry.as_fd())
    });
    match found {
        Ok(path) => match shared.rules.denied_read(&path) {
            Some(refusal) => {
                let errno = refusal.errno;
                shared.record.add(refusal, "execute", &path);
                Reply::Fail(errno)
            }
            None => Reply::GoOn,
        },
        Err(errno) => Reply::Fail(errno),
    }
}

fn perform(job: &mut Job<'_, '_>, call: Call) -> Reply {
    match call {
        Call::Open { at, flags, mode } => open::open(job, at, flags, mode),
        Call::MakeDir { at, mode } => names::make_dir(job, at, mode),
        Call::MakeNode { at, mode, device } => names::make_node(job, at, mode, device),
        Call::Symlink { target, at } => names::symlink(job, target, at),
        Call::Link { from, to, flags } => names::link(job, from, to, flags),
        Call::Rename { from, to, flags } => names::rename(job, from, to, flags),
        Call::Remove { at, directory } => names::remove(job, at, directory),
        Call::Truncate { path, length } => meta::truncate(job, path, length),
        Call::Exec { at, flags } => exec::exec(job, at, flags),
        Call::Chmod { target, mode } => meta::chmod(job, target, mode),
        Call::Chown { target, user, group } => meta::chown(job, target, user, group),
        Call::Utimes { target, times } => meta::utimes(job, target, times),
        Call::SetXattr { target, name, value, size, flags } => meta::set_xattr(job, target, name, value, size, flags),
        Call::RemoveXattr { target, name } => meta::remove_xattr(job, target, name),
        Call::Umask(_) | Call::Fork => Reply::GoOn,
        Call::Bind { socket, address, length } => socket::bind(job, socket, address, length),
        Call::Connect { socket, address, length } => socket::connect(job, socket, address, length),
        Call::SocketName { socket, address, length } => sockname::tell(job, socket, address, length),
        Call::SendTo { .. } | Call::SendMsg { .. } | Call::SendMmsg { .. } => super::send::send(job, call),
        Call::Listen { socket, backlog } => super::accept::listen(job, socket, backlog),
        Call::Accept { socket, address, length, flags } => super::accept::accept(job, socket, (address, length), flags),
        Call::Socket { .. } => socket::datagram_socket(job),
        Call::SocketPair { kind, protocol, out } => socket::pair(job, kind, protocol, out),
        Call::Process { who, which, name } => process::change(job, who, which, name),
        Call::OpenProcess { pid, flags } => process::open(job, pid, flags),
        Call::Ipc(call) => ipc::answer(job, call),
        Call::Unknown => Reply::Fail(Errno::NOSYS),
    }
}
