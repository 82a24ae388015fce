//! Process 1 while the command runs: it reaps, passes signals on, and ends with the supervisor.

use super::shared::{Shared, word};
use super::talk::say;
use crate::sys::{fs, process, signal, socket};
use std::sync::atomic::Ordering::SeqCst;

/// What process 1 does while the command runs: reap, pass signals on, end with the supervisor.
pub(super) fn watch(shared: &Shared, command: i32) -> i32 {
    let Ok(children) = signal::signalfd(signal::only(libc::SIGCHLD)) else { process::exit(1) };
    // Nothing of the command's stays open here: whoever reads its output must see it end.
    let (socket, supervisor) = (shared.socket.load(SeqCst), shared.supervisor.load(SeqCst));
    keep_only([socket, supervisor, children]);
    let mut running = true;
    loop {
        let mut fds = [supervisor, socket, children].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // The command may have ended before the descriptor was there.
        running = reap(shared, command, running);
        let _ = fs::poll(&mut fds, -1);
        let [ended, message, child] = fds;
        if ended.revents != 0 {
            leave(shared, 1);
        }
        if child.revents != 0 {
            let mut drain = [0u8; 128];
            let _ = fs::read(children, &mut drain);
        }
        if message.revents != 0 && !listen(shared, command, running) {
            leave(shared, 1);
        }
    }
}

/// Closes every descriptor but these.
fn keep_only(mut keep: [i32; 3]) {
    keep.sort_unstable();
    let mut first: u32 = 0;
    for fd in keep {
        let fd = fd as u32;
        if fd > first {
            let _ = fs::close_range(first, fd - 1, 0);
        }
        first = fd.saturating_add(1);
    }
    let _ = fs::close_range(first, u32::MAX, 0);
}

/// Reaps what has ended; false once the command has.
fn reap(shared: &Shared, command: i32, mut running: bool) -> bool {
    loop {
        let Ok((pid, status)) = process::wait(-1, libc::WNOHANG | libc::WUNTRACED) else {
            if !running {
                end(shared, 0);
            }
            return running;
        };
        if pid == 0 {
            return running;
        }
        if pid != command {
            continue;
        }
        if libc::WIFSTOPPED(status) {
            say(shared, word::STOPPED, libc::WSTOPSIG(status) as u32, None);
            continue;
        }
        running = false;
        if shared.work().keep_background {
            say(shared, word::ENDED, status as u32, None);
            continue;
        }
        if shared.own_pids {
            end_everything();
        } else if shared.adopts && !shared.spares {
            end_adopted();
        }
        say(shared, word::ENDED, status as u32, None);
        end(shared, 0);
    }
}

/// Kills and reaps everything in this process namespace, if anything is left: to signal all makes the kernel look at every
/// process of the host. All of them descend from us, so that without children there is nobody.
fn end_everything() {
    while let Ok((pid, _)) = process::wait(-1, libc::WNOHANG) {
        if pid == 0 {
            let _ = process::kill(-1, libc::SIGKILL);
            // Whoever was about to be made while the signal went round is caught by the next one.
            let _ = process::wait(-1, 0);
        }
    }
}

/// Ends, and with it everything inside: a process namespace does that by itself.
fn leave(shared: &Shared, status: i32) -> ! {
    if shared.adopts {
        end_adopted();
    }
    end(shared, status)
}

/// Ends when nothing inside is left.
fn end(shared: &Shared, status: i32) -> ! {
    if let Some(leftovers) = &shared.leftovers {
        leftovers.remove_all();
    }
    process::exit(status)
}

/// Kills and reaps every child of this process, until there is none: what a child leaves behind becomes a child.
fn end_adopted() {
    loop {
        let mut text = [0u8; 4096];
        let Ok(list) = fs::openat(fs::CWD, c"/proc/thread-self/children", libc::O_RDONLY | libc::O_CLOEXEC, 0) else {
            return;
        };
        let count = fs::read(list, &mut text).unwrap_or(0);
        fs::close(list);
        let mut pid: i32 = 0;
        // A number that the buffer cuts off is left for the next round.
        for byte in text.get(..count).unwrap_or(&[]) {
            if byte.is_ascii_digit() {
                pid = pid.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
            } else {
                if pid > 1 {
                    let _ = process::kill(pid, libc::SIGKILL);
                }
                pid = 0;
            }
        }
        if process::wait(-1, 0).is_err() {
            return;
        }
    }
}

/// One message of the supervisor; false if it is gone or wants everything to end.
fn listen(shared: &Shared, command: i32, running: bool) -> bool {
    let mut bytes = [0u8; 8];
    let Ok((8, _)) = socket::receive(shared.socket.load(SeqCst), &mut bytes, libc::MSG_DONTWAIT) else { return false };
    let [a, b, c, d, e, f, g, h] = bytes;
    let (kind, value) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
    match kind {
        word::SIGNAL if running => {
            let _ = process::kill(command, value as i32);
            true
        }
        word::KILL => false,
        _ => true,
    }
}
