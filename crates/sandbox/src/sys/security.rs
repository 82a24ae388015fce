//! Privileges, seccomp and Landlock.

use super::raw::{Result, call, word};

/// `prctl(2)` with integers only.
pub(crate) fn prctl(option: i32, argument: usize) -> Result<usize> {
    // SAFETY: every option used here takes integers.
    unsafe { call(libc::SYS_prctl, [word(option), argument, 0, 0, 0, 0]) }
}

/// `capset(2)`: drops every capability of this thread.
pub(crate) fn drop_capabilities() -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let data: [u32; 6] = [0; 6];
    let args = [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: both arrays have the layout of version 3 and outlive the call; the kernel only reads them.
    unsafe { call(libc::SYS_capset, args) }.map(drop)
}

/// `seccomp(2)`, `SECCOMP_SET_MODE_FILTER`: 0, or the listener if the flags ask for one.
pub(crate) fn seccomp(program: &[libc::sock_filter], flags: u32) -> Result<i32> {
    let Ok(len) = u16::try_from(program.len()) else { return Err(super::Errno(libc::EINVAL)) };
    let prog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let args = [libc::SECCOMP_SET_MODE_FILTER as usize, flags as usize, &raw const prog as usize, 0, 0, 0];
    // SAFETY: `prog` points at `len` instructions that outlive the call; the kernel copies them.
    unsafe { call(libc::SYS_seccomp, args) }.map(|fd| fd as i32)
}

/// `seccomp(2)` with a listener, whose descriptor it returns.
///
/// A caller that is interrupted by a signal which doesn't kill it goes on waiting once the listener has seen its call
/// (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, Linux 5.19): else the call would be performed a second time.
pub(crate) fn seccomp_listener(program: &[libc::sock_filter]) -> Result<i32> {
    const WAIT_KILLABLE_RECV: u32 = 1 << 5;
    const NEW_LISTENER: u32 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
    match seccomp(program, NEW_LISTENER | WAIT_KILLABLE_RECV) {
        Err(errno) if errno.is(libc::EINVAL) => seccomp(program, NEW_LISTENER),
        other => other,
    }
}

/// `landlock_create_ruleset(2)` with `LANDLOCK_CREATE_RULESET_VERSION`: the ABI; 0 where Landlock is absent.
pub(crate) fn landlock_abi() -> u32 {
    // SAFETY: with this flag the call takes no pointers.
    unsafe { call(libc::SYS_landlock_create_ruleset, [0, 0, 1, 0, 0, 0]) }.unwrap_or(0) as u32
}

/// `LANDLOCK_ACCESS_FS_RESOLVE_UNIX`.
pub(crate) const RESOLVE_UNIX: u64 = 1 << 16;

/// Whether `landlock_create_ruleset(2)` takes the right for unix sockets. A kernel that doesn't know it refuses it.
pub(crate) fn landlock_has_unix() -> bool {
    // The descriptor is this function's own.
    landlock_create(RESOLVE_UNIX, 0, 0).map(super::own).is_ok()
}

/// `landlock_create_ruleset(2)`.
pub(crate) fn landlock_create(files: u64, network: u64, scoped: u64) -> Result<i32> {
    let attr: [u64; 3] = [files, network, scoped];
    // Older ABIs know fewer fields and take a larger structure only if the rest is zero.
    let args = [attr.as_ptr() as usize, size_of_val(&attr), 0, 0, 0, 0];
    // SAFETY: `attr` has the layout of `struct landlock_ruleset_attr`; the kernel only reads it.
    unsafe { call(libc::SYS_landlock_create_ruleset, args) }.map(|fd| fd as i32)
}

/// `landlock_add_rule(2)`, `LANDLOCK_RULE_PATH_BENEATH`.
pub(crate) fn landlock_path(ruleset: i32, rights: u64, parent: i32) -> Result<()> {
    #[repr(C, packed)]
    struct PathBeneath {
        rights: u64,
        parent: i32,
    }
    let rule = PathBeneath { rights, parent };
    let args = [word(ruleset), 1, &raw const rule as usize, 0, 0, 0];
    // SAFETY: `rule` has the packed layout of `struct landlock_path_beneath_attr`; the kernel only reads it.
    unsafe { call(libc::SYS_landlock_add_rule, args) }.map(drop)
}

/// `landlock_restrict_self(2)`.
pub(crate) fn landlock_restrict(ruleset: i32) -> Result<()> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_landlock_restrict_self, [word(ruleset), 0, 0, 0, 0, 0]) }.map(drop)
}
