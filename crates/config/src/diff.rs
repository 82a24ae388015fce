//! `config diff A B`: what a change of settings or requirements makes weaker, and what stricter.

use crate::document;
use crate::error::{ConfigError, Problem};
use crate::inspect::{self, FileKind};
use crate::merge;
use crate::node::{Node, Source, Table, Value, path_text};
use crate::order;
use crate::registry::{KEYS, Key, Kind, Merge, Order, ProjectRule, Weight};
use crate::requirements::keys::{Form, KEYS as REQUIREMENT_KEYS};
use crate::show::expand;
use ringfence_model::origin::{Layer, Origin};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

/// Which way a key went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Less is held, asked or forbidden.
    Weaker,
    /// More is.
    Stricter,
    /// Something else is, and which is stricter can't be said.
    Other,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Which way it went.
    pub direction: Direction,
    /// What the first file says; none: nothing.
    pub before: Option<Value>,
    /// Where.
    pub before_at: Option<Origin>,
    /// What the second file says; none: nothing.
    pub after: Option<Value>,
    /// Where.
    pub after_at: Option<Origin>,
}

/// Compares two files of the same kind: weaker keys first. Both must be valid.
pub fn diff(a: (&Path, &[u8]), b: (&Path, &[u8]), kind: FileKind) -> Result<Vec<Difference>, ConfigError> {
    let (a, b) = (read(a, kind)?, read(b, kind)?);
    let mut differences = match kind {
        FileKind::Requirements => REQUIREMENT_KEYS
            .iter()
            .filter_map(|key| Some((key.path, stand_in(key.path, &key.kind)?)))
            .flat_map(|(path, key)| compare(&key, path, &a, &b))
            .collect(),
        FileKind::Config | FileKind::Managed => {
            KEYS.iter().flat_map(|key| compare(key, key.path, &a, &b)).collect::<Vec<_>>()
        }
    };
    differences.sort_by(|a, b| (a.direction, &a.key).cmp(&(b.direction, &b.key)));
    Ok(differences)
}

fn read((file, bytes): (&Path, &[u8]), kind: FileKind) -> Result<Table, ConfigError> {
    let problems = inspect::check_bytes(file, bytes, kind).problems;
    if !problems.is_empty() {
        return Err(ConfigError::Invalid { problems });
    }
    let mut table = document::parse(bytes, &Source::file(file, Layer::User)).map_err(ConfigError::one)?;
    match kind {
        FileKind::Requirements => {
            if let Some(network) = table.remove("network") {
                table.insert("experimental_network".into(), network);
            }
        }
        FileKind::Config | FileKind::Managed => {
            let (problems, _) = merge::normalise(&mut table);
            if !problems.is_empty() {
                return Err(ConfigError::Invalid { problems });
            }
        }
    }
    Ok(table)
}

fn compare(key: &Key, pattern: &str, a: &Table, b: &Table) -> Vec<Difference> {
    let mut paths: BTreeMap<Vec<String>, (Option<&Node>, Option<&Node>)> = BTreeMap::new();
    for (table, second) in [(a, false), (b, true)] {
        let mut found = Vec::new();
        expand(table, pattern, &mut found);
        for (path, node) in found {
            let entry = paths.entry(path).or_default();
            if second { entry.1 = Some(node) } else { entry.0 = Some(node) }
        }
    }
    let differs = |(path, (before, after)): (Vec<String>, (Option<&Node>, Option<&Node>))| {
        let (before_value, after_value) = (before.map(|node| &node.value), after.map(|node| &node.value));
        let same = match (before_value, after_value) {
            (Some(before), Some(after)) => before.says_the_same(after),
            _ => false,
        };
        let direction = match order::compare(key, after_value, before_value) {
            _ if same => return None,
            Some(Ordering::Less) => Direction::Weaker,
            Some(Ordering::Greater) => Direction::Stricter,
            // A default written out changes nothing.
            Some(Ordering::Equal) => return None,
            None => Direction::Other,
        };
        Some(Difference {
            key: path_text(&path),
            direction,
            before: before_value.cloned(),
            before_at: before.map(|node| node.mark.origin()),
            after: after_value.cloned(),
            after_at: after.map(|node| node.mark.origin()),
        })
    };
    paths.into_iter().filter_map(differs).collect()
}

/// A requirement as a key that can be compared. None for what has no effect here.
fn stand_in(path: &'static str, form: &Form) -> Option<Key> {
    let order = match path {
        "allowed_approval_policies"
        | "allowed_sandbox_modes"
        | "allowed_web_search_modes"
        | "allowed_approvals_reviewers"
        | "experimental_network.allow_unix_sockets" => Order::FewerThanAll,
        "permissions.filesystem.deny_read" | "rules.prefix_rules" | "experimental_network.denied_domains" => {
            Order::MoreEntries
        }
        "experimental_network.domains" => Order::Denials,
        "experimental_network.enabled"
        | "experimental_network.managed_allowed_domains_only"
        | "allow_managed_hooks_only"
        | "cloud.required" => Order::True,
        "experimental_network.allow_local_binding"
        | "experimental_network.allow_upstream_proxy"
        | "experimental_network.dangerously_allow_non_loopback_proxy" => Order::FalseOverUnset,
        "experimental_network.mode" => Order::Words(&["limited", "full"]),
        _ => Order::None,
    };
    let kind = match form {
        Form::Plain(kind) => *kind,
        Form::NotApplicable => return None,
        Form::Rules | Form::Identity | Form::HostModes | Form::Hooks => Kind::Text,
    };
    Some(Key {
        path,
        kind,
        default: crate::registry::Fallback::Unset,
        merge: Merge::Replace,
        project: ProjectRule::Ignored,
        order,
        weight: Weight::Security,
        doc: "",
    })
}

/// Reads the two files and compares them; what each is follows from its name.
pub fn diff_files(a: &Path, b: &Path) -> Result<Vec<Difference>, ConfigError> {
    let bytes =
        |file: &Path| std::fs::read(file).map_err(|cause| ConfigError::Unreadable { file: file.to_path_buf(), cause });
    let (kind, other) = (FileKind::of(a), FileKind::of(b));
    if (kind == FileKind::Requirements) != (other == FileKind::Requirements) {
        let text = "one of the two is a requirements file, the other isn't";
        return Err(Problem::new("other-kind", text, Source::file(b, Layer::User).at(0, 0)).into());
    }
    let (first, second) = (bytes(a)?, bytes(b)?);
    diff((a, &first), (b, &second), kind)
}
