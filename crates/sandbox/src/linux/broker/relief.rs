//! Who answers: one worker at a time, since the kernel wakes everybody who waits for a call, and all but one in vain.
//!
//! Others stand by. While calls come, they look now and then whether those who answer are held up, by a file system that is
//! slow or by more calls than one can answer, and if so answer beside them for a while.

use super::shared::Shared;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often it is looked at: as long as a call may wait for a worker that is held up.
const INTERVAL: Duration = Duration::from_millis(2);
/// So many looks without a call, and nobody looks any more until there is one.
const QUIET: u32 = 5;

/// What those who answer and those who stand by know of each other.
#[derive(Default)]
pub(super) struct Relief {
    /// Calls taken up so far.
    taken: AtomicU64,
    /// Workers that answer, or wait for a call to answer.
    answering: AtomicU32,
    /// Workers that are at a call.
    busy: AtomicU32,
    /// Somebody sleeps until the next call.
    asleep: AtomicBool,
    sleepers: Mutex<Vec<Thread>>,
}

/// A worker is one of those counted as long as it has this.
pub(super) struct Counted<'crew>(&'crew AtomicU32);

impl<'crew> Counted<'crew> {
    fn among(count: &'crew AtomicU32) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Relief {
    /// The calling worker answers as long as it has what this gives.
    pub(super) fn answer(&self) -> Counted<'_> {
        Counted::among(&self.answering)
    }

    /// The calling worker has taken up a call, and is at it as long as it has what this gives.
    pub(super) fn take_up(&self) -> Counted<'_> {
        let busy = Counted::among(&self.busy);
        self.taken.fetch_add(1, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        busy
    }

    /// Wakes those who sleep until the next call.
    fn wake(&self) {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(false, Ordering::SeqCst);
        for sleeper in sleepers.drain(..) {
            sleeper.unpark();
        }
    }

    /// Whether everybody who answers is at a call.
    fn all_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) >= self.answering.load(Ordering::SeqCst)
    }

    /// Whether one that answers beside others, and is at no call itself, is still needed: all others are at one.
    pub(super) fn is_needed(&self) -> bool {
        self.busy.load(Ordering::SeqCst) + 1 >= self.answering.load(Ordering::SeqCst)
    }

    /// Stands by until those who answer are held up; false once the broker ends.
    pub(super) fn stand_by(&self, shared: &Shared) -> bool {
        let mut seen = self.taken.load(Ordering::SeqCst);
        let mut quiet = 0;
        loop {
            if quiet < QUIET {
                thread::park_timeout(INTERVAL);
            } else {
                self.sleep(shared, seen);
                quiet = 0;
            }
            if shared.ending.load(Ordering::Acquire) {
                return false;
            }
            let taken = self.taken.load(Ordering::SeqCst);
            if self.all_busy() && (taken == seen || shared.has_waiting_callers()) {
                return true;
            }
            quiet = if taken == seen { quiet + 1 } else { 0 };
            seen = taken;
        }
    }

    /// Sleeps until the next call after `seen`, or the end.
    fn sleep(&self, shared: &Shared, seen: u64) {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner).push(thread::current());
        self.asleep.store(true, Ordering::SeqCst);
        // One that came meanwhile may not have seen anybody asleep.
        if self.taken.load(Ordering::SeqCst) == seen && !shared.ending.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
