//! What a notification asks for: system call number and registers, read as one of the calls the broker performs. Pure.

use super::ipc::IpcCall;
use crate::sys::ipc::Kind;
use crate::sys::notify::Notification;
use std::os::fd::RawFd;

/// An address in the caller's memory.
pub type Address = u64;

/// A file as a call names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Descriptor of the directory that a relative path starts from, or `AT_FDCWD`.
    pub dir: RawFd,
    /// Where the path is; 0 is a null pointer.
    pub path: Address,
}

/// What a metadata call is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// By path, with `AT_*` flags.
    Path(At, i32),
    /// By descriptor.
    Descriptor(RawFd),
}

/// How times are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// `struct utimbuf`.
    Seconds(Address),
    /// Two `struct timeval`.
    Micros(Address),
    /// Two `struct timespec`.
    Nanos(Address),
}

/// One trapped call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Call {
    Open {
        at: At,
        flags: i32,
        mode: u32,
    },
    MakeDir {
        at: At,
        mode: u32,
    },
    MakeNode {
        at: At,
        mode: u32,
        device: u64,
    },
    Symlink {
        target: Address,
        at: At,
    },
    Link {
        from: At,
        to: At,
        flags: i32,
    },
    Rename {
        from: At,
        to: At,
        flags: u32,
    },
    Remove {
        at: At,
        directory: bool,
    },
    Truncate {
        path: Address,
        length: i64,
    },
    Exec {
        at: At,
        flags: i32,
    },
    Chmod {
        target: Target,
        mode: u32,
    },
    Chown {
        target: Target,
        user: u32,
        group: u32,
    },
    Utimes {
        target: Target,
        times: Times,
    },
    SetXattr {
        target: Target,
        name: Address,
        value: Address,
        size: u64,
        flags: i32,
    },
    RemoveXattr {
        target: Target,
        name: Address,
    },
    Umask(u32),
    Fork,
    Bind {
        socket: RawFd,
        address: Address,
        length: u32,
    },
    Connect {
        socket: RawFd,
        address: Address,
        length: u32,
    },
    SocketName {
        socket: RawFd,
        address: Address,
        length: Address,
    },
    SendTo {
        socket: RawFd,
        data: Address,
        size: u64,
        flags: i32,
        address: Address,
        length: u32,
    },
    SendMsg {
        socket: RawFd,
        message: Address,
        flags: i32,
    },
    SendMmsg {
        socket: RawFd,
        messages: Address,
        count: u32,
        flags: i32,
    },
    Listen {
        socket: RawFd,
        backlog: i32,
    },
    Accept {
        socket: RawFd,
        address: Address,
        length: Address,
        flags: i32,
    },
    Socket {
        kind: i32,
        protocol: i32,
    },
    SocketPair {
        kind: i32,
        protocol: i32,
        out: Address,
    },
    /// A limit, priority or scheduling call on process, thread or group `who`.
    Process {
        who: i32,
        which: i32,
        name: &'static str,
    },
    /// `pidfd_open`.
    OpenProcess {
        pid: i32,
        flags: u32,
    },
    /// A call on an object of System V.
    Ipc(IpcCall),
    /// A call that is trapped but not known here: refused.
    Unknown,
}

const CWD: RawFd = libc::AT_FDCWD;

/// Reads `notification`.
#[must_use]
pub fn read(notification: &Notification) -> Call {
    let args = notification.args;
    // Descriptors, flags and modes are 32 bits wide; the kernel ignores the upper half, and so do we.
    #[allow(clippy::cast_possible_truncation)]
    let int = |index: usize| args[index] as u32 as i32;
    #[allow(clippy::cast_possible_truncation)]
    let word = |index: usize| args[index] as u32;
    let at = |dir: usize, path: usize| At { dir: int(dir), path: args[path] };
    let path = |dir, path, flags| Target::Path(At { dir, path }, flags);
    let nofollow = libc::AT_SYMLINK_NOFOLLOW;
    match libc::c_long::from(notification.nr) {
        libc::SYS_openat => Call::Open { at: at(0, 1), flags: int(2), mode: word(3) },
        libc::SYS_mkdirat => Call::MakeDir { at: at(0, 1), mode: word(2) },
        libc::SYS_mknodat => Call::MakeNode { at: at(0, 1), mode: word(2), device: args[3] },
        libc::SYS_symlinkat => Call::Symlink { target: args[0], at: at(1, 2) },
        libc::SYS_linkat => Call::Link { from: at(0, 1), to: at(2, 3), flags: int(4) },
        libc::SYS_renameat => Call::Rename { from: at(0, 1), to: at(2, 3), flags: 0 },
        libc::SYS_renameat2 => Call::Rename { from: at(0, 1), to: at(2, 3), flags: word(4) },
        libc::SYS_unlinkat => Call::Remove { at: at(0, 1), directory: int(2) & libc::AT_REMOVEDIR != 0 },
        libc::SYS_truncate => Call::Truncate { path: args[0], length: args[1].cast_signed() },
        libc::SYS_execve => Call::Exec { at: At { dir: CWD, path: args[0] }, flags: 0 },
        libc::SYS_execveat => Call::Exec { at: at(0, 1), flags: int(4) },
        libc::SYS_fchmod => Call::Chmod { target: Target::Descriptor(int(0)), mode: word(1) },
        libc::SYS_fchmodat => Call::Chmod { target: Target::Path(at(0, 1), 0), mode: word(2) },
        libc::SYS_fchown => Call::Chown { target: Target::Descriptor(int(0)), user: word(1), group: word(2) },
        libc::SYS_fchownat => Call::Chown { target: Target::Path(at(0, 1), int(4)), user: word(2), group: word(3) },
        libc::SYS_utimensat if args[1] == 0 => {
            Call::Utimes { target: Target::Descriptor(int(0)), times: Times::Nanos(args[2]) }
        }
        libc::SYS_utimensat => Call::Utimes { target: Target::Path(at(0, 1), int(3)), times: Times::Nanos(args[2]) },
        libc::SYS_setxattr => set_xattr(path(CWD, args[0], 0), args),
        libc::SYS_lsetxattr => set_xattr(path(CWD, args[0], nofollow), args),
        libc::SYS_fsetxattr => set_xattr(Target::Descriptor(int(0)), args),
        libc::SYS_removexattr => Call::RemoveXattr { target: path(CWD, args[0], 0), name: args[1] },
        libc::SYS_lremovexattr => Call::RemoveXattr { target: path(CWD, args[0], nofollow), name: args[1] },
        libc::SYS_fremovexattr => Call::RemoveXattr { target: Target::Descriptor(int(0)), name: args[1] },
        libc::SYS_umask => Call::Umask(word(0)),
        libc::SYS_clone => Call::Fork,
        libc::SYS_bind => Call::Bind { socket: int(0), address: args[1], length: word(2) },
        libc::SYS_getsockname => Call::SocketName { socket: int(0), address: args[1], length: args[2] },
        libc::SYS_connect => Call::Connect { socket: int(0), address: args[1], length: word(2) },
        libc::SYS_sendto => Call::SendTo {
            socket: int(0),
            data: args[1],
            size: args[2],
            flags: int(3),
            address: args[4],
            length: word(5),
        },
        libc::SYS_sendmsg => Call::SendMsg { socket: int(0), message: args[1], flags: int(2) },
        libc::SYS_sendmmsg => Call::SendMmsg { socket: int(0), messages: args[1], count: word(2), flags: int(3) },
        libc::SYS_listen => Call::Listen { socket: int(0), backlog: int(1) },
        libc::SYS_accept => Call::Accept { socket: int(0), address: args[1], length: args[2], flags: 0 },
        libc::SYS_accept4 => Call::Accept { socket: int(0), address: args[1], length: args[2], flags: int(3) },
        libc::SYS_socket => Call::Socket { kind: int(1), protocol: int(2) },
        libc::SYS_socketpair => Call::SocketPair { kind: int(1), protocol: int(2), out: args[3] },
        libc::SYS_pidfd_open => Call::OpenProcess { pid: int(0), flags: word(1) },
        libc::SYS_prlimit64 => Call::Process { who: int(0), which: 0, name: "prlimit" },
        libc::SYS_setpriority => Call::Process { who: int(1), which: int(0), name: "setpriority" },
        libc::SYS_ioprio_set => Call::Process { who: int(1), which: int(0) - 1, name: "ioprio_set" },
        libc::SYS_sched_setaffinity => Call::Process { who: int(0), which: 0, name: "sched_setaffinity" },
        libc::SYS_sched_setscheduler => Call::Process { who: int(0), which: 0, name: "sched_setscheduler" },
        libc::SYS_sched_setparam => Call::Process { who: int(0), which: 0, name: "sched_setparam" },
        libc::SYS_sched_setattr => Call::Process { who: int(0), which: 0, name: "sched_setattr" },
        number => ipc(number, args).unwrap_or_else(|| legacy(number, args)),
    }
}

/// Calls on objects of System V.
fn ipc(number: libc::c_long, args: [u64; 6]) -> Option<Call> {
    #[allow(clippy::cast_possible_truncation)]
    let int = |index: usize| args[index] as u32 as i32;
    let get = |kind, size: u64, flags| {
        // Too large for a size is too large for an object.
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        IpcCall::Get { kind, key: int(0), size, flags: int(flags) }
    };
    let control = |kind, command, argument: usize| IpcCall::Control {
        kind,
        id: int(0),
        command: int(command),
        argument: args[argument],
    };
    let call = match number {
        libc::SYS_shmget => get(Kind::Memory, args[1], 2),
        // How many is an integer, and a negative one is refused by the kernel.
        libc::SYS_semget => get(Kind::Semaphores, i64::from(int(1)).cast_unsigned(), 2),
        libc::SYS_msgget => get(Kind::Queue, 0, 1),
        libc::SYS_shmat => IpcCall::Use { kind: Kind::Memory, id: int(0) },
        libc::SYS_semop | libc::SYS_semtimedop => IpcCall::Use { kind: Kind::Semaphores, id: int(0) },
        libc::SYS_msgsnd | libc::SYS_msgrcv => IpcCall::Use { kind: Kind::Queue, id: int(0) },
        libc::SYS_shmctl => control(Kind::Memory, 1, 2),
        libc::SYS_semctl => control(Kind::Semaphores, 2, 3),
        libc::SYS_msgctl => control(Kind::Queue, 1, 2),
        _ => return None,
    };
    Some(Call::Ipc(call))
}

fn set_xattr(target: Target, args: [u64; 6]) -> Call {
    #[allow(clippy::cast_possible_truncation)]
    let flags = args[4] as u32 as i32;
    Call::SetXattr { target, name: args[1], value: args[2], size: args[3], flags }
}

/// Calls that x86-64 has kept from the time before directory descriptors.
#[cfg(target_arch = "x86_64")]
fn legacy(number: libc::c_long, args: [u64; 6]) -> Call {
    #[allow(clippy::cast_possible_truncation)]
    let word = |index: usize| args[index] as u32;
    let at = |path: usize| At { dir: CWD, path: args[path] };
    let target = |flags| Target::Path(at(0), flags);
    match number {
        libc::SYS_open => Call::Open { at: at(0), flags: word(1).cast_signed(), mode: word(2) },
        libc::SYS_creat => {
            Call::Open { at: at(0), flags: libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode: word(1) }
        }
        libc::SYS_fork | libc::SYS_vfork => Call::Fork,
        libc::SYS_mkdir => Call::MakeDir { at: at(0), mode: word(1) },
        libc::SYS_mknod => Call::MakeNode { at: at(0), mode: word(1), device: args[2] },
        libc::SYS_symlink => Call::Symlink { target: args[0], at: at(1) },
        libc::SYS_link => Call::Link { from: at(0), to: at(1), flags: 0 },
        libc::SYS_rename => Call::Rename { from: at(0), to: at(1), flags: 0 },
        libc::SYS_unlink => Call::Remove { at: at(0), directory: false },
        libc::SYS_rmdir => Call::Remove { at: at(0), directory: true },
        libc::SYS_chmod => Call::Chmod { target: target(0), mode: word(1) },
        libc::SYS_chown => Call::Chown { target: target(0), user: word(1), group: word(2) },
        libc::SYS_lchown => Call::Chown { target: target(libc::AT_SYMLINK_NOFOLLOW), user: word(1), group: word(2) },
        libc::SYS_utime => Call::Utimes { target: target(0), times: Times::Seconds(args[1]) },
        libc::SYS_utimes => Call::Utimes { target: target(0), times: Times::Micros(args[1]) },
        libc::SYS_futimesat => Call::Utimes {
            target: if args[1] == 0 {
                Target::Descriptor(word(0).cast_signed())
            } else {
                Target::Path(At { dir: word(0).cast_signed(), path: args[1] }, 0)
            },
            times: Times::Micros(args[2]),
        },
        _ => Call::Unknown,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn legacy(_: libc::c_long, _: [u64; 6]) -> Call {
    Call::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(nr: libc::c_long, args: [u64; 6]) -> Notification {
        Notification { nr: i32::try_from(nr).unwrap(), args, ..Notification::default() }
    }

    #[test]
    fn upper_halves_of_registers_are_ignored_as_the_kernel_does() {
        let call = read(&note(libc::SYS_openat, [0xffff_ffff_ffff_ff9c, 7, 0x41 | 1 << 40, 0o644, 0, 0]));
        assert_eq!(call, Call::Open { at: At { dir: libc::AT_FDCWD, path: 7 }, flags: 0x41, mode: 0o644 });
    }

    #[test]
    fn a_call_that_is_not_known_is_not_mistaken_for_another() {
        assert_eq!(read(&note(libc::SYS_read, [0; 6])), Call::Unknown);
    }
}
