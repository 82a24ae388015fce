//! The command before it is the command: its group, directory, limits, streams, and its confinement.

use super::SLICE_MS;
use super::shared::{Ruleset, Shared, done, phase, stage, word};
use super::talk::{fail, say, supervisor_gone, wait_for};
use crate::linux::perform::slot;
use crate::sys::{Errno, clone, fs, process, security, signal};
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::Ordering::SeqCst;

/// Process 1, where the command is in a process namespace of its own.
const FIRST: i32 = 1;

/// Starts the command's process; its process id here. Unless [`Shared::ready`] is said before, it waits for that.
pub(super) fn start_command(shared: &Shared) -> i32 {
    if supervisor_gone(shared) {
        process::exit(1);
    }
    // Descriptors are shared until `execve`, which gives the command a copy: the listener of the filter appears in
    // this process's table by itself.
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    shared.command_tid.store(1, SeqCst);
    // SAFETY: the stack outlives the command's set-up, since the supervisor waits for word of it; `command` keeps the
    // rules above.
    let started = unsafe {
        clone(
            command,
            shared.command_stack as *mut c_void,
            flags,
            std::ptr::from_ref(shared).cast_mut().cast(),
            std::ptr::null_mut(),
            &raw const shared.command_tid,
        )
    };
    match started {
        Ok(pid) => pid,
        Err(errno) => fail(shared, u32::MAX, errno),
    }
}

/// Everything is in place: lets the command go on, and waits until it has executed its program.
pub(super) fn release_command(shared: &Shared) {
    shared.ready.store(done::YES, SeqCst);
    process::futex_wake(&shared.ready);
    if shared.launch().listener {
        while shared.listener_fd.load(SeqCst) == -1 && shared.command_tid.load(SeqCst) != 0 {
            let _ = process::futex_wait_signed(&shared.listener_fd, -1, 100);
        }
        let listener = shared.listener_fd.load(SeqCst);
        if listener >= 0 {
            say(shared, word::LISTENER, 0, Some(listener));
        }
    }
    while shared.command_tid.load(SeqCst) == 1 {
        let _ = process::futex_wait(&shared.command_tid, 1, SLICE_MS);
    }
    // If the command sent us elsewhere, it did so before.
    shared.take_processors();
    let errno = shared.exec_errno.load(SeqCst);
    if errno != 0 {
        say(shared, word::NOT_EXECUTED, errno as u32, None);
        process::exit(1);
    }
    say(shared, word::STARTED, 0, None);
}

extern "C" fn command(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let (stage, errno) = become_command(shared);
    shared.exec_stage.store(stage, SeqCst);
    shared.exec_errno.store(errno.0, SeqCst);
    process::exit(127)
}

/// Everything the command does before it is the command; returns only if something failed.
fn become_command(shared: &Shared) -> (u32, Errno) {
    wait_for(shared, phase::LAUNCH);
    let launch = shared.launch();
    if let Err(errno) = confine(shared) {
        return errno;
    }
    signal::set_default(libc::SIGPIPE);
    signal::set_mask(launch.mask);
    let mut last = Errno(libc::ENOENT);
    for candidate in &launch.candidates {
        // SAFETY: both arrays were made with a null at the end and point into strings of `launch`.
        let errno = unsafe { process::execve(candidate, launch.argv_pointers.as_ptr(), launch.envp_pointers.as_ptr()) };
        match errno.0 {
            // As `execvp(3)` does it: go on searching, but remember that something was there.
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT => {}
            // A directory of the search that can't be entered says nothing about the program.
            libc::EACCES if launch.candidates.len() > 1 && !is_there(candidate) => {}
            libc::EACCES => last = errno,
            libc::ENOEXEC => {
                last = errno;
                if let Some(second) = launch.script_pointers.get(1) {
                    second.0.store(candidate.as_ptr().cast_mut(), SeqCst);
                    // SAFETY: as above; `AtomicPointer` has the layout of a pointer, and nobody else uses this array.
                    last = unsafe {
                        process::execve(
                            c"/bin/sh",
                            launch.script_pointers.as_ptr().cast::<*const c_char>(),
                            launch.envp_pointers.as_ptr(),
                        )
                    };
                }
                break;
            }
            _ => {
                last = errno;
                break;
            }
        }
    }
    (stage::EXEC, last)
}

fn is_there(file: &CStr) -> bool {
    fs::openat(fs::CWD, file, libc::O_PATH | libc::O_CLOEXEC, 0).map(fs::close).is_ok()
}

fn confine(shared: &Shared) -> Result<(), (u32, Errno)> {
    let launch = shared.launch();
    let at = |stage: u32| move |errno: Errno| (stage, errno);
    let filter_first = shared.work().command_early;
    // Before the filter, which would ask the broker to remember it.
    process::umask(shared.umask.load(SeqCst));
    if launch.confine {
        security::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(at(stage::PRIVILEGES))?;
        if filter_first {
            // The kernel takes long to compile it; process 1 may be mounting meanwhile. It allows everything below.
            filter(shared).map_err(at(stage::SECCOMP))?;
        }
    }
    await_ready(shared);
    // If process 1 sent us elsewhere, it did so before it said that.
    shared.take_processors();
    if launch.own_group {
        process::setpgid(0, 0).map_err(at(stage::GROUP))?;
        if let Some(terminal) = launch.foreground {
            let group = process::getpgrp();
            signal::set_foreground(terminal, group).map_err(at(stage::GROUP))?;
        }
    }
    fs::chdir(&launch.cwd).map_err(at(stage::DIRECTORY))?;
    for (number, from) in launch.stdio.iter().enumerate() {
        fs::dup_to(from.load(SeqCst), number as i32).map_err(at(stage::STREAMS))?;
    }
    const MARK: u32 = libc::CLOSE_RANGE_CLOEXEC;
    fs::close_range(3, u32::MAX, MARK).map_err(at(stage::STREAMS))?;
    // Limits come last: what is set up needs descriptors and memory of its own.
    let limit = || {
        launch
            .limits
            .iter()
            .try_for_each(|limit| process::setrlimit(limit.resource, limit.soft, limit.hard).map_err(at(stage::LIMITS)))
    };
    if !launch.confine {
        return limit();
    }
    // Root gets no capabilities back by executing a program, whatever its file says, and that can't be changed again.
    const NO_ROOT: usize = 0b1110_1111;
    let _ = security::prctl(libc::PR_SET_SECUREBITS, NO_ROOT);
    if let Some(ruleset) = launch.ruleset {
        let ruleset = match ruleset {
            Ruleset::Made(slot_of_it) => slot(&shared.work().program, slot_of_it),
            Ruleset::Given(fd) => fd,
        };
        security::landlock_restrict(ruleset).map_err(at(stage::LANDLOCK))?;
    }
    security::drop_capabilities().map_err(at(stage::PRIVILEGES))?;
    if !filter_first {
        filter(shared).map_err(at(stage::SECCOMP))?;
    }
    limit()
}

/// Waits until everything around the command is in place.
fn await_ready(shared: &Shared) {
    while shared.ready.load(SeqCst) == done::NO {
        let _ = process::futex_wait(&shared.ready, done::NO, SLICE_MS);
        if supervisor_gone(shared) {
            process::exit(1);
        }
    }
}

/// Installs the filter, and says where its listener is.
fn filter(shared: &Shared) -> Result<(), Errno> {
    let launch = shared.launch();
    if !launch.listener {
        return security::seccomp(&launch.filter, 0).map(drop);
    }
    let listener = security::seccomp_listener(&launch.filter)?;
    shared.listener_fd.store(listener, SeqCst);
    if shared.work().command_early {
        // The broker is started while we go on; woken here, process 1 would wait for us.
        shared.send_elsewhere(FIRST);
    }
    process::futex_wake_signed(&shared.listener_fd);
    Ok(())
}
