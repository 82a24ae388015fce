//! Host facts, found by trying: what this machine can enforce, each fact with the file or call it came from and, where
//! something fails, the exact command or setting that would change it.
//!
//! Everything that could disturb the process is done in a child that ends at once. It decides nothing: the choice of a
//! tier is made from the facts by [`crate::host::HostFacts::tiers`].

use crate::host::{HostFacts, System, Tried};
use ringfence_model::Confinement;
use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
mod broker_calls;
#[cfg(target_os = "linux")]
mod bwrap;
#[cfg(target_os = "linux")]
mod cgroup;
pub mod container;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod mount_api;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod notification;
#[cfg(target_os = "linux")]
mod overlay;
#[cfg(target_os = "linux")]
mod own_proc;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(target_os = "linux")]
mod quick;
pub mod remedy;
#[cfg(target_os = "linux")]
mod seccomp;
pub mod surroundings;
#[cfg(target_os = "linux")]
mod yama;

#[cfg(target_os = "linux")]
pub(crate) use quick::cgroup_for;
#[cfg(target_os = "linux")]
pub use quick::{quick, quick_for};

/// What a plan for `wish` is made from: on Linux what can be had without trying everything out, elsewhere all there is.
#[must_use]
pub(crate) fn facts_for(wish: &Confinement) -> HostFacts {
    #[cfg(target_os = "linux")]
    return quick_for(wish);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = wish;
        survey().facts
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name: `user-namespace`, `landlock`, ….
    pub name: String,
    /// Whether it works.
    pub tried: Tried,
    /// What was found, where there is more to say than that it works: `ABI 7`, `scope 1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The file that was read or the call that was made.
    pub source: String,
    /// What it is needed for.
    pub serves: String,
}

/// Everything found on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The facts that plans are compiled from.
    pub facts: HostFacts,
    /// Every single finding, in the order in which a reader wants them.
    pub findings: Vec<Finding>,
}

impl Finding {
    fn new(name: &str, tried: Tried, source: &str, serves: &str) -> Self {
        Self { name: name.into(), tried, detail: None, source: source.into(), serves: serves.into() }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Tries everything. Takes some tens of milliseconds and a few short-lived children; changes nothing.
#[cfg(target_os = "linux")]
#[must_use]
pub fn survey() -> Survey {
    use surroundings::Surroundings;

    let around = Surroundings::read();
    let mut findings = Vec::new();
    let mut note = |finding: Finding| {
        let tried = finding.tried.clone();
        findings.push(finding);
        tried
    };

    note(kernel::probe(&around));
    note(container::finding(&around));
    note(privileges::probe(&around));
    let restrictions = surroundings::findings(&around);
    restrictions.into_iter().for_each(|finding| drop(note(finding)));

    let mut all_namespaces = Tried::Works;
    for finding in namespaces::probe(&around) {
        let tried = note(finding);
        if all_namespaces.works() && !tried.works() {
            all_namespaces = tried;
        }
    }
    let mount_api = note(mount_api::probe(&around));
    let own_proc = note(own_proc::probe(&around));
    let (landlock_abi, landlock_unix, landlock) = landlock::probe(&around);
    landlock.into_iter().for_each(|finding| drop(note(finding)));
    let seccomp = note(seccomp::probe(&around));
    let (notification, sync_wake) = notification::probe(&around);
    let (notification, sync_wake) = (note(notification), note(sync_wake));
    broker_calls::probe(&around).into_iter().for_each(|finding| drop(note(finding)));
    note(overlay::probe(&around));
    let (group, finding) = cgroup::probe();
    note(finding);
    let (bwrap, finding) = bwrap::probe(&around);
    note(finding);
    let (yama, finding) = yama::probe();
    note(finding);

    let facts = HostFacts {
        system: System::Linux,
        arch: std::env::consts::ARCH.into(),
        kernel: around.kernel,
        uid: Some(around.uid),
        sys_admin: around.sys_admin,
        restricted_token: None,
        linux: Some(crate::host::LinuxFacts {
            namespaces: all_namespaces,
            mount_api,
            own_proc,
            landlock_abi,
            landlock_unix,
            seccomp,
            notification,
            sync_wake,
            cgroup: group,
            procfs: around.procfs,
            yama,
        }),
        bwrap,
        container: (!around.containers.is_empty())
            .then(|| around.containers.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")),
    };
    Survey { facts, findings }
}

/// The directory of the control group (version 2) that a process is in.
#[cfg(target_os = "linux")]
pub(crate) fn control_group_of(pid: i32) -> Option<std::path::PathBuf> {
    cgroup::of_process(pid)
}

/// Elsewhere than on Linux there is one tier and nothing to choose.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn survey() -> Survey {
    let findings = own_tier();
    let facts = HostFacts {
        system: if cfg!(windows) { System::Windows } else { System::Macos },
        arch: std::env::consts::ARCH.into(),
        kernel: (0, 0),
        uid: None,
        sys_admin: false,
        restricted_token: findings
            .iter()
            .find(|finding| finding.name == "restricted-token")
            .map(|finding| finding.tried.clone()),
        linux: None,
        bwrap: None,
        container: None,
    };
    Survey { facts, findings }
}

#[cfg(windows)]
fn own_tier() -> Vec<Finding> {
    let tried = crate::windows::trial::restricted_token();
    let (source, serves) =
        ("CreateRestrictedToken, AccessCheck", "writes only where the plan allows them: the whole tier");
    vec![Finding::new("restricted-token", tried, source, serves)]
}

#[cfg(not(any(target_os = "linux", windows)))]
fn own_tier() -> Vec<Finding> {
    Vec::new()
}

/// What a trial in a child comes to, with the remedy if it failed.
#[cfg(target_os = "linux")]
fn tried(
    attempt: impl FnOnce() -> crate::sys::trial::Attempt,
    remedy: impl FnOnce(&str, i32) -> Option<String>,
) -> Tried {
    use crate::sys::trial::Seen;
    match crate::sys::trial::in_child(attempt) {
        Ok(Seen::Worked) => Tried::Works,
        Ok(Seen::Failed { call, errno }) => {
            Tried::Fails { why: format!("{call}: {}", errno_name(errno)), remedy: remedy(&call, errno) }
        }
        Ok(Seen::Killed(signal)) => Tried::Fails {
            why: format!("a filter around this process killed the trial with signal {signal}"),
            remedy: remedy("", libc::EPERM),
        },
        Err(error) => Tried::Fails { why: format!("fork(): {error}"), remedy: None },
    }
}

/// The symbol of an errno, for those that the trials meet; else the system's text.
#[cfg(target_os = "linux")]
#[must_use]
pub fn errno_name(errno: i32) -> String {
    const NAMES: &[(i32, &str)] = &[
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::ENXIO, "ENXIO"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::ENETDOWN, "ENETDOWN"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
        (libc::EEXIST, "EEXIST"),
        (libc::EACCES, "EACCES"),
        (libc::EBUSY, "EBUSY"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::EUSERS, "EUSERS"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == errno)
        .map_or_else(|| std::io::Error::from_raw_os_error(errno).to_string(), |(_, name)| (*name).to_owned())
}
