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
    /// `[windows] sandbox`.
    #[serde(default = "defaults::windows_sandbox")]
    pub windows_sandbox: Sourced<WindowsSandbox>,
    /// `[mcp_servers]`.
    #[serde(default)]
    pub mcp_servers: BTreeMap<String, McpServer>,
    /// `[otel]`.
    #[serde(default)]
    pub otel: OtelSettings,
    /// `[cloud]`: where policy bundles come from.
    #[serde(default)]
    pub cloud: CloudSettings,
    /// What this project's own layer may set although projects may not: key paths, and `rules.allow`.
    #[serde(default)]
    pub project_overrides: Vec<Sourced<String>>,
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

/// `[windows] sandbox`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowsSandbox {
    /// A restricted token of the same user.
    Unelevated,
    /// Users of its own, set up once.
    Elevated,
}

/// `[mcp_servers.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpServer {
    /// How it is reached.
    pub transport: McpTransport,
    /// Whether it may run at all; the origin says who switched it off.
    pub enabled: Sourced<bool>,
    /// Its annotations count.
    pub trusted: Sourced<bool>,
    /// The only tools offered; none: all.
    pub enabled_tools: Option<Sourced<Vec<String>>>,
    /// Tools that aren't offered.
    pub disabled_tools: Vec<Sourced<String>>,
    /// Time to start.
    pub startup_timeout: Sourced<Span>,
    /// Time for one call.
    pub tool_timeout: Sourced<Span>,
    /// What its tools need where nothing else is said.
    pub default_approval: Option<Sourced<ToolApproval>>,
    /// The same per tool.
    pub tools: BTreeMap<String, Sourced<ToolApproval>>,
    /// Its own sandbox.
    pub sandbox: McpSandbox,
    /// Where it was set.
    pub origin: crate::origin::Origin,
}

/// How an MCP server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum McpTransport {
    /// A program that speaks on its standard input and output.
    Program {
        /// The program.
        command: Sourced<String>,
        /// Its arguments.
        args: Vec<String>,
        /// Variables set for it.
        env: BTreeMap<String, String>,
        /// Variables passed on to it.
        env_vars: Vec<String>,
        /// The directory it starts in.
        cwd: Option<String>,
    },
    /// An address.
    Url {
        /// The address.
        url: Sourced<String>,
        /// The variable that holds its bearer token.
        bearer_token_env_var: Option<String>,
    },
}

/// What a tool call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToolApproval {
    /// As its annotations say.
    Auto,
    /// A person is asked.
    Prompt,
    /// Nothing.
    Approve,
}

/// `[mcp_servers.NAME.sandbox]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpSandbox {
    /// Its mode.
    pub mode: Sourced<SandboxMode>,
    /// Directories it may write under, besides its own state directory.
    pub writable_roots: Vec<Sourced<AbsPath>>,
    /// Hosts it may reach; empty: none.
    pub network: Vec<Sourced<String>>,
}

/// `[otel]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtelSettings {
    /// Label of the environment.
    pub environment: Sourced<String>,
    /// Where events go.
    pub exporter: Sourced<OtelExporter>,
    /// Where traces go.
    pub trace_exporter: Sourced<OtelExporter>,
    /// Where metrics go.
    pub metrics_exporter: Sourced<OtelExporter>,
    /// Whether prompts' text is recorded.
    pub log_user_prompt: Sourced<bool>,
}

/// Where telemetry goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtelExporter {
    /// Nowhere.
    None,
    /// OTLP over HTTP.
    OtlpHttp(OtlpTarget),
    /// OTLP over gRPC.
    OtlpGrpc(OtlpTarget),
}

/// An OTLP receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtlpTarget {
    /// Its address; none: from the standard variables.
    pub endpoint: Option<String>,
    /// JSON instead of binary.
    pub json: bool,
    /// Headers; `${NAME}` is filled from Ringfence's own environment when used.
    pub headers: BTreeMap<String, String>,
    /// Certificate of the receiver's authority.
    pub tls_ca: Option<String>,
    /// Certificate of the sender.
    pub tls_cert: Option<String>,
    /// Key of the sender.
    pub tls_key: Option<String>,
}

/// `[cloud]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudSettings {
    /// Address of the policy service.
    pub url: Option<Sourced<String>>,
    /// Audience that bundles must name.
    pub audience: Option<Sourced<String>>,
}

mod defaults {
    use super::{Sourced, WindowsSandbox};

    pub(super) fn windows_sandbox() -> Sourced<WindowsSandbox> {
        Sourced::default_of(WindowsSandbox::Unelevated, "windows.sandbox")
    }
}

impl Default for OtelSettings {
    fn default() -> Self {
        Self {
            environment: Sourced::default_of("dev".into(), "otel.environment"),
            exporter: Sourced::default_of(OtelExporter::None, "otel.exporter"),
            trace_exporter: Sourced::default_of(OtelExporter::None, "otel.trace_exporter"),
            metrics_exporter: Sourced::default_of(OtelExporter::None, "otel.metrics_exporter"),
            log_user_prompt: Sourced::default_of(false, "otel.log_user_prompt"),
        }
    }
}

impl Default for Settings {
    /// What holds where nobody set anything, in a project of which nothing is known.
    fn default() -> Self {
        Self {
            sandbox_mode: Sourced::default_of(SandboxMode::ReadOnly, "sandbox_mode"),
            approval_policy: Sourced::default_of(ApprovalPolicy::OnRequest, "approval_policy"),
            approvals: ApprovalSettings {
                reviewer: Sourced::default_of(Reviewer::User, "approvals_reviewer"),
                program: None,
                timeout: Sourced::default_of(Span(std::time::Duration::from_secs(60)), "approvals.timeout"),
                policy_text: None,
            },
            trust: Sourced::default_of(Trust::Unknown, "trust_level"),
            allow_login_shell: Sourced::default_of(true, "allow_login_shell"),
            web_search: Sourced::default_of(WebSearchMode::Cached, "web_search"),
            permissions: None,
            writable_roots: Vec::new(),
            exclude_slash_tmp: Sourced::default_of(false, "sandbox_workspace_write.exclude_slash_tmp"),
            exclude_tmpdir_env_var: Sourced::default_of(false, "sandbox_workspace_write.exclude_tmpdir_env_var"),
            workspace_writable: Sourced::default_of(true, "sandbox_mode"),
            dangerously_allow_broad_roots: Sourced::default_of(false, "dangerously_allow_broad_roots"),
            filesystem: FilesystemSettings::default(),
            protected_paths: Vec::new(),
            unprotected_paths: Vec::new(),
            git: Sourced::default_of(GitAccess::ReadOnly, "git"),
            private_tmp: Sourced::default_of(false, "private_tmp"),
            unix_sockets: UnixSockets::Only(Vec::new()),
            environment: EnvironmentPolicy {
                inherit: Sourced::default_of(Inherit::All, "shell_environment_policy.inherit"),
                ignore_default_excludes: Sourced::default_of(false, "shell_environment_policy.ignore_default_excludes"),
                exclude: Vec::new(),
                include_only: Vec::new(),
                set: BTreeMap::new(),
                pass: Vec::new(),
            },
            limits: Limits::default(),
            linux_backend: Sourced::default_of(Backend::Auto, "linux.backend"),
            absent_protected: Sourced::default_of(AbsentHold::Broker, "absent_protected"),
            network: NetworkSettings {
                access: Sourced::default_of(false, "sandbox_read_only.network_access"),
                proxy: Sourced::default_of(false, "network.enabled"),
                allow_local_binding: Sourced::default_of(false, "network.allow_local_binding"),
                managed: ManagedNetwork {
                    allow: Vec::new(),
                    deny: Vec::new(),
                    presets: Vec::new(),
                    mode: Sourced::default_of(ProxyMode::Full, "network.mode"),
                    methods: Vec::new(),
                    paths: Vec::new(),
                    unix_sockets: Vec::new(),
                    enable_socks5: Sourced::default_of(true, "network.enable_socks5"),
                    enable_socks5_udp: Sourced::default_of(false, "network.enable_socks5_udp"),
                    allow_upstream_proxy: Sourced::default_of(false, "network.allow_upstream_proxy"),
                    allow_sni_mismatch: Vec::new(),
                    dangerously_allow_non_loopback_proxy: Sourced::default_of(
                        false,
                        "network.dangerously_allow_non_loopback_proxy",
                    ),
                    intercept: Vec::new(),
                    tunnel_pinned: Sourced::default_of(false, "network.tls.tunnel_pinned"),
                    secrets: Vec::new(),
                    transparent: Sourced::default_of(false, "network.transparent"),
                    managed_domains_only: None,
                    http_port: Sourced::default_of(3128, "network.http_port"),
                    socks_port: Sourced::default_of(8081, "network.socks_port"),
                },
            },
            allow_runs: Sourced::default_of(AllowRuns::Unsandboxed, "rules.allow_runs"),
            destructive_ask_above: Sourced::default_of(50, "destructive.ask_above"),
            history: HistorySettings { persist: Sourced::default_of(true, "history.persistence"), max_bytes: None },
            windows_sandbox: defaults::windows_sandbox(),
            mcp_servers: BTreeMap::new(),
            otel: OtelSettings::default(),
            cloud: CloudSettings::default(),
            project_overrides: Vec::new(),
        }
    }
}
