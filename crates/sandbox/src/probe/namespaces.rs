//! The namespaces the first tier needs: a user namespace with its maps, each further namespace inside it, and a mount.

use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::security;
use crate::sys::trial::{self, Attempt};

pub(super) fn probe(around: &Surroundings) -> Vec<Finding> {
    let maps = Maps::for_us();
    let fix = |_: &str, errno: i32| advise(Need::Namespaces, errno, around);
    let mut found = Vec::new();
    let user = tried(|| maps.enter(), fix);
    let works = user.works();
    found.push(Finding::new(
        "user-namespace",
        user,
        "unshare(CLONE_NEWUSER), /proc/self/uid_map, /proc/self/gid_map",
        "the namespaces tier",
    ));
    if !works {
        // Everything below would only repeat the failure.
        return found;
    }
    for (name, call, flag, serves) in KINDS {
        let result = tried(|| maps.enter().and_then(|()| trial::unshare(call, *flag)), fix);
        found.push(Finding::new(name, result, call, serves));
    }
    let mounts = tried(|| maps.enter().and_then(|()| private_tmpfs()), fix);
    let source = "unshare(CLONE_NEWNS), mount(MS_SLAVE|MS_REC), mount(tmpfs)";
    found.push(Finding::new("mounts-inside", mounts, source, "read-only and masked paths"));
    found
}

const KINDS: &[(&str, &str, i32, &str)] = &[
    ("mount-namespace", "unshare(CLONE_NEWNS)", libc::CLONE_NEWNS, "read-only and masked paths"),
    ("pid-namespace", "unshare(CLONE_NEWPID)", libc::CLONE_NEWPID, "processes outside are out of reach"),
    ("ipc-namespace", "unshare(CLONE_NEWIPC)", libc::CLONE_NEWIPC, "System V and POSIX IPC of its own"),
    ("net-namespace", "unshare(CLONE_NEWNET)", libc::CLONE_NEWNET, "no packet leaves, loopback works"),
    ("uts-namespace", "unshare(CLONE_NEWUTS)", libc::CLONE_NEWUTS, "a host name of its own"),
    ("cgroup-namespace", "unshare(CLONE_NEWCGROUP)", libc::CLONE_NEWCGROUP, "control groups outside stay hidden"),
];

/// The texts for a user namespace's maps, made before the fork so that the child needn't allocate.
pub(super) struct Maps {
    uid: String,
    gid: String,
}

impl Maps {
    /// This user and group mapped to themselves.
    pub(super) fn for_us() -> Self {
        let (uid, gid) = trial::ids();
        Self { uid: format!("{uid} {uid} 1\n"), gid: format!("{gid} {gid} 1\n") }
    }

    /// In a child: into a new user namespace.
    pub(super) fn enter(&self) -> Attempt {
        trial::unshare("unshare(CLONE_NEWUSER)", libc::CLONE_NEWUSER)?;
        // Where a start was tried before, these files belong to root: the process isn't dumpable any more. A child is itself.
        let _ = security::prctl(libc::PR_SET_DUMPABLE, 1);
        trial::write_proc("write(/proc/self/setgroups)", c"/proc/self/setgroups", b"deny")?;
        trial::write_proc("write(/proc/self/uid_map)", c"/proc/self/uid_map", self.uid.as_bytes())?;
        trial::write_proc("write(/proc/self/gid_map)", c"/proc/self/gid_map", self.gid.as_bytes())
    }
}

/// In a child in a user namespace: a mount namespace in which nothing spreads to the host, with a file system mounted.
pub(super) fn private_tmpfs() -> Attempt {
    trial::unshare("unshare(CLONE_NEWNS)", libc::CLONE_NEWNS)?;
    let flags = libc::MS_REC | libc::MS_SLAVE;
    trial::mount("mount(MS_SLAVE|MS_REC)", c"none", c"/", None, flags, None)?;
    trial::mount("mount(tmpfs)", c"tmpfs", c"/tmp", Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV, None)
}
