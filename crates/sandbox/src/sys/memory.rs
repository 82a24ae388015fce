//! Memory of its own for the stacks of processes that share ours.

use super::Errno;
use std::ffi::c_void;

/// Anonymous memory that is given back when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    base: *mut c_void,
    length: usize,
}

// SAFETY: the region is plain memory, owned by this value alone.
unsafe impl Send for Region {}
// SAFETY: a shared reference only tells addresses.
unsafe impl Sync for Region {}

impl Region {
    /// `mmap(2)`: private, anonymous, writable, not reserved; pages come into being when they are touched.
    pub(crate) fn new(length: usize) -> Result<Self, Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ENOMEM)));
        }
        Ok(Self { base, length })
    }

    /// The address `offset` bytes in, at most the upper end.
    pub(crate) fn address(&self, offset: usize) -> usize {
        self.base as usize + offset.min(self.length)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made; whoever used it has ended, as the owner of this value saw to.
        unsafe { libc::munmap(self.base, self.length) };
    }
}
