//! Threads of the supervisor that get none of the signals it is sent: those are its own to pass on, and a thread that didn't
//! block them would be taken down, and the whole process with it.

use crate::sys::signal;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Room for what such a thread calls.
const STACK: usize = 256 << 10;

/// Starts one.
pub(super) fn thread(name: &str, act: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mask = signal::set_mask(signal::ALL);
    let made = Builder::new().name(name.to_owned()).stack_size(STACK).spawn(act);
    signal::set_mask(mask);
    made
}
