//! Trying a system call in a process that may be spoilt by it: what a probe does must not be left behind in ours.
//!
//! It knows nothing about what is tried or what the answer means.

use libc::{c_int, c_uint, c_ulong, c_void};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The call that failed and how, as seen in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The call as a reader of the man page writes it: `unshare(CLONE_NEWUSER)`.
    pub call: &'static str,
    /// `errno`.
    pub errno: i32,
}

/// What a trial inside the child comes to.
pub(crate) type Attempt = Result<(), Failed>;

/// The outcome of a trial as the parent learns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Everything worked.
    Worked,
    /// A call failed.
    Failed {
        /// The call.
        call: String,
        /// `errno`.
        errno: i32,
    },
    /// The child was killed by this signal: a filter that kills instead of refusing.
    Killed(i32),
}

/// Turns `-1` into the failed call.
pub(crate) fn check(call: &'static str, rc: impl Into<i64>) -> Result<i64, Failed> {
    let rc = rc.into();
    if rc == -1 { Err(Failed { call, errno: last_errno() }) } else { Ok(rc) }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// `fork(2)`: runs `attempt` in a child and tells how it ended. The closure must not allocate nor take locks: another
/// thread of ours may have held one at the moment of the fork.
pub(crate) fn in_child(attempt: impl FnOnce() -> Attempt) -> io::Result<Seen> {
    let (read, write) = pipe()?;
    // SAFETY: the child runs only `attempt`, which by contract neither allocates nor locks, `write` and `_exit`; it
    // never returns into the caller's frames.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            if let Err(failed) = attempt() {
                tell(write.as_raw_fd(), failed);
            }
            exit_now(0)
        }
        pid => {
            drop(write);
            let mut told = Vec::new();
            let read = File::from(read).take(256).read_to_end(&mut told);
            let status = wait(pid)?;
            read?;
            Ok(judge(&told, status))
        }
    }
}

fn judge(told: &[u8], status: c_int) -> Seen {
    if let Some((errno, call)) = told.split_first_chunk::<4>() {
        return Seen::Failed { call: String::from_utf8_lossy(call).into_owned(), errno: i32::from_ne_bytes(*errno) };
    }
    if libc::WIFSIGNALED(status) { Seen::Killed(libc::WTERMSIG(status)) } else { Seen::Worked }
}

fn tell(fd: RawFd, failed: Failed) {
    let mut message = [0u8; 132];
    let errno = failed.errno.to_ne_bytes();
    let call = failed.call.as_bytes();
    let mut length = 0;
    for (to, from) in message.iter_mut().zip(errno.iter().chain(call)) {
        *to = *from;
        length += 1;
    }
    // SAFETY: `message` outlives the call and `length` never exceeds it; a short or failed write only loses the text.
    unsafe { libc::write(fd, message.as_ptr().cast(), length) };
}

/// `_exit(2)`: ends a child without running anything of ours.
fn exit_now(status: c_int) -> ! {
    // SAFETY: ends the process; nothing of ours is touched.
    unsafe { libc::_exit(status) }
}

/// `waitpid(2)`, again after signals.
fn wait(pid: libc::pid_t) -> io::Result<c_int> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result and `pid` a child of ours that nobody else waits for.
        let rc = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if rc == pid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// `pipe2(2)` with `O_CLOEXEC`.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let [read, write] = ends;
    // SAFETY: both were just handed to us by the kernel and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(read), OwnedFd::from_raw_fd(write)) })
}

/// A grandchild, for what only works in the first process of a new pid namespace: succeeds if `attempt` does.
pub(crate) fn in_grandchild(attempt: impl FnOnce() -> Attempt, report: &'static str) -> Attempt {
    // SAFETY: as in `in_child`; the grandchild runs `attempt` and `_exit`, its errno is the exit status.
    let pid = check("fork()", unsafe { libc::fork() })?;
    if pid == 0 {
        exit_now(attempt().err().map_or(0, |failed| failed.errno & 0xff));
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place; the pid is the child just made and fits, since the kernel gave it as `pid_t`.
    check("waitpid()", unsafe { libc::waitpid(pid as libc::pid_t, &raw mut status, 0) })?;
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return Ok(());
    }
    let errno = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { libc::EINTR };
    Err(Failed { call: report, errno })
}

/// `unshare(2)`, to be called in a child.
pub(crate) fn unshare(call: &'static str, flags: c_int) -> Attempt {
    // SAFETY: plain integers; it changes only the calling process, which is a child made for it.
    check(call, unsafe { libc::unshare(flags) }).map(drop)
}

/// `getuid(2)`, `getgid(2)`.
pub(crate) fn ids() -> (u32, u32) {
    // SAFETY: can't fail and touch no memory.
    unsafe { (libc::getuid(), libc::getgid()) }
}

/// `geteuid(2)`.
pub(crate) fn geteuid() -> u32 {
    // SAFETY: can't fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// `open(2)` and `write(2)` of a small file of `/proc`, to be called in a child.
pub(crate) fn write_proc(call: &'static str, path: &CStr, text: &[u8]) -> Attempt {
    // SAFETY: `path` ends in NUL and lives through the call.
    let fd = check(call, unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) })? as RawFd;
    // SAFETY: `text` is valid for its length.
    let rc = unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    let result = check(call, rc as i64).map(drop);
    // SAFETY: the descriptor was opened above and isn't used again.
    unsafe { libc::close(fd) };
    result
}

/// `mount(2)`, to be called in a child with a mount namespace of its own.
pub(crate) fn mount(
    call: &'static str,
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: c_ulong,
    data: Option<&CStr>,
) -> Attempt {
    let kind = kind.map_or(std::ptr::null(), CStr::as_ptr);
    let data = data.map_or(std::ptr::null(), |data| data.as_ptr().cast::<c_void>());
    // SAFETY: every pointer is null or a string that ends in NUL and lives through the call.
    check(call, unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, data) }).map(drop)
}

/// `mkdir(2)`, to be called in a child.
pub(crate) fn mkdir(call: &'static str, path: &CStr) -> Attempt {
    // SAFETY: the path ends in NUL and lives through the call.
    check(call, unsafe { libc::mkdir(path.as_ptr(), 0o700) }).map(drop)
}

/// `open_tree(2)`, `mount_setattr(2)`, `move_mount(2)`: clones `/`, makes it read-only, attaches it over `target`.
pub(crate) fn clone_tree(target: &CStr) -> Attempt {
    const OPEN_TREE_CLONE: c_uint = 1;
    const AT_RECURSIVE: c_uint = 0x8000;
    const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let flags = OPEN_TREE_CLONE | AT_RECURSIVE | libc::O_CLOEXEC as c_uint;
    // SAFETY: the path is a constant string that ends in NUL; the rest are integers.
    let rc = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/".as_ptr(), flags) };
    let tree = check("open_tree(OPEN_TREE_CLONE)", rc)? as RawFd;
    let attr: [u64; 4] = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let size = size_of::<[u64; 4]>();
    // SAFETY: `attr` has the layout of `struct mount_attr` (four 64-bit words) and `size` is its size.
    let rc = unsafe {
        let flags = libc::AT_EMPTY_PATH as c_uint | AT_RECURSIVE;
        libc::syscall(libc::SYS_mount_setattr, tree, c"".as_ptr(), flags, attr.as_ptr(), size)
    };
    check("mount_setattr(MOUNT_ATTR_RDONLY)", rc)?;
    // SAFETY: strings that end in NUL and live through the call, and integers.
    let rc = unsafe {
        let flags = MOVE_MOUNT_F_EMPTY_PATH;
        libc::syscall(libc::SYS_move_mount, tree, c"".as_ptr(), libc::AT_FDCWD, target.as_ptr(), flags)
    };
    check("move_mount()", rc).map(drop)
}

/// `prctl(PR_SET_NO_NEW_PRIVS)`, to be called in a child.
pub(crate) fn no_new_privs() -> Attempt {
    // SAFETY: plain integers.
    check("prctl(PR_SET_NO_NEW_PRIVS)", unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

/// `seccomp(2)`: installs a filter that lets everything pass but sends `getppid` to a listener if `listener` is asked
/// for; gives the listener. To be called in a child.
pub(crate) fn seccomp(call: &'static str, listener: Listener) -> Result<RawFd, Failed> {
    const LOAD_NR: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_EQ: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let action = match listener {
        Listener::None => libc::SECCOMP_RET_ALLOW,
        Listener::New => libc::SECCOMP_RET_USER_NOTIF,
    };
    let mut filter = [
        libc::sock_filter { code: LOAD_NR, jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: JUMP_EQ, jt: 0, jf: 1, k: libc::SYS_getppid as u32 },
        libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: action },
        libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    let flags = match listener {
        Listener::None => 0,
        Listener::New => libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
    };
    // SAFETY: `program` points at `filter`, whose length it states; both live through the call, which copies them.
    let rc = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    check(call, rc).map(|fd| fd as RawFd)
}

/// Whether a filter is installed with a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A plain filter.
    None,
    /// With user notification.
    New,
}

/// `ioctl(SECCOMP_IOCTL_NOTIF_ADDFD)` with `SECCOMP_ADDFD_FLAG_SEND` for a notification that doesn't exist: ENOENT
/// means the flag is known.
pub(crate) fn addfd_send(listener: RawFd) -> Attempt {
    const CALL: &str = "ioctl(SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_ADDFD_FLAG_SEND)";
    const SECCOMP_IOCTL_NOTIF_ADDFD: c_ulong = 0x4018_2103;
    const SECCOMP_ADDFD_FLAG_SEND: u32 = 2;
    #[repr(C)]
    struct Addfd {
        id: u64,
        flags: u32,
        srcfd: u32,
        newfd: u32,
        newfd_flags: u32,
    }
    let add = Addfd { id: u64::MAX, flags: SECCOMP_ADDFD_FLAG_SEND, srcfd: 0, newfd: 0, newfd_flags: 0 };
    // SAFETY: `add` has the layout of `struct seccomp_notif_addfd`, whose size is part of the request number.
    let rc = unsafe { libc::ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD as _, &raw const add) };
    match check(CALL, rc) {
        Err(Failed { errno: libc::ENOENT, .. }) => Ok(()),
        Err(failed) => Err(failed),
        Ok(_) => Err(Failed { call: CALL, errno: libc::EINVAL }),
    }
}

/// `ioctl(SECCOMP_IOCTL_NOTIF_SET_FLAGS)` with `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6).
pub(crate) fn sync_wake(listener: RawFd) -> Attempt {
    const SECCOMP_IOCTL_NOTIF_SET_FLAGS: c_ulong = 0x4008_2104;
    // SAFETY: the flag is passed by value.
    let rc = unsafe { libc::ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS as _, 1u64) };
    check("ioctl(SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)", rc).map(drop)
}

/// `landlock_create_ruleset(2)` with `LANDLOCK_CREATE_RULESET_VERSION`: the ABI.
pub(crate) fn landlock_abi() -> io::Result<u32> {
    // SAFETY: a null attribute with size 0 is how the version is asked for.
    let rc = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, 1u32) };
    u32::try_from(rc).map_err(|_| io::Error::last_os_error())
}

/// What a Landlock ruleset handles: `struct landlock_ruleset_attr` as of ABI 6.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Handled {
    /// File rights.
    pub fs: u64,
    /// TCP rights.
    pub net: u64,
    /// Scopes.
    pub scoped: u64,
}

/// `landlock_create_ruleset(2)`: whether the kernel knows these rights.
pub(crate) fn landlock_create_ruleset(handled: Handled) -> io::Result<OwnedFd> {
    // Older kernels take a larger structure as long as what they don't know is zero.
    // SAFETY: `handled` is the kernel's structure, lives through the call, and its size is given.
    let rc =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<Handled>(), 0u32) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just handed this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(rc as RawFd) })
}

/// `landlock_restrict_self(2)`, to be called in a child after [`no_new_privs`].
pub(crate) fn landlock_restrict_self(ruleset: RawFd) -> Attempt {
    // SAFETY: plain integers.
    let rc = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0u32) };
    check("landlock_restrict_self()", rc).map(drop)
}

/// `socket(2)` and `connect(2)` to a pathname unix socket, to be called in a child.
pub(crate) fn connect_unix(address: &libc::sockaddr_un) -> Attempt {
    // SAFETY: plain integers.
    let fd =
        check("socket(AF_UNIX)", unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    let size = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: `address` is a whole `sockaddr_un` and `size` its size.
    let rc = unsafe { libc::connect(fd as RawFd, std::ptr::from_ref(address).cast(), size) };
    check("connect(AF_UNIX)", rc).map(drop)
}

/// The address of a pathname unix socket; none if the path is too long.
pub(crate) fn unix_address(path: &[u8]) -> Option<libc::sockaddr_un> {
    // SAFETY: `sockaddr_un` is plain data for which all-zero is valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if path.len() >= address.sun_path.len() {
        return None;
    }
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    Some(address)
}

/// `pidfd_open(2)` and `pidfd_getfd(2)` on the calling process.
pub(crate) fn pidfd_getfd() -> Attempt {
    // SAFETY: plain integers.
    let pidfd = check("pidfd_open()", unsafe { libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0u32) })?;
    // SAFETY: plain integers; a copy of descriptor 0 is made in a child that ends at once.
    let rc = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd as RawFd, pidfd as RawFd, 0u32) };
    check("pidfd_getfd()", rc).map(drop)
}

/// `process_vm_readv(2)` on the parent.
pub(crate) fn process_vm_readv() -> Attempt {
    let mut from = 7u64;
    let mut to = 0u64;
    let local = libc::iovec { iov_base: (&raw mut to).cast(), iov_len: size_of::<u64>() };
    let remote = libc::iovec { iov_base: (&raw mut from).cast(), iov_len: size_of::<u64>() };
    // SAFETY: both vectors name whole values of ours that live through the call.
    let rc = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    check("process_vm_readv()", rc as i64).map(drop)
}

/// `openat2(2)` with `RESOLVE_IN_ROOT`.
pub(crate) fn openat2() -> Attempt {
    const RESOLVE_IN_ROOT: u64 = 0x10;
    let how: [u64; 3] = [(libc::O_PATH | libc::O_CLOEXEC) as u64, 0, RESOLVE_IN_ROOT];
    // SAFETY: `how` has the layout of `struct open_how` (three 64-bit words), and its size is given.
    let rc =
        unsafe { libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c"/".as_ptr(), how.as_ptr(), size_of::<[u64; 3]>()) };
    check("openat2(RESOLVE_IN_ROOT)", rc).map(drop)
}

/// `socket(2)` of `NETLINK_SOCK_DIAG`.
pub(crate) fn sock_diag() -> Attempt {
    // SAFETY: plain integers.
    let rc = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG) };
    check("socket(AF_NETLINK, NETLINK_SOCK_DIAG)", rc).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reports_the_call_and_its_errno() {
        let seen = in_child(|| Err(Failed { call: "unshare(CLONE_NEWUSER)", errno: libc::EPERM })).expect("forks");
        assert_eq!(seen, Seen::Failed { call: "unshare(CLONE_NEWUSER)".into(), errno: libc::EPERM });
        assert_eq!(in_child(|| Ok(())).expect("forks"), Seen::Worked);
    }

    #[test]
    fn a_child_that_is_killed_says_so() {
        let seen = in_child(|| {
            // SAFETY: raises a signal in the child only.
            unsafe { libc::raise(libc::SIGSYS) };
            Ok(())
        });
        assert_eq!(seen.expect("forks"), Seen::Killed(libc::SIGSYS));
    }
}
