//! Sources of requirements, in their order → one set. Higher sources fill first; lists that only narrow add up.

use super::read::{Host, Partial, Standing, read};
use super::{RequirementSources, legacy};
use crate::error::Problem;
use crate::layers::Document;
use ringfence_model::origin::Sourced;
use ringfence_model::path::AbsPath;
use ringfence_model::requirements::{CloudRequirements, NetworkRequirements, Requirements};
use std::collections::BTreeMap;

/// Which of two sources is higher; managed preferences are above both, legacy fields below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The cloud is above the system's file.
    CloudFirst,
    /// The system's file is above the cloud.
    SystemFirst,
}

/// Reads and composes every source.
pub fn compose(
    sources: &RequirementSources,
    user_home: Option<&AbsPath>,
) -> Result<(Requirements, Order), Vec<Problem>> {
    let host = Host { name: sources.hostname.as_deref(), user_home };
    let mut problems = Vec::new();
    let mut partial = |document: Option<&Document>, standing: Standing| match document
        .map(|document| read(document, host, standing))
    {
        Some(Ok(partial)) => partial,
        Some(Err(found)) => {
            problems.extend(found);
            Partial::default()
        }
        None => Partial::default(),
    };
    let preferences = partial(sources.preferences.as_ref(), Standing::Local);
    let system = partial(sources.system.as_ref(), Standing::Local);
    let cloud = partial(sources.cloud.as_ref(), Standing::Cloud);
    let mut inherited = |documents: &[Document]| {
        documents.iter().map(|document| partial(Some(document), Standing::Inherited)).collect::<Vec<_>>()
    };
    let below_preferences = inherited(&sources.preferences_inherited);
    let below_system = inherited(&sources.system_inherited);
    if !problems.is_empty() {
        return Err(problems);
    }
    let system_first = preferences.system_first.as_ref().or(system.system_first.as_ref());
    let order = match system_first {
        Some(Sourced { value: true, .. }) => Order::SystemFirst,
        _ => Order::CloudFirst,
    };
    let local = std::iter::once(system).chain(below_system);
    let mut ordered = vec![preferences];
    ordered.extend(below_preferences);
    match order {
        Order::CloudFirst => ordered.extend(std::iter::once(cloud).chain(local)),
        Order::SystemFirst => ordered.extend(local.chain(std::iter::once(cloud))),
    }
    ordered.extend(sources.managed.as_ref().map(legacy));
    let mut requirements = lay(&ordered);
    requirements.sources.clone_from(&sources.sources);
    Ok((requirements, order))
}

/// Composes what sources ask for, highest first.
fn lay(ordered: &[Partial]) -> Requirements {
    fn first<T: Clone>(ordered: &[Partial], field: impl Fn(&Partial) -> &Option<T>) -> Option<T> {
        ordered.iter().find_map(|partial| field(partial).clone())
    }
    let flag = |name: &str| ordered.iter().find_map(|partial| partial.flags.get(name).cloned());
    let mut requirements = Requirements {
        approval_policies: first(ordered, |partial| &partial.approval_policies),
        sandbox_modes: first(ordered, |partial| &partial.sandbox_modes),
        web_search_modes: first(ordered, |partial| &partial.web_search_modes),
        reviewers: first(ordered, |partial| &partial.reviewers),
        reviewer_policy: first(ordered, |partial| &partial.reviewer_policy),
        default_permissions: first(ordered, |partial| &partial.default_permissions),
        hooks_dir: first(ordered, |partial| &partial.hooks_dir),
        managed_hooks_only: flag("allow_managed_hooks_only"),
        network: NetworkRequirements {
            enabled: flag("experimental_network.enabled"),
            managed_allowed_domains_only: flag("experimental_network.managed_allowed_domains_only"),
            allow_local_binding: flag("experimental_network.allow_local_binding"),
            allow_upstream_proxy: flag("experimental_network.allow_upstream_proxy"),
            dangerously_allow_non_loopback_proxy: flag("experimental_network.dangerously_allow_non_loopback_proxy"),
            limited: first(ordered, |partial| &partial.limited),
            ..NetworkRequirements::default()
        },
        cloud: CloudRequirements {
            required: flag("cloud.required"),
            public_keys: first(ordered, |partial| &partial.public_keys).unwrap_or_default(),
            url: first(ordered, |partial| &partial.cloud_url),
            audience: first(ordered, |partial| &partial.cloud_audience),
        },
        ..Requirements::default()
    };
    for partial in ordered {
        requirements.deny_read.extend(partial.deny_read.iter().cloned());
        requirements.prefix_rules.extend(partial.prefix_rules.iter().cloned());
        requirements.hooks.extend(partial.hooks.iter().cloned());
        requirements.not_applicable.extend(partial.not_applicable.iter().cloned());
        for (name, value) in &partial.features {
            requirements.features.entry(name.clone()).or_insert_with(|| value.clone());
        }
        by_name(&mut requirements.permission_profiles, partial.permission_profiles.as_ref());
        // An empty list of servers means that none runs; a lower source can't add to that.
        let closed = requirements.mcp_servers.as_ref().is_some_and(|servers| servers.value.is_empty());
        if !closed {
            by_name(&mut requirements.mcp_servers, partial.mcp_servers.as_ref());
        }
    }
    domains(ordered, &mut requirements.network);
    sockets(ordered, &mut requirements.network);
    requirements
}

fn by_name<T: Clone>(into: &mut Option<Sourced<BTreeMap<String, T>>>, from: Option<&Sourced<BTreeMap<String, T>>>) {
    match (into.as_mut(), from) {
        (None, from) => *into = from.cloned(),
        (Some(into), Some(from)) => {
            for (name, value) in &from.value {
                into.value.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        (Some(_), None) => {}
    }
}

/// Name by name the highest source's counts, but what any source denies stays denied.
fn domains(ordered: &[Partial], network: &mut NetworkRequirements) {
    let mut allowed: BTreeMap<String, Sourced<String>> = BTreeMap::new();
    let mut denied: BTreeMap<String, Sourced<String>> = BTreeMap::new();
    let list = ordered.iter().find_map(|partial| partial.allowed_domains.as_ref());
    let add = |map: &mut BTreeMap<String, Sourced<String>>, entry: Sourced<String>| {
        map.entry(entry.value.clone()).or_insert(entry);
    };
    for partial in ordered {
        for (pattern, allow) in &partial.domains {
            let entry = Sourced::new(pattern.clone(), allow.origin.clone());
            add(if allow.value { &mut allowed } else { &mut denied }, entry);
        }
        partial.denied_domains.iter().for_each(|entry| add(&mut denied, entry.clone()));
    }
    list.into_iter().flatten().for_each(|entry| add(&mut allowed, entry.clone()));
    allowed.retain(|pattern, _| !denied.contains_key(pattern));
    network.allow = allowed.into_values().collect();
    network.deny = denied.into_values().collect();
}

fn sockets(ordered: &[Partial], network: &mut NetworkRequirements) {
    let mut map: BTreeMap<&str, bool> = BTreeMap::new();
    let mut origin = None;
    for sockets in ordered.iter().filter_map(|partial| partial.unix_sockets.as_ref()) {
        origin.get_or_insert_with(|| sockets.origin.clone());
        for (path, allow) in &sockets.value {
            map.entry(path).or_insert(*allow);
        }
    }
    network.unix_sockets = origin.map(|origin| {
        let allowed = map.into_iter().filter(|(_, allow)| *allow).map(|(path, _)| path.to_owned()).collect();
        Sourced::new(allowed, origin)
    });
}
