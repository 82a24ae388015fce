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

/// `unshare(2)` with `CLONE_FS`: this thread gets a working directory and umask of its own.
pub fn unshare_fs() -> io::Result<()> {
    // SAFETY: touches no memory; afterwards `chdir` and `umask` of this thread no longer show in others, and nothing in this
    // process relies on that they would.
    let rc = unsafe { libc::unshare(libc::CLONE_FS) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `gettid(2)`.
pub fn gettid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    let id = unsafe { libc::gettid() };
    id.cast_unsigned()
}
