//! The gate before an approver: one question at a time, and after a burst the rest as one list.

use super::{Approver, Asked, NoAnswer};
use ringfence_model::grant::Answer;
use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Questions that are put one by one within [`WINDOW`].
pub const BURST: usize = 5;
/// The time in which questions count as one burst.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How long further questions of a burst are gathered before they are shown.
const GATHER: Duration = Duration::from_millis(300);

/// Lets questions through to one approver.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    /// Held by whoever is being asked.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    recent: VecDeque<Instant>,
    waiting: Vec<(Asked, Sender<Result<Answer, NoAnswer>>)>,
}

impl Gate {
    /// Asks `approver`; returns when it answered this question.
    pub fn ask(&self, approver: &dyn Approver, asked: &Asked, now: Instant) -> Result<Answer, NoAnswer> {
        let flooded = {
            let mut state = lock(&self.state);
            while state.recent.front().is_some_and(|at| now.saturating_duration_since(*at) > WINDOW) {
                state.recent.pop_front();
            }
            state.recent.push_back(now);
            // What is older than the burst adds nothing.
            while state.recent.len() > BURST + 1 {
                state.recent.pop_front();
            }
            state.recent.len() > BURST
        };
        if !flooded {
            let _turn = lock(&self.turn);
            // It may have waited for its turn longer than it mattered.
            let answer = if asked.over.is_over() { Err(NoAnswer::Over) } else { approver.ask(asked) };
            stop_run(asked, &answer);
            return answer;
        }
        let (answer, answered) = channel();
        lock(&self.state).waiting.push((asked.clone(), answer));
        std::thread::sleep(GATHER);
        // Whoever comes first asks for all that wait; the others find their answer.
        let _turn = lock(&self.turn);
        let waiting = std::mem::take(&mut lock(&self.state).waiting);
        let (over, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(asked, _)| asked.over.is_over());
        for (_, sender) in over {
            let _ = sender.send(Err(NoAnswer::Over));
        }
        if !waiting.is_empty() {
            let (questions, senders): (Vec<Asked>, Vec<_>) = waiting.into_iter().unzip();
            let mut answers = approver.ask_list(&questions).into_iter();
            for (asked, sender) in questions.iter().zip(senders) {
                let answer = answers.next().unwrap_or(Err(NoAnswer::Nobody));
                stop_run(asked, &answer);
                let _ = sender.send(answer);
            }
        }
        answered.recv().unwrap_or(Err(NoAnswer::Nobody))
    }
}

/// While it is still this question's turn, so that no other of the run comes up in between.
fn stop_run(asked: &Asked, answer: &Result<Answer, NoAnswer>) {
    if matches!(answer, Ok(Answer::Abort)) {
        asked.over.stop_run();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
