//! System calls: the only place with `unsafe` besides `child`. One function per call, named after its man page.
//!
//! But for `trial` and `attack`, which serve probes and proofs, everything here is a bare kernel call: no libc wrapper,
//! so no `errno` in thread-local storage, no locks and no allocation. That makes every function usable between `clone`
//! and `execve` in a process that shares our memory.

pub(crate) mod address;
pub(crate) mod attack;
pub(crate) mod clone;
pub(crate) mod diag;
pub(crate) mod fs;
pub(crate) mod ipc;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod notify;
pub(crate) mod peek;
pub(crate) mod process;
pub(crate) mod processors;
pub(crate) mod raw;
pub(crate) mod security;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod trial;
pub(crate) mod tunnel;

pub(crate) use clone::clone;
pub(crate) use raw::Errno;

/// Takes a descriptor that a call just made.
pub(crate) fn own(fd: i32) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: callers give the result of a call that made a descriptor, which nobody else knows yet.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }
}
