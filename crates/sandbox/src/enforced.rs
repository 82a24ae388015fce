//! Enforced: what became of each step of a plan, and the errors that end a run before its command starts.

use crate::plan::{Promise, Step};
use ringfence_model::report::NotHeld;
use ringfence_model::{Origin, Tier};
use serde::{Deserialize, Serialize};

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum StepResult {
    /// It holds.
    Held,
    /// It holds in a weaker way.
    Weakened {
        /// How it holds, and what that doesn't cover.
        how: String,
        /// What would change it.
        remedy: String,
    },
    /// It doesn't hold.
    Absent {
        /// Why.
        why: String,
        /// What would change it.
        remedy: String,
    },
}

impl StepResult {
    /// Whether it holds fully.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self, Self::Held)
    }
}

/// A step with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// Its place in the plan.
    pub index: usize,
    /// The promise it serves.
    pub promise: Promise,
    /// The setting it came from.
    pub origin: Origin,
    /// What became of it.
    pub result: StepResult,
}

impl Enforced {
    /// That this became of `step`, which is the plan's `index`th.
    #[must_use]
    pub fn of(index: usize, step: &Step, result: StepResult) -> Self {
        Self { index, promise: step.promise, origin: step.origin.clone(), result }
    }

    /// As reports list it; none if it holds fully.
    #[must_use]
    pub fn not_held(&self) -> Option<NotHeld> {
        let (weakened, why, remedy) = match &self.result {
            StepResult::Held => return None,
            StepResult::Weakened { how, remedy } => (true, how, remedy),
            StepResult::Absent { why, remedy } => (false, why, remedy),
        };
        Some(NotHeld { promise: self.promise.name().to_owned(), weakened, why: why.clone(), remedy: remedy.clone() })
    }
}

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A step that must hold doesn't. Nothing of the command ran.
    #[error("{}", describe(.step, .what))]
    Step {
        /// The step.
        step: Box<Step>,
        /// The operation that failed: `mount /proc`.
        what: String,
        /// What would change it.
        remedy: String,
        /// The kernel's answer.
        #[source]
        cause: std::io::Error,
    },
    /// The tier can't be set up here at all; another one may.
    #[error("set up the `{tier}` tier: {what}")]
    Tier {
        /// The tier.
        tier: Tier,
        /// The operation that failed.
        what: String,
        /// What would change it.
        remedy: String,
        /// The kernel's answer.
        #[source]
        cause: std::io::Error,
    },
    /// The program was found but can't be executed.
    #[error("`{program}` can't be executed")]
    NotExecutable {
        /// As given.
        program: String,
        /// The kernel's answer.
        #[source]
        cause: std::io::Error,
    },
    /// There is no such program.
    #[error("there is no program `{program}`")]
    NotFound {
        /// As given.
        program: String,
        /// The kernel's answer.
        #[source]
        cause: std::io::Error,
    },
    /// The plan is not for this system.
    #[error("enforce a plan made for another system or tier: {why}")]
    Foreign {
        /// What doesn't fit.
        why: String,
    },
    /// Something of the supervisor itself failed.
    #[error("{what}")]
    Supervisor {
        /// What.
        what: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
}

fn describe(step: &Step, what: &str) -> String {
    format!("hold `{}` ({}): {what}", step.promise, step.origin)
}

impl StartError {
    /// What the user could do, if it is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Step { remedy, .. } | Self::Tier { remedy, .. } if !remedy.is_empty() => Some(remedy),
            _ => None,
        }
    }

    /// The exit status Ringfence ends with because of it.
    #[must_use]
    pub fn status(&self) -> u8 {
        use ringfence_model::report::status;
        match self {
            Self::NotExecutable { .. } => status::DENIED,
            Self::NotFound { .. } => status::NOT_FOUND,
            _ => status::FAILED,
        }
    }
}
