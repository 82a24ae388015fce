//! The new file systems of a sandbox: of what kind each is, and which are made early.
//!
//! Those that nearly every sandbox wants are made by process 1 while it has nothing else to do: the plan isn't known yet.
//! They are attached to nothing until the plan says where they belong; what no plan asks for is gone with process 1.

use super::ops::{Op, Slot};
use crate::sys::{Errno, fs, mount};
use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// A file system that is new and empty, or the kernel's own.
#[derive(Debug)]
pub(crate) struct FileSystem {
    /// Its type, as `fsopen(2)` takes it.
    pub kind: &'static CStr,
    /// What is set before it is made.
    options: &'static [(&'static CStr, &'static CStr)],
    /// `MOUNT_ATTR_*`.
    attributes: u64,
}

const NO_SETUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NO_DEVICES: u64 = NO_SETUID | libc::MOUNT_ATTR_NODEV;
const NO_PROGRAMS: u64 = NO_SETUID | libc::MOUNT_ATTR_NOEXEC;

/// A directory of the sandbox's own in which nobody makes anything: `/run`.
pub(crate) static CLOSED: FileSystem =
    FileSystem { kind: c"tmpfs", options: &[(c"mode", c"0755")], attributes: NO_DEVICES };
/// One in which everybody does: `/tmp`.
pub(crate) static OPEN: FileSystem =
    FileSystem { kind: c"tmpfs", options: &[(c"mode", c"1777")], attributes: NO_DEVICES };
/// What masks are made of.
pub(crate) static COVERS: FileSystem =
    FileSystem { kind: c"tmpfs", options: &[(c"mode", c"0755")], attributes: NO_DEVICES | NO_PROGRAMS };
/// `/dev`. Not `nodev`: the nodes bound into it keep the attributes of their own mounts.
pub(crate) static DEVICES: FileSystem =
    FileSystem { kind: c"tmpfs", options: &[(c"mode", c"0755")], attributes: NO_PROGRAMS };
/// `/dev/pts`. Each is an instance of its own.
pub(crate) static TERMINALS: FileSystem =
    FileSystem { kind: c"devpts", options: &[(c"ptmxmode", c"0666"), (c"mode", c"620")], attributes: NO_PROGRAMS };
/// `/dev/shm`.
pub(crate) static SHARED_MEMORY: FileSystem =
    FileSystem { kind: c"tmpfs", options: &[(c"mode", c"1777")], attributes: NO_SETUID };
/// `/proc`, of the process namespace it is made in.
pub(crate) static PROCESSES: FileSystem =
    FileSystem { kind: c"proc", options: &[], attributes: NO_DEVICES | NO_PROGRAMS };

/// What is made early.
const EARLY: [&FileSystem; 5] = [&PROCESSES, &DEVICES, &TERMINALS, &SHARED_MEMORY, &CLOSED];

impl FileSystem {
    /// Makes it; attached to nothing.
    pub(crate) fn make(&self) -> Result<i32, Errno> {
        let context = mount::fsopen(self.kind)?;
        let made = self
            .options
            .iter()
            .try_for_each(|(key, value)| mount::fsconfig_string(context, key, value))
            .and_then(|()| mount::fsconfig_create(context))
            .and_then(|()| mount::fsmount(context, self.attributes));
        fs::close(context);
        made
    }
}

/// The descriptors of what was made early; −1 where there is none.
#[derive(Debug)]
pub(crate) struct Early([AtomicI32; EARLY.len()]);

impl Early {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicI32::new(-1) }; EARLY.len()])
    }

    /// Makes them. One that can't be made is left to its own step, which says why.
    pub(crate) fn make(&self) {
        for (system, made) in EARLY.iter().zip(&self.0) {
            made.store(system.make().unwrap_or(-1), SeqCst);
        }
    }

    /// The one that `op` wants, if it was made, and where it is wanted.
    pub(crate) fn take(&self, op: &Op) -> Option<(Slot, i32)> {
        let Op::NewFileSystem { to, system } = op else { return None };
        let place = EARLY.iter().position(|early| std::ptr::eq(*early, *system))?;
        let made = self.0.get(place)?.swap(-1, SeqCst);
        (made >= 0).then_some((*to, made))
    }
}
