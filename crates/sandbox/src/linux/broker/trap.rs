//! Which system calls the broker is asked about, as rows of the filter. Pure: a table in, rows out.

use crate::linux::filter::{Action, Condition, Row};
use Condition::{AnyBit, Differs, Differs64, Equal, Masked};
use serde::{Deserialize, Serialize};

/// Groups of calls the broker judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traps {
    /// Calls that give a name to something: creating opens, `mkdir`, `mknod`, `symlink`, `link`, `rename`, `bind`; and
    /// `getsockname`, which says what was given.
    pub names: bool,
    /// Opens for writing of what exists, and `truncate`.
    pub writes: bool,
    /// Every other open, and `execve`.
    pub reads: bool,
    /// `unlink`, `rmdir`.
    pub removals: bool,
    /// `chmod`, `chown`, times, extended attributes.
    pub metadata: bool,
    /// `connect`, and `bind`, which shows what was made inside.
    pub connects: bool,
    /// Unix datagram sockets, where the kernel doesn't keep them from sockets outside.
    pub unix_datagrams: bool,
    /// Sending internet datagrams to an address.
    pub datagrams: bool,
    /// `prlimit`, `setpriority` and their like on other processes, and descriptors for those.
    pub processes: bool,
    /// `fork`, `vfork`, `clone`.
    pub forks: bool,
    /// Shared memory, semaphores and queues of System V.
    #[serde(default)]
    pub ipc: bool,
}

const CREATE: u32 = libc::O_CREAT.cast_unsigned();
const PATH: u32 = libc::O_PATH.cast_unsigned();
/// Whatever changes a file; `O_TMPFILE` without the bit that it shares with `O_DIRECTORY`.
const WRITE: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC).cast_unsigned() | 0o20_000_000;

/// Calls that are always asked about, by group.
const NAMES: &[&str] = &[
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "bind",
    "getsockname",
    "umask",
];
const METADATA: &[&str] = &[
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
];
/// Calls that callers can do without, since the older ones do the same.
const METADATA_NEWER: &[&str] = &["fchmodat2", "setxattrat", "removexattrat", "file_setattr"];
/// `ioctl`s that change a file through a descriptor that may only read.
const CHANGING_IOCTLS: &[u32] = &[
    0x4008_6602, // FS_IOC_SETFLAGS
    0x401c_5820, // FS_IOC_FSSETXATTR
    0x4008_7602, // FS_IOC_SETVERSION
    0x4008_6604, // EXT4_IOC_SETVERSION_OLD
    0x0000_6609, // EXT4_IOC_MIGRATE
    0x0000_660c, // EXT4_IOC_ALLOC_DA_BLKS
    0x4080_6685, // FS_IOC_ENABLE_VERITY
    0x800c_6613, // FS_IOC_SET_ENCRYPTION_POLICY
    0x4004_7211, // FAT_IOCTL_SET_ATTRIBUTES
];
/// Calls whose first argument is another process; 0 is the caller.
const PROCESSES: &[&str] = &["prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"];

/// Whatever names an object of System V. `shmdt` doesn't: it is about the caller's own memory.
const IPC: &[&str] =
    &["shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semctl"];

/// The rows of `traps`. They stand behind those that forbid calls.
#[must_use]
pub fn rows(traps: Traps) -> Vec<Row> {
    let mut rows = Vec::new();
    let always = |rows: &mut Vec<Row>, calls: &[&'static str]| {
        rows.extend(calls.iter().map(|call| Row::always(call, Action::Notify)));
    };
    let mut open_bits = 0;
    if traps.names {
        open_bits |= CREATE;
        always(&mut rows, NAMES);
    } else if traps.connects {
        // Which sockets were made inside is known by their being bound; the file is made as the umask says.
        always(&mut rows, &["bind", "getsockname", "umask"]);
    }
    if traps.writes {
        open_bits |= CREATE | WRITE;
        always(&mut rows, &["truncate"]);
    }
    if traps.reads || open_bits != 0 {
        // Such a descriptor neither reads nor writes nor makes anything, and what is done with it is judged by its path. It
        // couldn't be handed back either.
        rows.push(Row::when("open", &[AnyBit(1, PATH)], Action::Allow));
        rows.push(Row::when("openat", &[AnyBit(2, PATH)], Action::Allow));
    }
    if traps.reads {
        always(&mut rows, &["open", "openat", "execve", "execveat"]);
    } else if open_bits != 0 {
        rows.push(Row::when("open", &[AnyBit(1, open_bits)], Action::Notify));
        rows.push(Row::when("openat", &[AnyBit(2, open_bits)], Action::Notify));
    }
    if traps.removals {
        always(&mut rows, &["unlink", "unlinkat", "rmdir"]);
    } else if traps.names {
        // A root that is empty could be removed and made anew.
        rows.push(Row::when("unlinkat", &[AnyBit(2, libc::AT_REMOVEDIR.cast_unsigned())], Action::Notify));
        always(&mut rows, &["rmdir"]);
    }
    if traps.metadata {
        always(&mut rows, METADATA);
        rows.extend(METADATA_NEWER.iter().map(|call| Row::always(call, Action::Errno(libc::ENOSYS))));
        for request in CHANGING_IOCTLS {
            rows.push(Row::when("ioctl", &[Equal(1, *request)], Action::Errno(libc::EPERM)));
        }
    }
    if traps.connects {
        always(&mut rows, &["connect"]);
    }
    if traps.unix_datagrams {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            // The raw type of the unix family is a datagram socket too.
            let when = [Equal(0, libc::AF_UNIX.cast_unsigned()), Masked(1, 0xf, kind.cast_unsigned())];
            rows.push(Row::when("socket", &when, Action::Notify));
            rows.push(Row::when("socketpair", &when, Action::Notify));
        }
    }
    if traps.datagrams {
        rows.push(Row::when("sendto", &[Differs64(4, 0)], Action::Notify));
        always(&mut rows, &["sendmsg", "sendmmsg", "listen", "accept", "accept4"]);
    }
    if traps.forks {
        always(&mut rows, &["fork", "vfork", "clone"]);
    }
    if traps.ipc {
        always(&mut rows, IPC);
    }
    if traps.processes {
        rows.extend(PROCESSES.iter().map(|call| Row::when(call, &[Differs64(0, 0)], Action::Notify)));
        // Who is meant depends on two registers: a user, for one.
        always(&mut rows, &["setpriority", "ioprio_set", "pidfd_open"]);
    }
    rows
}

/// The old way to packet sockets; deprecated, and still there.
const SOCK_PACKET: i32 = 10;

/// Options that send by another way than the address says: source routes, and a choice of interface. By level.
const DETOURS: &[(i32, &[i32])] = &[
    (libc::SOL_SOCKET, &[libc::SO_BINDTODEVICE, 62 /* SO_BINDTOIFINDEX */]),
    (libc::SOL_IP, &[libc::IP_OPTIONS, 50 /* IP_UNICAST_IF */, libc::IP_MULTICAST_IF]),
    (
        libc::SOL_IPV6,
        &[
            5,  // IPV6_2292RTHDR
            6,  // IPV6_2292PKTOPTIONS
            57, // IPV6_RTHDR
            55, // IPV6_RTHDRDSTOPTS
            54, // IPV6_HOPOPTS
            59, // IPV6_DSTOPTS
            76, // IPV6_UNICAST_IF
            libc::IPV6_MULTICAST_IF,
        ],
    ),
];

/// What a missing namespace would have held: queues of POSIX, and, with network off, every internet protocol but TCP and
/// UDP.
#[must_use]
pub fn without_namespaces(offline: bool) -> Vec<Row> {
    let queues = ["mq_open", "mq_unlink"].iter();
    let mut rows: Vec<Row> = queues.map(|call| Row::always(call, Action::Errno(libc::ENOSYS))).collect();
    if offline {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = Equal(0, family.cast_unsigned());
            for kind in [libc::SOCK_RAW, libc::SOCK_SEQPACKET, libc::SOCK_RDM, libc::SOCK_DCCP, SOCK_PACKET] {
                let when = [family, Masked(1, 0xf, kind.cast_unsigned())];
                rows.push(Row::when("socket", &when, Action::Errno(libc::EPERM)));
            }
            let [tcp, udp] = [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(i32::cast_unsigned);
            let other = [family, Differs(2, 0), Differs(2, tcp), Differs(2, udp)];
            rows.push(Row::when("socket", &other, Action::Errno(libc::EPROTONOSUPPORT)));
        }
        // What is sent to a port on loopback would leave the machine all the same.
        for (level, options) in DETOURS {
            for option in *options {
                let when = [Equal(1, level.cast_unsigned()), Equal(2, option.cast_unsigned())];
                rows.push(Row::when("setsockopt", &when, Action::Errno(libc::EPERM)));
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::filter::{Arch, program};

    #[test]
    fn every_row_compiles_for_every_processor() {
        let all = Traps {
            names: true,
            writes: true,
            reads: false,
            removals: true,
            metadata: true,
            connects: true,
            unix_datagrams: true,
            datagrams: true,
            processes: true,
            forks: true,
            ipc: true,
        };
        for traps in [all, Traps { reads: true, ..all }, Traps { names: true, ..Traps::default() }] {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let mut all = without_namespaces(true);
                all.extend(rows(traps));
                program(arch, &all).unwrap();
            }
        }
    }
}
