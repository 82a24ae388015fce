//! Socket calls with addresses as the caller wrote them: `bind(2)`, `connect(2)`, `sendto(2)`, `sendmsg(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

fn length(address: &[u8]) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(address.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn done(rc: libc::c_int) -> io::Result<()> {
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `bind(2)`.
pub fn bind(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `address.len()` bytes and checks what they mean.
    done(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), length(address)?) })
}

/// `connect(2)`.
pub fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `address.len()` bytes and checks what they mean.
    done(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length(address)?) })
}

/// `sendto(2)`, to the socket's peer if the address is empty; never raises SIGPIPE.
pub fn sendto(socket: BorrowedFd<'_>, data: &[u8], flags: i32, address: &[u8]) -> io::Result<usize> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: both are read by the kernel for the lengths given.
    let rc = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            data.as_ptr().cast(),
            data.len(),
            flags,
            if address.is_empty() { std::ptr::null() } else { address.as_ptr().cast() },
            length(address)?,
        )
    };
    usize::try_from(rc).map_err(|_| io::Error::last_os_error())
}

/// `setxattr(2)` through a link of `/proc`.
pub fn setxattr(path: &std::ffi::CStr, name: &std::ffi::CStr, value: &[u8], flags: i32) -> io::Result<()> {
    // SAFETY: two strings and a buffer with its length, read by the kernel.
    done(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags) })
}

/// `removexattr(2)` through a link of `/proc`.
pub fn removexattr(path: &std::ffi::CStr, name: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: two strings, read by the kernel.
    done(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) })
}
