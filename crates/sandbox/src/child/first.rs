//! Process 1 of a sandbox, the keeper of a prepared one, and the helper that makes the dear namespaces meanwhile.

use super::command::{release_command, start_command};
use super::shared::{Shared, done, phase, word};
use super::talk::{fail, say, wait_for};
use super::watch::watch;
use super::{SLICE_MS, streams};
use crate::linux::ops::{Lenience, Op};
use crate::linux::perform::{fill, perform, slot};
use crate::run::Inlet;
use crate::sys::{Errno, clone, fs, process, security, signal, socket};
use ringfence_model::transparent;
use std::ffi::c_void;
use std::sync::atomic::Ordering::SeqCst;

/// Flags of `clone(2)` for a thread of the process that calls.
pub(super) const THREAD: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM;

/// Entry of process 1.
extern "C" fn first_process(argument: *mut c_void) -> i32 {
    // SAFETY: the supervisor passes a `Shared` that it keeps until this process has ended.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let command = prepare(shared);
    send_inlets(shared);
    run(shared, command)
}

/// Entry of the keeper of a prepared sandbox: it holds the namespaces and starts a process 1 per command.
extern "C" fn keeper(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    prepare(shared);
    send_inlets(shared);
    say(shared, word::READY, 0, None);
    keep(shared)
}

/// Entry of process 1 of a command in a prepared sandbox: what is left are the mounts that belong to its processes.
extern "C" fn next_process(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let umask = process::umask(0);
    shared.umask.store(umask, SeqCst);
    walk(shared);
    process::umask(umask);
    run(shared, None)
}

/// Starts process 1, or a keeper, with these namespaces.
pub(crate) fn start(shared: &Shared, keep: bool, stack_top: usize, flags: i32, pidfd: &mut i32) -> Result<i32, Errno> {
    // SAFETY: the caller keeps stack and record until the process has ended, and it keeps to the rules above.
    unsafe {
        clone(
            if keep { keeper } else { first_process },
            stack_top as *mut c_void,
            flags,
            std::ptr::from_ref(shared).cast_mut().cast(),
            pidfd,
            std::ptr::null(),
        )
    }
}

/// Everything up to the command's own set-up; the command's process, if it could be started meanwhile.
fn prepare(shared: &Shared) -> Option<i32> {
    // The supervisor blocked every signal before; the default action for SIGCHLD is needed to see children end.
    signal::set_default(libc::SIGCHLD);
    // Before there is a second thread: the kernel moves only processes with one.
    let entered = enter(shared);
    let helper = entered.and_then(|()| start_helper(shared));
    let umask = process::umask(0);
    shared.umask.store(umask, SeqCst);
    if shared.makes_early {
        wait_for(shared, phase::MAPPED);
        shared.early.make();
    }
    wait_for(shared, phase::WORK);
    // The supervisor has done with our maker's processors, which are ours.
    shared.take_processors();
    if let Err(errno) = helper {
        fail(shared, u32::MAX, errno);
    }
    if shared.adopts
        && let Err(errno) = security::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
    {
        fail(shared, u32::MAX, errno);
    }
    // In the network from its beginning, a process needs nothing of ours but the mounts, which all in a namespace see.
    let command =
        (shared.work().command_early && shared.network.load(SeqCst) == done::YES && join_network(shared).is_ok())
            .then(|| start_command(shared));
    if let Some(pid) = command {
        shared.send_elsewhere(pid);
    }
    walk(shared);
    process::umask(umask);
    command
}

fn enter(shared: &Shared) -> Result<(), Errno> {
    if shared.enter < 0 {
        return Ok(());
    }
    process::setns(shared.enter, libc::CLONE_NEWUSER)?;
    process::unshare(shared.enter_namespaces)
}

fn run(shared: &Shared, command: Option<i32>) -> i32 {
    wait_for(shared, phase::LAUNCH);
    streams::reopen(shared);
    let command = command.unwrap_or_else(|| {
        shared.ready.store(done::YES, SeqCst);
        start_command(shared)
    });
    release_command(shared);
    // From here on only the socket, the supervisor's descriptor and the children matter.
    if shared.launch().confine {
        let _ = security::drop_capabilities();
    }
    watch(shared, command)
}

/// What a keeper does: one process 1 per request.
fn keep(shared: &Shared) -> i32 {
    loop {
        let mut fds = [shared.supervisor.load(SeqCst), shared.socket.load(SeqCst)].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let _ = fs::poll(&mut fds, -1);
        let [supervisor, request] = fds;
        if supervisor.revents != 0 {
            process::exit(0);
        }
        if request.revents == 0 {
            continue;
        }
        let mut bytes = [0u8; 8];
        let received = socket::receive_many(shared.socket.load(SeqCst), &mut bytes, 0);
        let Ok((8, descriptors)) = received else { process::exit(0) };
        // SAFETY: the supervisor put a record there before it asked, and keeps it until that process has ended.
        let Some(next) = (unsafe { shared.request.load(SeqCst).cast_const().as_ref() }) else { continue };
        let [socket, streams @ ..] = descriptors;
        next.socket.store(socket, SeqCst);
        for (place, fd) in next.launch().stdio.iter().zip(streams) {
            place.store(fd, SeqCst);
        }
        let flags = libc::CLONE_VM | libc::CLONE_PARENT | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
        // SAFETY: stack and record belong to the new process alone and are kept until it has ended.
        let started = unsafe {
            clone(
                next_process,
                shared.request_stack.load(SeqCst) as *mut c_void,
                flags,
                std::ptr::from_ref(next).cast_mut().cast(),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        };
        for fd in descriptors {
            fs::close(fd);
        }
        say(shared, word::SPAWNED, started.unwrap_or(0) as u32, None);
    }
}

/// Carries out every operation.
fn walk(shared: &Shared) {
    let mut skipping = u32::MAX;
    for (index, operation) in shared.work().program.operations.iter().enumerate() {
        if operation.step == skipping && skipping != u32::MAX {
            continue;
        }
        let performed = match &operation.op {
            Op::JoinNetwork => join_network(shared),
            op => match shared.early.take(op) {
                Some((slot, made)) => {
                    fill(&shared.work().program, slot, made);
                    Ok(())
                }
                None => perform(&shared.work().program, op),
            },
        };
        if let Err(errno) = performed {
            let missing = errno.is(libc::ENOENT) || errno.is(libc::ENOTDIR) || errno.is(libc::ELOOP);
            match operation.lenience {
                Lenience::MissingIsFine if missing => skipping = operation.step,
                Lenience::Reported => {
                    if let Some(slot) = shared.work().step_errno.get(operation.step as usize) {
                        slot.store(errno.0, SeqCst);
                    }
                    skipping = operation.step;
                }
                Lenience::Fatal | Lenience::MissingIsFine => fail(shared, index as u32, errno),
            }
        }
    }
}

/// Starts the thread that makes the dear namespaces while this one mounts.
fn start_helper(shared: &Shared) -> Result<(), Errno> {
    if shared.helper_namespaces == 0 {
        return Ok(());
    }
    // SAFETY: the helper's stack is a mapping of the supervisor's that outlives it, and `helper` keeps the rules above.
    unsafe {
        clone(
            helper,
            shared.helper_stack as *mut c_void,
            THREAD,
            std::ptr::from_ref(shared).cast_mut().cast(),
            std::ptr::null_mut(),
            std::ptr::null(),
        )
    }
    .map(drop)
}

extern "C" fn helper(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let made = process::unshare(shared.helper_namespaces)
        .and_then(|()| socket::raise_loopback())
        .and_then(|()| fs::openat(fs::CWD, c"/proc/thread-self/ns/net", libc::O_RDONLY, 0));
    match made {
        Ok(fd) => {
            shared.network_fd.store(fd, SeqCst);
            shared.network.store(done::YES, SeqCst);
        }
        Err(errno) => {
            shared.network_fd.store(errno.0, SeqCst);
            shared.network.store(done::FAILED, SeqCst);
        }
    }
    process::futex_wake(&shared.network);
    process::exit_thread()
}

fn join_network(shared: &Shared) -> Result<(), Errno> {
    if shared.network.load(SeqCst) == done::JOINED {
        return Ok(());
    }
    while shared.network.load(SeqCst) == done::NO {
        let _ = process::futex_wait(&shared.network, done::NO, SLICE_MS);
    }
    let fd = shared.network_fd.load(SeqCst);
    if shared.network.load(SeqCst) == done::FAILED {
        return Err(Errno(fd));
    }
    let joined = process::setns(fd, libc::CLONE_NEWNET);
    fs::close(fd);
    if joined.is_ok() {
        shared.network.store(done::JOINED, SeqCst);
    }
    joined
}

fn send_inlets(shared: &Shared) {
    let give = |inlet: Inlet, made: Result<i32, Errno>| match made {
        Ok(fd) => {
            say(shared, word::PROXY_SOCKET, inlet.word(), Some(fd));
            fs::close(fd);
        }
        Err(errno) => fail(shared, u32::MAX, errno),
    };
    for port in &shared.work().proxy_ports {
        give(Inlet::Port(*port), socket::listen_loopback(*port));
    }
    let Some(interface) = shared.work().interface else { return };
    give(Inlet::Interface, Ok(slot(&shared.work().program, interface)));
    give(Inlet::Connections, socket::listen_v4(transparent::INSIDE_V4.octets(), 0));
    // A kernel without IPv6 has no connections by it.
    if let Ok(listener) = socket::listen_v6() {
        give(Inlet::Connections, Ok(listener));
    }
    for address in &transparent::NAME_SERVERS {
        give(Inlet::Names, socket::datagrams_v4(address.octets(), transparent::NAME_PORT));
    }
}
