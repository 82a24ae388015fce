//! Verdicts: what the decision says of an action, and why.

use crate::action::{Identity, Placement};
use crate::confinement::Confinement;
use crate::grant::{Lasts, Scope};
use crate::os_text::OsText;
use crate::report::Reason;
use serde::{Deserialize, Serialize};

/// What happens with an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It runs, confined so.
    Run(Box<Run>),
    /// Somebody is asked first.
    Ask(Box<Question>),
    /// It doesn't run.
    Refuse(Refusal),
}

impl Verdict {
    /// Rank by strictness: running is 0, asking 1, refusing 2.
    #[must_use]
    pub fn strictness(&self) -> u8 {
        match self {
            Self::Run(_) => 0,
            Self::Ask(_) => 1,
            Self::Refuse(_) => 2,
        }
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Ask(_) => "ask",
            Self::Refuse(_) => "refuse",
        }
    }
}

/// An action that may run, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// What it may do.
    pub confinement: Confinement,
    /// Where that is, compared with the settings' sandbox.
    pub placement: Placement,
    /// A known-safe read that is only safe when run so, in place of what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
    /// Grants that were needed.
    #[serde(default)]
    pub grants: Vec<String>,
}

/// A command made harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instead {
    /// Program and arguments.
    pub argv: Vec<OsText>,
    /// Variables that are set.
    pub set: Vec<(OsText, OsText)>,
    /// Variables that are removed; a name that ends in `*` is a prefix.
    pub unset: Vec<String>,
}

/// What a person or reviewer is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Why it is asked: which category of questions it belongs to.
    pub kind: QuestionKind,
    /// What a yes gives.
    pub wish: Placement,
    /// What it could touch that deserves a second look: a wish for everything, a protected path.
    pub marks: Vec<String>,
    /// The answers offered beyond once, widest last.
    pub offers: Vec<Offer>,
    /// What the answer is bound to.
    pub identity: Identity,
}

/// Categories of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuestionKind {
    /// The policy wants somebody to see it.
    Policy,
    /// The agent asks for more than the sandbox gives.
    Escalation,
    /// A rule prompts.
    Rule,
    /// The command is dangerous.
    Dangerous,
    /// The command is hard to undo.
    Destructive,
    /// The sandbox refused it before.
    Denied,
    /// Files change.
    Edit,
    /// A host that no rule names.
    Host,
    /// An MCP tool.
    Tool,
    /// An MCP server's own question.
    Elicitation,
}

/// An answer beyond "once", shown in full before it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What it covers.
    pub scope: Scope,
    /// How long.
    pub lasts: Lasts,
    /// In words.
    pub text: String,
}

/// Why an action doesn't run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable code, documented in the reference.
    pub code: String,
    /// A lower-case fragment without full stop; may be told to the agent.
    pub text: String,
}

/// A verdict with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why, most important first, each with its origin and what would change it.
    pub reasons: Vec<Reason>,
}
