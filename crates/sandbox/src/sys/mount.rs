//! The new mount interface (Linux 5.2; `mount_setattr` 5.12).

use super::raw::{Result, call, word};
use std::ffi::CStr;

/// Attributes for `mount_setattr(2)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_PRIVATE` and its kin; 0 leaves it.
    pub propagation: u64,
}

/// `open_tree(2)` with `OPEN_TREE_CLONE`: a detached copy of the mounts at `fd`.
pub(crate) fn clone_tree(fd: i32, recursive: bool) -> Result<i32> {
    let deep = if recursive { libc::AT_RECURSIVE as u32 } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | deep | libc::AT_EMPTY_PATH as u32;
    // SAFETY: the path is a static empty string; the rest are integers.
    unsafe { call(libc::SYS_open_tree, [word(fd), c"".as_ptr() as usize, flags as usize, 0, 0, 0]) }.map(|fd| fd as i32)
}

/// `open_tree(2)` with `OPEN_TREE_CLONE` of one mount at a path below `dir`; a link at its end isn't followed.
pub(crate) fn clone_below(dir: i32, path: &CStr) -> Result<i32> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_SYMLINK_NOFOLLOW as u32;
    // SAFETY: `path` is a NUL-terminated string that outlives the call; the rest are integers.
    unsafe { call(libc::SYS_open_tree, [word(dir), path.as_ptr() as usize, flags as usize, 0, 0, 0]) }
        .map(|fd| fd as i32)
}

/// `mount_setattr(2)` at `path` below `dir` (an empty path: `dir` itself).
pub(crate) fn setattr(dir: i32, path: &CStr, recursive: bool, attributes: Attributes) -> Result<()> {
    let attr: [u64; 4] = [attributes.set, attributes.clear, attributes.propagation, 0];
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let args = [word(dir), path.as_ptr() as usize, word(flags), attr.as_ptr() as usize, size_of_val(&attr), 0];
    // SAFETY: `path` is NUL-terminated and `attr` has the layout of `struct mount_attr`; both outlive the call.
    unsafe { call(libc::SYS_mount_setattr, args) }.map(drop)
}

/// `move_mount(2)`: attaches the detached mount `from` at `path` below `to` (an empty path: on `to` itself).
pub(crate) fn attach(from: i32, to: i32, path: &CStr) -> Result<()> {
    let mut flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= libc::MOVE_MOUNT_T_EMPTY_PATH;
    }
    let args = [word(from), c"".as_ptr() as usize, word(to), path.as_ptr() as usize, flags as usize, 0];
    // SAFETY: both paths are NUL-terminated strings that outlive the call; the rest are integers.
    unsafe { call(libc::SYS_move_mount, args) }.map(drop)
}

/// `fsopen(2)`.
pub(crate) fn fsopen(name: &CStr) -> Result<i32> {
    // FSOPEN_CLOEXEC is 1.
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    unsafe { call(libc::SYS_fsopen, [name.as_ptr() as usize, 1, 0, 0, 0, 0]) }.map(|fd| fd as i32)
}

/// `fsconfig(2)` with `FSCONFIG_SET_STRING`.
pub(crate) fn fsconfig_string(fs: i32, key: &CStr, value: &CStr) -> Result<()> {
    let args = [word(fs), 1, key.as_ptr() as usize, value.as_ptr() as usize, 0, 0];
    // SAFETY: `key` and `value` are NUL-terminated strings that outlive the call.
    unsafe { call(libc::SYS_fsconfig, args) }.map(drop)
}

/// `fsconfig(2)` with `FSCONFIG_CMD_CREATE`.
pub(crate) fn fsconfig_create(fs: i32) -> Result<()> {
    // SAFETY: plain integers; this command takes no pointers.
    unsafe { call(libc::SYS_fsconfig, [word(fs), 6, 0, 0, 0, 0]) }.map(drop)
}

/// `fsmount(2)`: a detached mount of a configured file system.
pub(crate) fn fsmount(fs: i32, attributes: u64) -> Result<i32> {
    // FSMOUNT_CLOEXEC is 1.
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_fsmount, [word(fs), 1, attributes as usize, 0, 0, 0]) }.map(|fd| fd as i32)
}
