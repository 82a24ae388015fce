//! Trust of a project: what the user's own entry says of its real path, and the defaults that follow.

use crate::extract::texts_of;
use crate::node::{Node, Table, at};
use ringfence_model::mode::{ApprovalPolicy, SandboxMode};
use ringfence_model::origin::Sourced;
use ringfence_model::path::AbsPath;
use ringfence_model::settings::Trust;
use serde::{Deserialize, Serialize};

/// What was found of the project, before any of its own settings is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFacts {
    /// Its root, resolved.
    pub root: AbsPath,
    /// Whether the root has a version-control marker.
    pub version_controlled: bool,
}

/// The entry of a project in `[projects]`. Only its very own path counts, never a directory above.
#[must_use]
pub fn entry<'t>(settings: &'t Table, root: &AbsPath) -> Option<&'t Node> {
    let projects = at(settings, &["projects"])?.as_table()?;
    projects.iter().find(|(path, _)| AbsPath::new(path.as_str()).is_ok_and(|path| path == *root)).map(|(_, node)| node)
}

/// What the user said of a project.
#[must_use]
pub fn level(settings: &Table, root: &AbsPath) -> Sourced<Trust> {
    let node = entry(settings, root).and_then(|entry| entry.at(&["trust_level"]));
    match node.and_then(|node| Some((node.as_str()?, node.mark.origin()))) {
        Some(("trusted", origin)) => Sourced::new(Trust::Trusted, origin),
        Some((_, origin)) => Sourced::new(Trust::Untrusted, origin),
        None => Sourced::default_of(Trust::Unknown, "projects.*.trust_level"),
    }
}

/// What this project may set although projects may not.
#[must_use]
pub fn overrides(settings: &Table, root: &AbsPath) -> Vec<Sourced<String>> {
    entry(settings, root).and_then(|entry| entry.at(&["allow_project_overrides"])).map(texts_of).unwrap_or_default()
}

/// The settings that a layer may have for one project: what `ringfence permissions PRESET` writes.
const OF_ONE_PROJECT: [&str; 2] = ["sandbox_mode", "approval_policy"];

/// Lets what a layer says of this very project hold over what it says of all.
pub fn hold_for(layer: &mut Table, root: &AbsPath) {
    for (key, node) in of_project(layer, root) {
        layer.insert(key, node);
    }
}

/// As [`hold_for`], but what the layer says plainly holds: a flag counts over `-c projects.…`.
pub fn fill_for(layer: &mut Table, root: &AbsPath) {
    for (key, node) in of_project(layer, root) {
        layer.entry(key).or_insert(node);
    }
}

fn of_project(layer: &Table, root: &AbsPath) -> Vec<(String, Node)> {
    let said = |key: &str| Some((key.to_owned(), entry(layer, root)?.at(&[key])?.clone()));
    OF_ONE_PROJECT.iter().filter_map(|key| said(key)).collect()
}

/// The sandbox mode where nobody chose one.
#[must_use]
pub fn default_mode(trust: Trust, version_controlled: bool, require_trust: bool) -> SandboxMode {
    match (trust, version_controlled) {
        (Trust::Untrusted, _) => SandboxMode::ReadOnly,
        (Trust::Trusted, _) => SandboxMode::WorkspaceWrite,
        (Trust::Unknown, true) if !require_trust => SandboxMode::WorkspaceWrite,
        (Trust::Unknown, _) => SandboxMode::ReadOnly,
    }
}

/// The approval policy where nobody chose one.
#[must_use]
pub fn default_policy(trust: Trust) -> ApprovalPolicy {
    match trust {
        Trust::Untrusted => ApprovalPolicy::Untrusted,
        Trust::Trusted | Trust::Unknown => ApprovalPolicy::OnRequest,
    }
}
