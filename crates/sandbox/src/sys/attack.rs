//! System calls that a sandbox must refuse, each aimed at something harmless: what `prove` tries from inside.
//!
//! They are called only by a program that was started inside a sandbox to try them. Whatever one would do if it were
//! let through must leave the host as it was.

use libc::{c_int, c_long, c_ulong};
use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::RawFd;

/// `-1` to the error.
fn done(rc: impl Into<i64>) -> io::Result<i64> {
    let rc = rc.into();
    if rc == -1 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// `kill(2)`.
pub(crate) fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// `ptrace(PTRACE_SEIZE)`: attaches without stopping the target.
pub(crate) fn ptrace_seize(pid: i32) -> io::Result<()> {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the request takes no address and no data.
    done(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, null, null) }).map(drop)
}

/// `process_vm_readv(2)` of one byte at `address` of `pid`.
pub(crate) fn process_vm_readv(pid: i32, address: usize) -> io::Result<()> {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: 1 };
    // SAFETY: `local` names one byte of ours; the remote address is only used by the kernel, in the other process.
    done(unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) } as i64).map(drop)
}

/// `pidfd_open(2)`.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) }).map(drop)
}

/// `prlimit(2)`: writes back the limit that `pid` has.
pub(crate) fn prlimit(pid: i32) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the old value and, in the second call, a valid new value.
    unsafe {
        done(libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit))?;
        done(libc::prlimit(pid, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut())).map(drop)
    }
}

/// `setpriority(2)` on another process, one step lower.
pub(crate) fn setpriority(pid: i32) -> io::Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS, pid as libc::id_t, 19) }).map(drop)
}

/// `unshare(2)`.
pub(crate) fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: plain integers; a new namespace for a process that ends right after.
    done(unsafe { libc::unshare(flags) }).map(drop)
}

/// `mount(2)` of a temporary file system.
pub(crate) fn mount_tmpfs(target: &CStr) -> io::Result<()> {
    // SAFETY: strings that end in NUL and live through the call; no data.
    done(unsafe { libc::mount(c"tmpfs".as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null()) }).map(drop)
}

/// `mount(2)` that makes the root writable again.
pub(crate) fn remount_writable() -> io::Result<()> {
    let flags: c_ulong = libc::MS_REMOUNT | libc::MS_BIND;
    // SAFETY: strings that end in NUL and live through the call; no file system type and no data.
    done(unsafe { libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null()) }).map(drop)
}

/// `umount2(2)`.
pub(crate) fn umount(target: &CStr) -> io::Result<()> {
    // SAFETY: a string that ends in NUL and lives through the call.
    done(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// `chroot(2)` to the directory that is the root already.
pub(crate) fn chroot() -> io::Result<()> {
    // SAFETY: a constant string that ends in NUL.
    done(unsafe { libc::chroot(c"/".as_ptr()) }).map(drop)
}

/// `setns(2)` into the namespaces of another process.
pub(crate) fn setns(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::setns(fd, 0) }).map(drop)
}

/// `bpf(BPF_MAP_CREATE)` of a map with one entry.
pub(crate) fn bpf() -> io::Result<()> {
    // map_type (2: array), key_size, value_size, max_entries.
    let attr: [u32; 16] = [2, 4, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: `attr` is at least as large as the part of `union bpf_attr` that the command reads, its size is given.
    done(unsafe { libc::syscall(libc::SYS_bpf, 0, attr.as_ptr(), size_of::<[u32; 16]>()) }).map(drop)
}

/// `perf_event_open(2)`: a software clock on this process.
pub(crate) fn perf_event_open() -> io::Result<()> {
    let mut attr = [0u64; 16];
    // type 1 (software) and size 128 in the first word, config 0 (processor clock) in the second.
    if let Some(first) = attr.first_mut() {
        *first = 1 | (128 << 32);
    }
    // SAFETY: `attr` has the 128 bytes it states.
    done(unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), 0, -1, -1, 0u64) }).map(drop)
}

/// `userfaultfd(2)`.
pub(crate) fn userfaultfd() -> io::Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) }).map(drop)
}

/// `io_uring_setup(2)`.
pub(crate) fn io_uring_setup() -> io::Result<()> {
    let mut params = [0u8; 120];
    // SAFETY: `struct io_uring_params` has 120 bytes; all zero is a valid request.
    done(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1u32, params.as_mut_ptr()) }).map(drop)
}

/// `add_key(2)`: a key in the session keyring.
pub(crate) fn add_key() -> io::Result<()> {
    const SESSION: c_long = -3;
    // SAFETY: strings that end in NUL, a payload of the stated length.
    let rc = unsafe {
        let (kind, name, payload) = (c"user".as_ptr(), c"ringfence-prove".as_ptr(), b"x".as_ptr());
        libc::syscall(libc::SYS_add_key, kind, name, payload, 1usize, SESSION)
    };
    done(rc).map(drop)
}

/// `keyctl(KEYCTL_GET_KEYRING_ID)` of the user's keyring.
pub(crate) fn keyctl() -> io::Result<()> {
    // SAFETY: plain integers: get the id of the user keyring, without making one.
    done(unsafe { libc::syscall(libc::SYS_keyctl, 0, -4i64, 0) }).map(drop)
}

/// `ioctl(TIOCSTI)` on a terminal, with the request's upper half set if `high` is.
pub(crate) fn tiocsti(fd: RawFd, high: bool) -> io::Result<()> {
    let byte = b' ';
    // `asm-generic/ioctls.h`; the constant's type differs between C libraries.
    let plain: u64 = 0x5412;
    let request = if high { plain | (1 << 32) } else { plain };
    // SAFETY: the request reads one byte of ours.
    done(unsafe { libc::syscall(libc::SYS_ioctl, fd, request, &raw const byte) }).map(drop)
}

/// `ioctl(FS_IOC_SETFLAGS)`: writes back the flags the file has.
pub(crate) fn set_inode_flags(fd: RawFd) -> io::Result<()> {
    const GET: c_ulong = 0x8008_6601;
    const SET: c_ulong = 0x4008_6602;
    let mut flags: c_long = 0;
    // SAFETY: both requests take a pointer to a word of ours.
    unsafe {
        done(libc::ioctl(fd, GET as _, &raw mut flags))?;
        flags ^= 0x80; // FS_NOATIME_FL
        done(libc::ioctl(fd, SET as _, &raw const flags)).map(drop)
    }
}

/// `mknod(2)` of a device node: null's.
pub(crate) fn mknod(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that ends in NUL and lives through the call.
    done(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 3)) }).map(drop)
}

/// `setxattr(2)` of a user attribute.
pub(crate) fn setxattr(path: &CStr) -> io::Result<()> {
    // SAFETY: strings that end in NUL, a value of the stated length.
    let rc = unsafe { libc::setxattr(path.as_ptr(), c"user.ringfence".as_ptr(), b"x".as_ptr().cast(), 1, 0) };
    done(rc).map(drop)
}

/// `utimensat(2)`: sets both times to now.
pub(crate) fn touch(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that ends in NUL; a null time means now.
    done(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), std::ptr::null(), 0) }).map(drop)
}

/// `sethostname(2)`, to the name the host has.
pub(crate) fn sethostname(name: &[u8]) -> io::Result<()> {
    // SAFETY: the name is valid for its length.
    done(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// `socket(2)`.
pub(crate) fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<RawFd> {
    // SAFETY: plain integers.
    done(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }).map(|fd| fd as RawFd)
}

/// `socketpair(2)` of datagram unix sockets; gives one end.
pub(crate) fn socketpair_datagram() -> io::Result<RawFd> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    done(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) })?;
    let [first, _] = ends;
    Ok(first)
}

/// `sendto(2)` a pathname unix socket.
pub(crate) fn sendto_unix(fd: RawFd, address: &libc::sockaddr_un, text: &[u8]) -> io::Result<()> {
    let size = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: `text` is valid for its length, `address` is whole and its size is given.
    let rc = unsafe {
        let address = std::ptr::from_ref(address).cast();
        libc::sendto(fd, text.as_ptr().cast(), text.len(), libc::MSG_DONTWAIT, address, size)
    };
    done(rc as i64).map(drop)
}

/// `sendmsg(2)` to a pathname unix socket.
pub(crate) fn sendmsg_unix(fd: RawFd, address: &libc::sockaddr_un, text: &[u8]) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
    // SAFETY: all-zero is a valid empty header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = std::ptr::from_ref(address).cast_mut().cast();
    message.msg_namelen = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    // SAFETY: the header names an address and a buffer that live through the call and aren't written to.
    done(unsafe { libc::sendmsg(fd, &raw const message, libc::MSG_DONTWAIT) } as i64).map(drop)
}

/// `sendto(2)` with `MSG_FASTOPEN`: a TCP connection without `connect`.
pub(crate) fn sendto_fast_open(port: u16, text: &[u8]) -> io::Result<()> {
    let fd = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(std::net::Ipv4Addr::LOCALHOST).to_be() },
        sin_zero: [0; 8],
    };
    let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: `text` is valid for its length, `address` is whole and its size is given.
    let rc = unsafe {
        let address = (&raw const address).cast();
        libc::sendto(fd, text.as_ptr().cast(), text.len(), libc::MSG_FASTOPEN, address, size)
    };
    done(rc as i64).map(drop)
}

/// `setsid(2)`.
pub(crate) fn setsid() -> io::Result<()> {
    // SAFETY: takes nothing.
    done(unsafe { libc::setsid() }).map(drop)
}

/// `signal(2)`: ignores a signal.
pub(crate) fn ignore(signal: c_int) {
    // SAFETY: ignoring runs no handler; an unknown number only fails.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// `mkfifo(3)`.
pub(crate) fn mkfifo(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that ends in NUL and lives through the call.
    done(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }).map(drop)
}

/// `fcntl(F_SETFD)` without `FD_CLOEXEC`.
pub(crate) fn keep_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain integers.
    done(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop)
}
