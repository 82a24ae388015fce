//! The thread that makes process 1 while the supervisor goes on with its settings. To make the namespaces takes the kernel as
//! long as a third of them takes us.

use super::first::{THREAD, start};
use super::shared::{Shared, phase};
use crate::sys::{Errno, clone, fs, memory, process, security, socket};
use std::ffi::{CStr, CString, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

/// What it needs, and what it made.
#[derive(Debug)]
pub(crate) struct Making {
    /// Process 1's record.
    pub shared: Box<Shared>,
    /// Process 1's stack, its upper end.
    pub stack_top: usize,
    /// Flags of `clone(2)`.
    pub flags: i32,
    /// How users and groups inside are numbered.
    pub maps: Maps,
    /// What the supervisor will touch meanwhile: memory that its allocator has, and its stack.
    pub heap: Range<usize>,
    pub stack: usize,

    /// Process 1, its descriptor, and our end of the pair; −1 as long as there is none.
    pub pid: AtomicI32,
    pub pidfd: AtomicI32,
    pub socket: AtomicI32,
    /// Why it failed; 0 if it didn't.
    pub errno: AtomicI32,
}

/// Starts the thread. `running` is cleared when it has ended.
pub(crate) fn make_beside(making: &Making, stack_top: usize, running: &AtomicU32) -> Result<i32, Errno> {
    // SAFETY: the caller keeps stack and record until the thread has ended, and `maker` keeps the rules above.
    unsafe {
        clone(
            maker,
            stack_top as *mut c_void,
            THREAD | libc::CLONE_CHILD_CLEARTID,
            std::ptr::from_ref(making).cast_mut().cast(),
            std::ptr::null_mut(),
            running,
        )
    }
}

extern "C" fn maker(argument: *mut c_void) -> i32 {
    // SAFETY: the supervisor passes a `Making` that it keeps until this thread has ended.
    let making = unsafe { &*argument.cast_const().cast::<Making>() };
    // Wherever it was put, it runs now.
    making.shared.take_processors();
    memory::map_ahead(making.heap.clone(), making.stack);
    if let Err(errno) = make(making) {
        making.errno.store(errno.0, SeqCst);
    }
    // From here on nothing of the same user may look into us, nor into process 1, which shares this memory.
    let _ = security::prctl(libc::PR_SET_DUMPABLE, 0);
    process::exit_thread()
}

fn make(making: &Making) -> Result<(), Errno> {
    let shared = &*making.shared;
    let own = process::pidfd_open(process::getpid())?;
    let pair = socket::pair();
    let started = pair.and_then(|[ours, theirs]| {
        making.socket.store(ours, SeqCst);
        shared.socket.store(theirs, SeqCst);
        shared.supervisor.store(own, SeqCst);
        let mut pidfd = -1;
        let started = start(shared, false, making.stack_top, making.flags, &mut pidfd);
        fs::close(theirs);
        making.pidfd.store(pidfd, SeqCst);
        started
    });
    // Process 1 has its own of both.
    fs::close(own);
    let pid = started?;
    making.pid.store(pid, SeqCst);
    making.maps.write(pid)?;
    shared.reach(phase::MAPPED);
    Ok(())
}

/// How users and groups of a user namespace are numbered (`user_namespaces(7)`).
#[derive(Debug)]
pub(crate) struct Maps {
    /// Each by itself, where that is allowed.
    pub all: bool,
    /// Else this user, and this group.
    pub user: CString,
    pub group: CString,
}

impl Maps {
    /// Of this process's user and group, and with `all` of every other one too.
    pub(crate) fn of_ours(all: bool) -> Self {
        let (user, group) = process::identity();
        // Digits and blanks: no NUL.
        let line = |number: u32| CString::new(format!("{number} {number} 1\n")).unwrap_or_default();
        Self { all, user: line(user), group: line(group) }
    }

    /// Writes them for a process.
    pub(crate) fn write(&self, pid: i32) -> Result<(), Errno> {
        const ALL: &CStr = c"0 0 4294967295\n";
        if self.all && write(pid, b"uid_map", ALL).is_ok() {
            return write(pid, b"gid_map", ALL);
        }
        write(pid, b"setgroups", c"deny\n")?;
        write(pid, b"uid_map", &self.user)?;
        write(pid, b"gid_map", &self.group)
    }
}

fn write(pid: i32, file: &[u8], text: &CStr) -> Result<(), Errno> {
    let mut path = [0; 40];
    let fd = fs::openat(fs::CWD, proc_path(&mut path, pid, file), libc::O_WRONLY | libc::O_CLOEXEC, 0)?;
    let written = fs::write(fd, text.to_bytes());
    fs::close(fd);
    written.map(drop)
}

/// `/proc/PID/FILE`, without memory of its own.
fn proc_path<'b>(buffer: &'b mut [u8; 40], pid: i32, file: &[u8]) -> &'b CStr {
    let mut digits = [0u8; 10];
    let mut rest = pid.unsigned_abs();
    let mut count = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    let number = digits.iter().skip(digits.len() - count);
    let text = b"/proc/".iter().chain(number).chain(b"/").chain(file);
    // The last byte stays zero whatever comes.
    for (place, byte) in buffer.iter_mut().take(39).zip(text) {
        *place = *byte;
    }
    CStr::from_bytes_until_nul(buffer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_process() {
        let path = |pid, file: &[u8]| proc_path(&mut [0; 40], pid, file).to_owned();
        assert_eq!(path(1, b"uid_map").as_c_str(), c"/proc/1/uid_map");
        assert_eq!(path(4_194_304, b"setgroups").as_c_str(), c"/proc/4194304/setgroups");
        assert_eq!(path(i32::MAX, b"gid_map").as_c_str(), c"/proc/2147483647/gid_map");
    }
}
