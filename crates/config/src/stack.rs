//! Checks every layer and lays them over each other, lowest first; notes what an administrator's defaults displaced.

use crate::check;
use crate::error::{ConfigError, Problem};
use crate::layers::{Document, Layers};
use crate::merge;
use crate::node::{Mark, Node, Source, Table, Value, at, path_text};
use crate::project_rule;
use crate::registry::{self, Found, Merge};
use crate::resolve::Facts;
use crate::suggest;
use crate::trust;
use ringfence_model::mode::{ApprovalPolicy, SandboxMode};
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Layer, Origin, Sourced};
use ringfence_model::requirements::Requirements;
use ringfence_model::settings::Trust;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The layers of one start, laid over each other.
#[derive(Debug)]
pub struct Stack {
    /// What they say together.
    pub table: Table,
    /// Trust of the project.
    pub trust: Sourced<Trust>,
    /// The sandbox mode where nobody chose one.
    pub default_mode: Sourced<SandboxMode>,
    /// The approval policy where nobody chose one.
    pub default_policy: Sourced<ApprovalPolicy>,
    /// Where a layer other than a project's chose a sandbox mode or its parts, which puts permission profiles out of force.
    pub mode_chosen: Option<Origin>,
    /// What a person is told.
    pub notices: Vec<Notice>,
}

impl Stack {
    /// Checks and merges.
    pub fn build(
        layers: &Layers,
        requirements: &Requirements,
        facts: &Facts,
        strict: bool,
    ) -> Result<Self, ConfigError> {
        let mut builder = Builder { strict, problems: Vec::new(), notices: Vec::new() };
        let mut system = builder.document(layers.system.as_ref());
        let mut user = builder.document(layers.user.as_ref());
        let file = builder.document(layers.profile_file.as_ref());
        let profiles = (take_profiles(&mut system), take_profiles(&mut user));
        let mut profile = builder.profile(layers, profiles, file);
        let mut flags = layers.flags.table();
        builder.table(&mut flags);
        let mut managed = builder.document(layers.managed.as_ref());
        let mut preferences = builder.document(layers.preferences.as_ref());
        let owned = owned_profiles(requirements, [&system, &managed, &preferences]);
        for layer in [&mut user, &mut profile, &mut flags] {
            builder.leave_alone(layer, &owned);
        }
        let root = &facts.project.root;
        for layer in [&mut system, &mut user, &mut profile, &mut managed, &mut preferences] {
            trust::hold_for(layer, root);
        }
        trust::fill_for(&mut flags, root);
        let mut table = Table::new();
        for layer in [system, user, profile] {
            merge::lay(&mut table, layer);
        }

        // Trust is the user's word and the administrator's, never the project's.
        let mut words = Table::new();
        for layer in [&table, &flags, &managed, &preferences] {
            let trusted = layer.iter().filter(|(key, _)| matches!(key.as_str(), "projects" | "require_trust"));
            merge::lay(&mut words, trusted.map(|(key, node)| (key.clone(), node.clone())).collect());
        }
        let trust = trust::level(&words, &facts.project.root);
        let require_trust = words.get("require_trust").and_then(Node::as_bool).unwrap_or(false);
        let mode = trust::default_mode(trust.value, facts.project.version_controlled, require_trust);
        let default_mode = Sourced::new(mode, default_origin("sandbox_mode", trust.value, facts));
        let policy = trust::default_policy(trust.value);
        let default_policy = Sourced::new(policy, default_origin("approval_policy", trust.value, facts));

        // A project may tighten, so its mode narrows a profile and doesn't put one out of force.
        let mode_chosen = [&preferences, &managed, &flags, &table].into_iter().find_map(chooses_mode);
        let overrides = trust::overrides(&words, &facts.project.root);
        for project in &layers.projects {
            let mut layer = builder.document(Some(project));
            builder.leave_alone(&mut layer, &owned);
            let lower = with_defaults(&table, &default_mode, &default_policy);
            builder.notices.extend(project_rule::restrict(&mut layer, &lower, &overrides));
            merge::lay(&mut table, layer);
        }
        merge::lay(&mut table, flags);
        for layer in [&mut managed, &mut preferences] {
            keep_stricter_flag(&table, layer);
        }
        for layer in [managed, preferences] {
            builder.displaced(&table, &layer, &mut Vec::new());
            merge::lay(&mut table, layer);
        }
        if !builder.problems.is_empty() {
            return Err(ConfigError::Invalid { problems: builder.problems });
        }
        Ok(Self { table, trust, default_mode, default_policy, mode_chosen, notices: builder.notices })
    }
}

/// Where a default that depends comes from, in words.
fn default_origin(key: &str, trust: Trust, facts: &Facts) -> Origin {
    let control = if facts.project.version_controlled { "a" } else { "no" };
    let trust = match trust {
        Trust::Trusted => "trusted",
        Trust::Unknown => "unknown",
        Trust::Untrusted => "untrusted",
    };
    Origin::builtin(
        format!("default of `{key}` for {control} version-controlled, {trust} project")
            .replace("for no version-controlled,", "for a not version-controlled,"),
    )
}

/// The layers below a project's, with the defaults that depend filled in: what a project is compared with.
fn with_defaults(table: &Table, mode: &Sourced<SandboxMode>, policy: &Sourced<ApprovalPolicy>) -> Table {
    let mut table = table.clone();
    let mut fill = |key: &str, text: String, origin: &Origin| {
        let mark = Mark::whole(&Arc::new(Source::BuiltIn(origin.to_string().replace("built in: ", "").into())));
        table.entry(key.to_owned()).or_insert_with(|| Node::new(Value::Text(text), mark));
    };
    fill("sandbox_mode", mode.value.name().into(), &mode.origin);
    fill("approval_policy", policy.value.to_string(), &policy.origin);
    fill("web_search", "cached".into(), &Origin::builtin("default of `web_search`"));
    table
}

/// Where a layer sets `sandbox_mode` or something of `[sandbox_workspace_write]`.
fn chooses_mode(table: &Table) -> Option<Origin> {
    let section = || table.get("sandbox_workspace_write")?.as_table()?.values().next();
    table.get("sandbox_mode").or_else(section).map(|node| node.mark.origin())
}

/// Permission profiles that requirements allow by name and that an administrator's layer defines: no other layer may
/// change what such a name means.
fn owned_profiles(requirements: &Requirements, layers: [&Table; 3]) -> BTreeSet<String> {
    let Some(list) = &requirements.permission_profiles else { return BTreeSet::new() };
    let defined = |name: &str| layers.iter().any(|layer| at(layer, &["permissions", name]).is_some());
    list.value.keys().filter(|name| defined(name)).cloned().collect()
}

/// A flag that asks for a stricter sandbox mode than an administrator's default is honoured.
fn keep_stricter_flag(below: &Table, managed: &mut Table) {
    let mode = |table: &Table| table.get("sandbox_mode").and_then(|node| SandboxMode::from_name(node.as_str()?));
    let by_flag = below.get("sandbox_mode").is_some_and(|node| node.mark.layer() == Layer::CommandLine);
    if let (true, Some(flag), Some(default)) = (by_flag, mode(below), mode(managed))
        && flag <= default
    {
        managed.remove("sandbox_mode");
    }
}

fn take_profiles(table: &mut Table) -> Table {
    match table.remove("profiles") {
        Some(Node { value: Value::Table(profiles), .. }) => profiles,
        _ => Table::new(),
    }
}

struct Builder {
    strict: bool,
    problems: Vec<Problem>,
    notices: Vec<Notice>,
}

impl Builder {
    fn document(&mut self, document: Option<&Document>) -> Table {
        let mut table = document.map(|document| document.table.clone()).unwrap_or_default();
        self.table(&mut table);
        table
    }

    fn table(&mut self, table: &mut Table) {
        let findings = check::check(table, self.strict);
        self.problems.extend(findings.problems);
        self.notices.extend(findings.notices);
        let (problems, notices) = merge::normalise(table);
        self.problems.extend(problems);
        self.notices.extend(notices);
        if let Some(Value::Table(profiles)) = table.get_mut("profiles").map(|node| &mut node.value) {
            for node in profiles.values_mut() {
                if let Value::Table(profile) = &mut node.value {
                    let (problems, notices) = merge::normalise(profile);
                    self.problems.extend(problems);
                    self.notices.extend(notices);
                }
            }
        }
    }

    /// The selected profile: the tables of system and user laid over each other, or the file; not both.
    fn profile(&mut self, layers: &Layers, (mut system, mut user): (Table, Table), file: Table) -> Table {
        let Some(name) = &layers.profile else { return Table::new() };
        if let Err(problem) = check::profile_name(&name.value, &name.origin) {
            self.problems.push(problem);
            return Table::new();
        }
        let known: Vec<String> = system.keys().chain(user.keys()).cloned().collect();
        let tables = [system.remove(&name.value), user.remove(&name.value)];
        let written = tables.iter().flatten().next().map(|node| node.mark.origin());
        let mut profile = Table::new();
        for node in tables.into_iter().flatten() {
            let source = match node.mark.source.as_ref() {
                Source::File { file, .. } => Arc::new(Source::File { file: file.clone(), layer: Layer::Profile }),
                _ => Arc::clone(&node.mark.source),
            };
            if let Value::Table(mut table) = node.value {
                merge::move_to(&mut table, &source);
                merge::lay(&mut profile, table);
            }
        }
        match (written, &layers.profile_file) {
            (Some(table), Some(document)) => {
                let text = format!(
                    "profile `{}` is written twice: here as a table and as the file {}",
                    name.value,
                    document.source.at(0, 0)
                );
                self.problems.push(Problem::new("profile-twice", text, table).hint("keep one of them"));
                Table::new()
            }
            (Some(_), None) => profile,
            (None, Some(_)) => file,
            (None, None) => {
                let text = format!("there is no profile `{}`", name.value);
                let mut problem = Problem::new("no-profile", text, name.origin.clone());
                problem.hint = suggest::nearest(&name.value, known.iter().map(String::as_str))
                    .map(|near| format!("did you mean `{near}`?"));
                self.problems.push(problem);
                Table::new()
            }
        }
    }

    fn leave_alone(&mut self, layer: &mut Table, owned: &BTreeSet<String>) {
        let Some(Value::Table(profiles)) = layer.get_mut("permissions").map(|node| &mut node.value) else { return };
        profiles.retain(|name, node| {
            let keep = !owned.contains(name);
            if !keep {
                self.notices.push(Notice {
                    code: "managed-profile".into(),
                    text: format!(
                        "`permissions.{}` is ignored here: an administrator defines this profile",
                        path_text(&[name])
                    ),
                    origin: Some(node.mark.origin()),
                    hint: Some("give your own profile another name and `extends` that one".into()),
                });
            }
            keep
        });
    }

    /// Tells of every choice that an administrator's default displaces.
    fn displaced(&mut self, below: &Table, over: &Table, path: &mut Vec<String>) {
        for (name, node) in over {
            path.push(name.clone());
            let replaces = match registry::find(path) {
                Found::Key(key) => key.merge == Merge::Replace,
                _ => false,
            };
            match (&node.value, at(below, path)) {
                (_, Some(lower)) if replaces => {
                    let origin = lower.mark.origin();
                    if !lower.value.says_the_same(&node.value) && origin.is_explicit() {
                        self.notices.push(Notice {
                            code: "managed-default".into(),
                            text: format!(
                                "`{} = {}` ({origin}) is displaced by the administrator's default `{}`",
                                path_text(path),
                                lower.value,
                                node.value
                            ),
                            origin: Some(node.mark.origin()),
                            hint: None,
                        });
                    }
                }
                (Value::Table(inner), Some(_)) => self.displaced(below, inner, path),
                _ => {}
            }
            path.pop();
        }
    }
}
