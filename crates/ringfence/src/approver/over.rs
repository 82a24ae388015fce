//! Questions that end before they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often somebody who waits for an answer looks whether it still matters.
const SLICE: Duration = Duration::from_millis(100);

/// Whether a question is over: the run that raised it has ended, and an answer would change nothing.
#[derive(Debug, Clone, Default)]
pub struct Over {
    own: Option<Arc<AtomicBool>>,
    run: Option<Arc<AtomicBool>>,
}

impl Over {
    /// Over once the flag is set.
    #[must_use]
    pub fn when(flag: Arc<AtomicBool>) -> Self {
        Self { own: Some(flag), run: None }
    }

    /// Over with all others of a run, too, once one of them was answered by stopping it.
    #[must_use]
    pub fn of_run(mut self, flag: Arc<AtomicBool>) -> Self {
        self.run = Some(flag);
        self
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        [&self.own, &self.run].into_iter().flatten().any(|flag| flag.load(SeqCst))
    }

    /// The answer was to stop the run: its other questions are over.
    pub(super) fn stop_run(&self) {
        if let Some(flag) = &self.run {
            flag.store(true, SeqCst);
        }
    }

    /// Until when to wait before looking again; none: there is no need to look.
    #[must_use]
    pub fn look_again(&self, deadline: Option<Instant>) -> Option<Instant> {
        let may_end = self.own.is_some() || self.run.is_some();
        let next = may_end.then(|| Instant::now() + SLICE);
        match (next, deadline) {
            (Some(next), Some(deadline)) => Some(next.min(deadline)),
            (next, deadline) => next.or(deadline),
        }
    }
}
