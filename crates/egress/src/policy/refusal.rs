//! A refusal as the client and the journal see it: which rule, where it stands, what would allow it.

use super::{Decision, MethodFault, PathFault};
use crate::address::Kind;
use crate::host::Target;
use ringfence_model::Origin;
use serde::Serialize;

/// Why a request was refused, as `x-proxy-error` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No rule allows the host.
    BlockedByAllowlist,
    /// A rule denies the host.
    BlockedByDenylist,
    /// The method or path may not be used there.
    BlockedByMethodPolicy,
    /// A private or local destination, or another rule of the proxy.
    BlockedByPolicy,
}

impl Code {
    /// The text of the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BlockedByAllowlist => "blocked-by-allowlist",
            Self::BlockedByDenylist => "blocked-by-denylist",
            Self::BlockedByMethodPolicy => "blocked-by-method-policy",
            Self::BlockedByPolicy => "blocked-by-policy",
        }
    }
}

/// A refusal with its explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The code.
    pub error: Code,
    /// `host:port`.
    pub target: String,
    /// A lower-case sentence without full stop.
    pub text: String,
    /// The rule that refused.
    pub rule: String,
    /// Where it stands.
    pub origin: String,
    /// The same, for whoever records it.
    #[serde(skip)]
    pub source: Option<Origin>,
    /// Smallest grants that would allow it, as a person would type them; empty: nothing would.
    pub allow_with: Vec<String>,
}

const DEFAULT: &str = "built in: what no rule allows is blocked";

impl Refusal {
    /// Explains why a destination was refused. For an unknown host `detail` says what became of the question.
    #[must_use]
    pub fn of_decision(target: &Target, decision: Decision<'_>, detail: Option<&str>) -> Self {
        let source = match decision {
            Decision::Deny(rule) | Decision::Ask(rule) => Some(rule.origin.clone()),
            Decision::NotManaged { origin, .. } => Some(origin.clone()),
            Decision::NotPublic { .. } | Decision::Unknown | Decision::Allow(_) => None,
        };
        let (error, text, rule, origin, allow_with) = match decision {
            Decision::Deny(rule) => (
                Code::BlockedByDenylist,
                match &rule.justification {
                    Some(why) => format!("a rule denies it: {}", ringfence_model::text::escape(why)),
                    None => "a rule denies it, and deny wins over allow".to_owned(),
                },
                rule.name(),
                rule.origin.to_string(),
                Vec::new(),
            ),
            Decision::NotPublic { kind, source } => (
                Code::BlockedByPolicy,
                format!("it is no public destination ({}, {source})", kind.name()),
                "local and private destinations".to_owned(),
                "built in: address table".to_owned(),
                if kind == Kind::Metadata { Vec::new() } else { vec![grant(target)] },
            ),
            Decision::NotManaged { origin, ignored } => (
                Code::BlockedByAllowlist,
                match ignored {
                    Some(rule) => {
                        format!("only administrators' entries count, and {} ({}) is none", rule.name(), rule.origin)
                    }
                    None => "only administrators' entries count, and none names it".to_owned(),
                },
                "managed_allowed_domains_only".to_owned(),
                origin.to_string(),
                Vec::new(),
            ),
            Decision::Ask(rule) => (
                Code::BlockedByAllowlist,
                detail.unwrap_or("a rule says to ask, and nobody can be asked").to_owned(),
                rule.name(),
                rule.origin.to_string(),
                vec![grant(target)],
            ),
            Decision::Unknown | Decision::Allow(_) => (
                Code::BlockedByAllowlist,
                detail.unwrap_or("no rule allows it").to_owned(),
                "allow list".to_owned(),
                DEFAULT.to_owned(),
                vec![grant(target)],
            ),
        };
        Self { error, target: target.to_string(), text, rule, origin, source, allow_with }
    }

    /// Explains why a name's address was refused.
    #[must_use]
    pub fn of_address(target: &Target, address: std::net::IpAddr, decision: Decision<'_>) -> Self {
        let mut refusal = Self::of_decision(target, decision, None);
        if !matches!(target.host, crate::host::Host::Address(_)) {
            refusal.text = format!("it leads to {address}: {}", refusal.text);
            // The record of a run names the rule, not the text: which address it was is what its reader has to know.
            if refusal.error == Code::BlockedByPolicy {
                refusal.rule = format!("{} (it leads to {address})", refusal.rule);
            }
            if !refusal.allow_with.is_empty() {
                let literal = Target { host: crate::host::Host::Address(address), port: target.port };
                refusal.allow_with = vec![grant(&literal)];
            }
        }
        refusal
    }

    /// Explains why a method was refused.
    #[must_use]
    pub fn of_method(target: &Target, method: &str, fault: MethodFault<'_>) -> Self {
        Self {
            error: Code::BlockedByMethodPolicy,
            target: target.to_string(),
            text: format!("{} isn't allowed there ({})", fault.what, ringfence_model::text::escape(method)),
            rule: fault.rule.to_owned(),
            origin: fault.origin.to_string(),
            source: Some(fault.origin.clone()),
            allow_with: vec!["[network] mode = \"full\", without a `methods` entry for this host".to_owned()],
        }
    }

    /// Explains why a path was refused.
    #[must_use]
    pub fn of_path(target: &Target, fault: PathFault<'_>) -> Self {
        Self {
            error: Code::BlockedByMethodPolicy,
            target: target.to_string(),
            text: "the path is none of those allowed there".to_owned(),
            rule: fault.rule.to_owned(),
            origin: fault.origin.to_string(),
            source: Some(fault.origin.clone()),
            allow_with: Vec::new(),
        }
    }

    /// Explains a refusal by a rule of the proxy itself.
    #[must_use]
    pub fn of_policy(target: &str, text: impl Into<String>, rule: &str, origin: Option<&Origin>) -> Self {
        Self {
            error: Code::BlockedByPolicy,
            target: ringfence_model::text::escape(target),
            text: text.into(),
            rule: rule.to_owned(),
            origin: origin.map_or_else(|| "built in: proxy".to_owned(), ToString::to_string),
            source: origin.cloned(),
            allow_with: Vec::new(),
        }
    }

    /// Adds a grant that would allow it.
    #[must_use]
    pub fn or_allow_with(mut self, grant: impl Into<String>) -> Self {
        self.allow_with.push(grant.into());
        self
    }

    /// Names the escalation that would allow it, first, where a run can be started with one: it is the smaller grant.
    #[must_use]
    pub(crate) fn or_escalate(mut self, can_escalate: bool) -> Self {
        if can_escalate && self.error == Code::BlockedByAllowlist && !self.allow_with.is_empty() {
            self.allow_with.insert(0, format!("--escalate network={}", self.target));
        }
        self
    }

    /// One line of JSON.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| format!("{{\"error\":\"{}\"}}", self.error.name()))
    }
}

/// The pattern that means this destination and no other.
fn smallest_pattern(target: &Target) -> String {
    if matches!(target.port, 80 | 443) { target.host.to_string() } else { target.to_string() }
}

fn grant(target: &Target) -> String {
    format!("[network.domains] \"{}\" = \"allow\"", smallest_pattern(target))
}
