//! The bare kernel entry, and its error.

use std::io;

/// A kernel error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub i32);

impl Errno {
    pub(crate) const fn is(self, number: i32) -> bool {
        self.0 == number
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// Result of a kernel call.
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// Enters the kernel.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn enter(nr: i64, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the x86-64 kernel ABI: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are lost.
    // The caller answers for the pointers. The stack isn't touched.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") nr as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Enters the kernel.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[cfg(target_arch = "aarch64")]
#[inline]
unsafe fn enter(nr: i64, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the arm64 kernel ABI: number in x8, arguments in x0 to x5, result in x0. The caller answers for the
    // pointers. The stack isn't touched.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") nr,
            inlateout("x0") args[0] as isize => result,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            options(nostack),
        );
    }
    result
}

/// A system call.
///
/// # Safety
/// Pointers among the arguments must be valid for what the call does with them.
#[inline]
pub(crate) unsafe fn call(nr: i64, args: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's promise is passed on unchanged.
    let result = unsafe { enter(nr, args) };
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

/// A descriptor, number or flag as a register has it, sign-extended where it is signed.
#[inline]
pub(crate) const fn word(value: i32) -> usize {
    value as isize as usize
}
