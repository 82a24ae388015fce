//! `clone(2)` on a stack of the child's own. The library's wrapper won't do: musl's refuses threads without thread-local
//! storage, and both touch `errno`.

use super::raw::{Errno, Result};
use std::ffi::c_void;
use std::sync::atomic::AtomicU32;

/// `clone(2)`: a process that runs `entry` on a stack of its own and shares this memory if the flags say so. The result
/// is its process id; with `CLONE_PIDFD` its descriptor is put into `pidfd`, with `CLONE_CHILD_CLEARTID` zero into
/// `clear` when it has executed another program or ended. When `entry` returns, its thread ends with that status.
///
/// # Safety
/// `stack_top` is the upper end, aligned to 16 bytes, of writable memory that stays until the child has ended or executed
/// another program, `argument` is what `entry` expects and lives as long, and `entry` keeps to what a process in shared
/// memory may do: no thread-local storage, no allocation, no locks, no unwinding.
pub(crate) unsafe fn clone(
    entry: extern "C" fn(*mut c_void) -> i32,
    stack_top: *mut c_void,
    flags: i32,
    argument: *mut c_void,
    pidfd: *mut i32,
    clear: *const AtomicU32,
) -> Result<i32> {
    let stack = stack_top.cast::<usize>().wrapping_sub(2);
    // SAFETY: the two words are the uppermost of the child's stack, which the caller gives for this.
    unsafe {
        stack.write(entry as usize);
        stack.add(1).write(argument as usize);
    }
    // SAFETY: the caller's promise about what stands behind the pointers.
    let result = unsafe { enter(flags, stack, pidfd, clear.cast_mut().cast()) };
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as i32) }
}

/// Enters the kernel; the child goes to the function at the top of its stack, with the word behind it as argument.
///
/// # Safety
/// As for [`clone`], with those two words in place.
#[cfg(target_arch = "x86_64")]
unsafe fn enter(flags: i32, stack: *mut usize, pidfd: *mut i32, clear: *mut u32) -> isize {
    let result: isize;
    // SAFETY: the x86-64 kernel ABI of this call: flags, stack, parent's id, child's id, thread-local storage, which is
    // not asked for. Only the child takes the way behind the jump: it has the given stack, aligned as the C ABI wants it
    // at a call, and never comes back. The parent loses what a system call loses.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "pop rax",
            "pop rdi",
            "call rax",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") flags as isize,
            in("rsi") stack,
            in("rdx") pidfd,
            in("r10") clear,
            in("r8") 0,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Enters the kernel; the child goes to the function at the top of its stack, with the word behind it as argument.
///
/// # Safety
/// As for [`clone`], with those two words in place.
#[cfg(target_arch = "aarch64")]
unsafe fn enter(flags: i32, stack: *mut usize, pidfd: *mut i32, clear: *mut u32) -> isize {
    let result: isize;
    // SAFETY: the arm64 kernel ABI of this call: flags, stack, parent's id, thread-local storage, which is not asked for,
    // child's id. Only the child takes the way behind the branch: it has the given stack, and never comes back.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "ldp x1, x0, [sp], #16",
            "blr x1",
            "mov x8, {exit}",
            "svc 0",
            "brk #1",
            "2:",
            exit = const libc::SYS_exit,
            in("x8") libc::SYS_clone,
            inlateout("x0") flags as isize => result,
            in("x1") stack,
            in("x2") pidfd,
            in("x3") 0_usize,
            in("x4") clear,
        );
    }
    result
}
