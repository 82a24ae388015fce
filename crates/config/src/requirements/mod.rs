//! Requirements: sources of an administrator's constraints, read strictly and composed into one set.

mod compose;
mod identity;
pub mod keys;
mod read;
mod rules;

pub use compose::{Order, compose};
pub use identity::fits;
pub use read::{Host, Partial, Standing, read};

use crate::error::Problem;
use crate::layers::Document;
use crate::node::{Node, Source, Value, at};
use ringfence_model::mode::{Reviewer, SandboxMode};
use ringfence_model::origin::{Layer, Origin, Sourced};
use ringfence_model::requirements::{PolicyName, RequirementSource};
use std::sync::Arc;

/// Every source of requirements of one start.
#[derive(Debug, Clone, Default)]
pub struct RequirementSources {
    /// Managed preferences of the operating system.
    pub preferences: Option<Document>,
    /// The verified cloud bundle.
    pub cloud: Option<Document>,
    /// `requirements.toml` of the system.
    pub system: Option<Document>,
    /// Files that managed preferences name in `inherit`, in that order.
    pub preferences_inherited: Vec<Document>,
    /// Files that the system's source names in `inherit`, in that order.
    pub system_inherited: Vec<Document>,
    /// `managed_config.toml`, for its legacy fields.
    pub managed: Option<Document>,
    /// The host's names, full one first, for `remote_sandbox_config`.
    pub hostname: Option<String>,
    /// What was looked at, highest first.
    pub sources: Vec<RequirementSource>,
}

/// The legacy fields of `managed_config.toml`, read as requirements that allow only that value.
#[must_use]
pub fn legacy(document: &Document) -> Partial {
    let source = match document.source.as_ref() {
        Source::File { file, .. } => Arc::new(Source::File { file: file.clone(), layer: Layer::LegacyRequirements }),
        _ => Arc::clone(&document.source),
    };
    let origin = |node: &Node| source.at(node.mark.line, node.mark.column);
    let field = |name: &str| at(&document.table, &[name]);
    let mut partial = Partial::default();
    if let Some(node) = field("approval_policy")
        && let Some(policy) = crate::order::policy(&node.value)
    {
        partial.approval_policies = Some(Sourced::new(vec![PolicyName::of(policy)], origin(node)));
    }
    if let Some(node) = field("sandbox_mode")
        && let Some(mode) = node.as_str().and_then(SandboxMode::from_name)
    {
        let mut modes = vec![SandboxMode::ReadOnly, mode];
        modes.dedup();
        partial.sandbox_modes = Some(Sourced::new(modes, origin(node)));
    }
    if let Some(node) = field("approvals_reviewer")
        && let Some(reviewer) = node.as_str().and_then(reviewer)
    {
        partial.reviewers = Some(Sourced::new(vec![reviewer], origin(node)));
    }
    partial
}

/// The reviewer with this name; `auto_review` is `program`.
#[must_use]
pub fn reviewer(name: &str) -> Option<Reviewer> {
    match name {
        "auto_review" => Some(Reviewer::Program),
        name => Reviewer::from_name(name),
    }
}

/// The files that a source names in `inherit`; checked when the source is read.
#[must_use]
pub fn inherited(document: &Document) -> Vec<(String, Origin)> {
    let list = at(&document.table, &["inherit"]).and_then(Node::as_list).unwrap_or(&[]);
    list.iter().filter_map(|node| Some((node.as_str()?.to_owned(), node.mark.origin()))).collect()
}

/// Whether the host is one that a pattern means: `*` is any text (dots too), `?` one character; letters' case and a
/// final dot don't count.
#[must_use]
pub fn host_matches(pattern: &str, host: &str) -> bool {
    let plain = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
    ringfence_model::glob::name_matches(plain(pattern).as_bytes(), plain(host).as_bytes())
}

/// One value as one line of TOML, for what is only passed on.
fn as_text(node: &Node) -> Sourced<String> {
    Sourced::new(node.value.to_string(), node.mark.origin())
}

fn wrong(text: impl Into<String>, node: &Node) -> Problem {
    Problem::new("wrong-type", text, node.mark.origin())
}

fn words(node: &Node) -> Vec<(&str, &Node)> {
    match &node.value {
        Value::List(list) => list.iter().filter_map(|node| Some((node.as_str()?, node))).collect(),
        _ => Vec::new(),
    }
}
