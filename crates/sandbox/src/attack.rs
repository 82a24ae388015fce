//! Forbidden acts, for programs that prove a sandbox from inside: each is one system call that a sandbox must refuse,
//! aimed at something harmless.
//!
//! It judges nothing: whether an act got through is for somebody outside to see.

use crate::sys::attack as sys;
use crate::sys::ipc;
use crate::sys::trial::unix_address;
use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An act on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnProcess {
    /// `kill(pid, SIGTERM)`.
    Signal,
    /// `ptrace(PTRACE_SEIZE)`.
    Trace,
    /// `process_vm_readv` at an address.
    ReadMemory(usize),
    /// `pidfd_open`.
    Open,
    /// `prlimit`.
    Limit,
    /// `setpriority`.
    Priority,
}

/// Shared memory of System V, of this process, which goes with it. Its number is what [`shared_memory`] is aimed at.
pub fn make_shared_memory() -> io::Result<i32> {
    let id = ipc::get(ipc::Kind::Memory, ipc::PRIVATE, 4096, 0o600)?;
    let attached = ipc::Attached::new(id);
    ipc::remove(ipc::Kind::Memory, id)?;
    std::mem::forget(attached?);
    Ok(id)
}

/// Attaches shared memory by its number.
pub fn shared_memory(id: i32) -> io::Result<()> {
    ipc::Attached::new(id)?;
    Ok(())
}

/// Tries `act` on `pid`.
pub fn on_process(pid: i32, act: OnProcess) -> io::Result<()> {
    match act {
        OnProcess::Signal => sys::kill(pid, libc::SIGTERM),
        OnProcess::Trace => sys::ptrace_seize(pid),
        OnProcess::ReadMemory(address) => sys::process_vm_readv(pid, address),
        OnProcess::Open => sys::pidfd_open(pid),
        OnProcess::Limit => sys::prlimit(pid),
        OnProcess::Priority => sys::setpriority(pid),
    }
}

/// An act that would widen what the process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnKernel {
    /// `unshare(CLONE_NEWUSER)`.
    UserNamespace,
    /// `mount(tmpfs)`.
    Mount,
    /// `mount(MS_REMOUNT|MS_BIND)` of the root, writable.
    Remount,
    /// `umount2`.
    Unmount,
    /// `chroot`.
    Chroot,
    /// `bpf(BPF_MAP_CREATE)`.
    Bpf,
    /// `perf_event_open`.
    Perf,
    /// `userfaultfd`.
    Userfaultfd,
    /// `io_uring_setup`.
    IoUring,
    /// `add_key`.
    AddKey,
    /// `keyctl`.
    Keyctl,
    /// `socket(AF_PACKET)`.
    PacketSocket,
    /// `socket(AF_INET, SOCK_RAW)`.
    RawSocket,
    /// `socket(AF_ALG)`.
    CryptoSocket,
    /// `socket(AF_VSOCK)`.
    VsockSocket,
    /// `ioctl(TIOCSTI)` on standard input.
    TypeInto,
    /// The same with the upper half of the request set.
    TypeIntoHigh,
}

/// Tries `act`.
pub fn on_kernel(act: OnKernel) -> io::Result<()> {
    match act {
        OnKernel::UserNamespace => sys::unshare(libc::CLONE_NEWUSER),
        OnKernel::Mount => sys::mount_tmpfs(c"/mnt"),
        OnKernel::Remount => sys::remount_writable(),
        OnKernel::Unmount => sys::umount(c"/dev"),
        OnKernel::Chroot => sys::chroot(),
        OnKernel::Bpf => sys::bpf(),
        OnKernel::Perf => sys::perf_event_open(),
        OnKernel::Userfaultfd => sys::userfaultfd(),
        OnKernel::IoUring => sys::io_uring_setup(),
        OnKernel::AddKey => sys::add_key(),
        OnKernel::Keyctl => sys::keyctl(),
        OnKernel::PacketSocket => sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map(drop),
        OnKernel::RawSocket => sys::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(drop),
        OnKernel::CryptoSocket => sys::socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0).map(drop),
        OnKernel::VsockSocket => sys::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).map(drop),
        OnKernel::TypeInto => sys::tiocsti(0, false),
        OnKernel::TypeIntoHigh => sys::tiocsti(0, true),
    }
}

/// An act on a file that `std` has no name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFile {
    /// `setxattr`.
    Attribute,
    /// `utimensat`.
    Times,
    /// `ioctl(FS_IOC_SETFLAGS)` on a descriptor opened for reading.
    InodeFlags,
    /// `mknod` of a device.
    DeviceNode,
}

/// Tries `act` on `path`.
pub fn on_file(path: &Path, act: OnFile) -> io::Result<()> {
    let name = c_path(path)?;
    match act {
        OnFile::Attribute => sys::setxattr(&name),
        OnFile::Times => sys::touch(&name),
        OnFile::InodeFlags => sys::set_inode_flags(std::fs::File::open(path)?.as_raw_fd()),
        OnFile::DeviceNode => sys::mknod(&name),
    }
}

/// Joins the namespaces behind a link of `/proc/PID/ns`.
pub fn join_namespace(path: &Path) -> io::Result<()> {
    sys::setns(std::fs::File::open(path)?.as_raw_fd())
}

/// Sets the host name to what it is.
pub fn set_host_name(name: &[u8]) -> io::Result<()> {
    sys::sethostname(name)
}

/// How a datagram goes to a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram {
    /// `socket`, `sendto`.
    Socket,
    /// `socketpair`, `sendto`.
    Pair,
    /// `socketpair`, `sendmsg`.
    PairMessage,
}

/// Sends `text` to the datagram socket at `path`.
pub fn datagram_to(path: &Path, how: Datagram, text: &[u8]) -> io::Result<()> {
    let address = unix_address(path.as_os_str().as_bytes()).ok_or(io::ErrorKind::InvalidInput)?;
    match how {
        Datagram::Socket => sys::sendto_unix(sys::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?, &address, text),
        Datagram::Pair => sys::sendto_unix(sys::socketpair_datagram()?, &address, text),
        Datagram::PairMessage => sys::sendmsg_unix(sys::socketpair_datagram()?, &address, text),
    }
}

/// A TCP connection to the host's loopback without `connect`.
pub fn fast_open(port: u16, text: &[u8]) -> io::Result<()> {
    sys::sendto_fast_open(port, text)
}

/// A multipath TCP socket, which some filters overlook.
pub fn multipath_socket() -> io::Result<()> {
    const IPPROTO_MPTCP: libc::c_int = 262;
    sys::socket(libc::AF_INET, libc::SOCK_STREAM, IPPROTO_MPTCP).map(drop)
}

/// Sends a signal by number; 0 only asks whether the process is there.
pub fn signal(pid: i32, number: i32) -> io::Result<()> {
    sys::kill(pid, number)
}

/// Leaves the session and ignores what would end a process with its terminal: a daemon's first steps.
pub fn detach() -> io::Result<()> {
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
        sys::ignore(signal);
    }
    sys::setsid()
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Makes a FIFO: a canary whose reader is outside.
pub fn make_fifo(path: &Path) -> io::Result<()> {
    sys::mkfifo(&c_path(path)?)
}

/// Leaves a descriptor open across `exec`: one that nobody meant to hand on.
pub fn keep_on_exec(file: &std::fs::File) -> io::Result<()> {
    sys::keep_on_exec(file.as_raw_fd())
}
