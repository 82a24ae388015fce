//! How many processes and threads there may be, where no control group counts them.
//!
//! Each call that makes one takes from an allowance. Only when that is used up are those that live counted, by `/proc`,
//! and the allowance is what is left: ordinary work, which stays far below its limit, pays for no counting. The caller's
//! call is performed by the kernel: what was judged is that there is one more, whatever its arguments.

use super::reply::Reply;
use super::rules::Refusal;
use super::shared::Shared;
use crate::linux::limits::tree;
use ringfence_model::{DenialKind, Sourced};
use rustix::io::Errno;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a count is believed that left nothing: a flood of calls makes no flood of counting.
const BELIEVED: Duration = Duration::from_millis(2);
/// How long a call that was let go on may take until its process can be seen.
const APPEARS: Duration = Duration::from_millis(1);

/// The allowance of one sandbox.
#[derive(Debug)]
pub struct Forks {
    first: u32,
    most: Sourced<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    allowance: u64,
    counted: Option<Instant>,
    /// When a call was last let go on.
    last: Option<Instant>,
}

impl Forks {
    /// At most `most` below `first`.
    #[must_use]
    pub fn new(first: u32, most: Sourced<u64>) -> Self {
        Self { first, most, state: Mutex::default() }
    }

    /// Whether there may be one more.
    fn take(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.allowance == 0 {
            if state.counted.is_some_and(|counted| counted.elapsed() < BELIEVED) {
                return false;
            }
            if let Some(young) = state.last.and_then(|last| APPEARS.checked_sub(last.elapsed())) {
                std::thread::sleep(young);
            }
            state.allowance = self.most.value.saturating_sub(tree::below(self.first).threads);
            state.counted = (state.allowance == 0).then(Instant::now);
        }
        let one = state.allowance > 0;
        if one {
            state.allowance -= 1;
            state.last = Some(Instant::now());
        }
        one
    }
}

/// Judges `fork`, `vfork`, `clone`.
pub(super) fn judge(shared: &Shared) -> Reply {
    let Some(forks) = shared.forks.as_ref().filter(|forks| !forks.take()) else { return Reply::GoOn };
    let most = forks.most.value;
    let refusal = Refusal {
        errno: Errno::AGAIN,
        kind: DenialKind::Limit,
        rule: "limits.processes",
        origin: forks.most.origin.clone(),
        allow_with: vec![format!("-c limits.processes={}", most.saturating_mul(2))],
    };
    shared.record.add(refusal, "start a process", format!("more than {most}").as_bytes());
    Reply::Fail(Errno::AGAIN)
}
