//! Reading and writing another process's memory: `process_vm_readv(2)`, `process_vm_writev(2)`; and the few thread-wide
//! switches the broker's workers need.

use std::io;

/// `process_vm_readv(2)`: copies up to `into.len()` bytes at `from`; fewer if the rest isn't mapped.
pub fn process_vm_readv(pid: u32, from: u64, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: from as *mut libc::c_void, iov_len: into.len() };
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: `local` names memory we may write; `remote` is only an address in another process, checked by the kernel.
    let rc = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(rc).map_err(|_| io::Error::last_os_error())
}

/// `ioctl(2)` with `TIOCGPTN`: the number of the terminal that this master made.
pub fn pty_number(master: std::os::fd::BorrowedFd<'_>) -> io::Result<u32> {
    use std::os::fd::AsRawFd;
    let mut number: libc::c_uint = 0;
    // SAFETY: the kernel writes one integer.
    let rc = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    if rc == 0 { Ok(number) } else { Err(io::Error::last_os_error()) }
}

/// `unshare(2)` with `CLONE_FS`: this thread gets a working directory and umask of its own.
pub fn unshare_fs() -> io::Result<()> {
    // SAFETY: touches no memory; afterwards `chdir` and `umask` of this thread no longer show in others, and nothing in this
    // process relies on that they would.
    let rc = unsafe { libc::unshare(libc::CLONE_FS) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `sched_setattr(2)`: this thread asks for time in slices of `nanoseconds`, so that it runs the sooner once it has something
/// to do (Linux 6.12; before, and under another scheduling policy than the ordinary one, nothing changes).
pub fn short_slices(nanoseconds: u64) {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let mut now = Attributes::default();
    // SAFETY: the structure has the layout and the size of the first version of `struct sched_attr`, which the kernel fills.
    let rc = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size_of::<Attributes>(), 0) };
    if rc == 0 && now.policy == libc::SCHED_OTHER.cast_unsigned() {
        now.runtime = nanoseconds;
        // SAFETY: as above; the kernel only reads it. A refusal changes nothing.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const now, 0) };
    }
}

/// `gettid(2)`.
pub fn gettid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    let id = unsafe { libc::gettid() };
    id.cast_unsigned()
}

/// `process_vm_writev(2)`: writes all of `data` at `to`.
pub fn process_vm_writev(pid: u32, to: u64, data: &[u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let remote = libc::iovec { iov_base: to as *mut libc::c_void, iov_len: data.len() };
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: `local` is only read; `remote` is an address in another process, checked by the kernel.
    let rc = unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    match usize::try_from(rc) {
        Ok(count) if count == data.len() => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// `prlimit(2)`: the greatest size of a file that process may write.
pub fn file_size_limit(pid: u32) -> io::Result<u64> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is given; the old one is written to `limit`.
    let rc = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, std::ptr::null(), &raw mut limit) };
    if rc == 0 { Ok(limit.rlim_cur) } else { Err(io::Error::last_os_error()) }
}

/// `pthread_sigmask(3)`: lets the signal of [`interrupt`] through to this thread, which may have been started with all of
/// them blocked.
pub fn unblock_interrupt() {
    // SAFETY: an all-zero set is valid and is filled before it is used; only this thread's mask changes.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGRTMAX() - 3);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// `tgkill(2)`: makes a thread of ours return from what it waits in, with a signal whose handler does nothing.
pub fn interrupt(thread: u32) -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let signal = libc::SIGRTMAX() - 3;
    // SAFETY: an all-zero sigaction is valid; the handler touches nothing, so it may run on any thread at any time.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
    // SAFETY: plain integers; the thread is of this process.
    let rc = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
