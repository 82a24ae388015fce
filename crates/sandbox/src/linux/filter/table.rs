//! The base profile: what no confined command may call, with the reason per row.
//!
//! Everything else is allowed: mounts, namespaces and Landlock hold the rest. The errno is the one that makes libraries
//! fall back: ENOSYS for calls they probe for, EPERM for what a person asked for.

use super::{Action, Condition, Row};
use crate::plan::SeccompProfile;
use Condition::{AnyBit, Differs, Equal, Masked};

const EPERM: Action = Action::Errno(libc::EPERM);
const ENOSYS: Action = Action::Errno(libc::ENOSYS);
/// As a file system that doesn't know the request.
const NO_IOCTL: Action = Action::Errno(libc::ENOTTY);
const NO_FAMILY: Action = Action::Errno(libc::EAFNOSUPPORT);

/// Calls without conditions: names, action, reason.
const CALLS: &[(&[&str], Action, &str)] = &[
    (
        &[
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "open_tree",
            "open_tree_attr",
            "move_mount",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "mount_setattr",
        ],
        EPERM,
        "the tree is what the plan made it",
    ),
    (&["setns"], EPERM, "other namespaces are other sandboxes or none"),
    (&["clone3"], ENOSYS, "its flags are in memory; libraries fall back to `clone`, whose flags can be judged"),
    (&["openat2"], ENOSYS, "its mode and flags are in memory; libraries fall back to `openat`"),
    (&["io_uring_setup", "io_uring_enter", "io_uring_register"], ENOSYS, "its requests pass no filter"),
    (&["open_by_handle_at"], EPERM, "it opens files by number, past every directory"),
    (&["bpf", "perf_event_open"], EPERM, "they read and change the kernel"),
    (&["userfaultfd"], EPERM, "it holds the kernel still in the middle of a copy"),
    (&["add_key", "request_key", "keyctl"], ENOSYS, "keyrings belong to the user, not to the sandbox"),
    (&["kexec_load", "kexec_file_load", "reboot"], EPERM, "they replace or stop the kernel"),
    (&["init_module", "finit_module", "delete_module"], EPERM, "they change the kernel"),
    (&["swapon", "swapoff", "acct", "quotactl", "quotactl_fd"], EPERM, "they administer the host"),
    (&["settimeofday", "clock_settime"], EPERM, "they set the host's clock"),
    (&["fanotify_init"], EPERM, "it watches files of everybody"),
    (&["memfd_secret"], ENOSYS, "memory that nobody can look into"),
    (&["modify_ldt", "iopl", "ioperm"], EPERM, "processor state that hardly a program needs"),
    (&["syslog", "vhangup", "lookup_dcookie", "nfsservctl", "uselib", "_sysctl"], EPERM, "they serve administrators"),
];

/// The bits that make `clone` and `unshare` a new namespace.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// A new time namespace; as a flag of `clone` the bit is part of the exit signal.
const TIME_NAMESPACE: u32 = 0x80;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

const CREATE: u32 = libc::O_CREAT as u32;
/// `O_TMPFILE` without the bit that it shares with `O_DIRECTORY`.
const TEMPORARY: u32 = 0o20_000_000;

/// Calls judged by their arguments: call, conditions, action, reason.
const JUDGED: &[(&str, &[Condition], Action, &str)] = &[
    ("clone", &[AnyBit(0, NAMESPACES)], EPERM, "a user namespace would give capabilities back"),
    ("unshare", &[AnyBit(0, NAMESPACES | TIME_NAMESPACE)], EPERM, "a user namespace would give capabilities back"),
    ("chmod", &[AnyBit(1, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    ("fchmod", &[AnyBit(1, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    ("fchmodat", &[AnyBit(2, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    ("fchmodat2", &[AnyBit(2, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    ("mknod", &[AnyBit(1, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    ("mknodat", &[AnyBit(2, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    ("creat", &[AnyBit(1, SET_ID)], EPERM, "a set-user-id file would outlast the sandbox"),
    (
        "open",
        &[AnyBit(1, CREATE | TEMPORARY), AnyBit(2, SET_ID)],
        EPERM,
        "a set-user-id file would outlast the sandbox",
    ),
    (
        "openat",
        &[AnyBit(2, CREATE | TEMPORARY), AnyBit(3, SET_ID)],
        EPERM,
        "a set-user-id file would outlast the sandbox",
    ),
    ("ioctl", &[Equal(1, 0x5412)], EPERM, "TIOCSTI types commands into the user's shell"),
    ("ioctl", &[Equal(1, 0x541c)], EPERM, "TIOCLINUX pastes into the user's console"),
    ("ioctl", &[Equal(1, 0x5423)], EPERM, "TIOCSETD loads line disciplines"),
    ("ioctl", &[Equal(1, 0x541d)], EPERM, "TIOCCONS takes over the console's output"),
    ("ioctl", &[Equal(1, 0x4004_9409)], Action::Allow, "FICLONE writes to a descriptor that may write"),
    ("ioctl", &[Equal(1, 0x4020_940d)], Action::Allow, "FICLONERANGE writes to a descriptor that may write"),
    ("ioctl", &[Equal(1, 0xc018_9436)], Action::Allow, "FIDEDUPERANGE changes no content"),
    (
        "ioctl",
        &[Masked(1, 0xff00, 0x9400)],
        NO_IOCTL,
        "btrfs makes and removes named subvolumes past every rule on names",
    ),
    ("ioctl", &[Masked(1, 0xff00, 0xbc00)], NO_IOCTL, "bcachefs makes and removes named subvolumes the same way"),
    ("ioctl", &[Equal(1, 0x4018_6f04)], NO_IOCTL, "OCFS2_IOC_REFLINK names a copy by a path in memory"),
    ("ioctl", &[Equal(1, 0xc050_6617)], EPERM, "FS_IOC_ADD_ENCRYPTION_KEY: keys of file systems belong to the user"),
    ("ioctl", &[Equal(1, 0xc040_6618)], EPERM, "FS_IOC_REMOVE_ENCRYPTION_KEY locks the user's directories"),
    (
        "socket",
        &[
            Differs(0, libc::AF_UNIX as u32),
            Differs(0, libc::AF_INET as u32),
            Differs(0, libc::AF_INET6 as u32),
            Differs(0, libc::AF_NETLINK as u32),
        ],
        NO_FAMILY,
        "families that leave the network namespace or reach deep into the kernel",
    ),
    (
        "socket",
        &[Equal(0, libc::AF_NETLINK as u32), Differs(2, libc::NETLINK_ROUTE as u32)],
        Action::Errno(libc::EPROTONOSUPPORT),
        "only route queries, which name resolution makes",
    ),
    ("socketpair", &[Differs(0, libc::AF_UNIX as u32)], NO_FAMILY, "no other family is needed"),
    (
        "personality",
        // Plain, without address randomisation (debuggers ask for it), and the query.
        &[Differs(0, 0), Differs(0, 0x0004_0000), Differs(0, 0xffff_ffff)],
        EPERM,
        "old personalities weaken memory protection",
    ),
    // `PRIO_PGRP` and `IOPRIO_WHO_PGRP` of "my own group": the supervisor and the rest of the user's pipeline are in it.
    ("setpriority", &[Equal(0, 1), Equal(1, 0)], EPERM, "the group reaches outside"),
    ("ioprio_set", &[Equal(0, 2), Equal(1, 0)], EPERM, "the group reaches outside"),
];

/// The rows of a profile.
#[must_use]
pub fn base(profile: SeccompProfile) -> Vec<Row> {
    // Both profiles are the same today: what network on allows is decided by the namespace, not by the filter.
    let (SeccompProfile::Offline | SeccompProfile::Online) = profile;
    let mut rows = Vec::with_capacity(96);
    for (names, action, _) in CALLS {
        rows.extend(names.iter().map(|name| Row::always(name, *action)));
    }
    for (call, when, action, _) in JUDGED {
        rows.push(Row::when(call, when, *action));
    }
    rows
}

/// Every row with its reason, for the printed plan and the reference.
pub fn exceptions_explained() -> impl Iterator<Item = (&'static str, Action, &'static str)> {
    let calls = CALLS.iter().flat_map(|(names, action, why)| names.iter().map(move |name| (*name, *action, *why)));
    calls.chain(JUDGED.iter().map(|(call, _, action, why)| (*call, *action, *why)))
}
