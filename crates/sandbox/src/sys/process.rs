//! Processes, namespaces, identities, limits, futexes.

use super::raw::{Errno, Result, call, word};
use std::ffi::{CStr, c_char};
use std::sync::atomic::AtomicU32;

/// `unshare(2)`.
pub(crate) fn unshare(flags: i32) -> Result<()> {
    // SAFETY: plain integer.
    unsafe { call(libc::SYS_unshare, [word(flags), 0, 0, 0, 0, 0]) }.map(drop)
}

/// `setns(2)`.
pub(crate) fn setns(fd: i32, kind: i32) -> Result<()> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_setns, [word(fd), word(kind), 0, 0, 0, 0]) }.map(drop)
}

/// `pidfd_open(2)` (Linux 5.3).
pub(crate) fn pidfd_open(pid: i32) -> Result<i32> {
    pidfd_open_with(pid, 0)
}

/// The same with `PIDFD_NONBLOCK` (5.10), `PIDFD_THREAD` (6.9).
pub(crate) fn pidfd_open_with(pid: i32, flags: u32) -> Result<i32> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_pidfd_open, [word(pid), flags as usize, 0, 0, 0, 0]) }.map(|fd| fd as i32)
}

/// `pidfd_send_signal(2)` (Linux 5.1).
pub(crate) fn pidfd_send_signal(fd: i32, signal: i32) -> Result<()> {
    // SAFETY: plain integers and no siginfo.
    unsafe { call(libc::SYS_pidfd_send_signal, [word(fd), word(signal), 0, 0, 0, 0]) }.map(drop)
}

/// `getpid(2)`.
pub(crate) fn getpid() -> i32 {
    // SAFETY: no arguments, can't fail.
    unsafe { call(libc::SYS_getpid, [0; 6]) }.unwrap_or(0) as i32
}

/// `kill(2)`.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_kill, [word(pid), word(signal), 0, 0, 0, 0]) }.map(drop)
}

/// `exit_group(2)`.
pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: ends this process; nothing after it runs.
        let _ = unsafe { call(libc::SYS_exit_group, [word(status), 0, 0, 0, 0, 0]) };
    }
}

/// `wait4(2)` with `__WALL`: process and status; 0 if nothing is to be reported now.
pub(crate) fn wait(pid: i32, options: i32) -> Result<(i32, i32)> {
    let mut status: i32 = 0;
    let args = [word(pid), &raw mut status as usize, word(options | libc::__WALL), 0, 0, 0];
    // SAFETY: `status` is writable and outlives the call.
    let found = unsafe { call(libc::SYS_wait4, args) }?;
    Ok((found as i32, status))
}

/// `execve(2)`. Returns only if it failed.
///
/// # Safety
/// `argv` and `envp` are arrays of pointers to NUL-terminated strings that end in a null pointer.
pub(crate) unsafe fn execve(path: &CStr, argv: *const *const c_char, envp: *const *const c_char) -> Errno {
    let args = [path.as_ptr() as usize, argv as usize, envp as usize, 0, 0, 0];
    // SAFETY: `path` is NUL-terminated; the caller answers for the arrays.
    unsafe { call(libc::SYS_execve, args) }.err().unwrap_or(Errno(libc::EINVAL))
}

/// `setpgid(2)`.
pub(crate) fn setpgid(pid: i32, group: i32) -> Result<()> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_setpgid, [word(pid), word(group), 0, 0, 0, 0]) }.map(drop)
}

/// `getpgid(2)` of this process.
pub(crate) fn getpgrp() -> i32 {
    // SAFETY: plain integer, can't fail for oneself.
    unsafe { call(libc::SYS_getpgid, [0; 6]) }.unwrap_or(0) as i32
}

/// The type of the `RLIMIT_` constants, which differs between C libraries.
#[cfg(target_env = "gnu")]
pub(crate) type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
pub(crate) type Resource = libc::c_int;

/// `setrlimit(2)`.
pub(crate) fn setrlimit(resource: Resource, soft: u64, hard: u64) -> Result<()> {
    let limit: [u64; 2] = [soft, hard];
    let args = [0, resource as usize, limit.as_ptr() as usize, 0, 0, 0];
    // SAFETY: `limit` has the layout of `struct rlimit64`; the kernel only reads it.
    unsafe { call(libc::SYS_prlimit64, args) }.map(drop)
}

/// `getrlimit(2)`: soft and hard.
pub(crate) fn getrlimit(resource: Resource) -> Result<(u64, u64)> {
    let mut limit: [u64; 2] = [0; 2];
    let args = [0, resource as usize, 0, limit.as_mut_ptr() as usize, 0, 0];
    // SAFETY: `limit` has the layout of `struct rlimit64`; the kernel fills it.
    unsafe { call(libc::SYS_prlimit64, args) }?;
    Ok((limit[0], limit[1]))
}

/// `futex(2)`, `FUTEX_WAIT`: sleeps while `word` is `value`, at most so long.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, milliseconds: i64) -> Result<()> {
    let time = libc::timespec { tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000 };
    let args = [word.as_ptr() as usize, libc::FUTEX_WAIT as usize, value as usize, &raw const time as usize, 0, 0];
    // SAFETY: the word and the time outlive the call.
    unsafe { call(libc::SYS_futex, args) }.map(drop)
}

/// `futex(2)`, `FUTEX_WAKE`: wakes whoever sleeps on `word`.
pub(crate) fn futex_wake(word: &AtomicU32) {
    let args = [word.as_ptr() as usize, libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0, 0];
    // SAFETY: the word outlives the call; the kernel doesn't write it.
    let _ = unsafe { call(libc::SYS_futex, args) };
}

/// `umask(2)`.
pub(crate) fn umask(mask: u32) -> u32 {
    // SAFETY: plain integer, can't fail.
    unsafe { call(libc::SYS_umask, [mask as usize, 0, 0, 0, 0, 0]) }.unwrap_or(0) as u32
}

/// `exit(2)` of this thread alone.
pub(crate) fn exit_thread() -> ! {
    loop {
        // SAFETY: ends this thread; nothing after it runs.
        let _ = unsafe { call(libc::SYS_exit, [0; 6]) };
    }
}

/// As [`futex_wait`], for a signed word.
pub(crate) fn futex_wait_signed(word: &std::sync::atomic::AtomicI32, value: i32, milliseconds: i64) -> Result<()> {
    let time = libc::timespec { tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000 };
    let args =
        [word.as_ptr() as usize, libc::FUTEX_WAIT as usize, value as u32 as usize, &raw const time as usize, 0, 0];
    // SAFETY: the word and the time outlive the call.
    unsafe { call(libc::SYS_futex, args) }.map(drop)
}

/// As [`futex_wake`], for a signed word.
pub(crate) fn futex_wake_signed(word: &std::sync::atomic::AtomicI32) {
    let args = [word.as_ptr() as usize, libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0, 0];
    // SAFETY: the word outlives the call; the kernel doesn't write it.
    let _ = unsafe { call(libc::SYS_futex, args) };
}

/// `waitid(2)` for a process descriptor: whether it has ended, and so is reaped now.
pub(crate) fn reap(pidfd: i32) -> bool {
    let mut info = [0u8; 128];
    let options = libc::WEXITED | libc::WNOHANG | libc::__WALL;
    let args = [libc::P_PIDFD as usize, word(pidfd), info.as_mut_ptr() as usize, word(options), 0, 0];
    // SAFETY: `siginfo_t` has 128 bytes; the kernel fills it.
    match unsafe { call(libc::SYS_waitid, args) } {
        // Its first word, the signal number, stays zero if nothing had ended.
        Ok(_) => info.iter().take(4).any(|byte| *byte != 0),
        Err(errno) => errno.is(libc::ECHILD),
    }
}

/// `geteuid(2)` and `getegid(2)`.
pub(crate) fn identity() -> (u32, u32) {
    // SAFETY: no arguments, can't fail.
    let get = |nr| unsafe { call(nr, [0; 6]) }.unwrap_or(0) as u32;
    (get(libc::SYS_geteuid), get(libc::SYS_getegid))
}

/// `uname(2)`: major and minor number of the kernel's release.
pub(crate) fn kernel_version() -> (u32, u32) {
    let mut names = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the structure; all zero bytes are valid in it.
    let release = unsafe {
        let _ = call(libc::SYS_uname, [names.as_mut_ptr() as usize, 0, 0, 0, 0, 0]);
        names.assume_init().release
    };
    let mut numbers = release
        .iter()
        .map(|byte| *byte as u8)
        .collect::<Vec<u8>>()
        .split(|byte| !byte.is_ascii_digit())
        .take(2)
        .map(|digits| std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0))
        .collect::<Vec<u32>>()
        .into_iter();
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// `ioctl(2)` without an argument.
pub(crate) fn ioctl_plain(fd: i32, request: u64) -> Result<i32> {
    // SAFETY: requests given here take no pointer.
    unsafe { call(libc::SYS_ioctl, [word(fd), request as usize, 0, 0, 0, 0]) }.map(|value| value as i32)
}
