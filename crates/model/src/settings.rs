//! Settings: what holds after every layer and requirement was resolved. Each value knows its origin.

use crate::confinement::{DeniedRead, UnixSockets};
use crate::limits::Limits;
use crate::mode::{AbsentHold, ApprovalPolicy, Backend, GitAccess, Reviewer, SandboxMode, WebSearchMode};
use crate::origin::Sourced;
use crate::path::AbsPath;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The resolved settings of one start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What commands can do.
    pub sandbox_mode: Sourced<SandboxMode>,
    /// When a person is asked.
    pub approval_policy: Sourced<ApprovalPolicy>,
    /// Who answers.
    pub approvals: ApprovalSettings,
    /// Trust of this project.
    pub trust: Sourced<Trust>,
    /// Whether a command may ask for a login shell.
    pub allow_login_shell: Sourced<bool>,
    /// What web search may reach.
    pub web_search: Sourced<WebSearchMode>,
    /// The chosen permission profile, if one is in force.
    pub permissions: Option<Sourced<String>>,
    /// Writable directories besides the workspace, as written and made absolute.
    pub writable_roots: Vec<RootRequest>,
    /// `/tmp` isn't writable.
    pub exclude_slash_tmp: Sourced<bool>,
    /// `$TMPDIR` isn't writable.
    pub exclude_tmpdir_env_var: Sourced<bool>,
    /// The current directory is a writable root in `workspace-write`. False where a profile gives no write to it.
    pub workspace_writable: Sourced<bool>,
    /// Broad writable roots (`/`, the home) are accepted.
    pub dangerously_allow_broad_roots: Sourced<bool>,
    /// Read rules: paths and globs denied, and explicit read or write grants of a profile.
    pub filesystem: FilesystemSettings,
    /// Further protected names (relative: under each root; absolute: as is).
    pub protected_paths: Vec<Sourced<String>>,
    /// Names taken off the protected table.
    pub unprotected_paths: Vec<Sourced<String>>,
    /// Whether `git commit` works.
    pub git: Sourced<GitAccess>,
    /// An own, empty `/tmp` per run.
    pub private_tmp: Sourced<bool>,
    /// Unix sockets made outside that may be reached.
    pub unix_sockets: UnixSockets,
    /// The environment a command sees.
    pub environment: EnvironmentPolicy,
    /// What a run may use up.
    pub limits: Limits,
    /// The Linux tier.
    pub linux_backend: Sourced<Backend>,
    /// How absent protected names are held.
    pub absent_protected: Sourced<AbsentHold>,
    /// Network.
    pub network: NetworkSettings,
    /// `[rules] allow_runs`: what `allow` means at run time.
    pub allow_runs: Sourced<AllowRuns>,
    /// `[destructive] ask_above`, in files.
    pub destructive_ask_above: Sourced<u64>,
    /// `[history]`.
    pub history: HistorySettings,
}

/// Whether the project's own settings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The user said no.
    Untrusted,
    /// Nobody said anything.
    Unknown,
    /// The user said yes.
    Trusted,
}

/// What an `allow` rule means at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllowRuns {
    /// In the sandbox.
    Sandboxed,
    /// Outside it.
    Unsandboxed,
}

/// Who answers questions, and how long they have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalSettings {
    /// The kind of reviewer.
    pub reviewer: Sourced<Reviewer>,
    /// The reviewing program and its arguments.
    pub program: Option<Sourced<Vec<String>>>,
    /// Time for one answer.
    pub timeout: Sourced<Span>,
    /// Policy text handed to a reviewing program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_text: Option<Sourced<String>>,
}

/// A directory that shall be writable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRequest {
    /// Absolute, not yet resolved.
    pub path: Sourced<AbsPath>,
    /// Whether its absence is an error (`--add-dir`) or a notice.
    pub required: bool,
}

/// Read and write rules by path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FilesystemSettings {
    /// Only platform directories, the workspace and what is listed can be read.
    pub minimal_reads: Option<Sourced<bool>>,
    /// Paths and globs that can't be read.
    pub deny_read: Vec<DeniedRead>,
    /// Paths readable although restricted.
    pub read: Vec<Sourced<AbsPath>>,
    /// Paths writable, as a profile lists them.
    pub write: Vec<Sourced<AbsPath>>,
}

/// `[shell_environment_policy]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentPolicy {
    /// What to start from.
    pub inherit: Sourced<Inherit>,
    /// Keep names that look like secrets.
    pub ignore_default_excludes: Sourced<bool>,
    /// Patterns to drop.
    pub exclude: Vec<Sourced<String>>,
    /// If not empty: patterns to keep, everything else goes.
    pub include_only: Vec<Sourced<String>>,
    /// Variables to set.
    pub set: BTreeMap<String, Sourced<String>>,
    /// `--env KEY`: passed through whatever the patterns say.
    pub pass: Vec<Sourced<String>>,
}

/// What the environment starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inherit {
    /// Everything.
    All,
    /// A short list of names.
    Core,
    /// Nothing.
    None,
}

/// Network, as far as the sandbox and the decision need it; the proxy's own settings are opaque here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// Whether commands have network at all.
    pub access: Sourced<bool>,
    /// Whether it is only through the proxy.
    pub proxy: Sourced<bool>,
    /// Loopback of the host may be used in tiers without a network of their own.
    pub allow_local_binding: Sourced<bool>,
    /// The proxy's rules.
    pub managed: ManagedNetwork,
}

/// The rules of the managed proxy, as configured. `ringfence-egress` compiles them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedNetwork {
    /// Patterns that may be reached.
    pub allow: Vec<Sourced<String>>,
    /// Patterns that may not; deny wins.
    pub deny: Vec<Sourced<String>>,
    /// Shipped lists: `none`, `common-dependencies`, `all`.
    pub presets: Vec<Sourced<String>>,
    /// `full` or `limited` (GET, HEAD, OPTIONS).
    pub mode: Sourced<ProxyMode>,
    /// Methods allowed per pattern.
    pub methods: Vec<(Sourced<String>, Vec<String>)>,
    /// Path prefixes allowed per pattern; seen in plain requests and in intercepted ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<(Sourced<String>, Vec<String>)>,
    /// Unix sockets that requests may be forwarded to.
    pub unix_sockets: Vec<Sourced<AbsPath>>,
    /// SOCKS5 is offered.
    pub enable_socks5: Sourced<bool>,
    /// SOCKS5 UDP is offered.
    pub enable_socks5_udp: Sourced<bool>,
    /// Chain to the host's own proxy.
    pub allow_upstream_proxy: Sourced<bool>,
    /// Patterns whose TLS server name may differ.
    pub allow_sni_mismatch: Vec<Sourced<String>>,
    /// Listen elsewhere than on loopback.
    pub dangerously_allow_non_loopback_proxy: Sourced<bool>,
    /// Patterns whose TLS is opened.
    pub intercept: Vec<Sourced<String>>,
    /// What happens to clients that refuse the session's certificate: true: tunnel, false: refuse.
    pub tunnel_pinned: Sourced<bool>,
    /// Credentials put on requests outside the sandbox.
    pub secrets: Vec<NetworkSecret>,
    /// Programs that ignore proxy variables are caught too.
    pub transparent: Sourced<bool>,
    /// Only administrators' allow entries count.
    pub managed_domains_only: Option<Sourced<bool>>,
    /// Port of the HTTP listener inside the sandbox and of `ringfence proxy`.
    pub http_port: Sourced<u16>,
    /// Port of the SOCKS5 listener.
    pub socks_port: Sourced<u16>,
}

/// What a proxied request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyMode {
    /// GET, HEAD and OPTIONS.
    Limited,
    /// Every method.
    Full,
}

/// `[network.secrets.NAME]`: where a credential comes from and where it may go. Never the credential itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSecret {
    /// Its name; the placeholder is made from it.
    pub name: String,
    /// Where the value comes from.
    pub source: SecretSource,
    /// Hosts it may be sent to.
    pub hosts: Vec<String>,
    /// How it is put on a request.
    pub place: SecretPlace,
    /// Where it was set.
    pub origin: crate::origin::Origin,
}

/// Where a credential's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// A variable of Ringfence's own environment.
    Env(String),
    /// A file.
    File(AbsPath),
    /// Standard output of a program.
    Command(Vec<String>),
}

/// How a credential is put on a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretPlace {
    /// A header of this name.
    Header(String),
    /// A query parameter of this name.
    Query(String),
    /// Basic authentication with this user name.
    Basic(String),
}

/// `[history]`: the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySettings {
    /// Whether events are kept.
    pub persist: Sourced<bool>,
    /// Bound on the journal's size in bytes.
    pub max_bytes: Option<Sourced<u64>>,
}
