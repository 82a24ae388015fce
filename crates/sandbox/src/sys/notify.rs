//! Seccomp user notification: the `ioctl(2)`s of `seccomp_unotify(2)`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A call that waits for an answer.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Notification {
    /// Names the waiting call; single use.
    pub id: u64,
    /// The waiting thread, in the listener's own process namespace.
    pub pid: u32,
    /// Unused so far.
    pub flags: u32,
    /// System call number.
    pub nr: i32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the call was made.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    val: i64,
    error: i32,
    flags: u32,
}

#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

/// A request of this family. Its type differs between C libraries; its 32 bits don't.
const fn ioc(direction: u32, number: u32, size: usize) -> libc::Ioctl {
    ((direction << 30) | ((size as u32) << 16) | ((b'!' as u32) << 8) | number) as libc::Ioctl
}

const RECV: libc::Ioctl = ioc(3, 0, size_of::<Notification>());
const SEND: libc::Ioctl = ioc(3, 1, size_of::<Response>());
const ID_VALID: libc::Ioctl = ioc(1, 2, size_of::<u64>());
const ADDFD: libc::Ioctl = ioc(1, 3, size_of::<AddFd>());
const SET_FLAGS: libc::Ioctl = ioc(1, 4, size_of::<u64>());

const SEND_WITH_FD: u32 = 1 << 1;
const CONTINUE: u32 = 1;
const SYNC_WAKE_UP: u64 = 1;

/// `SECCOMP_IOCTL_NOTIF_RECV`: waits for the next call.
pub fn recv(listener: BorrowedFd<'_>) -> io::Result<Notification> {
    let mut notification = Notification::default();
    // SAFETY: the kernel fills a structure of exactly this size, which must be zeroed before, and is.
    let rc = unsafe { libc::ioctl(listener.as_raw_fd(), RECV, &raw mut notification) };
    if rc == 0 { Ok(notification) } else { Err(io::Error::last_os_error()) }
}

fn send(listener: BorrowedFd<'_>, mut response: Response) -> io::Result<()> {
    // SAFETY: the kernel reads a structure of exactly this size.
    let rc = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut response) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `SECCOMP_IOCTL_NOTIF_SEND`: the call returns `val`.
pub fn send_value(listener: BorrowedFd<'_>, id: u64, val: i64) -> io::Result<()> {
    send(listener, Response { id, val, error: 0, flags: 0 })
}

/// `SECCOMP_IOCTL_NOTIF_SEND`: the call fails with `errno`.
pub fn send_errno(listener: BorrowedFd<'_>, id: u64, errno: i32) -> io::Result<()> {
    send(listener, Response { id, val: 0, error: -errno, flags: 0 })
}

/// `SECCOMP_IOCTL_NOTIF_SEND` with `SECCOMP_USER_NOTIF_FLAG_CONTINUE`: the kernel performs the call.
///
/// Only for calls whose harm doesn't depend on memory: whatever their pointers come to mean, the kernel's own rules hold.
pub fn send_continue(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    send(listener, Response { id, val: 0, error: 0, flags: CONTINUE })
}

/// `SECCOMP_IOCTL_NOTIF_ID_VALID`: whether the call still waits, so that what was read by its thread's number was its.
pub fn id_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads eight bytes.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) == 0 }
}

/// `SECCOMP_IOCTL_NOTIF_ADDFD` with `SECCOMP_ADDFD_FLAG_SEND`: puts a copy of `fd` into the caller, whose call returns it.
pub fn send_fd(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool) -> io::Result<()> {
    add(listener, id, fd, close_on_exec, SEND_WITH_FD).map(|_| ())
}

/// `SECCOMP_IOCTL_NOTIF_ADDFD`: puts a copy of `fd` into the caller and returns its number there; the call goes on waiting.
pub fn add_fd(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool) -> io::Result<RawFd> {
    add(listener, id, fd, close_on_exec, 0)
}

fn add(listener: BorrowedFd<'_>, id: u64, fd: BorrowedFd<'_>, close_on_exec: bool, flags: u32) -> io::Result<RawFd> {
    let srcfd = u32::try_from(fd.as_raw_fd()).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    let newfd_flags = if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 };
    let request = AddFd { id, flags, srcfd, newfd: 0, newfd_flags };
    // SAFETY: the kernel reads a structure of exactly this size; `fd` is borrowed for the call.
    let rc = unsafe { libc::ioctl(listener.as_raw_fd(), ADDFD, &raw const request) };
    if rc >= 0 { Ok(rc) } else { Err(io::Error::last_os_error()) }
}

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` with `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6): caller and listener take turns on
/// one processor, which halves the cost of a notification.
pub fn set_sync_wake_up(listener: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the flags are the argument itself; no memory is touched.
    let rc = unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `pidfd_open(2)` and `pidfd_getfd(2)`: a copy of descriptor `fd` of process `pid`.
pub fn take_fd(pid: u32, fd: RawFd, thread: bool) -> io::Result<OwnedFd> {
    // O_EXCL is PIDFD_THREAD (Linux 6.9): a thread that isn't its process's first has no other handle.
    let flags = if thread { libc::O_EXCL } else { 0 };
    // SAFETY: plain integers.
    let rc = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) };
    let raw = RawFd::try_from(rc).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let process = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: plain integers.
    let rc = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) };
    let raw = RawFd::try_from(rc).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// For tests: starts `command` under `program`, and hands its listener to `serve` before it executes anything.
#[cfg(test)]
pub(crate) fn spawn_filtered<B: Send>(
    mut command: std::process::Command,
    program: Vec<libc::sock_filter>,
    serve: impl FnOnce(OwnedFd) -> B + Send,
) -> (std::process::Child, B) {
    use std::io::{Read, Write};
    use std::os::unix::process::CommandExt;
    let (mut said, mut says) = io::pipe().unwrap();
    let (mut hears, mut told) = io::pipe().unwrap();
    let (raw_says, raw_hears) = (says.as_raw_fd(), hears.as_raw_fd());
    // SAFETY: the closure only makes system calls, on integers and memory it owns.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            // SECBIT_NOROOT: as every sandbox, without capabilities, also for root.
            libc::prctl(libc::PR_SET_SECUREBITS, 1, 0, 0, 0);
            let header: [u32; 2] = [0x2008_0522, 0];
            libc::syscall(libc::SYS_capset, header.as_ptr(), [0u32; 6].as_ptr());
            let listener = super::security::seccomp_listener(&program)?;
            let mut message = [0u8; 8];
            message[..4].copy_from_slice(&listener.to_ne_bytes());
            message[4..].copy_from_slice(&libc::getpid().to_ne_bytes());
            libc::write(raw_says, message.as_ptr().cast(), 8);
            libc::read(raw_hears, message.as_mut_ptr().cast(), 1);
            Ok(())
        });
    }
    std::thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut message = [0u8; 8];
            said.read_exact(&mut message).unwrap();
            let fd = RawFd::from_ne_bytes(message[..4].try_into().unwrap());
            let pid = u32::from_ne_bytes(message[4..].try_into().unwrap());
            let listener = take_fd(pid, fd, false).unwrap();
            let served = serve(listener);
            told.write_all(b"!").unwrap();
            served
        });
        let child = command.spawn().unwrap();
        let _ = (says.flush(), hears.by_ref());
        (child, serving.join().unwrap())
    })
}
