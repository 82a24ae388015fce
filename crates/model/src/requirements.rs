//! Requirements: what an administrator's constraints allow. They are data, applied last, and only narrow.

use crate::confinement::DeniedRead;
use crate::mode::{ApprovalPolicy, Reviewer, SandboxMode, WebSearchMode};
use crate::origin::{Layer, Origin, Sourced};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Every constraint in force at one start, composed from all sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirements {
    /// Approval policies that may be chosen; none: all.
    pub approval_policies: Option<Sourced<Vec<PolicyName>>>,
    /// Sandbox modes that may be chosen; none: all.
    pub sandbox_modes: Option<Sourced<Vec<SandboxMode>>>,
    /// Web search modes that may be chosen besides `disabled`; none: all.
    pub web_search_modes: Option<Sourced<Vec<WebSearchMode>>>,
    /// Reviewers that may be chosen; none: all.
    pub reviewers: Option<Sourced<Vec<Reviewer>>>,
    /// The complete list of permission profiles, with whether each may be chosen; none: all may.
    pub permission_profiles: Option<Sourced<BTreeMap<String, Sourced<bool>>>>,
    /// The profile in force where nobody chose one.
    pub default_permissions: Option<Sourced<String>>,
    /// Text handed to a reviewing program.
    pub reviewer_policy: Option<Sourced<String>>,
    /// Paths and globs that can't be read, whatever else is set.
    pub deny_read: Vec<DeniedRead>,
    /// Command rules; they only prompt or forbid.
    pub prefix_rules: Vec<RequiredRule>,
    /// The MCP servers that may run; none: all, empty: none.
    pub mcp_servers: Option<Sourced<BTreeMap<String, Sourced<McpIdentity>>>>,
    /// Feature switches whose value can't be changed.
    pub features: BTreeMap<String, Sourced<bool>>,
    /// Constraints on the network.
    pub network: NetworkRequirements,
    /// Only hooks that requirements define are run.
    pub managed_hooks_only: Option<Sourced<bool>>,
    /// Hooks of all sources, highest first; each is the table as written.
    pub hooks: Vec<Sourced<String>>,
    /// Directory that holds managed hooks' programs.
    pub hooks_dir: Option<Sourced<String>>,
    /// The policy service.
    pub cloud: CloudRequirements,
    /// The sources that were looked at, highest first, and whether each had anything.
    pub sources: Vec<RequirementSource>,
    /// Keys that are known but concern products other than this one.
    pub not_applicable: Vec<Sourced<String>>,
}

/// The name of an approval policy, as a constraint lists it: all granular policies share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// `untrusted`.
    Untrusted,
    /// `on-request`.
    OnRequest,
    /// `granular`, also spelled `reject`.
    Granular,
    /// `on-failure`.
    OnFailure,
    /// `never`.
    Never,
}

impl PolicyName {
    /// The name of a policy.
    #[must_use]
    pub fn of(policy: ApprovalPolicy) -> Self {
        match policy {
            ApprovalPolicy::Untrusted => Self::Untrusted,
            ApprovalPolicy::OnRequest => Self::OnRequest,
            ApprovalPolicy::Granular(_) => Self::Granular,
            ApprovalPolicy::OnFailure => Self::OnFailure,
            ApprovalPolicy::Never => Self::Never,
        }
    }

    /// As requirements write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::OnRequest => "on-request",
            Self::Granular => "granular",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }

    /// The policy with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "untrusted" => Self::Untrusted,
            "on-request" => Self::OnRequest,
            "granular" | "reject" => Self::Granular,
            "on-failure" => Self::OnFailure,
            "never" => Self::Never,
            _ => return None,
        })
    }
}

/// A command rule of an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredRule {
    /// One entry per token: the alternatives at that place; never empty.
    pub pattern: Vec<Vec<String>>,
    /// What it asks for.
    pub decision: RequiredDecision,
    /// Shown to the person or agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Where it was set.
    pub origin: Origin,
}

/// What a required command rule asks for. It can't allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequiredDecision {
    /// A person is asked.
    Prompt,
    /// Refused.
    Forbidden,
}

/// What a configured MCP server must be to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum McpIdentity {
    /// Its command, exactly; arguments, directory and environment aren't looked at.
    Command(String),
    /// Its executable and arguments.
    Program {
        /// The executable.
        executable: TextMatch,
        /// One matcher per argument; none: arguments aren't looked at.
        args: Option<Vec<TextMatch>>,
    },
    /// Its address.
    Url(TextMatch),
}

/// How text is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "match", content = "value")]
pub enum TextMatch {
    /// The same text.
    Exact(String),
    /// Text that begins so.
    Prefix(String),
    /// Text that matches as a whole.
    Regex(String),
}

/// Constraints on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkRequirements {
    /// Network only through the proxy (true), or never through one (false).
    pub enabled: Option<Sourced<bool>>,
    /// Only the administrators' allow entries count.
    pub managed_allowed_domains_only: Option<Sourced<bool>>,
    /// Pins the setting of the same name.
    pub allow_local_binding: Option<Sourced<bool>>,
    /// Pins the setting of the same name.
    pub allow_upstream_proxy: Option<Sourced<bool>>,
    /// Pins the setting of the same name.
    pub dangerously_allow_non_loopback_proxy: Option<Sourced<bool>>,
    /// The proxy's mode is `limited`.
    pub limited: Option<Sourced<bool>>,
    /// Patterns that administrators allow.
    pub allow: Vec<Sourced<String>>,
    /// Patterns that administrators deny.
    pub deny: Vec<Sourced<String>>,
    /// Unix sockets that may be reached; none: as set.
    pub unix_sockets: Option<Sourced<Vec<String>>>,
}

/// The policy service, as an administrator's local source names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudRequirements {
    /// Without a valid bundle nothing runs.
    pub required: Option<Sourced<bool>>,
    /// Keys that may sign, `ed25519:…`.
    pub public_keys: Vec<Sourced<String>>,
    /// Address of the service; wins over the setting.
    pub url: Option<Sourced<String>>,
    /// Audience that bundles must name; wins over the setting.
    pub audience: Option<Sourced<String>>,
}

/// One source of requirements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequirementSource {
    /// What it is.
    pub name: String,
    /// Its layer.
    pub layer: Layer,
    /// Whether it exists.
    pub present: bool,
}

/// A choice that a requirement rejects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The key or flag that holds the choice.
    pub key: String,
    /// What was chosen.
    pub value: String,
    /// Where.
    pub chosen: Origin,
    /// What is allowed, as a reader wants it: `untrusted, on-request`.
    pub allowed: String,
    /// The constraint.
    pub requirement_key: String,
    /// Where the constraint was set.
    pub requirement: Origin,
}

impl Violation {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        if self.allowed.is_empty() {
            format!("nothing but a change of `{}` allows it", self.requirement_key)
        } else {
            format!("choose one of: {}", self.allowed)
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{} = {}` ({}) isn't allowed", self.key, crate::text::escape(&self.value), self.chosen)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        write!(f, "; required by `{}` of {}", self.requirement_key, self.requirement)
    }
}

impl std::error::Error for Violation {}

impl Requirements {
    /// Whether this approval policy may be chosen.
    pub fn check_approval_policy(&self, policy: ApprovalPolicy, chosen: &Origin) -> Result<(), Box<Violation>> {
        let Some(allowed) = &self.approval_policies else { return Ok(()) };
        if allowed.value.contains(&PolicyName::of(policy)) {
            return Ok(());
        }
        Err(violation(
            ("approval_policy", policy.to_string(), chosen),
            join(allowed.value.iter().map(|name| name.name())),
            ("allowed_approval_policies", &allowed.origin),
        ))
    }

    /// Whether this sandbox mode may be chosen.
    pub fn check_sandbox_mode(&self, mode: SandboxMode, chosen: &Origin) -> Result<(), Box<Violation>> {
        if let Some(allowed) = &self.sandbox_modes
            && !allowed.value.contains(&mode)
        {
            return Err(violation(
                ("sandbox_mode", mode.to_string(), chosen),
                join(allowed.value.iter().map(|mode| mode.name())),
                ("allowed_sandbox_modes", &allowed.origin),
            ));
        }
        if mode == SandboxMode::DangerFullAccess
            && let Some(denied) = self.deny_read.first()
        {
            return Err(violation(
                ("sandbox_mode", mode.to_string(), chosen),
                join([SandboxMode::ReadOnly.name(), SandboxMode::WorkspaceWrite.name()]),
                ("permissions.filesystem.deny_read", &denied.origin),
            ));
        }
        Ok(())
    }

    /// Whether this sandbox mode may be chosen without a permission profile: where profiles are constrained, its built-in
    /// one must be allowed, else a mode would be a way around the list.
    pub fn check_plain_mode(&self, mode: SandboxMode, chosen: &Origin) -> Result<(), Box<Violation>> {
        let Some(list) = &self.permission_profiles else { return Ok(()) };
        let name = |mode: SandboxMode| match mode {
            SandboxMode::ReadOnly => ":read-only",
            SandboxMode::WorkspaceWrite => ":workspace",
            SandboxMode::DangerFullAccess => ":danger-full-access",
        };
        let is_allowed = |mode: SandboxMode| list.value.get(name(mode)).is_some_and(|allowed| allowed.value);
        if is_allowed(mode) {
            return Ok(());
        }
        let modes = SandboxMode::NAMES.iter().filter(|(_, mode)| is_allowed(*mode)).map(|(name, _)| *name);
        let origin = list.value.get(name(mode)).map_or(&list.origin, |entry| &entry.origin);
        let choice = ("sandbox_mode", mode.to_string(), chosen);
        Err(violation(choice, join(modes), ("allowed_permission_profiles", origin)))
    }

    /// Whether this web search mode may be chosen; `disabled` always may.
    pub fn check_web_search(&self, mode: WebSearchMode, chosen: &Origin) -> Result<(), Box<Violation>> {
        let Some(allowed) = &self.web_search_modes else { return Ok(()) };
        if mode == WebSearchMode::Disabled || allowed.value.contains(&mode) {
            return Ok(());
        }
        let disabled = (!allowed.value.contains(&WebSearchMode::Disabled)).then_some(WebSearchMode::Disabled);
        Err(violation(
            ("web_search", mode.to_string(), chosen),
            join(allowed.value.iter().chain(&disabled).map(|mode| mode.name())),
            ("allowed_web_search_modes", &allowed.origin),
        ))
    }

    /// Whether this reviewer may be chosen.
    pub fn check_reviewer(&self, reviewer: Reviewer, chosen: &Origin) -> Result<(), Box<Violation>> {
        let Some(allowed) = &self.reviewers else { return Ok(()) };
        if allowed.value.contains(&reviewer) {
            return Ok(());
        }
        Err(violation(
            ("approvals_reviewer", reviewer.to_string(), chosen),
            join(allowed.value.iter().map(|reviewer| reviewer.name())),
            ("allowed_approvals_reviewers", &allowed.origin),
        ))
    }

    /// Whether this permission profile may be chosen.
    pub fn check_profile(&self, name: &str, chosen: &Origin) -> Result<(), Box<Violation>> {
        let Some(list) = &self.permission_profiles else { return Ok(()) };
        match list.value.get(name) {
            Some(entry) if entry.value => Ok(()),
            entry => Err(violation(
                ("default_permissions", name.to_owned(), chosen),
                join(list.value.iter().filter(|(_, allowed)| allowed.value).map(|(name, _)| name.as_str())),
                ("allowed_permission_profiles", entry.map_or(&list.origin, |entry| &entry.origin)),
            )),
        }
    }
}

fn violation(
    (key, value, chosen): (&str, String, &Origin),
    allowed: String,
    (requirement_key, requirement): (&str, &Origin),
) -> Box<Violation> {
    Box::new(Violation {
        key: key.to_owned(),
        value,
        chosen: chosen.clone(),
        allowed,
        requirement_key: requirement_key.to_owned(),
        requirement: requirement.clone(),
    })
}

fn join<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
