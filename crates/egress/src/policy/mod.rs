//! The decision about one destination: pure, over compiled rules.
//!
//! It knows names, addresses, ports, methods and paths, and nothing of sockets or time. Deny wins over ask, ask over
//! allow, whatever order or layer they were written in; what no rule names is unknown, and the caller asks or refuses.

mod compile;
mod index;
mod methods;
mod presets;
mod refusal;

pub use compile::PolicyError;
pub use methods::{MethodFault, PathFault};
pub use presets::{PRESET_NAMES, Preset, PresetHost, common_dependencies};
pub use refusal::{Code, Refusal};

use crate::address::{self, Kind};
use crate::host::{Host, Target};
use index::{Index, PatternSet};
use ringfence_model::Origin;
use ringfence_model::domain::{DomainPattern, HostPattern};
use ringfence_model::network::{NetworkDecision, NetworkProtocol};
use std::net::IpAddr;

/// Everything the proxy may decide by, compiled from settings.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    index: Index,
    /// `allow_local_binding = true`, and where.
    local: Option<Origin>,
    /// `managed_allowed_domains_only = true`, and where: other allow entries don't count.
    managed_only: Option<Origin>,
    methods: methods::MethodRules,
    intercept: PatternSet,
    sni_mismatch: PatternSet,
}

/// One rule about destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which hosts and ports.
    pub pattern: DomainPattern,
    /// Which kind of connection.
    pub protocol: NetworkProtocol,
    /// What holds.
    pub decision: NetworkDecision,
    /// What made it.
    pub source: RuleSource,
    /// Where it was written.
    pub origin: Origin,
    /// Why, as it says.
    pub justification: Option<String>,
}

/// What made a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleSource {
    /// An entry of the domain map.
    Domains,
    /// A shipped list.
    Preset(String),
    /// A `network_rule`.
    NetworkRule,
    /// A yes to a question, or an escalation.
    Grant,
}

impl Rule {
    /// Its name in answers and events: `domains: *.example.com`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            RuleSource::Domains => format!("domains: {}", self.pattern),
            RuleSource::Preset(name) => format!("preset {name}: {}", self.pattern),
            RuleSource::NetworkRule => format!("network_rule: {} ({})", self.pattern, self.protocol.name()),
            RuleSource::Grant => format!("grant: {}", self.pattern),
        }
    }
}

/// What the rules say about a destination, before anything is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'p> {
    /// It may be reached, if its addresses may.
    Allow(&'p Rule),
    /// A rule says to ask.
    Ask(&'p Rule),
    /// No rule names it.
    Unknown,
    /// A rule forbids it.
    Deny(&'p Rule),
    /// It is no public destination, and isn't allowed literally.
    NotPublic {
        /// What kind of address.
        kind: Kind,
        /// Where that kind is written.
        source: &'static str,
    },
    /// Only administrators' entries count, and none names it.
    NotManaged {
        /// Where that was set.
        origin: &'p Origin,
        /// An entry that would allow it, were it an administrator's.
        ignored: Option<&'p Rule>,
    },
}

impl Policy {
    /// Judges a destination by name. No lookup is needed, and none may happen before this says yes.
    #[must_use]
    pub fn decide(&self, target: &Target, protocol: NetworkProtocol) -> Decision<'_> {
        let found = self.find(&target.host, target.port, protocol);
        if let Some(rule) = found.deny {
            return Decision::Deny(rule);
        }
        if let Some((kind, source)) = self.not_public(&target.host)
            && !found.literal
        {
            return Decision::NotPublic { kind, source };
        }
        match (found.ask, found.allow, &self.managed_only) {
            (Some(rule), ..) => Decision::Ask(rule),
            (None, Some(rule), _) => Decision::Allow(rule),
            (None, None, Some(origin)) => Decision::NotManaged { origin, ignored: found.ignored },
            (None, None, None) => Decision::Unknown,
        }
    }

    /// Judges an address that an allowed name led to. `own` says that it is one of this machine's.
    ///
    /// # Errors
    /// The decision that stops it.
    pub fn judge_address(
        &self,
        target: &Target,
        address: IpAddr,
        own: bool,
        protocol: NetworkProtocol,
    ) -> Result<(), Decision<'_>> {
        let found = self.find(&Host::Address(address.to_canonical()), target.port, protocol);
        if let Some(rule) = found.deny
            && matches!(rule.pattern.host(), HostPattern::Address(_))
        {
            return Err(Decision::Deny(rule));
        }
        let special = address::classify(address)
            .or_else(|| own.then_some((Kind::Own, "an address of this machine, by asking the kernel")));
        let Some((kind, source)) = special else { return Ok(()) };
        let localhost = kind == Kind::Loopback && target.host.is_localhost();
        let open = self.local.is_some() && kind.is_local();
        if localhost || open || found.literal { Ok(()) } else { Err(Decision::NotPublic { kind, source }) }
    }

    fn not_public(&self, host: &Host) -> Option<(Kind, &'static str)> {
        let found = match host {
            Host::Address(address) => address::classify(*address),
            Host::Name(_) if host.is_localhost() => Some((Kind::Loopback, "RFC 6761")),
            Host::Name(_) => None,
        };
        found.filter(|(kind, _)| !(self.local.is_some() && kind.is_local()))
    }

    fn find(&self, host: &Host, port: u16, protocol: NetworkProtocol) -> Found<'_> {
        let mut found = Found::default();
        self.index.visit(host, |number| {
            let Some(rule) = self.rules.get(number as usize) else { return };
            if rule.pattern.ports().include(port) && rule.protocol.covers(protocol) {
                found.see(rule, self.managed_only.is_some());
            }
        });
        found
    }

    /// Whether TLS to this destination is opened.
    #[must_use]
    pub fn intercepts(&self, target: &Target) -> bool {
        self.intercept.matches(&target.host, target.port)
    }

    /// Whether anything is intercepted at all.
    #[must_use]
    pub fn intercepts_anything(&self) -> bool {
        !self.intercept.is_empty()
    }

    /// Whether the TLS server name may differ from the name that was asked for.
    #[must_use]
    pub fn allows_sni_mismatch(&self, target: &Target) -> bool {
        self.sni_mismatch.matches(&target.host, target.port)
    }

    /// Rules in force, in the order they were compiled.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

#[derive(Default)]
struct Found<'p> {
    deny: Option<&'p Rule>,
    ask: Option<&'p Rule>,
    allow: Option<&'p Rule>,
    /// An allow entry that doesn't count.
    ignored: Option<&'p Rule>,
    /// The exact address, or `localhost`, is allowed.
    literal: bool,
}

impl<'p> Found<'p> {
    fn see(&mut self, rule: &'p Rule, managed_only: bool) {
        match rule.decision {
            NetworkDecision::Deny => keep_weightier(&mut self.deny, rule),
            NetworkDecision::Prompt => keep_weightier(&mut self.ask, rule),
            NetworkDecision::Allow if managed_only && !rule.origin.layer().is_requirement() => {
                self.ignored = Some(rule);
            }
            NetworkDecision::Allow => {
                self.literal |= match rule.pattern.host() {
                    HostPattern::Address(_) => true,
                    HostPattern::Exact(name) => name == "localhost",
                    _ => false,
                };
                if self.allow.is_none_or(|known| known.pattern.is_everything()) {
                    self.allow = Some(rule);
                }
            }
        }
    }
}

/// Of several rules that say the same, the one of the weightiest layer is named.
fn keep_weightier<'p>(slot: &mut Option<&'p Rule>, rule: &'p Rule) {
    if slot.is_none_or(|known| known.origin.layer() < rule.origin.layer()) {
        *slot = Some(rule);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
