//! What process 1 and the supervisor tell each other while the sandbox is made.

use super::SLICE_MS;
use super::shared::{Shared, phase, word};
use crate::sys::{Errno, fs, process, socket};
use std::sync::atomic::Ordering::SeqCst;

/// Waits until the supervisor has come so far.
pub(super) fn wait_for(shared: &Shared, wanted: u32) {
    loop {
        let phase = shared.phase.load(SeqCst);
        if phase == phase::ABANDONED {
            process::exit(1);
        }
        if phase >= wanted {
            return;
        }
        let _ = process::futex_wait(&shared.phase, phase, SLICE_MS);
        if supervisor_gone(shared) {
            process::exit(1);
        }
    }
}

/// Reports a failed operation and ends.
pub(super) fn fail(shared: &Shared, operation: u32, errno: Errno) -> ! {
    shared.failed_operation.store(operation, SeqCst);
    shared.failed_errno.store(errno.0, SeqCst);
    say(shared, word::FAILED, operation, None);
    process::exit(1)
}

pub(super) fn say(shared: &Shared, kind: u32, value: u32, descriptor: Option<i32>) {
    let mut bytes = [0u8; 8];
    let (first, second) = bytes.split_at_mut(4);
    first.copy_from_slice(&kind.to_ne_bytes());
    second.copy_from_slice(&value.to_ne_bytes());
    let _ = socket::send(shared.socket.load(SeqCst), &bytes, descriptor.as_slice());
}

pub(super) fn supervisor_gone(shared: &Shared) -> bool {
    let mut fds = [libc::pollfd { fd: shared.supervisor.load(SeqCst), events: libc::POLLIN, revents: 0 }];
    matches!(fs::poll(&mut fds, 0), Ok(ready) if ready > 0)
}
