//! Which threads are changing their umask. The kernel does it, some time after it was told to go on, and threads may share one:
//! until the change is known to be over, no umask that is read can be relied on later.

use super::underway;
use std::collections::HashSet;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Changes of umasks, of all callers.
#[derive(Debug, Default)]
pub struct Umasks {
    /// Counts changes.
    generation: AtomicU64,
    changing: Mutex<HashSet<u32>>,
    /// As many.
    count: AtomicUsize,
}

impl Umasks {
    fn changing(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `thread` is let go on to change its umask.
    pub fn begin(&self, thread: u32) {
        let mut changing = self.changing();
        changing.insert(thread);
        self.count.store(changing.len(), Ordering::Release);
        // Whatever was remembered goes, also what somebody is about to remember who read it before.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// `thread` makes another call, so whatever it did before is over.
    pub fn heard_of(&self, thread: u32) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut changing = self.changing();
        changing.remove(&thread);
        self.count.store(changing.len(), Ordering::Release);
    }

    /// As of which change.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a umask that is read from now on may be remembered: nobody is changing one.
    pub fn are_settled(&self, proc: BorrowedFd<'_>) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return true;
        }
        let mut changing = self.changing();
        changing.retain(|thread| !underway::is_past(proc, *thread, &[libc::SYS_umask], |_| true));
        self.count.store(changing.len(), Ordering::Release);
        changing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_change_is_over_when_its_thread_is_heard_of_or_gone() {
        let (proc, _, _) = crate::linux::broker::caller::own_proc().unwrap();
        let umasks = Umasks::default();
        assert!(umasks.are_settled(proc.as_fd()));
        let before = umasks.generation();
        // This thread looks at itself, and so runs, but in another call than that.
        umasks.begin(u32::MAX);
        assert_ne!(umasks.generation(), before);
        assert!(umasks.are_settled(proc.as_fd()), "there is no such thread");
        let (says, said) = std::sync::mpsc::channel();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                says.send(crate::sys::peek::gettid()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let thread = said.recv().unwrap();
            umasks.begin(thread);
            umasks.heard_of(thread + 1);
            assert!(!umasks.are_settled(proc.as_fd()), "it may not have begun");
            umasks.heard_of(thread);
            assert!(umasks.are_settled(proc.as_fd()));
            done.store(true, Ordering::Relaxed);
        });
    }
}
