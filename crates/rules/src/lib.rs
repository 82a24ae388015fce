//! The `.rules` language: load, run its own examples, match, explain.
//!
//! A [`RuleSet`] holds the rules of every source in order. Loading is total: a file that can't be loaded stays in the
//! set as [`Broken`], so that whoever decides fails closed. Matching never does I/O and never starts anything; with no
//! rule file nothing of the language runs.

#![forbid(unsafe_code)]

mod check;
mod decision;
mod edit;
mod language;
mod list;
mod print;
mod program;
mod rule;
mod set;

pub use check::check_json;
pub use decision::{Decision, strictest};
pub use edit::{EditError, add, remove};
pub use language::{Limits, LoadError, LoadProblem};
pub use list::{Effective, ExampleOutcome, ExampleReport, effective, run_examples};
pub use print::print_rule;
pub use rule::{
    Alternatives, Broken, Example, HostExecutable, NetworkDecision, NetworkProtocol, NetworkRule, PrefixRule,
};
pub use set::{Judgement, Permit, Programs, ReadingJudgement, RequirementRule, RuleFile, RuleMatch, RuleSet};
