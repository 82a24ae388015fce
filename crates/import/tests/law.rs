//! The law: what a source refuses stays refused, what it asks about is asked about or refused. Settings are generated; what
//! the source says of an act is read from its own rules by a small reader here, and what the output says by the very code
//! that will read it later.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use ringfence_config::gather::{Contents, Preference, TrustedError, World};
use ringfence_config::{Places, ProjectFacts, Request, Resolved, load_from};
use ringfence_import::{Agent, Carried, Imported, Input, Role, import};
use ringfence_model::AbsPath;
use ringfence_model::confinement::PathPattern;
use ringfence_model::domain::DomainPattern;
use ringfence_model::glob::name_matches;
use ringfence_model::mode::ApprovalPolicy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const HOME: &str = "/home/me";
const WORK: &str = "/w/app";

/// From free to held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Say {
    Run,
    Ask,
    Refuse,
}

struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl World for Memory {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(file).cloned())
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.keys().any(|file| file.starts_with(path))
    }
    fn read_trusted(&self, file: &Path) -> Result<Option<Vec<u8>>, TrustedError> {
        Ok(self.read(file)?)
    }
    fn preference(&self, _: &str) -> Result<Option<Preference>, TrustedError> {
        Ok(None)
    }
    fn contents(&self, _: &Path) -> io::Result<Option<Contents>> {
        Ok(None)
    }
    fn keep(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn hostname(&self) -> Option<String> {
        None
    }
    fn now(&self) -> u64 {
        1_000
    }
}

/// The output as Ringfence reads it.
struct Output {
    resolved: Resolved,
    rules: Vec<(Vec<String>, Say)>,
    imported: Imported,
}

fn abs(text: &str) -> AbsPath {
    AbsPath::new(text).unwrap()
}

fn output(agent: Agent, files: &[Input]) -> Output {
    let imported = import(agent, files).expect("imported");
    let mut world = Memory(BTreeMap::new());
    let home = format!("{HOME}/.ringfence");
    world.0.insert(format!("{home}/config.toml").into(), imported.config_toml.clone().into_bytes());
    if let Some(text) = &imported.requirements_toml {
        world.0.insert("/etc/ringfence/requirements.toml".into(), text.clone().into_bytes());
    }
    if let Some(text) = &imported.managed_config_toml {
        world.0.insert("/etc/ringfence/managed_config.toml".into(), text.clone().into_bytes());
    }
    let places = Places { system: "/etc/ringfence".into(), home: abs(&home) };
    let mut request = Request::new(places, abs(WORK));
    request.user_home = Some(abs(HOME));
    request.strict = true;
    request.project = Some(ProjectFacts { root: abs(WORK), version_controlled: true });
    let resolved = load_from(&request, &world).unwrap_or_else(|error| panic!("{error}\n{}", imported.config_toml));
    let rules = rules(&imported.rules);
    Output { resolved, rules, imported }
}

/// Rules as they are written: one call a line, literal words, the strictest of all that match.
fn rules(text: &str) -> Vec<(Vec<String>, Say)> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let rest = line.strip_prefix("prefix_rule(pattern=").expect(line);
            let (pattern, rest) = rest.split_once("], decision=").expect(line);
            let pattern: Vec<String> = serde_json::from_str(&format!("{pattern}]")).expect(line);
            let say = match rest.split('"').nth(1).expect(line) {
                "allow" => Say::Run,
                "prompt" => Say::Ask,
                _ => Say::Refuse,
            };
            (pattern, say)
        })
        .collect()
}

impl Output {
    fn command(&self, line: &str) -> Say {
        let words: Vec<&str> = line.split(' ').collect();
        let matching = self.rules.iter().filter(|(pattern, _)| {
            pattern.len() <= words.len() && pattern.iter().zip(&words).all(|(token, word)| token == word)
        });
        match matching.map(|(_, say)| *say).max() {
            Some(say) => say,
            None if is_known_safe(line) => Say::Run,
            None if self.resolved.settings.approval_policy.value == ApprovalPolicy::Untrusted => Say::Ask,
            None => Say::Run,
        }
    }

    fn is_denied(&self, path: &str) -> bool {
        let denied = self.resolved.settings.filesystem.deny_read.iter().filter_map(|denied| match &denied.pattern {
            PathPattern::Path(covered) => {
                abs(path).is_within(covered).then(|| covered.as_path().to_str().unwrap().len())
            }
            // As specific as the deepest directory above, or the path itself, that it matches.
            PathPattern::Glob(glob) => abs(path)
                .as_path()
                .ancestors()
                .filter_map(Path::to_str)
                .find(|above| glob.matches(above.as_bytes()))
                .map(str::len),
        });
        let Some(deepest) = denied.max() else { return false };
        let fs = &self.resolved.settings.filesystem;
        let reopened = fs.read.iter().chain(&fs.write).any(|granted| {
            abs(path).is_within(&granted.value) && granted.value.as_path().to_str().unwrap().len() > deepest
        });
        !reopened
    }

    fn read(&self, path: &str) -> Say {
        if self.is_denied(path) {
            return Say::Refuse;
        }
        let fs = &self.resolved.settings.filesystem;
        let minimal = fs.minimal_reads.as_ref().is_some_and(|minimal| minimal.value);
        let listed = fs.read.iter().chain(&fs.write).any(|granted| abs(path).is_within(&granted.value));
        if minimal && !abs(path).is_within(&abs(WORK)) && !listed { Say::Ask } else { Say::Run }
    }

    /// Outside roots, on what is protected or denied: asked about.
    fn write(&self, path: &str) -> Say {
        let settings = &self.resolved.settings;
        let path = abs(path);
        let covered = |by: &str| match by.starts_with('/') {
            true => path.is_within(&abs(by)),
            false => path.is_within(&abs(WORK).join(by).unwrap()),
        };
        let mut grants: Vec<(usize, bool)> = settings
            .filesystem
            .write
            .iter()
            .map(|root| &root.value)
            .filter(|root| path.is_within(root))
            .map(|root| (root.as_path().to_str().unwrap().len(), true))
            .collect();
        if settings.workspace_writable.value && path.is_within(&abs(WORK)) {
            grants.push((WORK.len(), true));
        }
        grants.extend(
            settings
                .filesystem
                .read
                .iter()
                .map(|root| &root.value)
                .filter(|root| path.is_within(root))
                .map(|root| (root.as_path().to_str().unwrap().len(), false)),
        );
        let protected = settings.protected_paths.iter().any(|name| covered(&name.value));
        let writable = grants.iter().max().is_some_and(|(_, write)| *write);
        if writable && !protected && !self.is_denied(path.as_path().to_str().unwrap()) { Say::Run } else { Say::Ask }
    }

    fn host(&self, host: &str) -> Say {
        let network = &self.resolved.settings.network;
        let managed = &network.managed;
        let named = |patterns: &[ringfence_model::Sourced<String>]| {
            patterns.iter().any(|pattern| {
                pattern.value.parse::<DomainPattern>().unwrap_or_else(|error| panic!("{error}")).matches_name(host, 443)
            })
        };
        match () {
            () if named(&managed.deny) => Say::Refuse,
            () if network.access.value && named(&managed.allow) => Say::Run,
            () if network.access.value && !network.proxy.value => Say::Run,
            () => Say::Ask,
        }
    }

    /// Whether a refusal of the source may have become a question: only where the report says so.
    fn says_not_carried(&self) -> bool {
        self.imported.report.iter().any(|line| line.carried == Carried::NotCarried)
    }

    fn holds(&self, source: Say, here: Say) -> bool {
        here >= source || (source == Say::Refuse && here == Say::Ask && self.says_not_carried())
    }
}

const SAFE: &[&str] = &["cat", "ls", "grep"];

fn is_known_safe(line: &str) -> bool {
    SAFE.contains(&line.split(' ').next().unwrap_or_default())
}

fn input(name: &str, role: Role, value: &Value) -> Input {
    Input { name: name.to_owned(), role, text: serde_json::to_string_pretty(value).unwrap() }
}

fn word() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("git"), Just("push"), Just("npm"), Just("ls"), Just("cat"), Just("rm"), Just("-rf"), Just("gi")]
}

fn line() -> impl Strategy<Value = String> {
    proptest::collection::vec(word(), 1..4).prop_map(|words| words.join(" "))
}

// Claude Code

fn bash() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (line(), prop_oneof![Just(":*"), Just(" *"), Just(""), Just("*"), Just(" * x"), Just(" $HOME:*")])
            .prop_map(|(line, end)| format!("Bash({line}{end})")),
        1 => Just("Bash".to_owned()),
        1 => Just("Bash(*)".to_owned()),
        1 => line().prop_map(|line| format!("Bash(* {line})")),
        1 => line().prop_map(|line| format!("Bash(A=b {line}:*)")),
    ]
}

fn claude_matches(rule: &str, line: &str) -> bool {
    let Some(what) = rule.strip_prefix("Bash(").and_then(|rest| rest.strip_suffix(')')) else { return rule == "Bash" };
    let starts = |prefix: &str| line == prefix || line.starts_with(&format!("{prefix} "));
    match what.strip_suffix(":*") {
        Some(prefix) => starts(prefix),
        None => match what.strip_suffix(" *").filter(|prefix| !prefix.contains('*')) {
            Some(prefix) => starts(prefix),
            None => name_matches(what.as_bytes(), line.as_bytes()),
        },
    }
}

fn path_rule() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("*"), Just("**"), Just("[ab]"), Just("a*")];
    let lead = prop_oneof![Just(""), Just("./"), Just("/"), Just("//w/app/"), Just("//"), Just("~/")];
    (lead, proptest::collection::vec(name, 1..4)).prop_map(|(lead, names)| format!("{lead}{}", names.join("/")))
}

/// Paths as a person would list them: below the workspace, the home, and elsewhere.
fn path() -> impl Strategy<Value = String> {
    let base = prop_oneof![Just(WORK), Just(HOME), Just("/srv"), Just("/home/me/.claude")];
    let name = prop_oneof![Just("a"), Just("b"), Just("ab")];
    (base, proptest::collection::vec(name, 1..4)).prop_map(|(base, names)| format!("{base}/{}", names.join("/")))
}

/// The ignore-file reading of a pattern.
fn ignore_matches(base: &str, pattern: &str, path: &str) -> bool {
    let (root, rest) = if let Some(rest) = pattern.strip_prefix("//") {
        ("", rest.to_owned())
    } else if let Some(rest) = pattern.strip_prefix("~/") {
        (HOME, rest.to_owned())
    } else if let Some(rest) = pattern.strip_prefix('/') {
        (base, rest.to_owned())
    } else if let Some(rest) = pattern.strip_prefix("./") {
        (WORK, rest.to_owned())
    } else if pattern.contains('/') {
        (WORK, pattern.to_owned())
    } else {
        (WORK, format!("**/{pattern}"))
    };
    let Some(below) = path.strip_prefix(root).and_then(|below| below.strip_prefix('/')) else { return false };
    let names: Vec<&str> = below.split('/').collect();
    let parts: Vec<&str> = rest.split('/').collect();
    (1..=names.len()).any(|length| parts_match(&parts, &names[..length]))
}

fn parts_match(parts: &[&str], names: &[&str]) -> bool {
    match (parts.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=names.len()).any(|skip| parts_match(rest, &names[skip..])),
        (Some((part, rest)), Some((name, below))) => one_matches(part, name) && parts_match(rest, below),
        _ => false,
    }
}

fn one_matches(part: &str, name: &str) -> bool {
    match part {
        "[ab]" => name == "a" || name == "b",
        part => name_matches(part.as_bytes(), name.as_bytes()),
    }
}

#[derive(Debug, Clone)]
struct Claude {
    value: Value,
    role: Role,
}

fn claude_rules(rule: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Claude> {
    let rule = rule.boxed();
    let list = || proptest::collection::vec(rule.clone(), 0..4);
    let mode = prop_oneof![
        Just("default"),
        Just("acceptEdits"),
        Just("plan"),
        Just("dontAsk"),
        Just("bypassPermissions"),
        Just("auto"),
        Just("")
    ];
    let role = prop_oneof![Just(Role::User), Just(Role::Project), Just(Role::Managed)];
    (list(), list(), list(), mode, any::<bool>(), any::<bool>(), role).prop_map(
        |(allow, ask, deny, mode, sandbox, leave, role)| {
            let mut value = json!({ "permissions": { "allow": allow, "ask": ask, "deny": deny } });
            if !mode.is_empty() {
                value["permissions"]["defaultMode"] = json!(mode);
            }
            if sandbox {
                value["sandbox"] = json!({ "enabled": true, "allowUnsandboxedCommands": leave });
            }
            Claude { value, role }
        },
    )
}

impl Claude {
    fn list(&self, name: &str) -> Vec<&str> {
        self.value["permissions"][name].as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect()
    }

    fn mode(&self) -> &str {
        self.value["permissions"]["defaultMode"].as_str().unwrap_or("default")
    }

    fn sandboxed(&self) -> bool {
        self.value["sandbox"]["enabled"] == json!(true)
    }

    fn by_rules(&self, matches: impl Fn(&str) -> bool) -> Option<Say> {
        let any = |name: &str| self.list(name).into_iter().any(&matches);
        match () {
            () if any("deny") => Some(Say::Refuse),
            () if any("ask") => Some(Say::Ask),
            () if any("allow") => Some(Say::Run),
            () => None,
        }
    }

    fn otherwise(&self) -> Say {
        match self.mode() {
            "bypassPermissions" => Say::Run,
            "dontAsk" => Say::Refuse,
            _ => Say::Ask,
        }
    }

    fn output(&self) -> Output {
        output(Agent::ClaudeCode, &[input("settings.json", self.role, &self.value)])
    }
}

fn show(output: &Output) -> String {
    format!("{}\n{}\n{:#?}", output.imported.config_toml, output.imported.rules, output.imported.report)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn what_claude_code_refuses_or_asks_about_is_no_freer_afterwards(
        settings in claude_rules(bash()), lines in proptest::collection::vec(line(), 8)
    ) {
        let output = settings.output();
        for line in lines {
            let source = settings.by_rules(|rule| claude_matches(rule, &line)).unwrap_or_else(|| match () {
                () if is_known_safe(&line) || settings.sandboxed() && !matches!(settings.mode(), "plan" | "dontAsk") => Say::Run,
                () => settings.otherwise(),
            });
            let here = output.command(&line);
            prop_assert!(output.holds(source, here), "{line}: {source:?} → {here:?}\n{}", show(&output));
        }
    }

    #[test]
    fn what_claude_code_does_not_read_or_change_is_no_freer_afterwards(
        reads in claude_rules(path_rule().prop_map(|path| format!("Read({path})")).boxed()),
        edits in claude_rules(path_rule().prop_map(|path| format!("Edit({path})")).boxed()),
        paths in proptest::collection::vec(path(), 8)
    ) {
        let mut settings = reads.clone();
        for name in ["allow", "ask", "deny"] {
            let more: Vec<Value> = edits.list(name).into_iter().map(Value::from).collect();
            settings.value["permissions"][name].as_array_mut().unwrap().extend(more);
        }
        let output = settings.output();
        let base = if settings.role == Role::User { "/home/me/.claude" } else { WORK };
        let matching = |tool: &'static str, path: String| move |rule: &str| {
            rule.strip_prefix(tool).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')')).is_some_and(|pattern| ignore_matches(base, pattern, &path))
        };
        // A restriction that covers the workspace as a whole is one that nobody works under; the guide names it.
        let swallowed = [WORK, "/w"].iter().any(|above| {
            ["deny", "ask"].iter().any(|name| {
                settings.list(name).into_iter().any(|rule| {
                    matching("Read", (*above).to_owned())(rule) || matching("Edit", (*above).to_owned())(rule)
                })
            })
        });
        for path in paths.into_iter().filter(|path| !swallowed || !path.starts_with(WORK)) {
            let source = settings.by_rules(matching("Read", path.clone())).unwrap_or(match () {
                () if abs(&path).is_within(&abs(WORK)) || settings.sandboxed() => Say::Run,
                () => settings.otherwise(),
            });
            let here = output.read(&path);
            prop_assert!(output.holds(source, here), "read {path}: {source:?} → {here:?}\n{}", show(&output));
            let inside = abs(&path).is_within(&abs(WORK));
            let source = settings.by_rules(matching("Edit", path.clone())).unwrap_or(match settings.mode() {
                "acceptEdits" | "bypassPermissions" if inside => Say::Run,
                mode if inside && settings.sandboxed() && !matches!(mode, "plan" | "dontAsk") => Say::Run,
                _ => settings.otherwise(),
            });
            // A change that isn't held is asked about at the most; the report must say so where it was refused.
            let here = output.write(&path);
            prop_assert!(source != Say::Ask || here >= Say::Ask, "change {path}: {source:?} → {here:?}\n{}", show(&output));
            prop_assert!(source != Say::Refuse || here >= Say::Ask, "change {path}: {source:?} → {here:?}\n{}", show(&output));
        }
    }

    #[test]
    fn hosts_that_a_source_refuses_are_not_reached_afterwards(
        allow in proptest::collection::vec(host_rule(), 0..4), deny in proptest::collection::vec(host_rule(), 0..4),
        ask in proptest::collection::vec(host_rule(), 0..2), hosts in proptest::collection::vec(host(), 6)
    ) {
        let fetch = |hosts: &[String]| hosts.iter().map(|host| if host == "*" { "WebFetch".to_owned() } else { format!("WebFetch(domain:{host})") }).collect::<Vec<_>>();
        let claude = json!({ "permissions": { "allow": fetch(&allow), "ask": fetch(&ask), "deny": fetch(&deny) } });
        let of_claude = output(Agent::ClaudeCode, &[input("settings.json", Role::User, &claude)]);
        let srt_allow: Vec<&String> = allow.iter().filter(|host| *host != "*").collect();
        let srt = json!({ "network": { "allowedDomains": srt_allow, "deniedDomains": deny } });
        let of_srt = output(Agent::Srt, &[input(".srt-settings.json", Role::User, &srt)]);
        for host in hosts {
            let any = |rules: &[String]| rules.iter().any(|rule| host_matches(rule, &host));
            let source = match () {
                () if any(&deny) => Say::Refuse,
                () if any(&ask) => Say::Ask,
                () if any(&allow) => Say::Run,
                () => Say::Ask,
            };
            let here = of_claude.host(&host);
            prop_assert!(here >= Say::Ask || source == Say::Run, "{host}: {source:?} → {here:?}\n{}", show(&of_claude));
            prop_assert!(of_claude.holds(source, here) || (source == Say::Refuse && deny.iter().any(|rule| rule == "*")), "{host}: {source:?} → {here:?}\n{}", show(&of_claude));
            let reached = !any(&deny) && srt_allow.iter().any(|rule| host_matches(rule, &host));
            prop_assert!(reached || of_srt.host(&host) >= Say::Ask, "{host}\n{}", show(&of_srt));
        }
    }

    #[test]
    fn what_sandbox_runtime_holds_is_held_afterwards(
        deny_read in proptest::collection::vec(srt_path(), 0..3), allow_read in proptest::collection::vec(srt_path(), 0..3),
        allow_write in proptest::collection::vec(srt_path(), 0..3), deny_write in proptest::collection::vec(srt_path(), 0..3),
        paths in proptest::collection::vec(path(), 8)
    ) {
        let value = json!({ "filesystem": { "denyRead": deny_read, "allowRead": allow_read, "allowWrite": allow_write, "denyWrite": deny_write } });
        let output = output(Agent::Srt, &[input(".srt-settings.json", Role::User, &value)]);
        for path in paths {
            let within = |list: &[String]| list.iter().filter(|entry| srt_covers(entry, &path)).map(|entry| srt_depth(entry)).max();
            // A path that may be written inside what can't be read is mounted back, and so can be read.
            let reopened = within(&allow_read).max(within(&allow_write));
            let readable = within(&deny_read).is_none_or(|denied| reopened.is_some_and(|allowed| allowed >= denied));
            prop_assert!(readable || output.read(&path) >= Say::Ask, "read {path}\n{}", show(&output));
            let writable = within(&allow_write).is_some() && within(&deny_write).is_none();
            prop_assert!(writable || output.write(&path) >= Say::Ask, "write {path}\n{}", show(&output));
        }
    }

    #[test]
    fn what_gemini_refuses_or_asks_about_is_no_freer_afterwards(
        rules in proptest::collection::vec(gemini_rule(), 0..5),
        allowed in proptest::collection::vec(line(), 0..3), excluded in proptest::collection::vec(line(), 0..3),
        core in proptest::option::of(proptest::collection::vec(line(), 0..3)), whole in any::<bool>(),
        lines in proptest::collection::vec(line(), 8)
    ) {
        let entries = |lines: &[String]| lines.iter().map(|line| format!("run_shell_command({line})")).collect::<Vec<_>>();
        let mut value = json!({ "tools": { "allowed": entries(&allowed), "exclude": entries(&excluded) } });
        if let Some(core) = &core {
            let mut entries = entries(core);
            if whole {
                entries.push("run_shell_command".to_owned());
            }
            value["tools"]["core"] = json!(entries);
        }
        let toml: String = rules.iter().map(|rule| rule.0.clone()).collect();
        let output = output(Agent::GeminiCli, &[
            input("settings.json", Role::User, &value),
            Input { name: "rules.toml".to_owned(), role: Role::User, text: toml },
        ]);
        let starts = |prefix: &String, line: &str| line == prefix || line.starts_with(&format!("{prefix} "));
        for line in lines {
            let available = core.as_ref().is_none_or(|core| whole || core.iter().any(|prefix| starts(prefix, &line)));
            let highest = rules.iter().filter(|rule| rule.matches(&line)).max_by_key(|rule| rule.2);
            let source = match () {
                () if !available || excluded.iter().any(|prefix| starts(prefix, &line)) => Say::Refuse,
                () => match highest {
                    Some(rule) => rule.1,
                    None if allowed.iter().any(|prefix| starts(prefix, &line)) || is_known_safe(&line) => Say::Run,
                    None => Say::Ask,
                },
            };
            let here = output.command(&line);
            prop_assert!(output.holds(source, here), "{line}: {source:?} → {here:?}\n{}", show(&output));
        }
    }

    #[test]
    fn what_codex_holds_is_held_afterwards(
        user in codex_settings(), profile in codex_settings(), system in codex_settings(), managed in codex_managed(),
        allow in proptest::collection::vec(line(), 0..3), prompt in proptest::collection::vec(line(), 0..3),
        forbid in proptest::collection::vec(line(), 0..3), selected in any::<bool>(), lines in proptest::collection::vec(line(), 6)
    ) {
        let rule = |decision: &'static str| move |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("prefix_rule(pattern={}, decision=\"{decision}\")\n", json!(words))
        };
        let rules: String = allow.iter().map(rule("allow")).chain(prompt.iter().map(rule("prompt"))).chain(forbid.iter().map(rule("forbidden"))).collect();
        let text = |name: &str, role: Role, text: &str| Input { name: name.to_owned(), role, text: text.to_owned() };
        let user = format!("{}{}[profiles.p]\n{}", if selected { "profile = \"p\"\n" } else { "" }, user.text(), profile.text());
        let source_of = |key: &str| {
            // As Codex finds it: managed defaults, the selected profile, the user's file, the system's.
            let found = managed.get(key);
            let found = found.or_else(|| selected.then(|| profile.get(key)).flatten());
            found.or_else(|| toml_line(&user, key)).or_else(|| system.get(key))
        };
        let output = output(Agent::Codex, &[
            text("/etc/codex/config.toml", Role::System, &system.text()),
            text("config.toml", Role::User, &user),
            text("rules/default.rules", Role::User, &rules),
            text("/etc/codex/managed_config.toml", Role::ManagedDefaults, &managed.text()),
        ]);
        let settings = &output.resolved.settings;
        let strictness = |name: &str| match name { "untrusted" => 3, "on-request" => 2, "on-failure" => 1, _ => 0 };
        // A trusted project's defaults, where nothing is set.
        let policy = source_of("approval_policy").unwrap_or_else(|| "on-request".to_owned());
        let mode = source_of("sandbox_mode").unwrap_or_else(|| "workspace-write".to_owned());
        let here = settings.approval_policy.value;
        prop_assert!(strictness(&policy) <= strictness(ringfence_model::requirements::PolicyName::of(here).name()), "{policy} → {here}\n{}", show(&output));
        let rank = |name: &str| match name { "read-only" => 0, "workspace-write" => 1, _ => 2 };
        prop_assert!(rank(settings.sandbox_mode.value.to_string().as_str()) <= rank(&mode), "{mode} → {}\n{}", settings.sandbox_mode.value, show(&output));
        let network = source_of("sandbox_workspace_write.network_access").as_deref() == Some("true");
        prop_assert!(network || mode == "danger-full-access" || !settings.network.access.value, "network\n{}", show(&output));
        for line in lines {
            let any = |list: &[String]| list.iter().any(|prefix| line == *prefix || line.starts_with(&format!("{prefix} ")));
            let source = match () {
                () if any(&forbid) => Say::Refuse,
                () if any(&prompt) => Say::Ask,
                () => Say::Run,
            };
            prop_assert!(output.command(&line) >= source, "{line}\n{}", show(&output));
            // What no rule of the source allows isn't allowed by a rule here.
            let allowed_here = output.rules.iter().any(|(pattern, say)| *say == Say::Run && line.starts_with(&pattern.join(" ")));
            prop_assert!(!allowed_here || any(&allow) || allow.iter().any(|prefix| line.starts_with(prefix.as_str())));
        }
    }

    #[test]
    fn what_codex_requires_is_required_afterwards(
        modes in proptest::option::of(proptest::sample::subsequence(vec!["read-only", "workspace-write", "danger-full-access", "container"], 1..=4)),
        policies in proptest::option::of(proptest::sample::subsequence(vec!["untrusted", "on-request", "on-failure", "never", "moonlight"], 1..=5)),
        searches in proptest::option::of(proptest::sample::subsequence(vec!["cached", "live", "indexed"], 0..=3)),
        denied in proptest::collection::vec(prop_oneof![Just("~/.ssh"), Just("/srv/secret"), Just("/**/*.env")], 0..3),
        prompts in proptest::collection::vec(line(), 0..3)
    ) {
        let mut text = String::new();
        let mut list = |key: &str, values: &Option<Vec<&str>>| if let Some(values) = values { text.push_str(&format!("{key} = {}\n", json!(values))); };
        list("allowed_sandbox_modes", &modes);
        list("allowed_approval_policies", &policies);
        list("allowed_web_search_modes", &searches);
        if !denied.is_empty() {
            text.push_str(&format!("[permissions.filesystem]\ndeny_read = {}\n", json!(denied)));
        }
        if !prompts.is_empty() {
            let rules: Vec<String> = prompts.iter().map(|line| {
                let words: Vec<String> = line.split(' ').map(|word| format!("{{ token = \"{word}\" }}")).collect();
                format!("{{ pattern = [{}], decision = \"prompt\" }}", words.join(", "))
            }).collect();
            text.push_str(&format!("[rules]\nprefix_rules = [{}]\n", rules.join(", ")));
        }
        let input = Input { name: "/etc/codex/requirements.toml".to_owned(), role: Role::Managed, text };
        let output = output(Agent::Codex, &[input]);
        let required = &output.resolved.requirements;
        if let Some(modes) = &modes {
            let here = &required.sandbox_modes.as_ref().expect("required").value;
            prop_assert!(here.iter().all(|mode| modes.contains(&mode.to_string().as_str()) || mode.to_string() == "read-only"), "{}", show(&output));
        }
        if let Some(policies) = &policies {
            let here = &required.approval_policies.as_ref().expect("required").value;
            let known = policies.iter().any(|policy| *policy != "moonlight");
            prop_assert!(here.iter().all(|policy| policies.contains(&policy.name()) || !known && policy.name() == "untrusted"), "{}", show(&output));
        }
        if let Some(searches) = &searches {
            let here = &required.web_search_modes.as_ref().expect("required").value;
            prop_assert!(here.iter().all(|mode| searches.contains(&mode.to_string().as_str()) || mode.to_string() == "disabled"), "{}", show(&output));
        }
        for denied in denied {
            let path = match denied { "~/.ssh" => "/home/me/.ssh/id", "/srv/secret" => "/srv/secret", _ => "/srv/a/.env" };
            prop_assert!(output.is_denied(path), "{path}\n{}", show(&output));
        }
        for line in prompts {
            let words: Vec<Vec<String>> = line.split(' ').map(|word| vec![word.to_owned()]).collect();
            prop_assert!(required.prefix_rules.iter().any(|rule| rule.pattern == words), "{line}\n{}", show(&output));
        }
    }

    #[test]
    fn no_settings_panic_and_all_output_can_be_read(text in "\\PC{0,80}", agent in 0usize..4) {
        let agent = Agent::ALL[agent];
        for name in ["settings.json", ".mcp.json", "config.toml", "requirements.toml", "x.rules"] {
            let _ = import(agent, &[Input { name: name.to_owned(), role: Role::Managed, text: text.clone() }]);
        }
    }
}

/// Lines of a Codex file: key, and value as TOML.
#[derive(Debug, Clone)]
struct Codex(Vec<(&'static str, &'static str)>);

impl Codex {
    fn text(&self) -> String {
        // Dotted keys, so that a table of the caller's may go on after them.
        self.0.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim_matches('"').to_owned())
    }
}

/// A key of the top of a file, as written.
fn toml_line(text: &str, key: &str) -> Option<String> {
    let top = text.split("[profiles").next().unwrap_or_default();
    let line = top.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
    Some(line.trim_matches('"').to_owned())
}

fn one_of(
    key: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = Option<(&'static str, &'static str)>> {
    proptest::option::of(proptest::sample::select(values).prop_map(move |value| (key, value)))
}

fn codex_settings() -> impl Strategy<Value = Codex> {
    (
        one_of("approval_policy", &["\"untrusted\"", "\"on-request\"", "\"on-failure\"", "\"never\""]),
        one_of("sandbox_mode", &["\"read-only\"", "\"workspace-write\"", "\"danger-full-access\""]),
        one_of("model", &["\"some-model\""]),
        one_of("web_search", &["\"live\"", "\"cached\"", "\"disabled\""]),
        one_of("sandbox_workspace_write.network_access", &["true", "false"]),
        one_of("shell_environment_policy.ignore_default_excludes", &["true", "false"]),
    )
        .prop_map(|(a, b, c, d, e, f)| Codex([a, b, c, d, e, f].into_iter().flatten().collect()))
}

fn codex_managed() -> impl Strategy<Value = Codex> {
    (
        one_of("approval_policy", &["\"untrusted\"", "\"on-request\""]),
        one_of("sandbox_mode", &["\"read-only\"", "\"workspace-write\""]),
    )
        .prop_map(|(a, b)| Codex([a, b].into_iter().flatten().collect()))
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![Just("example.com"), Just("a.example.com"), Just("b.a.example.com"), Just("other.org")]
        .prop_map(str::to_owned)
}

fn host_rule() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => host(), 2 => host().prop_map(|host| format!("*.{host}")), 1 => host().prop_map(|host| format!("{host}:443")), 1 => Just("*".to_owned())
    ]
}

fn host_matches(rule: &str, host: &str) -> bool {
    let rule = rule.strip_suffix(":443").unwrap_or(rule);
    match rule.strip_prefix("*.") {
        _ if rule == "*" => true,
        Some(name) => host.ends_with(&format!(".{name}")),
        None => host == rule,
    }
}

fn srt_path() -> impl Strategy<Value = String> {
    let lead = prop_oneof![Just("./"), Just("~/"), Just("/srv/"), Just("")];
    let name = prop_oneof![Just("a"), Just("b"), Just("ab")];
    prop_oneof![
        5 => (lead, proptest::collection::vec(name, 1..3)).prop_map(|(lead, names)| format!("{lead}{}", names.join("/"))),
        1 => Just(".".to_owned()),
        1 => Just("~".to_owned()),
    ]
}

fn srt_absolute(entry: &str) -> String {
    match entry {
        "." => WORK.to_owned(),
        "~" => HOME.to_owned(),
        entry if entry.starts_with('/') => entry.to_owned(),
        entry => match entry.strip_prefix("~/") {
            Some(rest) => format!("{HOME}/{rest}"),
            None => format!("{WORK}/{}", entry.strip_prefix("./").unwrap_or(entry)),
        },
    }
}

fn srt_covers(entry: &str, path: &str) -> bool {
    abs(path).is_within(&abs(&srt_absolute(entry)))
}

fn srt_depth(entry: &str) -> usize {
    srt_absolute(entry).len()
}

/// The rule's text, what it says, its priority, and whom it is about.
#[derive(Debug, Clone)]
struct GeminiRule(String, Say, u32, GeminiWhat);

#[derive(Debug, Clone)]
enum GeminiWhat {
    Prefix(String),
    /// A literal, and whether it must stand at the beginning.
    Regex(String, bool),
    Everything,
}

impl GeminiRule {
    fn matches(&self, line: &str) -> bool {
        match &self.3 {
            GeminiWhat::Prefix(prefix) => line == prefix || line.starts_with(&format!("{prefix} ")),
            GeminiWhat::Regex(literal, true) => line.starts_with(literal.as_str()),
            GeminiWhat::Regex(literal, false) => line.contains(literal.as_str()),
            GeminiWhat::Everything => true,
        }
    }
}

fn gemini_rule() -> impl Strategy<Value = GeminiRule> {
    let what = prop_oneof![
        4 => line().prop_map(GeminiWhat::Prefix),
        2 => (line(), any::<bool>()).prop_map(|(line, first)| GeminiWhat::Regex(line, first)),
        1 => Just(GeminiWhat::Everything),
    ];
    let say = prop_oneof![Just(Say::Run), Just(Say::Ask), Just(Say::Refuse)];
    (what, say, 0u32..1000).prop_map(|(what, say, priority)| {
        let decision = match say {
            Say::Run => "allow",
            Say::Ask => "ask_user",
            Say::Refuse => "deny",
        };
        let matcher = match &what {
            GeminiWhat::Prefix(prefix) => format!("commandPrefix = \"{prefix}\"\n"),
            GeminiWhat::Regex(literal, true) => format!("commandRegex = \"{literal}\"\n"),
            GeminiWhat::Regex(literal, false) => format!("commandRegex = \".*{literal}\"\n"),
            GeminiWhat::Everything => String::new(),
        };
        let text = format!(
            "[[rule]]\ntoolName = \"run_shell_command\"\n{matcher}decision = \"{decision}\"\npriority = {priority}\n"
        );
        GeminiRule(text, say, priority, what)
    })
}
