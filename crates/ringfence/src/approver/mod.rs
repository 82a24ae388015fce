//! Who answers questions. A front end brings an [`Approver`]; it shows and asks, it decides nothing.

mod channel;
mod gate;
#[cfg(target_os = "linux")]
pub mod inbox;
mod json;
mod over;
mod program;

pub use channel::JsonApprover;
pub use gate::{BURST, Gate, WINDOW};
pub use json::{read_answer, request_document};
pub use over::Over;
pub use program::ProgramApprover;

use ringfence_model::action::Action;
use ringfence_model::grant::Answer;
use ringfence_model::report::Reason;
use ringfence_model::verdict::Question;
use ringfence_model::{AbsPath, Settings};
use serde::{Deserialize, Serialize};

/// One question, with everything that is shown for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// Its identifier, used once.
    pub id: String,
    /// The action.
    pub action: Action,
    /// The question.
    pub question: Question,
    /// Why it is asked.
    pub reasons: Vec<Reason>,
    /// Where it would run.
    pub cwd: AbsPath,
    /// The mode, policy and reviewer text in force.
    pub under: Under,
    /// Whether it still matters. An approver that waits looks at it, and gives up with [`NoAnswer::Over`].
    #[serde(skip)]
    pub over: Over,
}

/// The settings that a reviewer sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Under {
    /// `workspace-write`, ….
    pub mode: String,
    /// `on-request`, ….
    pub policy: String,
    /// An administrator's text for reviewing programs.
    pub policy_text: Option<String>,
}

impl Under {
    /// Those of `settings`.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            mode: settings.sandbox_mode.value.to_string(),
            policy: settings.approval_policy.value.to_string(),
            policy_text: settings.approvals.policy_text.as_ref().map(|text| text.value.clone()),
        }
    }
}

/// Why there is no answer. Whatever it is, the action doesn't run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// There is nobody to ask: no terminal, no program, no inbox.
    #[error("there is nobody to ask")]
    Nobody,
    /// The time for an answer is over.
    #[error("no answer came in time")]
    Timeout,
    /// What raised the question has ended.
    #[error("what raised the question has ended")]
    Over,
    /// Whoever was asked went away.
    #[error("{who} ended without an answer")]
    Gone {
        /// Who.
        who: String,
    },
    /// What came back isn't an answer to this question.
    #[error("{who} gave something that isn't an answer to this question: {why}")]
    Garbage {
        /// Who.
        who: String,
        /// What was wrong with it.
        why: String,
    },
    /// Whoever should be asked can't be reached.
    #[error("{who} can't be asked: {cause}")]
    Failed {
        /// Who.
        who: String,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
}

/// Somebody, or something, that answers.
pub trait Approver: Send + Sync {
    /// As events and grants name it: `user`, `program`, `front-end`, `inbox`.
    fn name(&self) -> &str;

    /// Asks. Anything but an answer is a denial.
    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer>;

    /// Asks several at once, after too many came one by one. The answers are in the order of the questions; one that is
    /// missing counts as no.
    fn ask_list(&self, asked: &[Asked]) -> Vec<Result<Answer, NoAnswer>> {
        asked.iter().map(|asked| self.ask(asked)).collect()
    }

    /// Whether a person sits at it, who may be offered one question about a denial that is otherwise only reported.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// Nobody: every question is a refusal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Approver for Nobody {
    fn name(&self) -> &str {
        "nobody"
    }

    fn ask(&self, _: &Asked) -> Result<Answer, NoAnswer> {
        Err(NoAnswer::Nobody)
    }
}
