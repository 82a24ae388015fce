//! Settings of the host's kernel can't be changed, also not by root.

use super::harness::{Probe, Scratch, Verdict, expect};

pub const PROBES: &[Probe] = &[
    ("fs_14_kernel_settings_are_read_only", settings),
    ("fs_14_the_host_name_stays", host_name),
    ("fs_14_sys_is_read_only", sys),
];

fn settings(scratch: &Scratch) -> Verdict {
    let path = "/proc/sys/kernel/core_pattern";
    let before = std::fs::read(path)?;
    let script =
        format!("echo '|/tmp/x' >{path}; echo b >/proc/sysrq-trigger; echo 1 >/proc/sys/vm/drop_caches; exit 0");
    let seen = scratch.sh(scratch.wish(), &script)?;
    let after = std::fs::read(path)?;
    if after != before {
        std::fs::write(path, &before)?;
    }
    expect(after == before, format!("core_pattern was changed: {seen:?}"))?;
    let seen = scratch.sh(scratch.wish(), "echo x >/proc/sysrq-trigger || echo refused")?;
    expect(seen.out == "refused\n", "sysrq-trigger was opened")?;
    scratch
        .sh(scratch.wish(), "cat /proc/sys/kernel/ostype /proc/cpuinfo /proc/meminfo /proc/self/status >/dev/null")?
        .works()
}

fn host_name(scratch: &Scratch) -> Verdict {
    let before = std::fs::read("/proc/sys/kernel/hostname")?;
    scratch.attack(scratch.wish(), &["host-name"])?;
    scratch.sh(scratch.wish(), "echo owned >/proc/sys/kernel/hostname; exit 0")?;
    expect(std::fs::read("/proc/sys/kernel/hostname")? == before, "the host name was changed")
}

fn sys(scratch: &Scratch) -> Verdict {
    let script = "for f in /sys/kernel/uevent_helper /sys/kernel/mm/transparent_hugepage/enabled /sys/power/state; do \
                  ( : >>$f ) 2>/dev/null && echo opened $f; done; exit 0";
    let seen = scratch.sh(scratch.wish(), script)?;
    expect(seen.out.is_empty(), format!("below /sys: {}", seen.out))
}
