//! The JSON of `ringfence rules check`: field for field what `codex execpolicy check` prints.

use crate::set::{Judgement, RuleMatch};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    matched_rules: Vec<Matched<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Matched<'a> {
    PrefixRuleMatch(Prefix<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Prefix<'a> {
    matched_prefix: &'a [String],
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<&'a str>,
}

impl<'a> Matched<'a> {
    fn of(found: &'a RuleMatch) -> Self {
        Self::PrefixRuleMatch(Prefix {
            matched_prefix: &found.matched_prefix,
            decision: found.decision.name(),
            resolved_program: found.resolved_program.as_deref(),
            justification: found.justification.as_deref(),
        })
    }
}

/// A judgement as JSON, without a line end: one line, or indented by two spaces when `pretty`.
#[must_use]
pub fn check_json(judgement: &Judgement, pretty: bool) -> String {
    let document = Document {
        matched_rules: judgement.matches.iter().map(Matched::of).collect(),
        decision: judgement.decision.map(crate::Decision::name),
    };
    let printed = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
    // Strings and lists of strings always serialise.
    printed.unwrap_or_default()
}
