//! Rules as lists: every one in force, and every example with its outcome.

use crate::program;
use crate::rule::{Broken, Example, HostExecutable, PrefixRule};
use crate::set::{RuleSet, host_permits};
use ringfence_model::Origin;
use serde::Serialize;
use std::collections::HashMap;

/// One line of `ringfence rules list --effective`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The statement, as it could stand in a rule file.
    pub statement: String,
    /// Where it stands.
    pub origin: Origin,
}

/// Every statement that counts, in order: command rules, network rules, host executables.
#[must_use]
pub fn effective(set: &RuleSet) -> Vec<Effective> {
    let rules = set.rules().iter().map(|rule| Effective {
        statement: crate::print::print_rule(&PrefixRule {
            matches: Vec::new(),
            not_matches: Vec::new(),
            ..rule.clone()
        }),
        origin: rule.origin.clone(),
    });
    let network = set.network_rules().iter().map(|rule| {
        let mut statement = String::from("network_rule(host=");
        crate::print::string(&mut statement, &rule.host);
        statement.push_str(&format!(", protocol=\"{}\", decision=\"{}\"", rule.protocol.name(), rule.decision.name()));
        if let Some(justification) = &rule.justification {
            statement.push_str(", justification=");
            crate::print::string(&mut statement, justification);
        }
        statement.push(')');
        Effective { statement, origin: rule.origin.clone() }
    });
    let hosts = set.host_executables().into_iter().map(|host| {
        let mut statement = String::from("host_executable(name=");
        crate::print::string(&mut statement, &host.name);
        statement.push_str(", paths=[");
        for (index, path) in host.written.iter().enumerate() {
            if index > 0 {
                statement.push_str(", ");
            }
            crate::print::string(&mut statement, path);
        }
        statement.push_str("])");
        Effective { statement, origin: host.origin.clone() }
    });
    rules.chain(network).chain(hosts).collect()
}

/// What an example showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExampleOutcome {
    /// As the rule says.
    Ok,
    /// A `match` example that the rule doesn't match.
    NotMatched,
    /// A `not_match` example that the rule matches.
    Matched,
}

/// One example of a rule and what it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExampleReport {
    /// The rule it belongs to.
    pub rule: String,
    /// The example.
    pub example: String,
    /// Whether it stands in `match` (else in `not_match`).
    pub should_match: bool,
    /// What it showed.
    pub outcome: ExampleOutcome,
    /// Where the rule stands.
    pub origin: Origin,
}

/// Runs every example of every rule in the set. Whatever was loaded has passed them once; a later file's
/// `host_executable` may have changed the outcome.
#[must_use]
pub fn run_examples(set: &RuleSet) -> Vec<ExampleReport> {
    let hosts = set.host_executables().into_iter().map(|host| (host.name.clone(), host.clone())).collect();
    set.rules().iter().flat_map(|rule| run(rule, &hosts).collect::<Vec<_>>()).collect()
}

/// The first example that shows something else than its rule says.
pub(crate) fn first_failure(rules: &[PrefixRule], hosts: &HashMap<String, HostExecutable>) -> Result<(), Broken> {
    let as_it_says = |rule: &PrefixRule| {
        rule.matches.iter().all(|example| covers(rule, example, hosts))
            && !rule.not_matches.iter().any(|example| covers(rule, example, hosts))
    };
    for rule in rules.iter().filter(|rule| !as_it_says(rule)) {
        let failed = run(rule, hosts).find(|report| report.outcome != ExampleOutcome::Ok);
        if let Some(report) = failed {
            let example = ringfence_model::text::escape(&report.example);
            let cause = match report.outcome {
                ExampleOutcome::NotMatched => {
                    format!(
                        "the example `{example}` in `match` isn't matched by its rule; mend the example or the pattern"
                    )
                }
                _ => format!(
                    "the example `{example}` in `not_match` is matched by its rule; mend the example or the pattern"
                ),
            };
            return Err(Broken { origin: report.origin, cause });
        }
    }
    Ok(())
}

fn run<'a>(
    rule: &'a PrefixRule,
    hosts: &'a HashMap<String, HostExecutable>,
) -> impl Iterator<Item = ExampleReport> + 'a {
    let positive = rule.matches.iter().map(|example| (example, true));
    let negative = rule.not_matches.iter().map(|example| (example, false));
    positive.chain(negative).map(|(example, should_match)| {
        let outcome = match (should_match, covers(rule, example, hosts)) {
            (true, false) => ExampleOutcome::NotMatched,
            (false, true) => ExampleOutcome::Matched,
            _ => ExampleOutcome::Ok,
        };
        ExampleReport {
            rule: pattern_text(rule),
            example: example.display(),
            should_match,
            outcome,
            origin: rule.origin.clone(),
        }
    })
}

fn covers(rule: &PrefixRule, example: &Example, hosts: &HashMap<String, HostExecutable>) -> bool {
    let Some((first, rest)) = example.words.split_first() else { return false };
    let fits = |first: &str| {
        let given = std::iter::once(first).chain(rest.iter().map(String::as_str));
        rule.pattern.len() <= example.words.len()
            && rule.pattern.iter().zip(given).all(|(place, word)| place.fits(word))
    };
    if fits(first) {
        return true;
    }
    let Some((path, name)) = program::at(first) else { return false };
    host_permits(hosts, &name, &path) && fits(&name)
}

fn pattern_text(rule: &PrefixRule) -> String {
    let places = rule.pattern.iter().map(|alternatives| alternatives.tokens().join("|"));
    format!("{} {}", rule.decision, places.collect::<Vec<_>>().join(" "))
}
