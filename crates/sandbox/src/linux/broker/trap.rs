//! Which system calls the broker is asked about, and the filter that asks. Pure: a table in, a BPF program out.
//!
//! The filter stands beside the one that forbids calls; where both speak, the kernel takes the stricter (`seccomp(2)`).

use crate::sys::notify::Instruction;
use serde::{Deserialize, Serialize};

/// Groups of calls the broker judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traps {
    /// Calls that give a name to something: creating opens, `mkdir`, `mknod`, `symlink`, `link`, `rename`, `bind`.
    pub names: bool,
    /// Opens for writing of what exists, and `truncate`.
    pub writes: bool,
    /// Every other open, and `execve`.
    pub reads: bool,
    /// `unlink`, `rmdir`.
    pub removals: bool,
    /// `chmod`, `chown`, times, extended attributes.
    pub metadata: bool,
    /// `connect`, and unix datagram sockets.
    pub unix: bool,
    /// Sending internet datagrams to an address.
    pub datagrams: bool,
    /// `prlimit`, `setpriority` and their like on other processes.
    pub processes: bool,
}

/// When a call is put to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// Some bit of this mask is set in this argument.
    Bits(u8, u32),
    /// This argument isn't zero.
    NonZero(u8),
    /// `socket` or `socketpair` of the unix family and datagram type.
    UnixDatagram,
    /// Never: the call fails with this errno.
    Refuse(i32),
    /// Never, if this argument has this value: the call fails with this errno.
    RefuseIf(u8, u32, i32),
}

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;
/// The bit of x32 calls on x86-64; no number of another architecture has it.
const X32: u32 = 0x4000_0000;

const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;

fn rows(traps: Traps) -> Vec<(libc::c_long, When)> {
    let mut rows = Vec::new();
    let bits = |flags: i32| flags.cast_unsigned();
    let mut open_mask = 0;
    if traps.names {
        open_mask |= bits(libc::O_CREAT);
    }
    if traps.writes {
        open_mask |= bits(libc::O_CREAT | libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC | libc::O_TMPFILE);
    }
    let open = |argument| {
        if traps.reads { Some(When::Always) } else { (open_mask != 0).then_some(When::Bits(argument, open_mask)) }
    };
    if let Some(when) = open(2) {
        rows.push((libc::SYS_openat, when));
        // Keeps its flags in memory; callers fall back to `openat`.
        rows.push((libc::SYS_openat2, When::Refuse(libc::ENOSYS)));
        #[cfg(target_arch = "x86_64")]
        rows.extend([(libc::SYS_open, open(1).unwrap_or(When::Always)), (libc::SYS_creat, When::Always)]);
    }
    if traps.names {
        for call in [libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_symlinkat, libc::SYS_linkat, libc::SYS_renameat2] {
            rows.push((call, When::Always));
        }
        for call in [libc::SYS_renameat, libc::SYS_bind, libc::SYS_umask] {
            rows.push((call, When::Always));
        }
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_mkdir, libc::SYS_mknod, libc::SYS_symlink, libc::SYS_link, libc::SYS_rename] {
            rows.push((call, When::Always));
        }
    }
    if traps.removals {
        rows.push((libc::SYS_unlinkat, When::Always));
        #[cfg(target_arch = "x86_64")]
        rows.extend([(libc::SYS_unlink, When::Always), (libc::SYS_rmdir, When::Always)]);
    } else if traps.names {
        // A root that is empty could be removed and made anew.
        rows.push((libc::SYS_unlinkat, When::Bits(2, bits(libc::AT_REMOVEDIR))));
        #[cfg(target_arch = "x86_64")]
        rows.push((libc::SYS_rmdir, When::Always));
    }
    if traps.writes {
        rows.push((libc::SYS_truncate, When::Always));
    }
    if traps.reads {
        rows.extend([(libc::SYS_execve, When::Always), (libc::SYS_execveat, When::Always)]);
    }
    if traps.metadata {
        metadata_rows(&mut rows);
    }
    if traps.unix {
        for (call, when) in [
            (libc::SYS_connect, When::Always),
            (libc::SYS_socket, When::UnixDatagram),
            (libc::SYS_socketpair, When::UnixDatagram),
        ] {
            rows.push((call, when));
        }
    }
    if traps.datagrams {
        rows.push((libc::SYS_sendto, When::NonZero(4)));
        rows.extend([(libc::SYS_sendmsg, When::Always), (libc::SYS_sendmmsg, When::Always)]);
    }
    if traps.processes {
        for call in [
            libc::SYS_prlimit64,
            libc::SYS_sched_setaffinity,
            libc::SYS_sched_setscheduler,
            libc::SYS_sched_setparam,
            libc::SYS_sched_setattr,
        ] {
            rows.push((call, When::NonZero(0)));
        }
        // Who is meant depends on two registers: a user, for one.
        rows.extend([(libc::SYS_setpriority, When::Always), (libc::SYS_ioprio_set, When::Always)]);
    }
    rows
}

fn metadata_rows(rows: &mut Vec<(libc::c_long, When)>) {
    for call in [libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_utimensat] {
        rows.push((call, When::Always));
    }
    for call in [libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr] {
        rows.push((call, When::Always));
    }
    for call in [libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr] {
        rows.push((call, When::Always));
    }
    // fchmodat2 (452), setxattrat (463), removexattrat (466), file_setattr (469): callers fall back.
    for number in [452, 463, 466, 469] {
        rows.push((number, When::Refuse(libc::ENOSYS)));
    }
    rows.push((libc::SYS_ioctl, When::RefuseIf(1, FS_IOC_SETFLAGS, libc::EPERM)));
    rows.push((libc::SYS_ioctl, When::RefuseIf(1, FS_IOC_FSSETXATTR, libc::EPERM)));
    #[cfg(target_arch = "x86_64")]
    for call in
        [libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat]
    {
        rows.push((call, When::Always));
    }
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

const fn step(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}
const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}
const fn low(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

fn body(when: When) -> Vec<Instruction> {
    let ask = step(RETURN, RET_USER_NOTIF);
    let pass = step(RETURN, RET_ALLOW);
    match when {
        When::Always => vec![ask],
        When::Refuse(errno) => vec![step(RETURN, RET_ERRNO | errno.cast_unsigned())],
        When::Bits(argument, mask) => vec![step(LOAD, low(argument)), jump(IF_SET, mask, 0, 1), ask, pass],
        When::NonZero(argument) => vec![
            step(LOAD, low(argument)),
            jump(IF_SET, u32::MAX, 2, 0),
            step(LOAD, low(argument) + 4),
            jump(IF_SET, u32::MAX, 0, 1),
            ask,
            pass,
        ],
        When::UnixDatagram => vec![
            step(LOAD, low(0)),
            jump(IF_EQUAL, libc::AF_UNIX.cast_unsigned(), 0, 4),
            step(LOAD, low(1)),
            step(AND, 0xf),
            // SOCK_RAW of the unix family is a datagram socket too.
            jump(IF_EQUAL, libc::SOCK_DGRAM.cast_unsigned(), 2, 0),
            jump(IF_EQUAL, libc::SOCK_RAW.cast_unsigned(), 1, 0),
            pass,
            ask,
        ],
        When::RefuseIf(argument, value, errno) => {
            vec![
                step(LOAD, low(argument)),
                jump(IF_EQUAL, value, 0, 1),
                step(RETURN, RET_ERRNO | errno.cast_unsigned()),
            ]
        }
    }
}

/// The filter for `traps`.
#[must_use]
pub fn program(traps: Traps) -> Vec<Instruction> {
    let refuse = step(RETURN, RET_ERRNO | libc::ENOSYS.cast_unsigned());
    let mut program = vec![step(LOAD, 4), jump(IF_EQUAL, AUDIT_ARCH, 1, 0), refuse, step(LOAD, 0)];
    program.extend([jump(IF_SET, X32, 0, 1), refuse]);
    for (number, when) in rows(traps) {
        let body = body(when);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        match when {
            // Falls through to further rows of the same call, with the number loaded again.
            When::RefuseIf(..) => {
                program.push(jump(IF_EQUAL, number, 0, length + 1));
                program.extend(body);
                program.push(step(LOAD, 0));
            }
            _ => {
                program.push(jump(IF_EQUAL, number, 0, length));
                program.extend(body);
            }
        }
    }
    program.push(step(RETURN, RET_ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second reading of the program, as the kernel would run it.
    fn run(program: &[Instruction], nr: libc::c_long, args: [u64; 6]) -> u32 {
        let mut data = [0u8; 64];
        data[..4].copy_from_slice(&u32::try_from(nr).unwrap().to_ne_bytes());
        data[4..8].copy_from_slice(&AUDIT_ARCH.to_ne_bytes());
        for (index, value) in args.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&value.to_ne_bytes());
        }
        let (mut at, mut a) = (0usize, 0u32);
        loop {
            let i = program[at];
            at += 1;
            let skip = |yes: bool| usize::from(if yes { i.jt } else { i.jf });
            match i.code {
                LOAD => a = u32::from_ne_bytes(data[i.k as usize..i.k as usize + 4].try_into().unwrap()),
                AND => a &= i.k,
                IF_EQUAL => at += skip(a == i.k),
                IF_SET => at += skip(a & i.k != 0),
                RETURN => return i.k,
                _ => panic!("unknown instruction"),
            }
        }
    }

    fn open_args(flags: i32) -> [u64; 6] {
        [0, 0, u64::from(flags.cast_unsigned()), 0, 0, 0]
    }

    #[test]
    fn only_what_gives_a_name_is_asked_about_when_mounts_hold_the_rest() {
        let program = program(Traps { names: true, unix: true, ..Traps::default() });
        assert_eq!(run(&program, libc::SYS_openat, open_args(libc::O_RDONLY | libc::O_CLOEXEC)), RET_ALLOW);
        assert_eq!(run(&program, libc::SYS_openat, open_args(libc::O_RDWR)), RET_ALLOW);
        assert_eq!(run(&program, libc::SYS_openat, open_args(libc::O_WRONLY | libc::O_CREAT)), RET_USER_NOTIF);
        assert_eq!(run(&program, libc::SYS_read, [0; 6]), RET_ALLOW);
        assert_eq!(run(&program, libc::SYS_renameat2, [0; 6]), RET_USER_NOTIF);
        assert_eq!(run(&program, libc::SYS_openat2, [0; 6]), RET_ERRNO | libc::ENOSYS as u32);
        assert_eq!(run(&program, libc::SYS_unlinkat, open_args(0)), RET_ALLOW);
        assert_eq!(run(&program, libc::SYS_unlinkat, open_args(libc::AT_REMOVEDIR)), RET_USER_NOTIF);
        let unix = |kind: i32| [1, kind as u64, 0, 0, 0, 0];
        assert_eq!(run(&program, libc::SYS_socketpair, unix(libc::SOCK_STREAM | libc::SOCK_CLOEXEC)), RET_ALLOW);
        assert_eq!(run(&program, libc::SYS_socketpair, unix(libc::SOCK_DGRAM | libc::SOCK_CLOEXEC)), RET_USER_NOTIF);
        assert_eq!(run(&program, libc::SYS_socket, [2, libc::SOCK_DGRAM as u64, 0, 0, 0, 0]), RET_ALLOW);
    }

    #[test]
    fn a_read_only_descriptor_is_no_way_to_inode_flags() {
        let program = program(Traps { metadata: true, ..Traps::default() });
        for request in [FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR] {
            let seen = run(&program, libc::SYS_ioctl, [3, u64::from(request) | 1 << 32, 0, 0, 0, 0]);
            assert_eq!(seen, RET_ERRNO | libc::EPERM as u32);
        }
        assert_eq!(run(&program, libc::SYS_ioctl, [0, 0x5401, 0, 0, 0, 0]), RET_ALLOW);
        assert_eq!(run(&program, libc::SYS_fchmod, [0; 6]), RET_USER_NOTIF);
    }

    #[test]
    fn other_call_tables_are_closed() {
        let program = program(Traps { names: true, ..Traps::default() });
        assert_eq!(run(&program, libc::SYS_read | 0x4000_0000, [0; 6]), RET_ERRNO | libc::ENOSYS as u32);
    }

    #[test]
    fn an_address_in_either_half_of_the_register_counts() {
        let program = program(Traps { datagrams: true, ..Traps::default() });
        assert_eq!(run(&program, libc::SYS_sendto, [0, 0, 0, 0, 1 << 40, 0]), RET_USER_NOTIF);
        assert_eq!(run(&program, libc::SYS_sendto, [0, 0, 0, 0, 4096, 0]), RET_USER_NOTIF);
        assert_eq!(run(&program, libc::SYS_sendto, [0; 6]), RET_ALLOW);
    }
}
