//! Yama's ptrace scope: whether a command may debug its own children, and others of the same user us.

use super::Finding;
use super::surroundings::read;
use crate::host::Tried;

pub(super) fn probe() -> (Option<u8>, Finding) {
    const SOURCE: &str = "/proc/sys/kernel/yama/ptrace_scope";
    let scope = read(SOURCE).and_then(|text| text.parse::<u8>().ok());
    let detail = match scope {
        None => "absent",
        Some(0) => "scope 0: any process of the same user",
        Some(1) => "scope 1: own children",
        Some(2) => "scope 2: administrators only; debuggers inside don't work",
        Some(_) => "scope 3: nobody; debuggers inside don't work",
    };
    let finding = Finding::new("yama", Tried::Works, SOURCE, "debuggers on own children").detail(detail);
    (scope, finding)
}
