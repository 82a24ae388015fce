//! The profile of the Seatbelt tier, read and followed as macOS would: the last rule that fits decides. What a rule means is
//! written down here a second time, and slowly; whether macOS agrees, only a Mac can say.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{abs, may_read, may_write, wish};
use proptest::prelude::*;
use regex_lite::Regex;
use ringfence_model::confinement::{Confinement, DeniedRead, NetworkWish, PathPattern, ProxyListeners, UnixSockets};
use ringfence_model::glob::PathGlob;
use ringfence_model::limits::Limits;
use ringfence_model::units::ByteSize;
use ringfence_model::{AbsPath, Origin, SandboxMode, Sourced};
use ringfence_sandbox::compile::{Options, compile};
use ringfence_sandbox::host::HostFacts;
use ringfence_sandbox::plan::Act;
use std::collections::HashMap;

#[derive(Debug, Clone, PartialEq)]
enum Form {
    List(Vec<Form>),
    Word(String),
    Text(String),
    Expression(String),
}

impl Form {
    fn list(&self) -> &[Form] {
        match self {
            Form::List(forms) => forms,
            other => panic!("not a list: {other:?}"),
        }
    }

    fn word(&self) -> &str {
        match self {
            Form::Word(word) => word,
            other => panic!("not a word: {other:?}"),
        }
    }
}

/// Reads one form; panics over whatever isn't one.
fn form(text: &mut &str) -> Form {
    *text = text.trim_start();
    if let Some(rest) = text.strip_prefix('(') {
        *text = rest;
        let mut forms = Vec::new();
        loop {
            *text = text.trim_start();
            if let Some(rest) = text.strip_prefix(')') {
                *text = rest;
                return Form::List(forms);
            }
            assert!(!text.is_empty(), "a list without an end");
            forms.push(form(text));
        }
    }
    let (expression, rest) = match text.strip_prefix("#\"") {
        Some(rest) => (true, Some(rest)),
        None => (false, text.strip_prefix('"')),
    };
    if let Some(rest) = rest {
        let end = rest.find('"').expect("a text without an end");
        let (inner, after) = rest.split_at(end);
        assert!(expression || !inner.contains('\\'), "an escape: {inner}");
        *text = &after[1..];
        return if expression { Form::Expression(inner.to_owned()) } else { Form::Text(inner.to_owned()) };
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-*_".contains(c);
    assert!(!word.is_empty() && word.chars().all(plain), "not a word: {word:?}");
    *text = rest;
    Form::Word(word.to_owned())
}

/// A profile and its parameters.
struct Profile {
    rules: Vec<Form>,
    parameters: HashMap<String, String>,
}

impl Profile {
    fn of(wish: &Confinement) -> Self {
        let recorded = include_str!("hosts/macos-15.json");
        let facts: HostFacts = serde_json::from_str(recorded).expect("a recorded host");
        let plan = compile(wish, &facts, &Options::default()).expect("it can be held");
        let mut profile = Self { rules: Vec::new(), parameters: HashMap::new() };
        for step in &plan.steps {
            match &step.act {
                Act::Native { kind, lines } if kind == "seatbelt-profile" => {
                    for line in lines {
                        let mut text = line.as_str().expect("text");
                        profile.rules.push(form(&mut text));
                        assert_eq!(text, "", "a line is one rule");
                    }
                }
                Act::Native { kind, lines } if kind == "seatbelt-parameters" => {
                    for line in lines {
                        let line = line.as_str().expect("text").strip_prefix("-D").expect("a definition");
                        let (name, value) = line.split_once('=').expect("a value");
                        profile.parameters.insert(name.to_owned(), value.to_owned());
                    }
                }
                _ => {}
            }
        }
        profile
    }

    /// Whether `operation` on `target` is allowed. Filters of other kinds don't fit.
    fn allows(&self, operation: &str, target: &str) -> bool {
        let mut allowed = false;
        for rule in &self.rules[2..] {
            let [verdict, rest @ ..] = rule.list() else { panic!("an empty rule") };
            let (operations, filters): (Vec<_>, Vec<_>) = rest.iter().partition(|form| matches!(form, Form::Word(_)));
            let covers = |form: &&Form| {
                let named = form.word();
                named == operation || named.strip_suffix('*').is_some_and(|family| operation.starts_with(family))
            };
            if operations.iter().any(covers)
                && (filters.is_empty() || filters.iter().any(|filter| self.fits(filter, target)))
            {
                allowed = verdict.word() == "allow";
            }
        }
        allowed
    }

    fn value(&self, form: &Form) -> String {
        match form {
            Form::Text(text) => text.clone(),
            Form::List(parts) => match parts.as_slice() {
                [Form::Word(word), Form::Text(name)] if word == "param" => self.parameters[name].clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn fits(&self, filter: &Form, target: &str) -> bool {
        let [kind, rest @ ..] = filter.list() else { panic!("an empty filter") };
        match (kind.word(), rest) {
            ("require-all", parts) => parts.iter().all(|part| self.fits(part, target)),
            ("require-not", [part]) => !self.fits(part, target),
            ("literal", [path]) => self.value(path) == target,
            ("subpath", [path]) => {
                let path = self.value(path);
                path == "/" || target.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            ("regex", [Form::Expression(expression)]) => Regex::new(expression).expect(expression).is_match(target),
            ("remote" | "local", [Form::Word(kind), inner @ ..]) if kind == "unix-socket" => {
                target.starts_with('/') && inner.iter().all(|inner| self.fits(inner, target))
            }
            ("remote" | "local", [Form::Word(kind), Form::Text(address)]) if kind == "ip" => {
                let (host, port) = address.split_once(':').expect("a port");
                let Some((our_host, our_port)) = target.split_once(':') else { return false };
                (host == "*" || host == our_host) && (port == "*" || port == our_port)
            }
            ("global-name" | "target" | "socket-domain", _) => false,
            other => panic!("a filter that nobody here knows: {other:?}"),
        }
    }
}

fn denies(wish: &mut Confinement, glob: &str) {
    let pattern = PathPattern::Glob(PathGlob::new(glob).expect(glob));
    wish.reads.denied.push(DeniedRead { pattern, origin: Origin::flag("-c deny") });
}

#[test]
fn a_profile_is_closed_unless_a_rule_opens_it() {
    let profile = Profile::of(&wish(&["/w"], &[], &[]));
    assert_eq!(profile.rules[0].list()[0].word(), "version");
    assert_eq!(profile.rules[1], Form::List(vec![Form::Word("deny".into()), Form::Word("default".into())]));
    for rule in &profile.rules[2..] {
        assert!(matches!(rule.list()[0].word(), "allow" | "deny"), "{rule:?}");
    }
    assert!(profile.allows("file-write-create", "/w/x") && !profile.allows("file-write-create", "/x"));
    for closed in ["iokit-open", "mach-register", "system-kext-load", "file-mount", "process-info-pidinfo", "nvram-set"]
    {
        assert!(!profile.allows(closed, "/w/x"), "{closed}");
    }
    assert!(!profile.allows("file-write-setugid", "/w/x"), "nothing runs with another's rights afterwards");
}

#[test]
fn no_name_of_a_path_becomes_a_rule() {
    let hostile = [
        "/w/\") (allow default) (\"",
        "/w/(param \"P0\")",
        "/w/;comment\n(allow network*)",
        "/w/back\\slash\\\"",
        "/w/-DP0=/",
        "/w/é[^/]*^$.]x",
        "/w/#\"^/\"",
    ];
    let protected: Vec<_> = hostile.iter().flat_map(|path| [(*path, false), (*path, true)]).collect();
    let mut wish = wish(&["/w", "/r\")(allow default)\""], &protected, &hostile);
    let sockets = hostile.iter().map(|path| Sourced::new(abs(path), Origin::flag("-c socket"))).collect();
    wish.unix_sockets = UnixSockets::Only(sockets);
    for path in hostile {
        if !PathGlob::is_pattern(path) {
            denies(&mut wish, &format!("{path}/*"));
        }
    }
    // Every line was read as one form, made of words, texts without escapes, and expressions.
    let profile = Profile::of(&wish);
    assert!(!profile.allows("default", "/") && !profile.allows("network-outbound", "1.2.3.4:80"));
    for path in hostile {
        assert!(!profile.allows("file-write-data", path), "{path:?}");
        assert!(!profile.allows("file-read-data", path), "{path:?}");
        assert!(!profile.allows("file-write-create", &format!("{path}/below")), "{path:?}");
    }
    assert!(profile.allows("file-write-create", "/w/ordinary"));
}

#[test]
fn fs_24_a_protected_name_that_is_not_there_cannot_be_made_in_another_case() {
    let profile = Profile::of(&wish(&["/W/é"], &[("/W/é/.codex", false), ("/W/é/.a/hooks.d", false)], &[]));
    for path in ["/W/é/.codex", "/W/é/.CODEX", "/W/é/.Codex/config.toml", "/W/é/.A/Hooks.D/x"] {
        assert!(!profile.allows("file-write-create", path), "{path}");
    }
    for path in ["/W/é/.codexx", "/W/é/xcodex", "/W/é/sub/.codex", "/W/é/.a/hooksxd"] {
        assert!(profile.allows("file-write-create", path), "{path}");
    }
}

#[test]
fn what_holds_a_protected_or_denied_name_keeps_its_own() {
    let mut wish = wish(&["/w"], &[("/w/sub/deep/.git", true)], &["/w/home/key"]);
    denies(&mut wish, "/w/secrets/*.pem");
    denies(&mut wish, "/w/*/late/**/token");
    let profile = Profile::of(&wish);
    for path in ["/w", "/w/sub", "/w/sub/deep", "/w/home", "/w/secrets", "/w/x/late"] {
        assert!(!profile.allows("file-write-unlink", path), "{path}");
    }
    for path in ["/w/sub/other", "/w/other", "/w/home/other", "/w/secrets/a.txt"] {
        assert!(profile.allows("file-write-unlink", path), "{path}");
    }
    assert!(
        profile.allows("file-write-create", "/w/sub/deep/new") && profile.allows("file-write-create", "/w/home/new")
    );
}

#[test]
fn a_denied_file_is_not_run_either() {
    let profile = Profile::of(&wish(&["/w"], &[], &["/w/tool"]));
    for operation in ["file-read-data", "file-read-metadata", "file-write-data", "process-exec"] {
        assert!(!profile.allows(operation, "/w/tool"), "{operation}");
    }
    assert!(profile.allows("process-exec", "/bin/ls"));
}

#[test]
fn the_network_is_as_wide_as_the_wish() {
    let of = |network: NetworkWish, local: bool| {
        let mut wish = wish(&["/w"], &[], &[]);
        wish.network.value = network;
        wish.allow_local_binding.value = local;
        Profile::of(&wish)
    };
    let reach = |profile: &Profile| {
        ["1.2.3.4:443", "localhost:3128", "localhost:1080", "localhost:5432"]
            .map(|address| profile.allows("network-outbound", address))
    };
    assert_eq!(reach(&of(NetworkWish::Off, false)), [false; 4]);
    assert_eq!(reach(&of(NetworkWish::Off, true)), [false, true, true, true]);
    assert_eq!(reach(&of(NetworkWish::On, false)), [true; 4]);
    let listeners = ProxyListeners::Inside;
    let proxy = NetworkWish::Proxy { http_port: 3128, socks_port: 1080, transparent: false, listeners };
    let proxy = of(proxy, false);
    assert_eq!(reach(&proxy), [false, true, true, false]);
    assert!(!proxy.allows("network-bind", "localhost:3128"), "nobody takes the proxy's place");
    // Names could carry data out: they are asked for only where there is a network anyway.
    for (network, answered) in [(NetworkWish::Off, false), (NetworkWish::On, true)] {
        assert_eq!(of(network, false).allows("network-outbound", "/private/var/run/mDNSResponder"), answered);
    }
}

#[test]
fn sock_sockets_outside_are_reached_only_if_they_are_listed() {
    let mut wish = wish(&["/w"], &[], &[]);
    wish.network.value = NetworkWish::On;
    wish.unix_sockets = UnixSockets::Only(vec![Sourced::new(abs("/run/db.sock"), Origin::flag("-c socket"))]);
    let profile = Profile::of(&wish);
    for (path, outbound, bind) in [
        ("/var/run/docker.sock", false, false),
        ("/run/db.sock", true, false),
        ("/run/db.sock/x", false, false),
        ("/w/own.sock", true, true),
    ] {
        assert_eq!(profile.allows("network-outbound", path), outbound, "{path}");
        assert_eq!(profile.allows("network-bind", path), bind, "{path}");
    }
    wish.unix_sockets = UnixSockets::Everything;
    assert!(Profile::of(&wish).allows("network-outbound", "/var/run/docker.sock"));
}

#[test]
fn full_access_has_no_profile_and_no_limit_that_would_not_hold() {
    let facts: HostFacts = serde_json::from_str(include_str!("hosts/macos-15.json")).expect("a recorded host");
    let mut wish = wish(&[], &[], &[]);
    wish.mode = Sourced::new(SandboxMode::DangerFullAccess, Origin::flag("--sandbox"));
    let plan = compile(&wish, &facts, &Options::default()).expect("nothing is asked for");
    assert!(!plan.steps.iter().any(|step| matches!(step.act, Act::Native { .. })));
    wish.limits =
        Limits { memory: Some(Sourced::new(ByteSize(1 << 30), Origin::flag("-c limits.memory"))), ..Limits::default() };
    let refused = compile(&wish, &facts, &Options::default()).expect_err("nothing counts memory there");
    assert!(refused.to_string().contains("the limit on memory"), "{refused}");
}

/// Few names, so that they meet often.
fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec("a|b|[.]g|x[.]k", 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn glob() -> impl Strategy<Value = String> {
    proptest::collection::vec("a|b|[.]g|[*][*]|[*]|x[.]?|[*][.]k|[.][*]", 1..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

proptest! {
    #[test]
    fn faithful_the_profile_reads_and_writes_what_the_wish_says(
        roots in proptest::collection::vec(path(), 0..3),
        protected in proptest::collection::vec((path(), any::<bool>()), 0..3),
        denied in proptest::collection::vec(path(), 0..2),
        globs in proptest::collection::vec(glob(), 0..2),
        asked in proptest::collection::vec(path(), 8),
    ) {
        let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
        let protected: Vec<(&str, bool)> = protected.iter().map(|(path, found)| (path.as_str(), *found)).collect();
        let denied: Vec<&str> = denied.iter().map(String::as_str).collect();
        let mut wish = wish(&roots, &protected, &denied);
        for glob in &globs {
            if PathGlob::new(glob).is_ok() {
                denies(&mut wish, glob);
            }
        }
        let profile = Profile::of(&wish);
        for path in &asked {
            let at: AbsPath = abs(path);
            prop_assert_eq!(profile.allows("file-read-data", path), may_read(&wish, &at), "reading {}", path);
            // What holds a protected name is itself kept from being renamed, and with that from every change to it.
            let holds = wish.protected.iter().any(|protected| {
                protected.path != at && protected.path.is_within(&at) && wish.roots.iter().any(|root| at.is_within(&root.path) && protected.path.is_within(&root.path))
            });
            if !holds {
                prop_assert_eq!(profile.allows("file-write-data", path), may_write(&wish, &at), "writing {}", path);
            }
        }
    }
}
