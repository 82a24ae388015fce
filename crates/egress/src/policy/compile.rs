//! From settings to a compiled policy, or the line that is wrong.

use super::index::{Index, PatternSet};
use super::methods::MethodRules;
use super::{PRESET_NAMES, Policy, Rule, RuleSource, common_dependencies};
use ringfence_model::domain::{DomainError, DomainPattern};
use ringfence_model::network::{NetworkDecision, NetworkProtocol, NetworkRule};
use ringfence_model::settings::{ManagedNetwork, NetworkSettings};
use ringfence_model::text::escape;
use ringfence_model::{Origin, Sourced};

/// A network setting that can't be put into force. Nothing runs with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A pattern can't be read.
    #[error("{cause} ({origin})")]
    Pattern {
        /// Where it was written.
        origin: Origin,
        /// Why.
        #[source]
        cause: DomainError,
    },
    /// `"*" = "deny"`.
    #[error("`*` can only allow: leave allow entries out to block everything ({origin})")]
    DenyEverything {
        /// Where it was written.
        origin: Origin,
    },
    /// No shipped list has this name.
    #[error("`{}` is no preset: use one of {} ({origin})", escape(.name), PRESET_NAMES.join(", "))]
    Preset {
        /// The name.
        name: String,
        /// Where it was written.
        origin: Origin,
    },
    /// A method that HTTP doesn't have that way.
    #[error("`{}` is no request method: methods are upper-case words such as `GET` ({origin})", escape(.method))]
    Method {
        /// The method.
        method: String,
        /// Where it was written.
        origin: Origin,
    },
    /// A path prefix that can't be compared safely.
    #[error("`{}` is no path prefix: begin with `/`, without `..`, `%`, `//`, `?` or `#` ({origin})", escape(.path))]
    Path {
        /// The prefix.
        path: String,
        /// Where it was written.
        origin: Origin,
    },
}

impl Policy {
    /// Compiles settings and network rules.
    ///
    /// # Errors
    /// The first entry that can't be put into force.
    pub fn compile(settings: &NetworkSettings, rules: &[NetworkRule]) -> Result<Self, PolicyError> {
        let managed = &settings.managed;
        let mut all = Vec::new();
        for entry in &managed.deny {
            let rule = domain_rule(entry, NetworkDecision::Deny)?;
            if rule.pattern.is_everything() {
                return Err(PolicyError::DenyEverything { origin: entry.origin.clone() });
            }
            all.push(rule);
        }
        for entry in &managed.allow {
            all.push(domain_rule(entry, NetworkDecision::Allow)?);
        }
        for preset in &managed.presets {
            add_preset(preset, &mut all)?;
        }
        all.extend(rules.iter().map(|rule| Rule {
            pattern: rule.pattern.clone(),
            protocol: rule.protocol,
            decision: rule.decision,
            source: RuleSource::NetworkRule,
            origin: rule.origin.clone(),
            justification: rule.justification.clone(),
        }));
        let mut index = Index::default();
        all.iter().for_each(|rule| index.add(&rule.pattern));
        let yes = |setting: &Sourced<bool>| setting.value.then(|| setting.origin.clone());
        Ok(Self {
            rules: all,
            index,
            local: yes(&settings.allow_local_binding),
            managed_only: managed.managed_domains_only.as_ref().and_then(yes),
            methods: MethodRules::compile(managed)?,
            intercept: interception(managed)?,
            sni_mismatch: pattern_set(&managed.allow_sni_mismatch)?,
        })
    }
}

fn domain_rule(entry: &Sourced<String>, decision: NetworkDecision) -> Result<Rule, PolicyError> {
    Ok(Rule {
        pattern: read_pattern(entry)?,
        protocol: NetworkProtocol::Any,
        decision,
        source: RuleSource::Domains,
        origin: entry.origin.clone(),
        justification: None,
    })
}

fn add_preset(preset: &Sourced<String>, all: &mut Vec<Rule>) -> Result<(), PolicyError> {
    let patterns: Vec<DomainPattern> = match preset.value.as_str() {
        "none" => Vec::new(),
        "all" => vec![read_pattern(&preset.clone().map(|_| "*".to_owned()))?],
        "common-dependencies" => common_dependencies().hosts.into_iter().map(|host| host.pattern).collect(),
        _ => return Err(PolicyError::Preset { name: preset.value.clone(), origin: preset.origin.clone() }),
    };
    all.extend(patterns.into_iter().map(|pattern| Rule {
        pattern,
        protocol: NetworkProtocol::Any,
        decision: NetworkDecision::Allow,
        source: RuleSource::Preset(preset.value.clone()),
        origin: preset.origin.clone(),
        justification: None,
    }));
    Ok(())
}

/// What is named, and the hosts that get a credential: it can only be put in where TLS is opened.
fn interception(managed: &ManagedNetwork) -> Result<PatternSet, PolicyError> {
    let mut set = pattern_set(&managed.intercept)?;
    for secret in &managed.secrets {
        for host in &secret.hosts {
            set.add(read_pattern(&Sourced::new(host.clone(), secret.origin.clone()))?);
        }
    }
    Ok(set)
}

fn pattern_set(entries: &[Sourced<String>]) -> Result<PatternSet, PolicyError> {
    let mut set = PatternSet::default();
    for entry in entries {
        set.add(read_pattern(entry)?);
    }
    Ok(set)
}

/// Reads a pattern, naming its origin if it can't be read.
pub(super) fn read_pattern(entry: &Sourced<String>) -> Result<DomainPattern, PolicyError> {
    entry.value.parse().map_err(|cause| PolicyError::Pattern { origin: entry.origin.clone(), cause })
}
