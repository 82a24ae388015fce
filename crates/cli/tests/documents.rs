//! Every document the program prints is what its published schema says, and names its kind.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Place, confines};
use schema::{check, check_named};
use serde_json::Value;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn documents_of_commands_that_run_nothing() {
    let place = Place::new();
    place.settings(
        "sandbox_mode = \"workspace-write\"\nprotected_paths = [\"mine\"]\nunknown = 1\n[limits]\nmemory = \"1GiB\"\n",
    );
    for (kind, args) in [
        ("status", &["status", "--json"][..]),
        ("doctor", &["doctor", "--json"]),
        ("config", &["config", "show", "--json"]),
        ("config", &["config", "show", "--all", "--json", "-c", "web_search=live"]),
        ("permissions", &["permissions", "--json"]),
        ("setting", &["config", "get", "limits.memory", "--json"]),
        ("setting", &["config", "get", "project_root_markers", "--json"]),
        ("setting", &["config", "get", "protected_paths", "--json", "-c", "protected_paths=[\"b\"]"]),
        ("setting", &["config", "get", "limits", "--json"]),
        ("rules", &["rules", "list", "--json"]),
        ("rules-test", &["rules", "test", "--json"]),
        ("explain", &["explain", "--json", "--", "git", "push", "--force"]),
        ("explain", &["explain", "--json", "--", "bash", "-lc", "ls | head -3; x=$(id) && rm -rf /"]),
        ("explain", &["explain", "--json", "-a", "untrusted", "--", "touch", "x"]),
        ("explain", &["explain", "--json", "-a", "never", "-s", "danger-full-access", "--", "rm", "-rf", "/"]),
    ] {
        let ran = place.run(args);
        check_named(kind, &parsed(&ran.out));
    }
    place.write("ws/a.toml", "sandbox_mode = \"read-only\"\n");
    place.write("ws/b.toml", "sandbox_mode = \"workspace-write\"\nweb_search = \"disabled\"\n");
    place.write("ws/bad.toml", "sandbox_mode = 3\nunknown = 1\n");
    check_named("config-diff", &parsed(&place.run(["config", "diff", "a.toml", "b.toml", "--json"]).ends(0).out));
    let checked = place.run(["config", "check", "a.toml", "bad.toml", "no.toml", "--json"]).ends(1).out;
    check_named("config-check", &parsed(&checked));
    assert_eq!(parsed(&checked)["files"].as_array().map(Vec::len), Some(3));
}

#[test]
fn plans_of_every_mode() {
    if !confines("plans_of_every_mode") {
        return;
    }
    let place = Place::new();
    for mode in ["read-only", "workspace-write", "danger-full-access"] {
        let ran = place.run(["plan", "--json", "-s", mode, "-c", "limits.processes=100", "--", "true"]).ends(0);
        check_named("plan", &parsed(&ran.out));
    }
    let mut command = place.command(["plan", "--json", "--", "true"]);
    command.env("MY_API_KEY", "x");
    check_named("plan", &parsed(&common::Ran::of(&mut command).ends(0).out));
}

#[test]
fn reports_denials_and_the_journal() {
    if !confines("reports_denials_and_the_journal") {
        return;
    }
    let place = Place::new();
    place.write("home/.ringfence/rules/x.rules", "prefix_rule(pattern=[\"touch\"], decision=\"forbidden\")\n");
    for args in [
        &["run", "--json", "--log-denials", "--", "sh", "-c", "mkdir .codex; echo x > /etc/x; exit 3"][..],
        &["run", "--json", "--", "sh", "-c", "kill -TERM $$"],
        &["run", "--json", "--timeout", "300ms", "--", "sleep", "9"],
        &["run", "--json", "--", "touch", "x"],
        &["run", "--json", "-a", "untrusted", "--", "mkdir", "x"],
        &["sandbox", "--json", "--log-denials", "--", "sh", "-c", "mkdir .codex; exit 0"],
        &["sandbox", "--json", "-s", "read-only", "-c", "limits.cpu_time=\"1s\"", "--", "true"],
    ] {
        let ran = place.run(args);
        let report =
            ran.err.lines().find(|line| line.starts_with("{\"schema\"")).unwrap_or_else(|| panic!("{}", ran.err));
        check_named("report", &parsed(report));
    }
    let report = place.path("ws/report.json").display().to_string();
    place.run(["run", "--report", &report, "--", "true"]).ends(0);
    check_named("report", &parsed(&place.read("ws/report.json")));
    let why = place.run(["why", "--json"]);
    if why.status == 0 {
        why.out.lines().for_each(|_| {});
        check_named("denial", &parsed(&why.out));
    }
    let mut events = 0;
    for line in place.run(["log", "--json"]).ends(0).out.lines() {
        check_named("event", &parsed(line));
        events += 1;
    }
    assert!(events > 10, "{events} events");
}

#[test]
fn what_prove_prints() {
    if !confines("what_prove_prints") {
        return;
    }
    let place = Place::new();
    let ran = place.run(["prove", "--json", "--only", "write-outside"]);
    check_named("prove", &parsed(&ran.out));
}

#[test]
fn what_a_reviewing_program_is_asked_and_answers() {
    let place = Place::new();
    let seen = place.path("out/seen.json").display().to_string();
    place.write(
        "home/review.sh",
        &format!("#!/bin/sh\ncat > {seen}\nprintf '{{\"decision\": \"deny\", \"reason\": \"no\"}}'\n"),
    );
    let program = place.path("home/review.sh");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    place.settings(&format!("approvals_reviewer = \"program\"\n[approvals]\nprogram = [\"{}\"]\n", program.display()));
    place.run(["run", "-a", "untrusted", "--", "touch", "x"]).ends(126);
    check_named("approval-request", &parsed(&place.read("out/seen.json")));
    check("approval-answer", &parsed("{\"decision\": \"deny\", \"reason\": \"no\"}"));
}

#[test]
fn what_rules_check_prints() {
    let place = Place::new();
    place.write(
        "ws/x.rules",
        "prefix_rule(pattern=[\"git\", \"push\"], decision=\"prompt\", justification=\"leaves\")\n",
    );
    for words in [&["git", "push"][..], &["/usr/bin/git", "push"], &["ls"]] {
        let ran = place.run(["rules", "check", "--rules", "x.rules", "--resolve-host-executables"].iter().chain(words));
        check("rules-check", &parsed(&ran.ends(0).out));
    }
    place.write(
        "ws/y.rules",
        "prefix_rule([\"git\"], match = [\"git x\", \"hg y\"], not_match = [\"ls\", [\"git\"]])\n",
    );
    let tested = parsed(&place.run(["rules", "test", "--json", "x.rules", "y.rules"]).ends(1).out);
    check_named("rules-test", &tested);
    assert_eq!((&tested["passed"], &tested["failed"]), (&2.into(), &2.into()));
    let shown = place.run(["rules", "test", "y.rules"]).ends(1).out;
    assert!(shown.contains("FAILED  `hg y` should match, and doesn't  [y.rules:1"), "{shown}");
    assert!(shown.ends_with("2 passed, 2 failed\n"), "{shown}");
    // In force, such a file counts as one that can't be loaded.
    std::fs::create_dir_all(place.path("home/.ringfence/rules")).expect("a directory");
    std::fs::rename(place.path("ws/y.rules"), place.path("home/.ringfence/rules/y.rules")).expect("moved");
    let tested = parsed(&place.run(["rules", "test", "--json"]).ends(1).out);
    check_named("rules-test", &tested);
    assert_eq!(tested["broken"].as_array().map(Vec::len), Some(1));
    check_named("rules", &parsed(&place.run(["rules", "list", "--json"]).ends(1).out));
}

#[test]
fn what_is_said_of_patches() {
    if !confines("what_is_said_of_patches") {
        return;
    }
    let place = Place::new();
    place.write("ws/a.txt", "one\n");
    place.write("ws/b.txt", "two\n");
    place.write(
        "out/p",
        "*** Begin Patch\n*** Update File: a.txt\n@@\n-one\n+1\n*** Add File: c.txt\n+three\n*** Delete File: b.txt\n*** End Patch\n",
    );
    let patch = place.path("out/p").display().to_string();
    check_named("apply", &parsed(&place.run(["apply", "--check", "--json", &patch]).ends(0).out));
    let never = place.run(["apply", "--check", "--json", "-s", "read-only", "-a", "never", &patch]).ends(126);
    check_named("apply", &parsed(&never.out));
    check_named("apply", &parsed(&place.run(["apply", "--json", &patch]).ends(0).out));
}

#[test]
fn what_importing_and_policy_bundles_print() {
    let place = Place::new();
    place.write("ws/codex/config.toml", "sandbox_mode = \"workspace-write\"\nmodel = \"x\"\nnotify = [\"x\"]\n");
    check_named("import", &parsed(&place.run(["import", "codex", "codex", "--json"]).ends(0).out));
    place.write("ws/strict.toml", "allowed_sandbox_modes = [\"read-only\"]\n");
    let public = place.run(["policy", "keygen", "policy.key"]).ends(0).out;
    let sign = "policy sign strict.toml --key policy.key --audience example --version 1 --out bundle.json";
    place.run(sign.split(' ')).ends(0);
    let verify = ["policy", "verify", "bundle.json", "--key", public.trim(), "--audience", "example", "--json"];
    check_named("policy-bundle", &parsed(&place.run(verify).ends(0).out));
    place.settings("[cloud]\nurl = \"https://policy.invalid\"\naudience = \"example\"\n");
    check_named("policy-status", &parsed(&place.run(["policy", "status", "--json"]).ends(0).out));
}
