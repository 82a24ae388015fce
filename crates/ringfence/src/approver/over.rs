//! Questions that end before they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often somebody who waits for an answer looks whether it still matters.
const SLICE: Duration = Duration::from_millis(100);

/// Whether a question is over: the run that raised it has ended, and an answer would change nothing.
#[derive(Debug, Clone, Default)]
pub struct Over(Option<Arc<AtomicBool>>);

impl Over {
    /// Over once the flag is set.
    #[must_use]
    pub fn when(flag: Arc<AtomicBool>) -> Self {
        Self(Some(flag))
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|flag| flag.load(SeqCst))
    }

    /// Until when to wait before looking again; none: there is no need to look.
    #[must_use]
    pub fn look_again(&self, deadline: Option<Instant>) -> Option<Instant> {
        let next = self.0.as_ref().map(|_| Instant::now() + SLICE);
        match (next, deadline) {
            (Some(next), Some(deadline)) => Some(next.min(deadline)),
            (next, deadline) => next.or(deadline),
        }
    }
}
