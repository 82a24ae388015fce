//! System calls of macOS, one function per call, named after its man page where that says enough.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// Signals that are passed on to the command.
const FORWARDED: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
];

/// What a command's process does to itself before it executes its program.
pub(crate) struct Start {
    /// Resource and value.
    pub limits: Vec<(i32, u64)>,
    /// The terminal whose foreground its group takes.
    pub terminal: Option<i32>,
}

/// Has `start` done between `fork` and `exec`.
pub(crate) fn before_exec(command: &mut Command, start: Start) {
    let highest = getdtablesize();
    // SAFETY: what runs there calls only functions that are async-signal-safe (`signal`, `ioctl`, `fcntl`, `setrlimit`,
    // `getpgrp`), and neither allocates nor locks: the vector was filled before.
    unsafe {
        command.pre_exec(move || {
            if let Some(terminal) = start.terminal {
                // Whoever isn't in the foreground is stopped for setting it, unless the signal is ignored.
                libc::signal(libc::SIGTTOU, libc::SIG_IGN);
                libc::tcsetpgrp(terminal, libc::getpgrp());
            }
            for signal in FORWARDED.into_iter().chain([libc::SIGTTOU, libc::SIGPIPE]) {
                libc::signal(signal, libc::SIG_DFL);
            }
            for number in 3..highest {
                libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            for (resource, value) in &start.limits {
                let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                libc::getrlimit(*resource, &raw mut limit);
                limit.rlim_cur = limit.rlim_max.min(*value);
                limit.rlim_max = limit.rlim_cur;
                if libc::setrlimit(*resource, &raw const limit) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

fn getdtablesize() -> i32 {
    // SAFETY: no arguments, can't fail.
    unsafe { libc::getdtablesize() }
}

/// `kill(2)`: a signal to every process of a group. That there is none is fine.
pub(crate) fn signal_group(group: i32, signal: i32) {
    if group > 1 {
        // SAFETY: plain integers; a negative number above names a group, never "everybody".
        unsafe { libc::kill(-group, signal) };
    }
}

/// `getpgrp(2)`.
pub(crate) fn own_group() -> i32 {
    // SAFETY: no arguments, can't fail.
    unsafe { libc::getpgrp() }
}

/// `tcgetpgrp(3)`.
pub(crate) fn foreground(terminal: i32) -> Option<i32> {
    // SAFETY: a plain integer.
    let group = unsafe { libc::tcgetpgrp(terminal) };
    (group > 0).then_some(group)
}

/// `tcsetpgrp(3)`, from the background too.
pub(crate) fn set_foreground(terminal: i32, group: i32) {
    // SAFETY: plain integers; the action of one signal is put back as it was.
    unsafe {
        let before = libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        libc::tcsetpgrp(terminal, group);
        libc::signal(libc::SIGTTOU, before);
    }
}

/// `raise(3)` with `SIGSTOP`: returns when somebody continues us.
pub(crate) fn stop_myself() {
    // SAFETY: a plain integer.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// `waitid(2)`: whether that child has stopped; says so once.
pub(crate) fn stopped(child: i32) -> bool {
    // SAFETY: an all-zero structure is valid, and the kernel writes it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let rc = libc::waitid(libc::P_PID, child.cast_unsigned(), &raw mut info, libc::WSTOPPED | libc::WNOHANG);
        rc == 0 && info.si_pid == child && info.si_code == libc::CLD_STOPPED
    }
}

/// What happened.
pub(crate) enum Event {
    /// This signal came.
    Signal(i32),
    /// A child changed.
    Child,
    /// Nothing, for as long as one would wait.
    Nothing,
}

/// A queue of what happens to this process: `kqueue(2)`.
pub(crate) struct Events(OwnedFd);

/// Begins to watch for children, and for signals if they are to be passed on: those are ignored from now on otherwise.
pub(crate) fn watch(signals: bool) -> io::Result<Events> {
    // SAFETY: no arguments; what comes back is a new descriptor or an error.
    let queue = unsafe { libc::kqueue() };
    if queue < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else knows it.
    let events = Events(unsafe { OwnedFd::from_raw_fd(queue) });
    let wanted = FORWARDED.iter().copied().filter(|_| signals);
    for signal in wanted.chain([libc::SIGCHLD]) {
        if signal != libc::SIGCHLD && signal != libc::SIGCONT && signal != libc::SIGWINCH {
            // SAFETY: plain integers. The queue sees a signal also where it is ignored.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let change = libc::kevent {
            ident: signal as usize,
            filter: libc::EVFILT_SIGNAL,
            flags: libc::EV_ADD,
            fflags: 0,
            data: 0,
            udata: std::ptr::null_mut(),
        };
        // SAFETY: one change is read and no event written.
        let rc = unsafe { libc::kevent(queue, &raw const change, 1, std::ptr::null_mut(), 0, std::ptr::null()) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(events)
}

impl Events {
    /// `kevent(2)`: the next event, waited for no longer than `most`.
    pub(crate) fn next(&self, most: Duration) -> io::Result<Event> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(most.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(most.subsec_nanos().cast_signed()),
        };
        // SAFETY: an all-zero structure is valid; the kernel writes at most one, and only reads the timeout.
        let (count, event) = unsafe {
            let mut event: libc::kevent = std::mem::zeroed();
            let count = libc::kevent(self.0.as_raw_fd(), std::ptr::null(), 0, &raw mut event, 1, &raw const timeout);
            (count, event)
        };
        match count {
            1 if event.ident == libc::SIGCHLD as usize => Ok(Event::Child),
            1 => Ok(Event::Signal(i32::try_from(event.ident).unwrap_or(0))),
            0 => Ok(Event::Nothing),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Event::Nothing),
                error => Err(error),
            },
        }
    }
}
