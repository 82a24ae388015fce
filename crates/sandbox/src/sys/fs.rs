//! Files and descriptors.

use super::raw::{Result, call, word};
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// `AT_FDCWD`: paths are relative to the working directory.
pub(crate) const CWD: i32 = libc::AT_FDCWD;

/// `openat(2)`. The descriptor is closed on exec.
pub(crate) fn openat(dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<i32> {
    let args = [word(dir), path.as_ptr() as usize, word(flags | libc::O_CLOEXEC), mode as usize, 0, 0];
    // SAFETY: `path` is a NUL-terminated string that outlives the call; the kernel only reads it.
    unsafe { call(libc::SYS_openat, args) }.map(|fd| fd as i32)
}

/// `openat2(2)` (Linux 5.6) with `RESOLVE_*` flags. The descriptor is closed on exec.
pub(crate) fn openat2(dir: i32, path: &CStr, flags: i32, resolve: u64) -> Result<i32> {
    let how: [u64; 3] = [(flags | libc::O_CLOEXEC) as u32 as u64, 0, resolve];
    let args = [word(dir), path.as_ptr() as usize, how.as_ptr() as usize, size_of_val(&how), 0, 0];
    // SAFETY: `path` and `how` (three 64-bit fields, as `struct open_how`) outlive the call; the kernel only reads them.
    unsafe { call(libc::SYS_openat2, args) }.map(|fd| fd as i32)
}

/// `close(2)`.
pub(crate) fn close(fd: i32) {
    // SAFETY: plain integer; callers give descriptors that they own. Errors change nothing here.
    let _ = unsafe { call(libc::SYS_close, [word(fd), 0, 0, 0, 0, 0]) };
}

/// `close_range(2)` (Linux 5.9) from `first` on.
pub(crate) fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: plain integers; callers run in a process whose descriptors are their own.
    unsafe { call(libc::SYS_close_range, [first as usize, last as usize, flags as usize, 0, 0, 0]) }.map(drop)
}

/// Device and inode of what `fd` refers to, and its type bits.
pub(crate) fn fstat(fd: i32) -> Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `stat` is writable memory of the size the kernel fills on this architecture.
    unsafe { call(libc::SYS_fstat, [word(fd), stat.as_mut_ptr() as usize, 0, 0, 0, 0]) }?;
    // SAFETY: all-zero bytes are a valid `stat`, and the call filled it.
    Ok(unsafe { stat.assume_init() })
}

/// `mkdirat(2)`.
pub(crate) fn mkdirat(dir: i32, path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a NUL-terminated string that outlives the call; the kernel only reads it.
    unsafe { call(libc::SYS_mkdirat, [word(dir), path.as_ptr() as usize, mode as usize, 0, 0, 0]) }.map(drop)
}

/// `mknodat(2)` of an empty regular file.
pub(crate) fn mknod_file(dir: i32, path: &CStr, mode: u32) -> Result<()> {
    let args = [word(dir), path.as_ptr() as usize, (libc::S_IFREG | mode) as usize, 0, 0, 0];
    // SAFETY: `path` is a NUL-terminated string that outlives the call; the kernel only reads it.
    unsafe { call(libc::SYS_mknodat, args) }.map(drop)
}

/// `symlinkat(2)`.
pub(crate) fn symlinkat(target: &CStr, dir: i32, path: &CStr) -> Result<()> {
    let args = [target.as_ptr() as usize, word(dir), path.as_ptr() as usize, 0, 0, 0];
    // SAFETY: both are NUL-terminated strings that outlive the call; the kernel only reads them.
    unsafe { call(libc::SYS_symlinkat, args) }.map(drop)
}

/// `write(2)`: how much was written.
pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads at most `len` bytes of the slice.
    unsafe { call(libc::SYS_write, [word(fd), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0]) }
}

/// `read(2)`: how much was read.
pub(crate) fn read(fd: i32, bytes: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `len` bytes into the slice.
    unsafe { call(libc::SYS_read, [word(fd), bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0]) }
}

/// `dup3(2)` without close-on-exec; the same number twice is fine.
pub(crate) fn dup_to(from: i32, to: i32) -> Result<()> {
    if from == to {
        // SAFETY: plain integers. Clearing the flag keeps the descriptor over exec.
        return unsafe { call(libc::SYS_fcntl, [word(from), word(libc::F_SETFD), 0, 0, 0, 0]) }.map(drop);
    }
    // SAFETY: plain integers; the caller owns both numbers.
    unsafe { call(libc::SYS_dup3, [word(from), word(to), 0, 0, 0, 0]) }.map(drop)
}

/// A duplicate with a number of at least `least`, closed on exec.
pub(crate) fn dup_above(fd: i32, least: i32) -> Result<i32> {
    let args = [word(fd), word(libc::F_DUPFD_CLOEXEC), word(least), 0, 0, 0];
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_fcntl, args) }.map(|fd| fd as i32)
}

/// `fcntl(2)` with `F_SETFL`.
pub(crate) fn set_flags(fd: i32, flags: i32) -> Result<()> {
    // SAFETY: plain integers; the caller owns the descriptor.
    unsafe { call(libc::SYS_fcntl, [word(fd), word(libc::F_SETFL), word(flags), 0, 0, 0]) }.map(drop)
}

/// How far `fd` was read (`lseek(2)`).
pub(crate) fn position(fd: i32) -> Result<usize> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_lseek, [word(fd), 0, libc::SEEK_CUR as usize, 0, 0, 0]) }
}

/// Goes on reading `fd` from there.
pub(crate) fn set_position(fd: i32, at: usize) -> Result<()> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_lseek, [word(fd), at, libc::SEEK_SET as usize, 0, 0, 0]) }.map(drop)
}

/// `chdir(2)`.
pub(crate) fn chdir(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a NUL-terminated string that outlives the call; the kernel only reads it.
    unsafe { call(libc::SYS_chdir, [path.as_ptr() as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// `ppoll(2)` without a change of the signal mask; `milliseconds` below zero waits for ever.
pub(crate) fn poll(fds: &mut [libc::pollfd], milliseconds: i64) -> Result<usize> {
    let time = libc::timespec { tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000 };
    let time = if milliseconds < 0 { std::ptr::null() } else { &raw const time };
    let args = [fds.as_mut_ptr() as usize, fds.len(), time as usize, 0, 0, 0];
    // SAFETY: `fds` is a writable array of `len` entries, and the time, if any, lives on this stack frame.
    unsafe { call(libc::SYS_ppoll, args) }
}
