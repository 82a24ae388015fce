//! The keys of `requirements.toml`: one row each; checking, the schema and the reference come from it.

use crate::registry::Kind;

/// One key of `requirements.toml`.
#[derive(Debug, Clone, Copy)]
pub struct RequirementKey {
    /// Dotted path; `*` stands for any one name.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Form,
    /// How it composes when several sources have it.
    pub compose: Compose,
    /// What it is for.
    pub doc: &'static str,
}

/// What values a requirement takes.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// As a setting's.
    Plain(Kind),
    /// A list of command rules.
    Rules,
    /// What an MCP server must be.
    Identity,
    /// A list of `hostname_patterns` with `allowed_sandbox_modes`.
    HostModes,
    /// Hooks: any tables, passed on.
    Hooks,
    /// Known, but about products other than this one.
    NotApplicable,
}

/// How a requirement composes when several sources have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compose {
    /// The highest source's counts.
    Highest,
    /// Name by name, the highest source's counts.
    ByName,
    /// All count.
    All,
    /// It is of its own source alone.
    OwnSource,
}

const MODES: &[&str] = &["read-only", "workspace-write", "danger-full-access"];
const POLICIES: &[&str] = &["untrusted", "on-request", "granular", "reject", "on-failure", "never"];
const SEARCHES: &[&str] = &["disabled", "cached", "indexed", "live"];
const ALLOW_DENY: Kind = Kind::Choice(&["allow", "deny"]);
const TEXTS: Kind = Kind::List(&Kind::Text);

const fn row(path: &'static str, kind: Kind, compose: Compose, doc: &'static str) -> RequirementKey {
    RequirementKey { path, kind: Form::Plain(kind), compose, doc }
}

const fn special(path: &'static str, kind: Form, compose: Compose, doc: &'static str) -> RequirementKey {
    RequirementKey { path, kind, compose, doc }
}

const fn foreign(path: &'static str) -> RequirementKey {
    special(path, Form::NotApplicable, Compose::Highest, "Known, but not applicable here: it is about another product.")
}

use Compose::{All, ByName, Highest, OwnSource};

/// Every key.
pub const KEYS: &[RequirementKey] = &[
    row(
        "allowed_approval_policies",
        Kind::List(&Kind::Choice(POLICIES)),
        Highest,
        "Approval policies that may be chosen; not empty. `granular` (also `reject`) stands for all tables.",
    ),
    row(
        "allowed_sandbox_modes",
        Kind::List(&Kind::Choice(MODES)),
        Highest,
        "Sandbox modes that may be chosen; `read-only` must be one of them.",
    ),
    row(
        "allowed_web_search_modes",
        Kind::List(&Kind::Choice(SEARCHES)),
        Highest,
        "Web search modes that may be chosen; `disabled` always may.",
    ),
    row(
        "allowed_approvals_reviewers",
        Kind::List(&Kind::Choice(&["user", "program", "auto_review"])),
        Highest,
        "Reviewers that may be chosen; not empty.",
    ),
    row("guardian_policy_config", Kind::Text, Highest, "Text handed to a reviewing program."),
    row("default_permissions", Kind::Text, Highest, "The permission profile in force where nobody chose one."),
    row(
        "allowed_permission_profiles",
        Kind::Map(&Kind::Bool),
        ByName,
        "Where it is present, the complete list of permission profiles: what is `false` or left out can't be chosen. A \
         sandbox mode then needs its built-in profile (`:read-only`, `:workspace`, `:danger-full-access`) to be listed.",
    ),
    row(
        "permissions.filesystem.deny_read",
        Kind::List(&Kind::PathGlob),
        All,
        "Paths and globs that can't be read. Forbids `danger-full-access`.",
    ),
    special(
        "rules.prefix_rules",
        Form::Rules,
        All,
        "Command rules: `pattern` (a list of `{ token }` or `{ any_of }`), `decision` (`prompt` or `forbidden`) and, if you \
         like, `justification`.",
    ),
    special(
        "mcp_servers.*.identity",
        Form::Identity,
        ByName,
        "What a configured MCP server of this name must be, to run: `{ command = \"…\" }`, \
         `{ command = { executable = \"…\", args = […] } }` or `{ url = \"…\" }`. With `[mcp_servers]` present, servers \
         that aren't listed don't run; present and empty, none does.",
    ),
    row("features", Kind::Map(&Kind::Bool), ByName, "Switches whose value can't be changed."),
    row(
        "experimental_network.enabled",
        Kind::Bool,
        Highest,
        "`true`: network only through the proxy. Also spelled `[network]`, like everything in this section.",
    ),
    row(
        "experimental_network.mode",
        Kind::Choice(&["limited", "full"]),
        Highest,
        "`limited`: only GET, HEAD and OPTIONS.",
    ),
    row(
        "experimental_network.managed_allowed_domains_only",
        Kind::Bool,
        Highest,
        "Only the allow entries of requirements count; without any, no host is allowed.",
    ),
    row(
        "experimental_network.allow_local_binding",
        Kind::Bool,
        Highest,
        "`false`: local and private destinations can't be opened up.",
    ),
    row("experimental_network.allow_upstream_proxy", Kind::Bool, Highest, "`false`: no chaining to another proxy."),
    row(
        "experimental_network.dangerously_allow_non_loopback_proxy",
        Kind::Bool,
        Highest,
        "`false`: the proxy listens on loopback only.",
    ),
    row(
        "experimental_network.domains",
        Kind::Map(&ALLOW_DENY),
        ByName,
        "Domain rules; what any source denies stays denied.",
    ),
    row("experimental_network.allowed_domains", TEXTS, Highest, "Older spelling of `domains`, `allow`."),
    row("experimental_network.denied_domains", TEXTS, All, "Older spelling of `domains`, `deny`."),
    row(
        "experimental_network.unix_sockets",
        Kind::Map(&ALLOW_DENY),
        ByName,
        "The only Unix sockets that settings may open up.",
    ),
    row(
        "experimental_network.allow_unix_sockets",
        Kind::List(&Kind::AbsolutePath),
        Highest,
        "Older spelling of `unix_sockets`.",
    ),
    special(
        "remote_sandbox_config",
        Form::HostModes,
        OwnSource,
        "A list of `hostname_patterns` with `allowed_sandbox_modes`: the first that matches the host takes the place of \
         `allowed_sandbox_modes` of the same source.",
    ),
    row("allow_managed_hooks_only", Kind::Bool, Highest, "Only hooks of requirements run."),
    special(
        "hooks",
        Form::Hooks,
        All,
        "Hooks; those of all sources count. Ringfence runs none, and says so at every start. `managed_dir` names the directory of \
         their programs.",
    ),
    row("cloud.required", Kind::Bool, Highest, "Without a valid policy bundle nothing runs. Not in a bundle itself."),
    row("cloud.public_keys", TEXTS, Highest, "Keys that may sign policy bundles: `ed25519:` and 32 bytes in base64."),
    row("cloud.url", Kind::Text, Highest, "Address of the policy service; wins over the setting."),
    row("cloud.audience", Kind::Text, Highest, "Audience that bundles must name; wins over the setting."),
    row(
        "inherit",
        Kind::List(&Kind::AbsolutePath),
        OwnSource,
        "Further requirements files, read as lower sources. Not in a bundle, nor in an inherited file.",
    ),
    row(
        "requirements_order",
        Kind::Choice(&["cloud-first", "system-first"]),
        OwnSource,
        "`system-first` puts the system's file above the cloud. Only in managed preferences and the system's file.",
    ),
    foreign("allowed_login_methods"),
    foreign("forced_login_method"),
    foreign("forced_chatgpt_workspace_id"),
    foreign("enforce_residency"),
    foreign("browser_use"),
    foreign("computer_use"),
    foreign("application"),
    foreign("apps"),
    foreign("plugins"),
    foreign("marketplaces"),
    foreign("experimental_network.http_port"),
    foreign("experimental_network.socks_port"),
    foreign("experimental_network.dangerously_allow_all_unix_sockets"),
    foreign("hooks.windows_managed_dir"),
];

/// The path that the table knows a key by: `[network]` is `[experimental_network]`.
#[must_use]
pub fn canonical(path: &[String]) -> Vec<String> {
    match path {
        [network, rest @ ..] if network == "network" => {
            std::iter::once("experimental_network".to_owned()).chain(rest.iter().cloned()).collect()
        }
        _ => path.to_vec(),
    }
}

/// What a path of a requirements document is.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    /// A key.
    Key(&'static RequirementKey),
    /// A table that holds keys.
    Section,
    /// Nothing that is known.
    Unknown,
}

/// Looks a canonical path up.
#[must_use]
pub fn find(path: &[String]) -> Found {
    let matches = |key: &RequirementKey| {
        let mut parts = key.path.split('.');
        let prefix = path.iter().all(|name| parts.next().is_some_and(|part| part == "*" || part == name));
        prefix.then(|| parts.next().is_none())
    };
    let exact = KEYS.iter().find(|key| matches(key) == Some(true));
    match exact {
        Some(key) => Found::Key(key),
        None if KEYS.iter().any(|key| matches(key) == Some(false)) => Found::Section,
        None => Found::Unknown,
    }
}

/// Names that may stand directly below a canonical path.
#[must_use]
pub fn names_below(path: &[String]) -> Vec<&'static str> {
    let below = |key: &RequirementKey| {
        let mut parts = key.path.split('.');
        path.iter()
            .all(|name| parts.next().is_some_and(|part| part == "*" || part == name))
            .then(|| parts.next())
            .flatten()
    };
    let mut names: Vec<&'static str> = KEYS.iter().filter_map(below).filter(|name| *name != "*").collect();
    names.dedup();
    names
}
