//! One requirements document → what it asks for. Strict: an unknown key, a wrong type or an empty allow list is an error.

use super::keys::{self, Form, Found};
use super::{as_text, host_matches, identity, reviewer, rules, words, wrong};
use crate::check;
use crate::error::Problem;
use crate::extract::denied_read;
use crate::layers::Document;
use crate::node::{Node, Table, Value, path_text};
use crate::suggest;
use ringfence_model::confinement::DeniedRead;
use ringfence_model::mode::{Reviewer, SandboxMode, WebSearchMode};
use ringfence_model::origin::Sourced;
use ringfence_model::path::AbsPath;
use ringfence_model::requirements::{McpIdentity, PolicyName, RequiredRule};
use std::collections::BTreeMap;

/// What one source asks for; what it leaves out is unset.
#[derive(Debug, Clone, Default)]
pub struct Partial {
    pub(crate) approval_policies: Option<Sourced<Vec<PolicyName>>>,
    pub(crate) sandbox_modes: Option<Sourced<Vec<SandboxMode>>>,
    pub(crate) web_search_modes: Option<Sourced<Vec<WebSearchMode>>>,
    pub(crate) reviewers: Option<Sourced<Vec<Reviewer>>>,
    pub(crate) reviewer_policy: Option<Sourced<String>>,
    pub(crate) default_permissions: Option<Sourced<String>>,
    pub(crate) permission_profiles: Option<Sourced<BTreeMap<String, Sourced<bool>>>>,
    pub(crate) deny_read: Vec<DeniedRead>,
    pub(crate) prefix_rules: Vec<RequiredRule>,
    pub(crate) mcp_servers: Option<Sourced<BTreeMap<String, Sourced<McpIdentity>>>>,
    pub(crate) features: BTreeMap<String, Sourced<bool>>,
    pub(crate) flags: BTreeMap<&'static str, Sourced<bool>>,
    pub(crate) limited: Option<Sourced<bool>>,
    pub(crate) domains: BTreeMap<String, Sourced<bool>>,
    pub(crate) allowed_domains: Option<Vec<Sourced<String>>>,
    pub(crate) denied_domains: Vec<Sourced<String>>,
    pub(crate) unix_sockets: Option<Sourced<BTreeMap<String, bool>>>,
    pub(crate) hooks: Vec<Sourced<String>>,
    pub(crate) hooks_dir: Option<Sourced<String>>,
    pub(crate) public_keys: Option<Vec<Sourced<String>>>,
    pub(crate) cloud_url: Option<Sourced<String>>,
    pub(crate) cloud_audience: Option<Sourced<String>>,
    pub(crate) system_first: Option<Sourced<bool>>,
    pub(crate) not_applicable: Vec<Sourced<String>>,
}

/// What reading must know of the host.
#[derive(Debug, Clone, Copy)]
pub struct Host<'h> {
    /// Its name.
    pub name: Option<&'h str>,
    /// What `~` stands for.
    pub user_home: Option<&'h AbsPath>,
}

/// Where a document comes from, as far as that decides what it may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Managed preferences or the system's own file.
    Local,
    /// A file that another names in `inherit`.
    Inherited,
    /// A policy bundle.
    Cloud,
}

/// Reads one document.
pub fn read(document: &Document, host: Host<'_>, standing: Standing) -> Result<Partial, Vec<Problem>> {
    let mut reader = Reader { host, standing, partial: Partial::default(), problems: Vec::new() };
    reader.both_spellings(&document.table);
    reader.section(&document.table, &mut Vec::new());
    // Host patterns take the place of the source's own list, whichever comes first in the file.
    if let Some(node) = document.table.get("remote_sandbox_config") {
        reader.host_modes(node);
    }
    if reader.problems.is_empty() { Ok(reader.partial) } else { Err(reader.problems) }
}

struct Reader<'h> {
    host: Host<'h>,
    standing: Standing,
    partial: Partial,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn section(&mut self, table: &Table, path: &mut Vec<String>) {
        for (name, node) in table {
            path.push(name.clone());
            self.entry(node, path);
            path.pop();
        }
    }

    fn entry(&mut self, node: &Node, path: &mut Vec<String>) {
        let canonical = keys::canonical(path);
        match (keys::find(&canonical), &node.value) {
            (Found::Section, Value::Table(inner)) => {
                if let [servers] = canonical.as_slice()
                    && servers == "mcp_servers"
                {
                    self.partial.mcp_servers = Some(Sourced::new(BTreeMap::new(), node.mark.origin()));
                }
                let before = self.problems.len();
                self.section(inner, path);
                if let [servers, name] = canonical.as_slice()
                    && servers == "mcp_servers"
                    && self.problems.len() == before
                    && !inner.contains_key("identity")
                {
                    let text = format!("`{}` lacks `identity`", path_text(&[servers, name]));
                    self.problems.push(Problem::new("missing-field", text, node.mark.origin()));
                }
            }
            (Found::Section, value) => {
                let text = format!("`{}` must be a table, not {}", path_text(path), value.type_name());
                self.problems.push(wrong(text, node));
            }
            (Found::Key(key), _) => self.key(key, node, path),
            (Found::Unknown, _) => {
                let Some((name, above)) = path.split_last() else { return };
                let text = format!("unknown requirement `{}`", path_text(path));
                let mut problem = Problem::new("unknown-key", text, node.mark.origin());
                let known = keys::names_below(&keys::canonical(above));
                problem.hint = misplaced(name, above).or_else(|| {
                    let near = suggest::nearest(name, known.into_iter())?;
                    let mut known = above.to_vec();
                    known.push(near.to_owned());
                    Some(format!("did you mean `{}`?", path_text(&known)))
                });
                self.problems.push(problem);
            }
        }
    }

    fn key(&mut self, key: &'static keys::RequirementKey, node: &Node, path: &[String]) {
        let name = path_text(path);
        match key.kind {
            Form::NotApplicable => self.partial.not_applicable.push(Sourced::new(name, node.mark.origin())),
            Form::Rules => match rules::read(node, &name) {
                Ok(rules) => self.partial.prefix_rules = rules,
                Err(problems) => self.problems.extend(problems),
            },
            Form::Identity => match (identity::read(node, &name), path) {
                (Ok(identity), [_, server, _]) => {
                    let entry = Sourced::new(identity, node.mark.origin());
                    let servers = self
                        .partial
                        .mcp_servers
                        .get_or_insert_with(|| Sourced::new(BTreeMap::new(), node.mark.origin()));
                    servers.value.insert(server.clone(), entry);
                }
                (Ok(_), _) => {}
                (Err(problem), _) => self.problems.push(problem),
            },
            Form::HostModes => {}
            Form::Hooks => self.hooks(node),
            Form::Plain(kind) => match check::fits(&kind, node, &name) {
                Ok(()) => self.plain(key, node, &name),
                Err(problem) => self.problems.push(*problem),
            },
        }
    }

    fn plain(&mut self, key: &'static keys::RequirementKey, node: &Node, name: &str) {
        let origin = || node.mark.origin();
        let text = || Some(Sourced::new(node.as_str()?.to_owned(), origin()));
        match key.path {
            "allowed_approval_policies" => {
                let policies = words(node).iter().filter_map(|(word, _)| PolicyName::from_name(word)).collect();
                self.partial.approval_policies = self.not_empty(Sourced::new(policies, origin()), name);
            }
            "allowed_sandbox_modes" => self.partial.sandbox_modes = self.modes(node, name),
            "allowed_web_search_modes" => {
                let modes = words(node).iter().filter_map(|(word, _)| WebSearchMode::from_name(word)).collect();
                self.partial.web_search_modes = Some(Sourced::new(modes, origin()));
            }
            "allowed_approvals_reviewers" => {
                let reviewers = words(node).iter().filter_map(|(word, _)| reviewer(word)).collect();
                self.partial.reviewers = self.not_empty(Sourced::new(reviewers, origin()), name);
            }
            "guardian_policy_config" => self.partial.reviewer_policy = text(),
            "default_permissions" => self.partial.default_permissions = text(),
            "allowed_permission_profiles" => {
                self.partial.permission_profiles = Some(Sourced::new(booleans(node), origin()));
            }
            "permissions.filesystem.deny_read" => {
                for (pattern, node) in words(node) {
                    match denied_read(pattern, &node.mark.origin(), self.host.user_home) {
                        Ok(denied) => self.partial.deny_read.push(denied),
                        Err(problem) => self.problems.push(problem),
                    }
                }
            }
            "features" => self.partial.features = booleans(node),
            "experimental_network.mode" => {
                self.partial.limited = Some(Sourced::new(node.as_str() == Some("limited"), origin()));
            }
            "experimental_network.domains" => {
                let entry = |(pattern, node): (&String, &Node)| {
                    (pattern.clone(), Sourced::new(node.as_str() == Some("allow"), node.mark.origin()))
                };
                self.partial.domains = node.as_table().into_iter().flatten().map(entry).collect();
            }
            "experimental_network.allowed_domains" => {
                self.partial.allowed_domains = Some(crate::extract::texts_of(node))
            }
            "experimental_network.denied_domains" => self.partial.denied_domains = crate::extract::texts_of(node),
            "experimental_network.unix_sockets" => {
                let entry = |(path, node): (&String, &Node)| (path.clone(), node.as_str() == Some("allow"));
                let sockets = node.as_table().into_iter().flatten().map(entry).collect();
                self.partial.unix_sockets = Some(Sourced::new(sockets, origin()));
            }
            "experimental_network.allow_unix_sockets" => {
                let sockets = words(node).iter().map(|(word, _)| ((*word).to_owned(), true)).collect();
                self.partial.unix_sockets = Some(Sourced::new(sockets, origin()));
            }
            "cloud.public_keys" => {
                let keys = crate::extract::texts_of(node);
                for key in &keys {
                    if let Err(why) = key.value.parse::<crate::bundle::PublicKey>() {
                        self.problems.push(Problem::new("public-key", why.to_string(), key.origin.clone()));
                    }
                }
                self.partial.public_keys = Some(keys);
                self.only_local(node, name);
            }
            "cloud.url" => self.partial.cloud_url = text(),
            "cloud.audience" => self.partial.cloud_audience = text(),
            "inherit" => self.inherit(node, name),
            "requirements_order" => {
                self.partial.system_first = Some(Sourced::new(node.as_str() == Some("system-first"), origin()));
                self.only_local(node, name);
            }
            path => {
                if let Some(value) = node.as_bool() {
                    self.partial.flags.insert(path, Sourced::new(value, origin()));
                }
                if path == "cloud.required" {
                    self.only_local(node, name);
                }
            }
        }
    }

    fn not_empty<T>(&mut self, list: Sourced<Vec<T>>, name: &str) -> Option<Sourced<Vec<T>>> {
        if list.value.is_empty() {
            let problem =
                Problem::new("empty-list", format!("`{name}` is empty, so nothing would be allowed"), list.origin);
            self.problems.push(problem.hint("list what is allowed, or remove the key"));
            return None;
        }
        Some(list)
    }

    fn modes(&mut self, node: &Node, name: &str) -> Option<Sourced<Vec<SandboxMode>>> {
        let mut modes: Vec<SandboxMode> =
            words(node).iter().filter_map(|(word, _)| SandboxMode::from_name(word)).collect();
        modes.sort();
        modes.dedup();
        let modes = self.not_empty(Sourced::new(modes, node.mark.origin()), name)?;
        if !modes.value.contains(&SandboxMode::ReadOnly) {
            let text = format!("`{name}` lacks \"read-only\", which must always be allowed");
            self.problems.push(Problem::new("read-only-missing", text, modes.origin).hint("add \"read-only\""));
            return None;
        }
        Some(modes)
    }

    fn only_local(&mut self, node: &Node, name: &str) {
        if self.standing == Standing::Cloud {
            let text = format!("`{name}` has no place in a policy bundle");
            self.problems.push(Problem::new("not-in-bundle", text, node.mark.origin()));
        }
    }

    fn inherit(&mut self, node: &Node, name: &str) {
        match self.standing {
            Standing::Cloud => self.only_local(node, name),
            Standing::Inherited => {
                let text = format!("`{name}` has no place in a file that is itself inherited");
                self.problems.push(Problem::new("inherit-twice", text, node.mark.origin()));
            }
            Standing::Local => {
                for (path, node) in words(node) {
                    if AbsPath::new(path).is_err() {
                        let text = format!("`{}` isn't an absolute path", ringfence_model::text::escape(path));
                        self.problems.push(Problem::new("bad-path", text, node.mark.origin()));
                    }
                }
            }
        }
    }

    fn hooks(&mut self, node: &Node) {
        let Some(table) = node.as_table() else {
            self.problems.push(wrong(format!("`hooks` must be a table, not {}", node.value.type_name()), node));
            return;
        };
        for (name, hook) in table {
            match name.as_str() {
                "managed_dir" => match hook.as_str() {
                    Some(directory) if AbsPath::new(directory).is_ok() => {
                        self.partial.hooks_dir = Some(Sourced::new(directory.to_owned(), hook.mark.origin()));
                    }
                    _ => self.problems.push(wrong("`hooks.managed_dir` must be an absolute path", hook)),
                },
                "windows_managed_dir" => {
                    self.partial
                        .not_applicable
                        .push(Sourced::new("hooks.windows_managed_dir".into(), hook.mark.origin()));
                }
                _ if matches!(hook.value, Value::List(_) | Value::Table(_)) => {
                    let entry = as_text(hook).map(|text| format!("{} = {text}", path_text(&[name])));
                    self.partial.hooks.push(entry);
                }
                _ => {
                    let text = format!("`hooks.{}` must be a table or a list of tables", path_text(&[name]));
                    self.problems.push(wrong(text, hook));
                }
            }
        }
    }

    /// The first entry whose patterns match this host takes the place of `allowed_sandbox_modes`; all are checked.
    fn host_modes(&mut self, node: &Node) {
        let Some(list) = node.as_list() else {
            let text = format!("`remote_sandbox_config` must be a list of tables, not {}", node.value.type_name());
            self.problems.push(wrong(text, node));
            return;
        };
        let mut found = None;
        for entry in list {
            let Some(table) = entry.as_table() else {
                self.problems.push(wrong("an element of `remote_sandbox_config` must be a table", entry));
                continue;
            };
            for (name, field) in table {
                if name != "hostname_patterns" && name != "allowed_sandbox_modes" {
                    let text = format!("unknown field `{name}` of `remote_sandbox_config`");
                    let hint = misplaced(name, &["remote_sandbox_config".to_owned()]);
                    self.problems.push(Problem { hint, ..Problem::new("unknown-key", text, field.mark.origin()) });
                }
            }
            let kinds = [
                ("hostname_patterns", crate::registry::Kind::List(&crate::registry::Kind::Text)),
                (
                    "allowed_sandbox_modes",
                    crate::registry::Kind::List(&crate::registry::Kind::Choice(&[
                        "read-only",
                        "workspace-write",
                        "danger-full-access",
                    ])),
                ),
            ];
            let mut good = true;
            for (name, kind) in kinds {
                let result = match table.get(name) {
                    Some(field) => {
                        check::fits(&kind, field, &format!("remote_sandbox_config.{name}")).map_err(|problem| *problem)
                    }
                    None => {
                        let text = format!("an element of `remote_sandbox_config` lacks `{name}`");
                        Err(Problem::new("missing-field", text, entry.mark.origin()))
                    }
                };
                if let Err(problem) = result {
                    self.problems.push(problem);
                    good = false;
                }
            }
            let (Some(patterns), Some(modes)) = (table.get("hostname_patterns"), table.get("allowed_sandbox_modes"))
            else {
                continue;
            };
            if !good {
                continue;
            }
            let modes = self.modes(modes, "remote_sandbox_config.allowed_sandbox_modes");
            let matches = |host: &str| words(patterns).iter().any(|(pattern, _)| host_matches(pattern, host));
            if found.is_none() && self.host.name.is_some_and(matches) {
                found = modes;
            }
        }
        if found.is_some() {
            self.partial.sandbox_modes = found;
        }
    }

    fn both_spellings(&mut self, table: &Table) {
        let mut both = |first: &[&str], second: &[&str]| {
            if let (Some(node), Some(_)) = (crate::node::at(table, first), crate::node::at(table, second)) {
                let text =
                    format!("`{}` and `{}` are two spellings of one requirement", path_text(first), path_text(second));
                self.problems.push(Problem::new("both-spellings", text, node.mark.origin()).hint("keep one of them"));
            }
        };
        both(&["network"], &["experimental_network"]);
        for section in ["network", "experimental_network"] {
            both(&[section, "allowed_domains"], &[section, "domains"]);
            both(&[section, "denied_domains"], &[section, "domains"]);
            both(&[section, "allow_unix_sockets"], &[section, "unix_sockets"]);
        }
    }
}

/// A key of the top that was written below a table's header, and so belongs to that table.
fn misplaced(name: &str, above: &[String]) -> Option<String> {
    let known = !above.is_empty() && !matches!(keys::find(&[name.to_owned()]), Found::Unknown);
    known.then(|| format!("`{name}` is a key of the top: write it above the first `[table]`"))
}

fn booleans(node: &Node) -> BTreeMap<String, Sourced<bool>> {
    let entry =
        |(name, node): (&String, &Node)| Some((name.clone(), Sourced::new(node.as_bool()?, node.mark.origin())));
    node.as_table().into_iter().flatten().filter_map(entry).collect()
}
