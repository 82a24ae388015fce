//! The quick facts: what a start needs to know, without a process made for it.
//!
//! What can only be found by making a sandbox is taken to work: the start itself finds out, says which operation failed
//! and why, and the caller chooses another tier.

use crate::host::{HostFacts, LinuxFacts, System, Tried};
use crate::sys::{process, security};
use ringfence_model::mode::Backend;
use std::path::{Path, PathBuf};

/// Facts for a start on this machine.
#[must_use]
pub fn quick() -> HostFacts {
    let (uid, _) = process::identity();
    let kernel = process::kernel_version();
    let landlock_abi = security::landlock_abi();
    HostFacts {
        system: System::Linux,
        arch: std::env::consts::ARCH.to_owned(),
        kernel,
        uid: Some(uid),
        sys_admin: uid == 0,
        restricted_token: None,
        linux: Some(LinuxFacts {
            namespaces: Tried::Works,
            mount_api: since(kernel, (5, 12)),
            own_proc: Tried::Works,
            landlock_abi,
            landlock_unix: landlock_unix(landlock_abi),
            seccomp: Tried::Works,
            notification: since(kernel, (5, 14)),
            sync_wake: since(kernel, (6, 6)),
            cgroup: None,
            procfs: Path::new("/proc/self/ns").exists(),
            yama: None,
        }),
        bwrap: None,
        container: None,
    }
}

/// The same, with what only this wish needs: a control group is looked for where memory or processes are limited, and
/// `bwrap` where its tier may be the one.
#[must_use]
pub fn quick_for(wish: &ringfence_model::Confinement) -> HostFacts {
    let mut facts = quick();
    let Some(linux) = &mut facts.linux else { return facts };
    linux.cgroup = cgroup_for(wish);
    let known_to_fail = [&linux.mount_api, &linux.notification].into_iter().any(|tried| *tried != Tried::Works);
    if wish.backend.value == Backend::Bwrap || (wish.backend.value == Backend::Auto && known_to_fail) {
        facts.bwrap = super::bwrap::quick();
    }
    facts
}

/// The control group that this wish needs, if one can be had.
pub(crate) fn cgroup_for(wish: &ringfence_model::Confinement) -> Option<PathBuf> {
    (wish.limits.memory.is_some() || wish.limits.processes.is_some()).then(super::cgroup::quick).flatten()
}

/// The right for unix sockets is tried as far as a start can: the kernel takes it, under a version that has it. That it refuses
/// connections is what `ringfence doctor` and `ringfence prove` try.
fn landlock_unix(abi: u32) -> Tried {
    if abi >= super::landlock::UNIX_ABI && security::landlock_has_unix() { Tried::Works } else { Tried::Untried }
}

fn since(kernel: (u32, u32), first: (u32, u32)) -> Tried {
    if kernel >= first {
        return Tried::Works;
    }
    Tried::Fails {
        why: format!("the kernel is {}.{}", kernel.0, kernel.1),
        remedy: Some(format!("use a kernel from {}.{} on", first.0, first.1)),
    }
}
