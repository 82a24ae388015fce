//! The filter as an attacker meets it: interpreted as the kernel would, and compared with a slow reading of the rows.

use super::numbers::{HIGHEST, number};
use super::*;
use crate::plan::SeccompProfile;
use proptest::prelude::*;

/// A call as the kernel hands it to a filter.
#[derive(Debug, Clone, Copy)]
struct Call {
    nr: u32,
    arch: u32,
    args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.nr,
            4 => self.arch,
            _ => {
                let arg = self.args[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { arg as u32 } else { (arg >> 32) as u32 }
            }
        }
    }
}

/// Runs a program as the kernel does.
fn interpret(program: &[libc::sock_filter], call: Call) -> u32 {
    let (mut at, mut accumulator) = (0usize, 0u32);
    loop {
        let line = program[at];
        at += 1;
        match line.code {
            0x20 => accumulator = call.word(line.k),
            0x54 => accumulator &= line.k,
            0x05 => at += line.k as usize,
            0x15 => at += usize::from(if accumulator == line.k { line.jt } else { line.jf }),
            0x25 => at += usize::from(if accumulator > line.k { line.jt } else { line.jf }),
            0x35 => at += usize::from(if accumulator >= line.k { line.jt } else { line.jf }),
            0x06 => return line.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn holds(condition: &Condition, args: &[u64; 6]) -> bool {
    let low = |arg: &u8| args[usize::from(*arg)] as u32;
    match condition {
        Condition::Equal(arg, value) => low(arg) == *value,
        Condition::Differs(arg, value) => low(arg) != *value,
        Condition::Equal64(arg, value) => args[usize::from(*arg)] == *value,
        Condition::Differs64(arg, value) => args[usize::from(*arg)] != *value,
        Condition::AnyBit(arg, bits) => low(arg) & bits != 0,
        Condition::Masked(arg, mask, value) => low(arg) & mask == *value,
        Condition::Above(arg, value) => low(arg) > *value,
    }
}

/// The slow reading.
fn reference(arch: Arch, rows: &[Row], call: Call) -> Action {
    if call.arch != arch.audit() {
        return Action::Kill;
    }
    if call.nr > HIGHEST {
        return Action::Errno(libc::ENOSYS);
    }
    rows.iter()
        .find(|row| number(arch, row.call) == Some(call.nr) && row.when.iter().all(|when| holds(when, &call.args)))
        .map_or(Action::Allow, |row| row.action)
}

fn as_verdict(action: Action) -> u32 {
    match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
        Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
        Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    }
}

#[test]
fn every_jump_lands_inside() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let program = program(arch, &base(SeccompProfile::Offline)).expect("compiles");
        for (at, line) in program.iter().enumerate() {
            let reach = match line.code & 0x07 {
                0x05 if line.code == 0x05 => line.k as usize,
                0x05 => usize::from(line.jt.max(line.jf)),
                0x06 => continue,
                _ => 0,
            };
            assert!(at + 1 + reach < program.len(), "{arch:?} {at} {line:?} of {}", program.len());
        }
        assert!(program.len() < 1024, "{}", program.len());
    }
}

#[test]
fn proc_09_foreign_abis_are_closed() {
    let program = program(Arch::X86_64, &base(SeccompProfile::Offline)).expect("compiles");
    let i386 = Call { nr: 20, arch: 0x4000_0003, args: [0; 6] };
    assert_eq!(interpret(&program, i386), libc::SECCOMP_RET_KILL_PROCESS);
    let x32 = Call { nr: 0x4000_0000 | 39, arch: 0xc000_003e, args: [0; 6] };
    assert_eq!(interpret(&program, x32), as_verdict(Action::Errno(libc::ENOSYS)));
}

#[test]
fn every_row_names_a_call_of_the_tables() {
    for row in base(SeccompProfile::Online) {
        assert!(number(Arch::X86_64, row.call).or(number(Arch::Aarch64, row.call)).is_some(), "{}", row.call);
    }
}

#[test]
fn numbers_agree_with_the_c_library() {
    for (name, ours) in [("openat", libc::SYS_openat), ("clone3", libc::SYS_clone3), ("ioctl", libc::SYS_ioctl)] {
        let arch = Arch::from_name(std::env::consts::ARCH).expect("a known processor");
        assert_eq!(number(arch, name).map(i64::from), Some(ours), "{name}");
    }
}

proptest! {
    #[test]
    fn the_program_says_what_the_rows_say(
        nr in prop_oneof![0u32..480, Just(0x4000_0001u32), any::<u32>()],
        args in proptest::array::uniform6(prop_oneof![any::<u64>(), 0u64..64, (0u32..64).prop_map(|bit| 1u64 << bit), Just(0x5412u64), Just(0x1_0000_5412u64)]),
        native in any::<bool>(),
    ) {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let mut rows = base(SeccompProfile::Offline);
            rows.push(Row::when("openat", &[Condition::AnyBit(2, 0o100)], Action::Notify));
            rows.push(Row::always("connect", Action::Notify));
            let program = program(arch, &rows).expect("compiles");
            let call = Call { nr, arch: if native { arch.audit() } else { 0x4000_0003 }, args };
            prop_assert_eq!(interpret(&program, call), as_verdict(reference(arch, &rows, call)));
        }
    }
}
