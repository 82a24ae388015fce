//! Laws that hold for every stack of layers and every set of requirements.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Start, service};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use ringfence_config::layers::Document;
use ringfence_config::node::Source;
use ringfence_config::requirements::fits;
use ringfence_config::{ConfigError, Resolved};
use ringfence_model::mode::{ApprovalPolicy, SandboxMode, WebSearchMode};
use ringfence_model::origin::{Layer, Origin};
use ringfence_model::requirements::PolicyName;

/// Lines of settings, some of them loose, some strict.
const SETTINGS: &[&str] = &[
    "sandbox_mode = \"read-only\"",
    "sandbox_mode = \"workspace-write\"",
    "sandbox_mode = \"danger-full-access\"",
    "approval_policy = \"untrusted\"",
    "approval_policy = \"on-request\"",
    "approval_policy = \"never\"",
    "approval_policy = \"on-failure\"",
    "approval_policy = { reject = { rules = true } }",
    "web_search = \"live\"",
    "web_search = \"disabled\"",
    "approvals_reviewer = \"program\"",
    "default_permissions = \":workspace\"",
    "default_permissions = \":danger-full-access\"",
    "default_permissions = \":read-only\"",
    "default_permissions = \"mine\"",
    "network = { enabled = true }",
    "network = { enabled = false, allow_local_binding = true, domains = { \"mine.test\" = \"allow\" } }",
    "network = { mode = \"full\", allow_upstream_proxy = true, presets = [\"all\"] }",
    "mcp_servers = { docs = { command = \"docs-mcp\" } }",
    "mcp_servers = { docs = { command = \"/tmp/docs-mcp\" }, more = { url = \"https://a.test\" } }",
    "permissions = { mine = { extends = \":workspace\", filesystem = { \"/srv\" = \"write\" } } }",
    "sandbox_workspace_write = { network_access = true, writable_roots = [\"/srv\"] }",
    "allow_unix_sockets = [\"/run/x.sock\"]",
    "require_trust = true",
];

/// Lines of requirements.
const REQUIREMENTS: &[&str] = &[
    "allowed_sandbox_modes = [\"read-only\"]",
    "allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]",
    "allowed_approval_policies = [\"untrusted\", \"on-request\"]",
    "allowed_approval_policies = [\"never\"]",
    "allowed_approval_policies = [\"granular\", \"untrusted\"]",
    "allowed_web_search_modes = []",
    "allowed_web_search_modes = [\"cached\"]",
    "allowed_approvals_reviewers = [\"user\"]",
    "allowed_permission_profiles = { \":read-only\" = true, \"mine\" = true }",
    "allowed_permission_profiles = { \":workspace\" = true, \":read-only\" = false }",
    "default_permissions = \":read-only\"",
    "permissions = { filesystem = { deny_read = [\"~/.ssh\", \"/**/*.env\"] } }",
    "network = { enabled = true, managed_allowed_domains_only = true }",
    "network = { allow_local_binding = false, mode = \"limited\", domains = { \"a.test\" = \"allow\", \"b.test\" = \"deny\" } }",
    "network = { unix_sockets = {} }",
    "mcp_servers = {}",
    "mcp_servers = { docs = { identity = { command = \"docs-mcp\" } } }",
    "features = { network_proxy = true }",
];

/// What layers may say of the project that is worked in.
const OF_PROJECT: &[&str] = &[
    "projects.\"/w/app\".sandbox_mode = \"danger-full-access\"",
    "projects.\"/w/app\".sandbox_mode = \"read-only\"",
    "projects.\"/w/app\".approval_policy = \"never\"",
    "projects.\"/w/app\".approval_policy = { reject = { rules = true } }",
];

fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or("")
}

/// Some of the lines, at most one per key.
fn some(lines: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    proptest::sample::subsequence(lines.to_vec(), 0..=most).prop_map(|mut lines| {
        lines.dedup_by_key(|line| name(line).to_owned());
        lines.join("\n")
    })
}

#[derive(Debug, Clone)]
struct Given {
    layers: Vec<String>,
    flags: Vec<String>,
    requirements: [String; 4],
    /// Of the project, in the system's layer, the profile and the managed defaults.
    of_project: [Option<&'static str>; 3],
    vcs: bool,
}

fn given() -> impl Strategy<Value = Given> {
    let layers = proptest::collection::vec(some(SETTINGS, 4), 5);
    let flags = proptest::sample::subsequence(SETTINGS.to_vec(), 0..=2);
    let requirements = [some(REQUIREMENTS, 5), some(REQUIREMENTS, 3), some(REQUIREMENTS, 3), some(REQUIREMENTS, 3)];
    let one = || proptest::option::weighted(0.2, proptest::sample::select(OF_PROJECT));
    let of_project = [one(), one(), one()];
    (layers, flags, requirements, of_project, any::<bool>()).prop_map(
        |(layers, flags, requirements, of_project, vcs)| Given {
            of_project,
            layers,
            flags: flags.into_iter().map(|line| line.replacen(" = ", "=", 1)).collect(),
            requirements,
            vcs,
        },
    )
}

fn load(given: &Given) -> Result<Resolved, ConfigError> {
    let [system, mdm, inherited, cloud] = &given.requirements;
    let with = |layer: usize, of_project: usize| {
        format!("{}\n{}", given.of_project[of_project].unwrap_or_default(), given.layers[layer])
    };
    let mut start = Start::new()
        .system(&with(0, 0))
        .user(&given.layers[1])
        .file("/home/me/.ringfence/p.config.toml", &with(2, 1))
        .trusted_project(&given.layers[3])
        .managed(&with(4, 2))
        .requirements(&format!("inherit = [\"/etc/more.toml\"]\n{system}\n{}", service()))
        .cloud(cloud)
        .file("/etc/more.toml", inherited)
        .mdm(mdm);
    for flag in &given.flags {
        start = start.config(flag);
    }
    start.request.profile = Some("p".into());
    if let Some(project) = &mut start.request.project {
        project.version_controlled = given.vcs;
    }
    start.load()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn for_all_layer_stacks_the_effective_value_satisfies_the_requirements(given in given()) {
        let Ok(resolved) = load(&given) else { return Ok(()) };
        let (settings, required) = (&resolved.settings, &resolved.requirements);
        let mode = settings.sandbox_mode.value;
        let flag = Origin::flag("/permissions");
        // A change within a session is held to the same: what holds may be chosen, and nothing that isn't allowed.
        prop_assert!(required.check_approval_policy(settings.approval_policy.value, &flag).is_ok());
        for policy in [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::OnFailure, ApprovalPolicy::Never] {
            if let Some(policies) = &required.approval_policies {
                let listed = policies.value.contains(&PolicyName::of(policy));
                prop_assert_eq!(required.check_approval_policy(policy, &flag).is_ok(), listed);
            }
        }
        if let Some(modes) = &required.sandbox_modes {
            prop_assert!(modes.value.contains(&mode));
        }
        if let Some(policies) = &required.approval_policies {
            prop_assert!(policies.value.contains(&PolicyName::of(settings.approval_policy.value)));
        }
        if let Some(searches) = &required.web_search_modes {
            prop_assert!(settings.web_search.value == WebSearchMode::Disabled || searches.value.contains(&settings.web_search.value));
        }
        if let Some(reviewers) = &required.reviewers {
            prop_assert!(reviewers.value.contains(&settings.approvals.reviewer.value));
        }
        if let Some(profiles) = &required.permission_profiles {
            let built_in = match mode {
                SandboxMode::ReadOnly => ":read-only",
                SandboxMode::WorkspaceWrite => ":workspace",
                SandboxMode::DangerFullAccess => ":danger-full-access",
            };
            let name = settings.permissions.as_ref().map_or(built_in, |profile| profile.value.as_str());
            prop_assert!(profiles.value.get(name).is_some_and(|allowed| allowed.value), "{name}");
        }
        for denied in &required.deny_read {
            prop_assert!(settings.filesystem.deny_read.contains(denied));
            prop_assert_ne!(mode, SandboxMode::DangerFullAccess);
        }
        if let Some(enabled) = &required.network.enabled {
            prop_assert_eq!(settings.network.proxy.value, enabled.value);
        }
        if required.network.managed_allowed_domains_only.as_ref().is_some_and(|only| only.value) {
            prop_assert_eq!(&settings.network.managed.allow, &required.network.allow);
            prop_assert!(settings.network.managed.presets.is_empty());
        }
        for denied in &required.network.deny {
            prop_assert!(settings.network.managed.deny.contains(denied));
        }
        if required.network.allow_local_binding.as_ref().is_some_and(|allow| !allow.value) {
            prop_assert!(!settings.network.allow_local_binding.value);
        }
        if let Some(allowed) = &required.mcp_servers {
            for (name, server) in settings.mcp_servers.iter().filter(|(_, server)| server.enabled.value) {
                let fits = allowed.value.get(name).is_some_and(|identity| fits(&identity.value, &server.transport));
                prop_assert!(fits, "{name}");
            }
        }
    }

    #[test]
    fn a_stack_that_asks_for_nothing_is_never_rejected(mut given in given()) {
        given.layers.iter_mut().for_each(String::clear);
        given.flags.clear();
        given.of_project = [None; 3];
        // Of profiles and modes an administrator can require what nothing fulfils.
        given.requirements.iter_mut().filter(|text| text.contains("permission")).for_each(String::clear);
        if let Err(error) = load(&given) {
            prop_assert!(false, "{error}");
        }
    }

    #[test]
    fn without_requirements_and_bad_profiles_every_stack_resolves(mut given in given()) {
        given.requirements = Default::default();
        given.layers[4].clear();
        match load(&given) {
            Ok(_) => {}
            // The only thing that can be wrong in these lines is a profile that nobody defined.
            Err(error) => prop_assert!(error.to_string().contains("no permission profile `mine`"), "{error}"),
        }
    }

    #[test]
    fn resolving_is_deterministic(given in given()) {
        let text = |resolved: Result<Resolved, ConfigError>| match resolved {
            Ok(resolved) => format!("{resolved:?}"),
            Err(error) => error.to_string(),
        };
        prop_assert_eq!(text(load(&given)), text(load(&given)));
    }

    #[test]
    fn a_rejection_names_a_requirement_and_where_it_stands(given in given()) {
        if let Err(ConfigError::NotAllowed(violation)) = load(&given) {
            prop_assert!(violation.requirement.layer().is_requirement(), "{violation}");
            prop_assert!(!violation.hint().is_empty());
        }
    }

    #[test]
    fn a_project_never_makes_anything_looser(mut given in given()) {
        given.requirements = Default::default();
        given.flags.clear();
        given.layers[4].clear();
        let mut without = given.clone();
        without.layers[3].clear();
        let (Ok(with), Ok(without)) = (load(&given), load(&without)) else { return Ok(()) };
        let (with, without) = (with.settings, without.settings);
        prop_assert!(with.sandbox_mode.value <= without.sandbox_mode.value);
        prop_assert!(with.approval_policy.value.strictness() >= without.approval_policy.value.strictness()
            || matches!(without.approval_policy.value, ApprovalPolicy::Granular(_)));
        prop_assert!(with.web_search.value <= without.web_search.value || without.sandbox_mode.value != with.sandbox_mode.value);
        prop_assert!(!with.network.access.value || without.network.access.value);
        prop_assert!(with.network.proxy.value || !without.network.proxy.value);
        prop_assert!(!with.network.allow_local_binding.value || without.network.allow_local_binding.value);
        prop_assert_eq!(with.network.managed.allow, without.network.managed.allow);
        prop_assert_eq!(with.writable_roots, without.writable_roots);
        prop_assert_eq!(with.unix_sockets, without.unix_sockets);
        prop_assert_eq!(with.mcp_servers, without.mcp_servers);
        prop_assert_eq!(with.permissions, without.permissions);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[a-z\\[\\]{}=\". \\n]{0,120}") {
        let source = Source::file("/x", Layer::User);
        drop(Document::parse(&bytes, source.clone()));
        drop(Document::parse(text.as_bytes(), source));
        for start in [Start::new().user(&text), Start::new().requirements(&text), Start::new().managed(&text)] {
            drop(start.load());
        }
    }
}

/// The laws above say nothing of stacks that are rejected: enough of those that are drawn must not be, and enough of the
/// ones that resolve must have been changed by a requirement.
#[test]
fn the_stacks_that_are_drawn_try_the_laws() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut resolved, mut constrained, mut adjusted) = (0, 0, 0);
    for _ in 0..400 {
        let given = given().new_tree(&mut runner).expect("drawn").current();
        let Ok(found) = load(&given) else { continue };
        resolved += 1;
        constrained +=
            usize::from(found.requirements.sandbox_modes.is_some() || !found.requirements.deny_read.is_empty());
        adjusted += usize::from(!found.adjustments.is_empty());
    }
    println!("{resolved} of 400 resolved, {constrained} of them constrained, {adjusted} adjusted");
    assert!(resolved >= 40 && constrained >= 20 && adjusted >= 10, "{resolved} {constrained} {adjusted}");
}
