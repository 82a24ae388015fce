//! What a host offers, as a value: found by trying in `probe`, recorded as JSON for the test matrix.

use ringfence_model::Tier;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The outcome of trying one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "found")]
pub enum Tried {
    /// It works.
    Works,
    /// It doesn't.
    Fails {
        /// What was tried and the errno it gave: `unshare(CLONE_NEWUSER): EPERM`.
        why: String,
        /// The command or setting that would change it, if one is known.
        remedy: Option<String>,
    },
    /// It wasn't tried, since the plan at hand doesn't need it.
    Untried,
}

impl Tried {
    /// Whether it was tried and works.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self, Self::Works)
    }
}

/// Operating systems a plan can be compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Linux.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
}

impl System {
    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "Linux",
            Self::Macos => "macOS",
            Self::Windows => "Windows",
        }
    }
}

/// What this machine offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The operating system.
    pub system: System,
    /// Processor architecture as in `std::env::consts::ARCH`.
    pub arch: String,
    /// Kernel release, major and minor.
    pub kernel: (u32, u32),
    /// Effective user id; None where users aren't numbers.
    pub uid: Option<u32>,
    /// `CAP_SYS_ADMIN` in the effective set.
    pub sys_admin: bool,
    /// Linux only.
    pub linux: Option<LinuxFacts>,
    /// Windows only: the system checks a restricted token against the run's own identifier too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restricted_token: Option<Tried>,
    /// Tools that may be used outside, by absolute path that only root can change.
    pub bwrap: Option<BwrapFacts>,
    /// The kind of container or virtual system this runs in, as far as it shows.
    pub container: Option<String>,
}

/// Linux features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinuxFacts {
    /// A user namespace, with the namespaces of mounts, processes, IPC, network, host name inside it, in which a mount
    /// can be made.
    pub namespaces: Tried,
    /// `open_tree`, `move_mount`, `mount_setattr` (Linux 5.12).
    pub mount_api: Tried,
    /// A fresh `/proc` can be mounted inside (fails where an outer container masks parts of `/proc`).
    pub own_proc: Tried,
    /// Landlock ABI version; 0 where it is absent.
    pub landlock_abi: u32,
    /// Landlock keeps unix sockets made outside from being reached by their path (`LANDLOCK_ACCESS_FS_RESOLVE_UNIX`).
    pub landlock_unix: Tried,
    /// Seccomp filters.
    pub seccomp: Tried,
    /// Seccomp user notification with `SECCOMP_ADDFD_FLAG_SEND` (Linux 5.14); fails with EBUSY where an outer broker
    /// holds the one listener a process chain may have.
    pub notification: Tried,
    /// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6).
    pub sync_wake: Tried,
    /// cgroup v2 delegated to this user: the directory in which a child group can be made.
    pub cgroup: Option<PathBuf>,
    /// `/proc` is mounted.
    pub procfs: bool,
    /// Yama's ptrace scope; None where Yama is absent.
    pub yama: Option<u8>,
}

/// The host's `bwrap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BwrapFacts {
    /// Absolute path; the file and all directories above are root's and not writable by others.
    pub path: PathBuf,
    /// As it prints.
    pub version: String,
    /// Whether it is set-user-id root.
    pub setuid: bool,
    /// Whether it could make a sandbox here.
    pub usable: Tried,
}

impl HostFacts {
    /// The tiers that passed their self-test, most capable first.
    #[must_use]
    pub fn tiers(&self) -> Vec<Tier> {
        let mut tiers = Vec::new();
        let Some(linux) = &self.linux else {
            match self.system {
                System::Macos => tiers.push(Tier::Seatbelt),
                System::Windows if self.restricted_token.as_ref().is_none_or(Tried::works) => tiers.push(Tier::Windows),
                System::Windows => {}
                System::Linux => {}
            }
            return tiers;
        };
        let base = linux.seccomp.works() && linux.procfs;
        if base && linux.namespaces.works() && linux.mount_api.works() {
            tiers.push(Tier::Namespaces);
        }
        if base && self.bwrap.as_ref().is_some_and(|bwrap| bwrap.usable.works()) {
            tiers.push(Tier::Bwrap);
        }
        if base && linux.landlock_abi >= 1 && linux.notification.works() {
            tiers.push(Tier::Landlock);
        }
        tiers
    }
}
