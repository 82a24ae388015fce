//! Signals and the terminal's foreground group.

use super::raw::{Result, call, word};

/// A set of signals as the kernel has it.
pub(crate) type Mask = u64;

/// Every signal.
pub(crate) const ALL: Mask = !0;

/// The set with this one signal.
pub(crate) const fn only(signal: i32) -> Mask {
    1 << (signal - 1)
}

/// `rt_sigprocmask(2)`, `SIG_SETMASK`: the former mask.
pub(crate) fn set_mask(mask: Mask) -> Mask {
    let mut old: Mask = 0;
    let args = [word(libc::SIG_SETMASK), &raw const mask as usize, &raw mut old as usize, size_of::<Mask>(), 0, 0];
    // SAFETY: both masks are 8 bytes, as the size says, and outlive the call.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, args) };
    old
}

/// `rt_sigprocmask(2)`: the mask as it is.
pub(crate) fn mask() -> Mask {
    let mut old: Mask = 0;
    let args = [0, 0, &raw mut old as usize, size_of::<Mask>(), 0, 0];
    // SAFETY: the mask is 8 bytes, as the size says; nothing is changed.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, args) };
    old
}

/// `rt_sigaction(2)`: the default action.
pub(crate) fn set_default(signal: i32) {
    let action: [u64; 4] = [libc::SIG_DFL as u64, 0, 0, 0];
    let args = [word(signal), action.as_ptr() as usize, 0, size_of::<Mask>(), 0, 0];
    // SAFETY: `action` is at least as large as the kernel's `struct sigaction` on both architectures; all zero means the
    // default action, no flags and an empty mask.
    let _ = unsafe { call(libc::SYS_rt_sigaction, args) };
}

/// `signalfd(2)` for these signals, not blocking, closed on exec.
pub(crate) fn signalfd(mask: Mask) -> Result<i32> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    let args = [word(-1), &raw const mask as usize, size_of::<Mask>(), word(flags), 0, 0];
    // SAFETY: the mask is 8 bytes, as the size says.
    unsafe { call(libc::SYS_signalfd4, args) }.map(|fd| fd as i32)
}

/// `tcgetpgrp(3)`: the terminal's foreground group.
pub(crate) fn foreground(terminal: i32) -> Result<i32> {
    let mut group: i32 = 0;
    let args = [word(terminal), libc::TIOCGPGRP as usize, &raw mut group as usize, 0, 0, 0];
    // SAFETY: the call fills one integer.
    unsafe { call(libc::SYS_ioctl, args) }?;
    Ok(group)
}

/// `tcsetpgrp(3)`. The caller blocks SIGTTOU.
pub(crate) fn set_foreground(terminal: i32, group: i32) -> Result<()> {
    let args = [word(terminal), libc::TIOCSPGRP as usize, &raw const group as usize, 0, 0, 0];
    // SAFETY: the call reads one integer.
    unsafe { call(libc::SYS_ioctl, args) }.map(drop)
}

/// `tcgetattr(3)` as the kernel has it.
pub(crate) fn modes(terminal: i32) -> Result<[u8; 64]> {
    let mut modes = [0u8; 64];
    let args = [word(terminal), libc::TCGETS as usize, modes.as_mut_ptr() as usize, 0, 0, 0];
    // SAFETY: the kernel's `struct termios` has 36 bytes on both architectures, less than the array.
    unsafe { call(libc::SYS_ioctl, args) }?;
    Ok(modes)
}

/// `tcsetattr(3)`, `TCSADRAIN`. The caller blocks SIGTTOU.
pub(crate) fn set_modes(terminal: i32, modes: &[u8; 64]) -> Result<()> {
    const TCSETSW: usize = 0x5403;
    // SAFETY: the kernel reads 36 bytes of the array.
    unsafe { call(libc::SYS_ioctl, [word(terminal), TCSETSW, modes.as_ptr() as usize, 0, 0, 0]) }.map(drop)
}
