//! Explaining a verdict: the steps that led to it, as a value that prints and serialises.
//!
//! It is made from the very judgement that decides, so an explanation can't say anything else than what happens.

use crate::decide::{ActFacts, Basis, conclude, look_at};
use crate::table::{Cell, Row, cell};
use ringfence_model::action::Exec;
use ringfence_model::verdict::Decision;
use ringfence_model::{Action, ApprovalPolicy, Grant, Origin, SandboxMode, Settings};
use ringfence_rules::{Decision as RuleDecision, RuleSet};
use ringfence_shell::Class;
use serde::Serialize;

/// How a command was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The commands that are judged, each alone.
    pub commands: Vec<Explained>,
    /// Commands seen inside a script or behind wrappers: they count for rules that prompt or forbid, and for danger.
    pub inner: Vec<Explained>,
    /// What makes the line opaque, with the text at fault; empty for a plain one.
    pub opaque: Vec<String>,
    /// Which row of the policy table holds.
    pub row: TableRow,
    /// The decision.
    pub decision: Decision,
}

/// One command of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The command, escaped.
    pub command: String,
    /// The wrappers it was seen through.
    pub through: Vec<String>,
    /// The rules that matched.
    pub rules: Vec<ExplainedRule>,
    /// `safe`, `safe-if-neutralised`, `ordinary`, `dangerous`; none for what is only looked at for rules and danger.
    pub class: Option<&'static str>,
    /// Why it has that class.
    pub why: Option<String>,
    /// The word that mattered.
    pub word: Option<String>,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRule {
    /// `allow`, `prompt`, `forbidden`.
    pub decision: RuleDecision,
    /// The words it covered.
    pub matched: Vec<String>,
    /// Its author's reason.
    pub justification: Option<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// The row of the policy table, and what it says under every policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableRow {
    /// The mode in force.
    pub mode: SandboxMode,
    /// The policy in force.
    pub policy: ApprovalPolicy,
    /// The row.
    pub row: Row,
    /// Its cell.
    pub cell: Cell,
    /// What other policies would say.
    pub others: Vec<(ApprovalPolicy, Cell)>,
}

/// Explains what would happen with a command.
#[must_use]
pub fn explain(
    settings: &Settings,
    rules: &RuleSet,
    grants: &[Grant],
    facts: &ActFacts<'_>,
    exec: &Exec,
) -> Explanation {
    let basis = Basis { settings, rules, grants, facts };
    let (judged, case) = look_at(&basis, exec);
    let decision = conclude(&basis, &Action::Exec(exec.clone()), case);
    let mode = settings.sandbox_mode.value;
    let policy = settings.approval_policy.value;
    let script = judged.reading.opaque.as_ref().and_then(|opaque| opaque.script.as_str()).unwrap_or_default();
    let opaque = judged.reading.opaque.iter().flat_map(|opaque| &opaque.why).map(|why| match why.span {
        Some(span) => format!("{}: {}", why.what, ringfence_model::text::escape(span.of(script))),
        None => why.what.to_owned(),
    });
    let commands =
        judged.reading.commands.iter().zip(&judged.rules.commands).enumerate().map(|(at, (command, rules))| {
            let class = match judged.reading.is_plain() {
                true => judged.class.commands.get(at),
                false => Some(&judged.class.class),
            };
            explained(command, rules, class)
        });
    let inner =
        judged.reading.inner.iter().zip(&judged.rules.inner).map(|(command, rules)| explained(command, rules, None));
    let others =
        [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::OnFailure, ApprovalPolicy::Never]
            .into_iter()
            .filter(|other| *other != policy)
            .map(|other| (other, cell(mode, judged.row, other)))
            .collect();
    Explanation {
        commands: commands.collect(),
        inner: inner.collect(),
        opaque: opaque.collect(),
        row: TableRow { mode, policy, row: judged.row, cell: cell(mode, judged.row, policy), others },
        decision,
    }
}

fn explained(
    command: &ringfence_shell::SimpleCommand,
    rules: &ringfence_rules::Judgement,
    class: Option<&Class>,
) -> Explained {
    let (name, finding) = match class {
        None => (None, None),
        Some(Class::Safe(finding)) => (Some("safe"), Some(finding)),
        Some(Class::SafeIfNeutralised(neutralised)) => (Some("safe-if-neutralised"), Some(&neutralised.finding)),
        Some(Class::Ordinary(finding)) => (Some("ordinary"), Some(finding)),
        Some(Class::Dangerous(finding)) => (Some("dangerous"), Some(finding)),
    };
    Explained {
        command: command.display(),
        through: command.through.clone(),
        rules: rules
            .matches
            .iter()
            .map(|found| ExplainedRule {
                decision: found.decision,
                matched: found.matched_prefix.clone(),
                justification: found.justification.clone(),
                origin: found.origin.clone(),
            })
            .collect(),
        class: name,
        why: finding.map(|finding| finding.why.clone()),
        word: finding.and_then(|finding| finding.word.as_ref()).map(ringfence_model::OsText::display),
    }
}
