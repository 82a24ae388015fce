//! The command line as a user meets it: exit statuses, streams, messages with their origin.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, confines};

#[test]
fn the_status_is_the_commands_own() {
    if !confines("the_status_is_the_commands_own") {
        return;
    }
    let place = Place::new();
    for status in [0, 1, 2, 77, 255] {
        let ran = place.sh(&format!("exit {status}")).ends(status);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    }
    place.sh("kill -TERM $$").ends(128 + 15);
    place.sh("kill -KILL $$").ends(128 + 9);
}

#[test]
fn not_found_is_127_and_not_executable_126() {
    if !confines("not_found_is_127_and_not_executable_126") {
        return;
    }
    let place = Place::new();
    place.run(["sandbox", "--", "no-such-program-here"]).ends(127).says("ringfence: ");
    place.write("ws/plain", "text\n");
    place.run(["sandbox", "--", "./plain"]).ends(126).says("ringfence: ");
}

#[test]
fn a_time_limit_ends_with_124() {
    if !confines("a_time_limit_ends_with_124") {
        return;
    }
    let place = Place::new();
    place.run(["sandbox", "--timeout", "300ms", "--", "sleep", "20"]).ends(124);
}

#[test]
fn standard_output_belongs_to_the_command() {
    if !confines("standard_output_belongs_to_the_command") {
        return;
    }
    let place = Place::new();
    place.settings("sandbox_mod = \"read-only\"\n");
    let ran = place.sh("echo out; echo err >&2").ends(0);
    assert_eq!(ran.out, "out\n");
    assert!(ran.err.contains("notice") && ran.err.contains("sandbox_mode"), "a typing error is named: {}", ran.err);
    assert!(ran.err.contains("err\n"));
}

#[test]
fn json_reports_go_to_standard_error_or_a_file() {
    if !confines("json_reports_go_to_standard_error_or_a_file") {
        return;
    }
    let place = Place::new();
    let ran = place.run(["sandbox", "--json", "--", "sh", "-c", "echo hello; exit 3"]).ends(3);
    assert_eq!(ran.out, "hello\n");
    let report: serde_json::Value = serde_json::from_str(&ran.err).expect("one document on stderr");
    assert_eq!(report["schema"], "ringfence.dev/v1/report");
    assert_eq!(report["exit"]["code"], 3);
    assert_eq!(report["command"][0], "sh");
    let file = place.path("out/report.json");
    let ran = place.run(["sandbox", "--report", file.to_str().expect("UTF-8"), "--", "true"]).ends(0);
    assert_eq!(ran.err, "");
    let report: serde_json::Value = serde_json::from_str(&place.read("out/report.json")).expect("a document");
    assert_eq!(report["exit"]["code"], 0);
    assert!(report["tier"].is_string() && report["plan_id"].as_str().is_some_and(|id| id.starts_with("plan-")));
}

#[test]
fn wrong_usage_is_125_and_says_what_would_be_right() {
    let place = Place::new();
    place.run(["sandbox"]).ends(125).says("ringfence: ").says("<COMMAND>");
    place.run(["sandbox", "-s", "none", "--", "true"]).ends(125).says("set at: flag `--sandbox`").says("hint: ");
    place.run(["sandbox", "--yolo", "-s", "read-only", "--", "true"]).ends(125).says("cannot be used with");
    place.run(["sandbox", "windows", "--", "true"]).ends(125).says("Windows");
    place.run(["frobnicate"]).ends(125).says("unrecognized subcommand");
}

#[test]
fn a_broken_setting_stops_with_its_place() {
    let place = Place::new();
    place.settings("# one\nsandbox_mode = 7\n");
    let file = place.path("home/.ringfence/config.toml");
    for args in [vec!["sandbox", "--", "true"], vec!["run", "--", "true"], vec!["plan"], vec!["status"]] {
        place.run(args).ends(125).says("sandbox_mode").says(&format!("{}:2", file.display()));
    }
    place.run(["doctor"]);
    place.run(["sandbox", "--add-dir", "/does/not/exist", "--ignore-user-config", "--", "true"]).ends(125);
    place.run(["sandbox", "--add-dir", "/", "--ignore-user-config", "--", "true"]).ends(125).says("--add-dir");
}

#[test]
fn a_dry_run_prints_the_plan_and_runs_nothing() {
    let place = Place::new();
    let ran = place.run(["sandbox", "-s", "workspace-write", "--dry-run", "--", "touch", "made"]);
    if ran.status == 125 {
        common::skip("a_dry_run_prints_the_plan_and_runs_nothing", "no tier holds here");
        return;
    }
    let ran = ran.ends(0);
    assert!(ran.out.contains("command    touch made"), "{}", ran.out);
    assert!(ran.out.contains(&place.path("ws").display().to_string()), "{}", ran.out);
    assert!(!place.path("ws/made").exists());
}

#[test]
fn the_plan_names_every_setting_it_came_from() {
    let place = Place::new();
    place.settings("sandbox_mode = \"workspace-write\"\n[sandbox_workspace_write]\nexclude_slash_tmp = true\n");
    let out = place.path("out").display().to_string();
    let ran = place.run(["plan", "--add-dir", &out, "--json", "--", "true"]);
    if ran.status == 125 {
        common::skip("the_plan_names_every_setting_it_came_from", "no tier holds here");
        return;
    }
    let plan: serde_json::Value = serde_json::from_str(&ran.ends(0).out).expect("a document");
    assert_eq!(plan["schema"], "ringfence.dev/v1/plan");
    let steps = plan["steps"].as_array().expect("steps");
    assert!(!steps.is_empty());
    for step in steps {
        assert!(step["origin"].is_object() && step["promise"].is_string(), "{step}");
    }
    let root = steps.iter().find(|step| step["step"] == "writable-root" && step["path"] == out.as_str());
    assert_eq!(root.expect("the directory that was added")["origin"]["flag"], "--add-dir");
    assert!(plan["mode_origin"]["file"].as_str().is_some_and(|file| file.ends_with("config.toml")));
}

#[test]
fn status_and_doctor_speak_json() {
    let place = Place::new();
    let status: serde_json::Value = serde_json::from_str(&place.run(["status", "--json"]).out).expect("a document");
    assert_eq!(status["schema"], "ringfence.dev/v1/status");
    assert_eq!(status["version_controlled"], true);
    assert_eq!(status["sandbox_mode"]["value"], "workspace-write");
    let doctor: serde_json::Value = serde_json::from_str(&place.run(["doctor", "--json"]).out).expect("a document");
    assert_eq!(doctor["schema"], "ringfence.dev/v1/doctor");
    assert!(doctor["findings"].as_array().is_some_and(|findings| findings.len() > 10));
}

#[test]
fn help_is_no_failure_and_completions_are_scripts() {
    let place = Place::new();
    for args in [vec!["--help"], vec!["sandbox", "--help"], vec!["run", "-h"], vec!["plan", "--help"]] {
        let ran = place.run(args).ends(0);
        assert!(ran.out.contains("Usage: ringfence"), "{}", ran.out);
        assert_eq!(ran.err, "");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(["completions", shell]).ends(0).out;
        assert!(script.contains("ringfence") && script.contains("sandbox"), "{shell}");
    }
    assert!(place.run(["--version"]).ends(0).out.starts_with("ringfence "));
}

#[test]
fn colour_is_a_choice() {
    let place = Place::new();
    let plain = place.run(["doctor"]);
    assert!(!plain.out.contains('\x1b'));
    let mut command = place.command(["doctor"]);
    assert!(common::Ran::of(command.env("CLICOLOR_FORCE", "1")).out.contains('\x1b'));
    assert!(!common::Ran::of(command.env("NO_COLOR", "1")).out.contains('\x1b'));
}

#[test]
fn the_platform_spellings_run_the_same() {
    if !confines("the_platform_spellings_run_the_same") {
        return;
    }
    let place = Place::new();
    for args in [
        vec!["sandbox", "linux", "--", "echo", "x"],
        vec!["sandbox", "landlock", "echo", "x"],
        vec!["debug", "linux", "-s", "read-only", "--", "echo", "x"],
    ] {
        assert_eq!(place.run(args).ends(0).out, "x\n");
    }
}

#[test]
fn variables_are_filtered_and_given() {
    if !confines("variables_are_filtered_and_given") {
        return;
    }
    let place = Place::new();
    let script = "echo \"$MY_API_KEY|$PLAIN|$GIVEN|$RINGFENCE_SANDBOX_NETWORK\"; test -r \"$RINGFENCE_CAPABILITIES\"";
    let mut command = place.command(["sandbox", "--env", "GIVEN=g", "--", "sh", "-c", script]);
    command.env("MY_API_KEY", "k").env("PLAIN", "p");
    assert_eq!(common::Ran::of(&mut command).ends(0).out, "|p|g|off\n");
    let mut command = place.command(["sandbox", "--env", "MY_API_KEY", "--", "sh", "-c", script]);
    command.env("MY_API_KEY", "k").env("PLAIN", "p");
    assert_eq!(common::Ran::of(&mut command).ends(0).out, "k|p||off\n");
}

#[test]
fn arguments_pass_byte_for_byte() {
    if !confines("arguments_pass_byte_for_byte") {
        return;
    }
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let odd: Vec<&OsStr> =
        [&b"a b"[..], b"", b"\xff\xfe", b"x\ny", b"--", b"-s", b"$(id)"].map(OsStr::from_bytes).into();
    let mut args: Vec<&OsStr> = ["sandbox", "--", "printf", "%s\\0"].map(OsStr::new).into();
    args.extend(&odd);
    let output = place.command(args).output().expect("runs");
    let expected: Vec<u8> = odd.iter().flat_map(|word| word.as_bytes().iter().copied().chain([0])).collect();
    assert_eq!(output.stdout, expected);
}
