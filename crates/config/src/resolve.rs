//! Layers, requirements and facts → what holds. Pure: the same input gives the same answer on any machine.

use crate::apply::{self, Adjustment};
use crate::constrain;
use crate::error::{ConfigError, Problem};
use crate::extract::{self, Reader};
use crate::gather::ProjectLayer;
use crate::layers::{Layers, NetworkFlag, Overrides};
use crate::node::{self, Mark, Node, Source, Table, Value, at};
use crate::permissions::{self, Granted, Ground};
use crate::stack::Stack;
use crate::trust::{self, ProjectFacts};
use ringfence_model::mode::SandboxMode;
use ringfence_model::notice::Notice;
use ringfence_model::origin::{Origin, Sourced};
use ringfence_model::path::AbsPath;
use ringfence_model::requirements::Requirements;
use ringfence_model::settings::{RootRequest, Settings};
use std::sync::Arc;

/// What resolving must know of the world.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The working directory, resolved.
    pub cwd: AbsPath,
    /// What `~` stands for.
    pub user_home: Option<AbsPath>,
    /// `$TMPDIR`, if there is one.
    pub tmpdir: Option<AbsPath>,
    /// The project.
    pub project: ProjectFacts,
}

/// What holds, and how it came to that.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What holds.
    pub settings: Settings,
    /// The constraints it satisfies.
    pub requirements: Requirements,
    /// What a person is told once.
    pub notices: Vec<Notice>,
    /// Every key that some layer set, with its value and origin; after requirements.
    pub effective: Table,
    /// What each requirement changed.
    pub adjustments: Vec<Adjustment>,
    /// The selected profile.
    pub profile: Option<Sourced<String>>,
    /// The project.
    pub project: ProjectFacts,
    /// Whether the project's own settings and rules count, and what changed if they no longer do.
    pub project_layer: ProjectLayer,
}

/// Resolves everything.
pub fn resolve(
    layers: &Layers,
    requirements: Requirements,
    facts: &Facts,
    strict: bool,
) -> Result<Resolved, ConfigError> {
    let stack = Stack::build(layers, &requirements, facts, strict)?;
    let merged = &stack.table;
    let mut reader =
        Reader { table: merged, user_home: facts.user_home.as_ref(), cwd: &facts.cwd, problems: Vec::new() };
    let mut applied = apply::Applied::new(&requirements, &stack, &layers.flags);
    let profile = applied.permission_profile(&layers.flags)?;
    let add_dirs = add_dirs(&layers.flags, &mut reader);
    let roots: Vec<AbsPath> =
        std::iter::once(facts.cwd.clone()).chain(add_dirs.iter().map(|root| root.path.value.clone())).collect();
    let ground = Ground {
        profiles: at(merged, &["permissions"]).and_then(Node::as_table),
        roots: &roots,
        tmpdir: facts.tmpdir.as_ref(),
    };
    let granted = match &profile {
        Some(name) => match permissions::grant(name, &ground, &mut reader) {
            Ok(granted) => Some(granted),
            Err(problem) => {
                reader.problems.push(problem);
                None
            }
        },
        None => None,
    };
    reader.problems.extend(ground.profiles.map(permissions::check_all).unwrap_or_default());
    let sandbox_mode = applied.sandbox_mode(profile.as_ref(), granted.as_ref())?;
    let approval_policy = applied.approval_policy()?;
    let web_search = applied.web_search(sandbox_mode.value)?;
    let mut approvals = extract::approvals(&reader);
    approvals.reviewer = applied.reviewer(approvals.reviewer)?;
    approvals.policy_text.clone_from(&requirements.reviewer_policy);

    let mut writable_roots = add_dirs;
    let mut environment = extract::environment(&reader);
    environment.pass.clone_from(&layers.flags.pass);
    let mut settings = Settings {
        sandbox_mode,
        approval_policy,
        approvals,
        trust: stack.trust.clone(),
        allow_login_shell: reader.flag("allow_login_shell"),
        web_search,
        permissions: None,
        exclude_slash_tmp: reader.flag("sandbox_workspace_write.exclude_slash_tmp"),
        exclude_tmpdir_env_var: reader.flag("sandbox_workspace_write.exclude_tmpdir_env_var"),
        workspace_writable: Sourced::default_of(true, "sandbox_mode"),
        dangerously_allow_broad_roots: reader.flag("dangerously_allow_broad_roots"),
        filesystem: Default::default(),
        protected_paths: reader.texts("protected_paths"),
        unprotected_paths: reader.texts("unprotected_paths"),
        git: extract::git(&reader),
        private_tmp: reader.flag("private_tmp"),
        unix_sockets: extract::unix_sockets(&mut reader),
        environment,
        limits: extract::limits(&reader),
        linux_backend: extract::linux_backend(&reader),
        absent_protected: extract::absent_protected(&reader),
        network: extract::network(&mut reader),
        allow_runs: extract::allow_runs(&reader),
        destructive_ask_above: reader
            .integer("destructive.ask_above")
            .unwrap_or_else(|| Sourced::default_of(50, "destructive.ask_above")),
        history: extract::history(&reader),
        windows_sandbox: extract::windows_sandbox(&reader),
        mcp_servers: extract::servers(&mut reader),
        otel: extract::otel(&reader),
        cloud: ringfence_model::settings::CloudSettings {
            url: reader.text("cloud.url"),
            audience: reader.text("cloud.audience"),
        },
        project_overrides: trust::overrides(merged, &facts.project.root),
        writable_roots: Vec::new(),
    };
    match granted {
        Some(granted) => {
            settings.permissions = profile.clone();
            wear(&mut settings, granted, &mut writable_roots);
        }
        None => writable_roots.extend(extract::writable_roots(&mut reader)),
    }
    settings.writable_roots = writable_roots;
    for node in at(merged, &["deny_read"]).and_then(Node::as_list).unwrap_or(&[]) {
        if let Some(text) = node.as_str() {
            let denied = reader.denied(text, &node.mark.origin());
            settings.filesystem.deny_read.extend(denied);
        }
    }
    network_access(&mut settings, &reader, profile.is_some(), layers.flags.network.as_ref())?;
    if !reader.problems.is_empty() {
        return Err(ConfigError::Invalid { problems: reader.problems });
    }
    applied.rest(&mut settings)?;
    constrain::verify(&settings, &requirements).map_err(ConfigError::NotAllowed)?;
    let (adjustments, mut notices) = applied.finish();
    notices.splice(0..0, stack.notices.iter().cloned());
    notices.extend(crate::idle::notices(&settings, &requirements));
    let effective = effective(&stack, &settings);
    Ok(Resolved {
        settings,
        requirements,
        notices,
        effective,
        adjustments,
        profile: layers.profile.clone(),
        project: facts.project.clone(),
        project_layer: ProjectLayer::NotRead,
    })
}

fn add_dirs(flags: &Overrides, reader: &mut Reader<'_>) -> Vec<RootRequest> {
    let mut roots = Vec::new();
    for directory in &flags.add_dirs {
        match extract::absolute(&directory.value, &directory.origin, reader.user_home, reader.cwd) {
            Ok(path) => roots.push(RootRequest { path: Sourced::new(path, directory.origin.clone()), required: true }),
            Err(why) => {
                let shown = ringfence_model::text::escape(&directory.value);
                let text = format!("`{shown}` {why}");
                reader.problems.push(Problem::new("bad-path", text, directory.origin.clone()));
            }
        }
    }
    roots
}

/// Puts what a profile grants into the settings.
fn wear(settings: &mut Settings, granted: Granted, roots: &mut Vec<RootRequest>) {
    let not = |wish: Sourced<bool>| wish.map(|wish| !wish);
    settings.exclude_slash_tmp = not(granted.slash_tmp);
    settings.exclude_tmpdir_env_var = not(granted.tmpdir);
    settings.workspace_writable = granted.workspace_writable;
    settings.filesystem = granted.filesystem;
    settings.protected_paths.extend(granted.protected);
    roots.extend(granted.roots);
    if let ringfence_model::confinement::UnixSockets::Only(sockets) = &mut settings.unix_sockets {
        sockets.extend(granted.unix_sockets);
    }
    settings.network.access = granted.network;
    if let Some((_, node)) = granted.domains.iter().next() {
        let (allow, deny) = (&mut settings.network.managed.allow, &mut settings.network.managed.deny);
        extract::split_domains(&granted.domains, allow, deny);
        if !settings.network.proxy.value {
            settings.network.proxy = Sourced::new(true, node.mark.origin());
        }
    }
}

fn network_access(
    settings: &mut Settings,
    reader: &Reader<'_>,
    has_profile: bool,
    flag: Option<&Sourced<NetworkFlag>>,
) -> Result<(), ConfigError> {
    let full = settings.sandbox_mode.value == SandboxMode::DangerFullAccess;
    match settings.sandbox_mode.value {
        SandboxMode::DangerFullAccess => {
            settings.network.access = Sourced::new(true, settings.sandbox_mode.origin.clone());
        }
        _ if has_profile => {}
        SandboxMode::ReadOnly => settings.network.access = reader.flag("sandbox_read_only.network_access"),
        SandboxMode::WorkspaceWrite => settings.network.access = reader.flag("sandbox_workspace_write.network_access"),
    }
    let Some(flag) = flag else { return Ok(()) };
    if full && flag.value == NetworkFlag::Off {
        let text = "`--network off` has no effect under `danger-full-access`, which confines nothing";
        let problem = Problem::new("no-effect", text, flag.origin.clone());
        return Err(problem.hint("choose `--sandbox workspace-write` or `--sandbox read-only`").into());
    }
    settings.network.access = Sourced::new(flag.value != NetworkFlag::Off, flag.origin.clone());
    if flag.value == NetworkFlag::Proxy {
        settings.network.proxy = Sourced::new(true, flag.origin.clone());
    }
    Ok(())
}

/// The merged layers with what was decided put in their place.
fn effective(stack: &Stack, settings: &Settings) -> Table {
    let mut table = stack.table.clone();
    let mut put = |path: &[&str], value: Value, origin: &Origin| {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let said = at(&table, &path).is_some_and(|node| node.mark.origin() == *origin);
        let silent = !origin.is_explicit() && at(&table, &path).is_none() && !path.iter().eq(["sandbox_mode"].iter());
        let decided = matches!(path.first().map(String::as_str), Some("approval_policy" | "web_search"));
        if !said && (!silent || decided) {
            node::put(&mut table, &path, Node::new(value, mark_of(origin)));
        }
    };
    let text = |text: &str| Value::Text(text.to_owned());
    put(&["sandbox_mode"], text(settings.sandbox_mode.value.name()), &settings.sandbox_mode.origin);
    put(&["approval_policy"], text(&settings.approval_policy.value.to_string()), &settings.approval_policy.origin);
    put(&["web_search"], text(settings.web_search.value.name()), &settings.web_search.origin);
    let reviewer = &settings.approvals.reviewer;
    put(&["approvals_reviewer"], text(reviewer.value.name()), &reviewer.origin);
    put(&["linux", "backend"], text(settings.linux_backend.value.name()), &settings.linux_backend.origin);
    let network = &settings.network;
    let mut flag = |path: &[&str], value: &Sourced<bool>| put(path, Value::Bool(value.value), &value.origin);
    match settings.sandbox_mode.value {
        SandboxMode::ReadOnly => flag(&["sandbox_read_only", "network_access"], &network.access),
        SandboxMode::WorkspaceWrite => flag(&["sandbox_workspace_write", "network_access"], &network.access),
        SandboxMode::DangerFullAccess => {}
    }
    flag(&["network", "enabled"], &network.proxy);
    flag(&["network", "allow_local_binding"], &network.allow_local_binding);
    flag(&["network", "allow_upstream_proxy"], &network.managed.allow_upstream_proxy);
    for (name, server) in &settings.mcp_servers {
        flag(&["mcp_servers", name, "enabled"], &server.enabled);
    }
    table
}

/// A mark whose origin is this one.
#[must_use]
pub fn mark_of(origin: &Origin) -> Mark {
    let (source, line, column) = match origin {
        Origin::File { file, line, column, layer } => {
            (Source::File { file: file.clone(), layer: *layer }, *line, *column)
        }
        Origin::Flag { flag } => (Source::Flag(flag.clone()), 0, 0),
        Origin::Preference { preference, line, layer } => {
            (Source::Preference { name: preference.clone(), layer: *layer }, *line, 0)
        }
        Origin::Cloud { cloud, version, line } => (Source::Cloud { url: cloud.clone(), version: *version }, *line, 0),
        Origin::BuiltIn { builtin } => (Source::BuiltIn(builtin.clone()), 0, 0),
        other => (Source::BuiltIn(other.to_string().into()), 0, 0),
    };
    Mark { source: Arc::new(source), line, column }
}
