//! Whether a thread has come out of a call that it was let go on with, as `/proc` shows it.

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::io::Read;
use std::os::fd::BorrowedFd;

/// Whether `thread` is in none of these calls, with a first argument that is `meant`. What can't be told is no.
pub(super) fn is_past(proc: BorrowedFd<'_>, thread: u32, calls: &[i64], meant: impl Fn(u32) -> bool) -> bool {
    let file = openat(proc, format!("{thread}/syscall"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = match file {
        Ok(file) => file,
        Err(errno) => return errno == Errno::NOENT || errno == Errno::SRCH,
    };
    let mut text = String::new();
    match std::fs::File::from(file).read_to_string(&mut text) {
        Ok(_) => is_elsewhere(&text, calls, meant),
        Err(error) => error.raw_os_error() == Some(libc::ESRCH),
    }
}

/// Whether this content of `/proc/TID/syscall` shows a thread that sleeps somewhere else.
fn is_elsewhere(text: &str, calls: &[i64], meant: impl Fn(u32) -> bool) -> bool {
    let mut words = text.split_whitespace();
    // One that runs is `running`, in a call or out of it.
    let Some(number) = words.next().and_then(|word| word.parse::<i64>().ok()) else { return false };
    if !calls.contains(&number) {
        return true;
    }
    let argument = words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    // The kernel looks at the lower half.
    #[allow(clippy::cast_possible_truncation)]
    argument.is_some_and(|argument| !meant(argument as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: &[i64] = &[libc::SYS_shmat, libc::SYS_semop];

    fn is_elsewhere(text: &str, id: u32) -> bool {
        super::is_elsewhere(text, CALLS, |argument| argument == id)
    }

    #[test]
    fn only_a_thread_that_sleeps_elsewhere_is_over() {
        let at = libc::SYS_shmat;
        assert!(is_elsewhere("0 0x3 0x7ffd 0x1000 0x0 0x0 0x0 0x7ff 0x7f\n", 5));
        assert!(is_elsewhere("-1 0x7ffd 0x7f\n", 5));
        assert!(!is_elsewhere("running\n", 5));
        assert!(!is_elsewhere("", 5));
        assert!(!is_elsewhere(&format!("{at} 0x5 0x0 0x0 0x0 0x0 0x0 0x7ff 0x7f"), 5));
        assert!(!is_elsewhere(&format!("{at} 0xffffffff00000005 0x0"), 5));
        assert!(is_elsewhere(&format!("{at} 0x6 0x0"), 5));
        assert!(!is_elsewhere(&format!("{at} here"), 5));
    }

    #[test]
    fn a_thread_that_is_gone_is_over_and_one_that_runs_is_not() {
        let (proc, _, _) = crate::linux::broker::caller::own_proc().unwrap();
        let proc = std::os::fd::AsFd::as_fd(&proc);
        assert!(is_past(proc, u32::MAX, CALLS, |_| true));
        let (says, said) = std::sync::mpsc::channel();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let runs = || {
                says.send(crate::sys::peek::gettid()).unwrap();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            scope.spawn(runs);
            assert!(!is_past(proc, said.recv().unwrap(), CALLS, |_| true));
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
