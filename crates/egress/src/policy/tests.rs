use super::*;
use crate::test_settings::{network, sourced};
use proptest::prelude::*;
use ringfence_model::Layer;
use ringfence_model::network::NetworkRule;
use ringfence_model::settings::{NetworkSettings, ProxyMode};

fn target(text: &str) -> Target {
    Target::parse(text, Some(443)).unwrap()
}

fn policy(settings: &NetworkSettings) -> Policy {
    Policy::compile(settings, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn allows(policy: &Policy, text: &str) -> bool {
    matches!(policy.decide(&target(text), NetworkProtocol::Https), Decision::Allow(_))
}

#[test]
fn px_03_wildcards_hold_to_the_dot_and_an_empty_list_allows_nothing() {
    let below = policy(&network(&["*.allowed.com"], &[]));
    assert!(allows(&below, "a.allowed.com") && allows(&below, "a.b.allowed.com"));
    for text in ["allowed.com", "evilallowed.com", "allowed.com.evil.com", "com"] {
        assert!(!allows(&below, text), "{text}");
    }
    let at = policy(&network(&["**.allowed.com"], &[]));
    assert!(allows(&at, "allowed.com") && allows(&at, "ALLOWED.com."));
    assert!(!allows(&at, "evilallowed.com"));
    let none = policy(&network(&[], &[]));
    assert_eq!(none.decide(&target("example.com"), NetworkProtocol::Http), Decision::Unknown);
}

#[test]
fn deny_wins_whatever_the_order_and_also_by_address() {
    let settings = network(&["*", "a.example.com"], &["**.example.com", "93.184.216.34"]);
    let policy = policy(&settings);
    assert!(matches!(policy.decide(&target("a.example.com"), NetworkProtocol::Any), Decision::Deny(_)));
    assert!(allows(&policy, "example.org"));
    let judged =
        policy.judge_address(&target("x.org"), "93.184.216.34".parse().unwrap(), false, NetworkProtocol::Https);
    assert!(matches!(judged, Err(Decision::Deny(_))));
    let everything = Policy::compile(&network(&[], &["*"]), &[]);
    assert!(matches!(everything, Err(PolicyError::DenyEverything { .. })));
}

#[test]
fn px_10_only_ports_the_rule_covers() {
    let policy = policy(&network(&["example.com", "b.com:8443", "c.com:*"], &[]));
    assert!(allows(&policy, "example.com:80") && allows(&policy, "example.com:443"));
    for port in [22, 25, 445, 8443] {
        assert!(!allows(&policy, &format!("example.com:{port}")), "{port}");
    }
    assert!(allows(&policy, "b.com:8443") && !allows(&policy, "b.com:443") && allows(&policy, "c.com:25"));
}

#[test]
fn px_01_private_destinations_need_their_exact_literal() {
    let everything = policy(&network(&["*:*", "**.example.com:*"], &[]));
    for text in [
        "127.0.0.1:80",
        "[::1]:80",
        "10.1.2.3:80",
        "169.254.169.254:80",
        "localhost:80",
        "x.localhost:80",
        "0.0.0.0:80",
    ] {
        assert!(
            matches!(everything.decide(&target(text), NetworkProtocol::Http), Decision::NotPublic { .. }),
            "{text}"
        );
    }
    let judge = |policy: &Policy, name: &str, address: &str, own| {
        policy.judge_address(&target(name), address.parse().unwrap(), own, NetworkProtocol::Http).is_ok()
    };
    assert!(!judge(&everything, "a.example.com", "10.0.0.1", false));
    assert!(!judge(&everything, "a.example.com", "8.8.8.8", true), "an address of this machine");
    assert!(judge(&everything, "a.example.com", "8.8.8.8", false));
    let literal = policy(&network(&["10.0.0.1:80", "localhost:3000", "a.example.com"], &[]));
    assert!(allows(&literal, "10.0.0.1:80") && !allows(&literal, "10.0.0.1:81") && !allows(&literal, "10.0.0.2:80"));
    assert!(allows(&literal, "localhost:3000") && judge(&literal, "localhost:3000", "127.0.0.1", false));
    assert!(judge(&literal, "a.example.com:80", "10.0.0.1", false), "name and literal are both allowed");
    assert!(!judge(&literal, "a.example.com:80", "10.0.0.2", false));
    let mut settings = network(&["*:*"], &[]);
    settings.allow_local_binding.value = true;
    let local = policy(&settings);
    assert!(allows(&local, "127.0.0.1:80") && judge(&local, "a.com", "192.168.0.1", false));
    assert!(!allows(&local, "169.254.169.254:80") && !judge(&local, "a.com", "169.254.169.254", false));
}

#[test]
fn only_administrators_entries_count_when_they_say_so() {
    let mut settings = network(&["user.example"], &[]);
    settings.managed.managed_domains_only = Some(sourced(true));
    assert!(matches!(
        policy(&settings).decide(&target("user.example"), NetworkProtocol::Http),
        Decision::NotManaged { ignored: Some(_), .. }
    ));
    let mut entry = sourced("corp.example".to_owned());
    entry.origin = Origin::File {
        file: "/etc/ringfence/requirements.toml".into(),
        line: 3,
        column: 1,
        layer: Layer::SystemRequirements,
    };
    settings.managed.allow.push(entry);
    assert!(allows(&policy(&settings), "corp.example"));
}

#[test]
fn px_07_limited_mode_takes_reading_methods_without_a_body_only() {
    let mut settings = network(&["*"], &[]);
    settings.managed.mode.value = ProxyMode::Limited;
    let policy = policy(&settings);
    let at = target("example.com");
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(policy.check_method(&at, method, false, false).is_ok());
        assert!(policy.check_method(&at, method, true, false).is_err());
        assert!(policy.check_method(&at, method, false, true).is_err());
    }
    for method in ["POST", "get", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PRI"] {
        assert!(policy.check_method(&at, method, false, false).is_err(), "{method}");
    }
    assert!(policy.check_tunnel(&at).is_err());
}

#[test]
fn methods_and_paths_narrow_per_host() {
    let mut settings = network(&["*"], &[]);
    settings.managed.methods.push((sourced("**.git.example".to_owned()), vec!["GET".to_owned(), "HEAD".to_owned()]));
    settings.managed.methods.push((sourced("a.git.example".to_owned()), vec!["GET".to_owned()]));
    settings.managed.paths.push((sourced("api.example".to_owned()), vec!["/v1/mine".to_owned()]));
    let policy = policy(&settings);
    let git = target("a.git.example");
    assert!(policy.check_method(&git, "GET", false, false).is_ok());
    assert!(policy.check_method(&git, "HEAD", false, false).is_err(), "every entry must pass");
    assert!(policy.check_tunnel(&git).is_err() && policy.check_tunnel(&target("other.example")).is_ok());
    let api = target("api.example");
    for path in ["/v1/mine", "/v1/mine/x"] {
        assert!(policy.check_path(&api, path).is_ok(), "{path}");
    }
    for path in
        ["/v1/mine2", "/", "/v1/mine/../x", "/v1/mine/%2e%2e/x", "/v1/mine//x", "/v1/mine/.%2e/x", "/v1/mine\\x"]
    {
        assert!(policy.check_path(&api, path).is_err(), "{path}");
    }
    assert!(policy.check_tunnel(&api).is_err());
}

#[test]
fn a_rule_for_one_protocol_says_nothing_about_another_and_the_strictest_holds() {
    let rule = |host: &str, protocol, decision| NetworkRule {
        pattern: host.parse().unwrap(),
        protocol,
        decision,
        justification: Some("because".to_owned()),
        origin: Origin::flag("--rules"),
    };
    let rules = [
        rule("a.com", NetworkProtocol::Https, NetworkDecision::Allow),
        rule("b.com", NetworkProtocol::Any, NetworkDecision::Allow),
        rule("b.com", NetworkProtocol::Http, NetworkDecision::Prompt),
        rule("b.com", NetworkProtocol::Socks5Tcp, NetworkDecision::Deny),
    ];
    let policy = Policy::compile(&network(&[], &[]), &rules).unwrap();
    assert!(allows(&policy, "a.com") && allows(&policy, "b.com"));
    assert_eq!(policy.decide(&target("a.com"), NetworkProtocol::Http), Decision::Unknown);
    assert!(matches!(policy.decide(&target("b.com"), NetworkProtocol::Http), Decision::Ask(_)));
    let denied = policy.decide(&target("b.com"), NetworkProtocol::Socks5Tcp);
    assert!(matches!(denied, Decision::Deny(_)));
    let refusal = Refusal::of_decision(&target("b.com"), denied, None);
    assert_eq!(
        refusal.body(),
        "{\"error\":\"blocked-by-denylist\",\"target\":\"b.com:443\",\"text\":\"a rule denies it: because\",\
        \"rule\":\"network_rule: b.com (socks5_tcp)\",\"origin\":\"flag `--rules`\",\"allow_with\":[]}"
    );
}

#[test]
fn a_refusal_names_the_smallest_grant() {
    let policy = policy(&network(&[], &[]));
    let at = target("example.com:8443");
    let refusal = Refusal::of_decision(&at, policy.decide(&at, NetworkProtocol::Https), None);
    let entry = "[network.domains] \"example.com:8443\" = \"allow\"";
    assert_eq!(refusal.clone().or_escalate(false).allow_with, [entry]);
    assert_eq!(refusal.or_escalate(true).allow_with, ["--escalate network=example.com:8443", entry]);
    let at = target("127.0.0.1:8080");
    let refusal = Refusal::of_decision(&at, policy.decide(&at, NetworkProtocol::Https), None);
    assert_eq!(refusal.error, Code::BlockedByPolicy);
    assert_eq!(refusal.or_escalate(true).allow_with, ["[network.domains] \"127.0.0.1:8080\" = \"allow\""]);
}

#[test]
fn a_refused_address_of_a_name_is_named_with_the_entry_that_opens_it() {
    let at = target("a.example.com");
    let settings = network(&["a.example.com"], &[]);
    for (address, grant) in [
        ("10.0.0.1", Some("[network.domains] \"10.0.0.1\" = \"allow\"")),
        ("203.0.113.80", Some("[network.domains] \"203.0.113.80\" = \"allow\"")),
        ("169.254.169.254", None),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let shut = policy(&settings);
        let decision = shut.judge_address(&at, address, false, NetworkProtocol::Https).unwrap_err();
        let refusal = Refusal::of_address(&at, address, decision);
        assert_eq!(refusal.rule, format!("local and private destinations (it leads to {address})"));
        assert_eq!(refusal.allow_with, grant.into_iter().collect::<Vec<_>>());
        // What it says would allow it does.
        let open = policy(&network(&["a.example.com", &address.to_string()], &[]));
        assert!(open.judge_address(&at, address, false, NetworkProtocol::Https).is_ok());
    }
}

#[test]
fn presets_are_in_force_by_name() {
    let mut settings = network(&[], &[]);
    settings.managed.presets.push(sourced("common-dependencies".to_owned()));
    let policy = policy(&settings);
    assert!(allows(&policy, "static.crates.io") && allows(&policy, "pypi.org") && !allows(&policy, "example.com"));
    settings.managed.presets[0].value = "everything".to_owned();
    assert!(matches!(Policy::compile(&settings, &[]), Err(PolicyError::Preset { .. })));
}

fn pattern_strategy() -> impl Strategy<Value = String> {
    "(|\\*\\.|\\*\\*\\.)[ab](\\.[ab]){0,3}(|:80|:\\*)"
}

proptest! {
    /// The index against looking at every rule.
    #[test]
    fn the_index_agrees_with_a_slow_look_at_every_rule(
        allow in proptest::collection::vec(pattern_strategy(), 0..8),
        deny in proptest::collection::vec(pattern_strategy(), 0..4),
        name in "[ab](\\.[ab]){0,4}", port in prop_oneof![Just(80u16), Just(443), Just(22)],
    ) {
        let settings = network(&allow.iter().map(String::as_str).collect::<Vec<_>>(), &deny.iter().map(String::as_str).collect::<Vec<_>>());
        let policy = policy(&settings);
        let matches = |list: &[String]| list.iter().any(|text| text.parse::<DomainPattern>().unwrap().matches_name(&name, port));
        let decision = policy.decide(&Target { host: Host::Name(name.clone().into()), port }, NetworkProtocol::Http);
        prop_assert_eq!(matches!(decision, Decision::Deny(_)), matches(&deny));
        prop_assert_eq!(matches!(decision, Decision::Allow(_)), !matches(&deny) && matches(&allow));
    }

    #[test]
    fn more_denied_domains_never_open_anything(
        allow in proptest::collection::vec(pattern_strategy(), 0..6),
        deny in proptest::collection::vec(pattern_strategy(), 0..4),
        more in pattern_strategy(), name in "[ab](\\.[ab]){0,4}",
    ) {
        let list = |deny: &[String]| network(&allow.iter().map(String::as_str).collect::<Vec<_>>(), &deny.iter().map(String::as_str).collect::<Vec<_>>());
        let before = policy(&list(&deny));
        let mut deny = deny;
        deny.push(more);
        let after = policy(&list(&deny));
        prop_assert!(allows(&before, &name) || !allows(&after, &name));
    }
}
