//! `config show` and `config get` as values: every effective key with its origin, and what each requirement changed.

use crate::apply::Adjustment;
use crate::error::Problem;
use crate::node::{Mark, Node, Source, Table, Value, at, path_text};
use crate::registry::{self, Fallback, Found, KEYS, Kind, Weight};
use crate::resolve::Resolved;
use crate::suggest;
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::requirements::{RequirementSource, Requirements};
use serde::Serialize;
use std::sync::Arc;

/// One key that holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Its path.
    pub key: String,
    /// Its value. What looks like a credential is replaced.
    pub value: Value,
    /// Where it was set; elements of lists that add up have their own in `parts`.
    pub origin: Origin,
    /// Whether anybody set it.
    pub is_set: bool,
    /// Whether it bears on security.
    pub security: bool,
    /// Elements and where each was set, where they come from more than one place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(Value, Origin)>,
    /// What a requirement made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Adjustment>,
}

/// One requirement in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownRequirement {
    /// Its key.
    pub key: &'static str,
    /// What it says.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// Everything that holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Every key, in the order of the reference; keys with names of their own follow their pattern.
    pub settings: Vec<Shown>,
    /// Every requirement.
    pub requirements: Vec<ShownRequirement>,
    /// Their sources, highest first.
    pub sources: Vec<RequirementSource>,
    /// The selected profile.
    pub profile: Option<Sourced<String>>,
    /// What a person is told.
    pub notices: Vec<Notice>,
}

/// Shows everything.
#[must_use]
pub fn show(resolved: &Resolved) -> Overview {
    let mut settings = Vec::new();
    for key in KEYS {
        let mut found = Vec::new();
        expand(&resolved.effective, key.path, &mut found);
        if found.is_empty() && !key.path.contains('*') && key.default != Fallback::Unset {
            settings.push(default_of(key));
        }
        for (path, node) in found {
            settings.push(shown(resolved, &path, node, /* hide */ true));
        }
    }
    Overview {
        settings,
        requirements: requirements(&resolved.requirements),
        sources: resolved.requirements.sources.clone(),
        profile: resolved.profile.clone(),
        notices: resolved.notices.clone(),
    }
}

/// One key or one section, as it holds.
pub fn get(resolved: &Resolved, path: &[String]) -> Result<Shown, Problem> {
    let path = crate::check::canonical(path);
    if let Some(node) = at(&resolved.effective, &path) {
        return Ok(shown(resolved, &path, node, /* hide */ false));
    }
    let text = path_text(&path);
    match registry::find(&path) {
        Found::Key(key) | Found::Both(key) => {
            let mut shown = default_of(key);
            shown.key = text;
            Ok(shown)
        }
        Found::Section => Ok(Shown {
            key: text,
            value: Value::Table(Table::new()),
            origin: Origin::builtin("nobody set it"),
            is_set: false,
            security: false,
            parts: Vec::new(),
            changed: None,
        }),
        Found::Unknown => {
            let problem = Problem::new("unknown-key", format!("unknown key `{text}`"), Origin::flag("config get"));
            let (name, above) = match path.split_last() {
                Some((name, above)) => (name.as_str(), above),
                None => return Err(problem),
            };
            let near = suggest::nearest(name, registry::names_below(above).into_iter());
            Err(Problem { hint: near.map(|near| format!("did you mean `{near}`?")), ..problem })
        }
    }
}

/// Every concrete path that a row's path stands for in a table.
pub(crate) fn expand<'t>(table: &'t Table, pattern: &str, found: &mut Vec<(Vec<String>, &'t Node)>) {
    let parts: Vec<&str> = pattern.split('.').collect();
    expand_at(table, &parts, &mut Vec::new(), found);
}

fn expand_at<'t>(table: &'t Table, parts: &[&str], path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'t Node)>) {
    let Some((first, rest)) = parts.split_first() else { return };
    let names: Vec<&String> = table.keys().filter(|name| *first == "*" || *first == name.as_str()).collect();
    for name in names {
        let Some(node) = table.get(name) else { continue };
        path.push(name.clone());
        match (&node.value, rest.is_empty()) {
            (_, true) => found.push((path.clone(), node)),
            (Value::Table(inner), false) => expand_at(inner, rest, path, found),
            _ => {}
        }
        path.pop();
    }
}

fn default_of(key: &registry::Key) -> Shown {
    let value = match key.default {
        Fallback::Unset => Value::Text(String::new()),
        Fallback::Bool(value) => Value::Bool(value),
        Fallback::Integer(value) => Value::Integer(value),
        Fallback::Text(text) | Fallback::Depends(text) => Value::Text(text.to_owned()),
        Fallback::Texts(texts) => {
            let mark = Mark::whole(&Arc::new(Source::BuiltIn(format!("default of `{}`", key.path).into())));
            let node = |text: &&str| Node::new(Value::Text((*text).to_owned()), mark.clone());
            Value::List(texts.iter().map(node).collect())
        }
        Fallback::EmptyList => Value::List(Vec::new()),
        Fallback::EmptyTable => Value::Table(Table::new()),
    };
    Shown {
        key: key.path.to_owned(),
        value,
        origin: Origin::builtin(format!("default of `{}`", key.path)),
        is_set: false,
        security: key.weight == Weight::Security,
        parts: Vec::new(),
        changed: None,
    }
}

fn shown(resolved: &Resolved, path: &[String], node: &Node, hide: bool) -> Shown {
    let key = path_text(path);
    let row = registry::key(path);
    let changed = resolved.adjustments.iter().find(|adjustment| adjustment.key == key).cloned();
    let mut parts = Vec::new();
    for element in node.as_list().unwrap_or(&[]) {
        parts.push((element.value.clone(), element.mark.origin()));
    }
    let whole = |origin: &Origin| match (origin, &node.mark.source.at(0, 0)) {
        (Origin::File { file: a, .. }, Origin::File { file: b, .. }) => a == b,
        (a, b) => a == b,
    };
    if parts.iter().all(|(_, origin)| whole(origin)) {
        parts.clear();
    }
    let secret = hide && carries_credentials(path, row.map(|row| &row.kind));
    let value = if secret { hidden(&node.value) } else { node.value.clone() };
    Shown {
        key,
        value,
        origin: node.mark.origin(),
        is_set: node.mark.origin().is_explicit(),
        security: row.is_none_or(|row| row.weight == Weight::Security),
        parts,
        changed,
    }
}

fn carries_credentials(path: &[String], kind: Option<&Kind>) -> bool {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(kind, Some(Kind::Exporter))
        || matches!(names.as_slice(), ["shell_environment_policy", "set", ..] | ["mcp_servers", _, "env", ..])
}

/// The same with every text that may be a credential replaced.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(name, node)| {
                    let keep = matches!(name.as_str(), "endpoint" | "protocol");
                    let value = if keep { node.value.clone() } else { hidden(&node.value) };
                    (name.clone(), Node::new(value, node.mark.clone()))
                })
                .collect(),
        ),
        Value::Text(text) if matches!(text.as_str(), "none" | "otlp-http" | "otlp-grpc") => value.clone(),
        Value::Text(_) => Value::Text("[not shown]".into()),
        other => other.clone(),
    }
}

/// Every requirement in force, as a line each.
#[must_use]
pub fn requirements(requirements: &Requirements) -> Vec<ShownRequirement> {
    let mut lines = Vec::new();
    let mut line = |key: &'static str, value: String, origin: &Origin| {
        lines.push(ShownRequirement { key, value, origin: origin.clone() });
    };
    fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
        format!("[{}]", names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "))
    }
    if let Some(list) = &requirements.approval_policies {
        line("allowed_approval_policies", names(list.value.iter().map(|name| name.name())), &list.origin);
    }
    if let Some(list) = &requirements.sandbox_modes {
        line("allowed_sandbox_modes", names(list.value.iter().map(|mode| mode.name())), &list.origin);
    }
    if let Some(list) = &requirements.web_search_modes {
        line("allowed_web_search_modes", names(list.value.iter().map(|mode| mode.name())), &list.origin);
    }
    if let Some(list) = &requirements.reviewers {
        line("allowed_approvals_reviewers", names(list.value.iter().map(|reviewer| reviewer.name())), &list.origin);
    }
    if let Some(text) = &requirements.reviewer_policy {
        line("guardian_policy_config", ringfence_model::text::quote(&text.value), &text.origin);
    }
    if let Some(name) = &requirements.default_permissions {
        line("default_permissions", ringfence_model::text::quote(&name.value), &name.origin);
    }
    for (name, allowed) in requirements.permission_profiles.iter().flat_map(|list| &list.value) {
        line("allowed_permission_profiles", format!("{} = {}", path_text(&[name]), allowed.value), &allowed.origin);
    }
    for denied in &requirements.deny_read {
        let text = match &denied.pattern {
            ringfence_model::confinement::PathPattern::Path(path) => path.display(),
            ringfence_model::confinement::PathPattern::Glob(glob) => ringfence_model::text::escape(glob.as_str()),
        };
        line("permissions.filesystem.deny_read", text, &denied.origin);
    }
    for rule in &requirements.prefix_rules {
        let words: Vec<String> = rule.pattern.iter().map(|alternatives| alternatives.join("|")).collect();
        let decision = match rule.decision {
            ringfence_model::requirements::RequiredDecision::Prompt => "prompt",
            ringfence_model::requirements::RequiredDecision::Forbidden => "forbidden",
        };
        let text = ringfence_model::text::escape(&words.join(" "));
        line("rules.prefix_rules", format!("{text}: {decision}"), &rule.origin);
    }
    if let Some(servers) = &requirements.mcp_servers {
        if servers.value.is_empty() {
            line("mcp_servers", "none may run".into(), &servers.origin);
        }
        for (name, identity) in &servers.value {
            line("mcp_servers.*.identity", format!("{}: {:?}", path_text(&[name]), identity.value), &identity.origin);
        }
    }
    for (name, pin) in &requirements.features {
        line("features", format!("{} = {}", path_text(&[name]), pin.value), &pin.origin);
    }
    let network = &requirements.network;
    for (key, flag) in [
        ("experimental_network.enabled", &network.enabled),
        ("experimental_network.managed_allowed_domains_only", &network.managed_allowed_domains_only),
        ("experimental_network.allow_local_binding", &network.allow_local_binding),
        ("experimental_network.allow_upstream_proxy", &network.allow_upstream_proxy),
        ("experimental_network.dangerously_allow_non_loopback_proxy", &network.dangerously_allow_non_loopback_proxy),
        ("allow_managed_hooks_only", &requirements.managed_hooks_only),
        ("cloud.required", &requirements.cloud.required),
    ] {
        if let Some(flag) = flag {
            line(key, flag.value.to_string(), &flag.origin);
        }
    }
    for (pattern, access) in
        network.allow.iter().map(|entry| (entry, "allow")).chain(network.deny.iter().map(|entry| (entry, "deny")))
    {
        let text = format!("{} = \"{access}\"", path_text(&[&pattern.value]));
        line("experimental_network.domains", text, &pattern.origin);
    }
    if let Some(sockets) = &network.unix_sockets {
        line("experimental_network.unix_sockets", names(sockets.value.iter().map(String::as_str)), &sockets.origin);
    }
    for key in &requirements.not_applicable {
        line("not applicable here", key.value.clone(), &key.origin);
    }
    lines
}
