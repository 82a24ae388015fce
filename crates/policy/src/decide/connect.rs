//! Judging a connection through the proxy: rules and domains first, then the policy for hosts that nobody named.
//!
//! Whether the address a name leads to may be connected to is the proxy's to judge; no answer here overrides that.

use super::reasons::{self, codes, reason};
use super::{Basis, Case, Stop};
use crate::table::{Cell, Row, cell};
use ringfence_model::action::{Connect, Placement};
use ringfence_model::domain::DomainPattern;
use ringfence_model::grant::{Lasts, Scope};
use ringfence_model::verdict::{Offer, QuestionKind};
use ringfence_model::{Sourced, text};
use ringfence_rules::{NetworkDecision, NetworkProtocol};
use std::net::IpAddr;

pub(super) fn judge(basis: &Basis<'_>, connect: &Connect) -> Case {
    let network = &basis.settings.network;
    let host = text::escape(&connect.host);
    if !network.access.value || !network.proxy.value {
        let (text, origin) = match network.access.value {
            false => ("network is off", network.access.origin.clone()),
            true => ("no proxy is enabled, so single hosts aren't judged", network.proxy.origin.clone()),
        };
        return Case::refuse(reason(codes::NETWORK_OFF, text, origin, vec!["--network proxy".to_owned()]));
    }
    let mut case = Case::new(Placement::Inside);
    let mut allowed = false;
    for deny in matching(&network.managed.deny, connect) {
        let text = format!("`{host}` is denied by `{}`", text::escape(&deny.value));
        let change = vec!["that entry".to_owned()];
        case.stops.push(Stop::Refuse(reason(codes::HOST, text, deny.origin.clone(), change)));
    }
    let managed_only = network.managed.managed_domains_only.as_ref().filter(|only| only.value);
    for allow in matching(&network.managed.allow, connect) {
        allowed = true;
        let text = format!("`{host}` is allowed by `{}`", text::escape(&allow.value));
        case.reasons.push(reason(codes::HOST, text, allow.origin.clone(), Vec::new()));
    }
    let protocol = NetworkProtocol::from_name(&connect.protocol).unwrap_or(NetworkProtocol::Any);
    for rule in basis.rules.network_rules() {
        let about =
            rule.protocol == NetworkProtocol::Any || protocol == NetworkProtocol::Any || rule.protocol == protocol;
        // A pattern that can't be read names no host; the loader has said so already.
        let names_it = rule.host.parse::<DomainPattern>().is_ok_and(|pattern| covers(&pattern, connect));
        if !about || !names_it {
            continue;
        }
        let because = rule.justification.as_deref().map(|why| format!(": {}", text::escape(why))).unwrap_or_default();
        let why = |verb: &str| {
            let text = format!("a network rule {verb} `{host}`{because}");
            reason(codes::HOST, text, rule.origin.clone(), vec![format!("the rule at {}", rule.origin)])
        };
        match rule.decision {
            NetworkDecision::Allow if managed_only.is_some() => {}
            NetworkDecision::Allow => {
                allowed = true;
                case.reasons.push(why("allows"));
            }
            NetworkDecision::Prompt => case.stops.push(Stop::Ask(QuestionKind::Rule, why("prompts for"))),
            NetworkDecision::Deny => case.stops.push(Stop::Refuse(why("denies"))),
        }
    }
    if !allowed {
        if let Some(only) = managed_only {
            let text = "only hosts that administrators allow can be reached";
            case.stops.push(Stop::Refuse(reason(codes::HOST, text, only.origin.clone(), Vec::new())));
        }
        let policy = &basis.settings.approval_policy;
        let mode = basis.settings.sandbox_mode.value;
        let why = reasons::by_policy(mode, Row::UnknownHost, policy);
        match cell(mode, Row::UnknownHost, policy.value) {
            Cell::Run => case.reasons.push(why),
            Cell::Ask | Cell::Report => case.stops.push(Stop::Ask(QuestionKind::Host, why)),
            Cell::Refuse => case.stops.push(Stop::Refuse(why)),
        }
    }
    let scope = Scope::Host { host: connect.host.clone(), port: connect.port };
    for (lasts, how) in [(Lasts::Session, "for this session"), (Lasts::Always, "always")] {
        let text = format!("connections to `{host}` on port {}, {how}", connect.port);
        case.offers.push(Offer { scope: scope.clone(), lasts, text });
    }
    case
}

fn matching<'p>(patterns: &'p [Sourced<String>], connect: &'p Connect) -> impl Iterator<Item = &'p Sourced<String>> {
    patterns
        .iter()
        .filter(|pattern| pattern.value.parse::<DomainPattern>().is_ok_and(|pattern| covers(&pattern, connect)))
}

fn covers(pattern: &DomainPattern, connect: &Connect) -> bool {
    match connect.host.parse::<IpAddr>() {
        Ok(address) => pattern.matches_address(address, connect.port),
        Err(_) => pattern.matches_name(&connect.host, connect.port),
    }
}
