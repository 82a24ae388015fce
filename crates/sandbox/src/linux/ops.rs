//! Operations: the plan's steps as kernel calls, prepared outside and carried out inside.
//!
//! A value of this module is built by `prepare`, before there is a child, and only read by `child`. Descriptors that
//! come into being inside are numbered slots.

use super::systems::FileSystem;
use crate::sys::mount::Attributes;
use ringfence_model::facts::FileId;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

/// Where the host keeps network devices.
pub(crate) const DEVICES: &CStr = c"/dev/net";

/// A descriptor that an operation makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub usize);

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The root directory; the path is absolute.
    Root,
    /// A descriptor; the path is below it.
    Slot(Slot),
}

/// One operation, and the step of the plan that it serves.
#[derive(Debug)]
pub(crate) struct Operation {
    pub op: Op,
    /// Index into the plan's steps.
    pub step: u32,
    /// What a failure means.
    pub lenience: Lenience,
}

/// What the failure of an operation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lenience {
    /// The run ends before the command starts.
    Fatal,
    /// That nothing is there is fine: the rest of the step is skipped. Anything else is fatal.
    MissingIsFine,
    /// The rest of the step is skipped, and the report says so.
    Reported,
}

/// A kernel call, or a few that belong together.
#[derive(Debug)]
pub(crate) enum Op {
    /// Opens a path without following any link, and compares what was opened with what was expected.
    Open { to: Slot, from: From, path: CString, expect: Option<FileId> },
    /// A detached copy of the mounts at a descriptor.
    CloneTree { from: Slot, to: Slot, recursive: bool },
    /// Changes attributes of the mounts at a descriptor.
    SetAttributes { at: Slot, recursive: bool, attributes: Attributes },
    /// Puts a detached mount onto a descriptor.
    Attach { tree: Slot, at: Slot },
    /// Puts a detached mount onto a path below a descriptor.
    AttachBelow { tree: Slot, dir: Slot, path: CString },
    /// Makes a new file system, detached.
    NewFileSystem { to: Slot, system: &'static FileSystem },
    /// Makes a directory; that it exists is fine.
    MakeDirectory { dir: Slot, path: CString, mode: u32 },
    /// Makes a file with this content.
    MakeFile { dir: Slot, path: CString, mode: u32, content: Vec<u8> },
    /// Makes a symbolic link.
    MakeLink { dir: Slot, path: CString, target: CString },
    /// Covers what is there by an unreadable file or directory, whichever it is.
    Cover { at: Slot, file: Slot, directory: Slot },
    /// The same for a path below a descriptor; that nothing is there is fine.
    CoverBelow { dir: Slot, path: CString, file: Slot, directory: Slot },
    /// Binds a path below a descriptor onto itself with these attributes; that nothing is there is fine.
    Rebind { dir: Slot, path: CString, attributes: Attributes },
    /// Opens and copies, read-only, what shall stay in a directory that will be covered; that nothing is there is fine.
    KeepTree { path: CString, from: Slot, to: Slot },
    /// Puts a copy below a private directory, making the way to it: each prefix of the path, the whole last.
    PlaceKept { dir: Slot, path: Vec<CString>, from: Slot, tree: Slot },
    /// A Landlock ruleset.
    LandlockCreate { to: Slot, files: u64, network: u64, scopes: u64 },
    /// A rule of it; a slot that was skipped grants nothing.
    LandlockRule { ruleset: Slot, at: Slot, rights: u64 },
    /// Binds a device node of another directory into a new one.
    BindNode { from: Slot, dir: Slot, path: CString },
    /// Goes into the network that the helper has made meanwhile.
    JoinNetwork,
    /// Makes the interface through which everything leaves, by the host's directory of network devices.
    MakeInterface { devices: Slot, to: Slot },
}

/// All operations, and the slots they fill.
#[derive(Debug)]
pub(crate) struct Program {
    pub operations: Arc<[Operation]>,
    pub slots: Vec<AtomicI32>,
}

impl Op {
    /// What would make a failure of it go away, where that is known.
    pub(crate) fn remedy(&self, errno: crate::sys::Errno) -> &'static str {
        let devices = matches!(self, Self::Open { path, .. } if path.as_bytes() == DEVICES.to_bytes());
        if (devices || matches!(self, Self::MakeInterface { .. })) && crate::sys::tunnel::unavailable(errno) {
            return "load the kernel's `tun` module (in a container: pass the device `/dev/net/tun`), or remove \
                    `network.transparent`";
        }
        ""
    }

    /// In words, for an error.
    pub(crate) fn describe(&self) -> String {
        let show = |path: &CString| ringfence_model::text::escape_bytes(path.as_bytes());
        match self {
            Self::Open { path, .. } => format!("open `{}`", show(path)),
            Self::CloneTree { .. } => "copy a mount (`open_tree`)".to_owned(),
            Self::SetAttributes { .. } => "change attributes of mounts (`mount_setattr`)".to_owned(),
            Self::Attach { .. } => "attach a mount (`move_mount`)".to_owned(),
            Self::AttachBelow { path, .. } => format!("attach a mount at `{}` (`move_mount`)", show(path)),
            Self::NewFileSystem { system, .. } => format!("mount a new `{}`", show(&system.kind.to_owned())),
            Self::MakeDirectory { path, .. } => format!("make the directory `{}`", show(path)),
            Self::MakeFile { path, .. } => format!("make the file `{}`", show(path)),
            Self::MakeLink { path, .. } => format!("make the link `{}`", show(path)),
            Self::Cover { .. } => "cover a path that must not be read".to_owned(),
            Self::CoverBelow { path, .. } => format!("cover `{}`", show(path)),
            Self::Rebind { path, .. } => format!("bind `{}` read-only", show(path)),
            Self::KeepTree { path, .. } => format!("copy the mount of `{}`", show(path)),
            Self::PlaceKept { path, .. } => {
                path.last().map(|path| format!("attach `{}`", show(path))).unwrap_or_default()
            }
            Self::LandlockCreate { .. } => "make a Landlock ruleset".to_owned(),
            Self::LandlockRule { .. } => "add a Landlock rule".to_owned(),
            Self::BindNode { path, .. } => format!("bind the device `{}`", show(path)),
            Self::JoinNetwork => "make a network namespace with loopback".to_owned(),
            Self::MakeInterface { .. } => "make the interface to the proxy (`/dev/net/tun`)".to_owned(),
        }
    }
}
