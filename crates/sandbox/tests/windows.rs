//! The tier of Windows on a system that speaks as it does: Windows itself, or Wine. What only a system that checks restricted
//! tokens can show is skipped elsewhere, and said so.
#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{abs, wish};
use ringfence_model::confinement::{Confinement, EnvVar};
use ringfence_model::limits::Limits;
use ringfence_model::report::Exit;
use ringfence_model::units::Span;
use ringfence_model::{Origin, OsText, SandboxMode, Sourced, Tier};
use ringfence_sandbox::compile::{Options, Unenforceable, compile};
use ringfence_sandbox::host::{HostFacts, Tried};
use ringfence_sandbox::{Command, Outcome, Plan, Sandbox, StartError, Stdio};
use std::path::Path;
use std::time::{Duration, Instant};

/// A host that holds what it says, whatever this one does: the steps can be walked on Wine too.
fn recorded() -> HostFacts {
    serde_json::from_str(include_str!("hosts/windows-11.json")).expect("a recorded host")
}

fn inherited(name: &str) -> EnvVar {
    let value = std::env::var_os(name).unwrap_or_default();
    EnvVar { name: OsText::new(name), value: OsText::new(value), origin: Origin::builtin("inherited") }
}

fn here(mut wish: Confinement, cwd: &Path) -> Confinement {
    wish.cwd = abs(cwd.to_str().expect("a name"));
    wish.environment = ["PATH", "SystemRoot", "ComSpec", "WINEPREFIX"].map(inherited).into();
    wish
}

fn full(cwd: &Path) -> Confinement {
    let mut wish = here(wish(&[], &[], &[]), cwd);
    wish.mode = Sourced::new(SandboxMode::DangerFullAccess, Origin::flag("--sandbox"));
    wish
}

fn plan(wish: &Confinement) -> Result<Plan, Unenforceable> {
    compile(wish, &recorded(), &Options::default())
}

fn run(wish: &Confinement, argv: &[&str]) -> Result<Outcome, StartError> {
    let mut command = Command::new(argv.iter().copied());
    command.stdin = Stdio::Null;
    Sandbox::new(plan(wish).expect("it can be held"))?.run(command)
}

fn exit(wish: &Confinement, line: &str) -> Exit {
    run(wish, &["cmd", "/c", line]).expect(line).exit
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A directory's access list, as `icacls` would print it.
fn access(path: &Path) -> String {
    use std::os::windows::fs::OpenOptionsExt as _;
    let opened =
        std::fs::OpenOptions::new().access_mode(0x2_0000).custom_flags(0x0200_0000).open(path).expect("opened");
    ringfence_sandbox::security_descriptor(&opened).expect("read")
}

/// Whether this system checks restricted tokens; what it lacks is said.
fn checked(test: &str) -> bool {
    match ringfence_sandbox::probe::survey().facts.restricted_token {
        Some(Tried::Works) => true,
        Some(Tried::Fails { why, .. }) => {
            println!("SKIPPED: {test}: {why}");
            false
        }
        other => panic!("it wasn't tried: {other:?}"),
    }
}

#[test]
fn a_command_in_the_tier_ends_with_its_own_status() {
    let dir = temporary();
    let root = dir.path().to_str().unwrap();
    let wish = here(wish(&[root], &[], &[]), dir.path());
    let outcome = run(&wish, &["cmd", "/c", "exit 7"]).expect("it starts");
    assert_eq!((outcome.exit, outcome.tier), (Exit::Code(7), Tier::Windows));
    assert!(outcome.enforced.iter().all(|step| step.result.held()));
    assert_eq!(exit(&wish, "echo x> made"), Exit::Code(0));
    assert!(dir.path().join("made").exists(), "a root can be written");
}

#[test]
fn full_access_runs_without_the_tier() {
    let dir = temporary();
    let outcome = run(&full(dir.path()), &["cmd", "/c", "echo x> made& exit 300"]).expect("it starts");
    assert_eq!((outcome.exit, outcome.tier), (Exit::Code(300), Tier::Unconfined));
    assert!(dir.path().join("made").exists());
    let plan = plan(&full(dir.path())).expect("a plan");
    assert!(plan.not_held.is_empty() && plan.steps.len() == 1, "only the environment: {:?}", plan.steps);
}

#[test]
fn nothing_is_left_on_a_root_afterwards() {
    let dir = temporary();
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    let before = (access(dir.path()), access(&dir.path().join(".git")));
    let (root, git) = (dir.path().to_str().unwrap(), dir.path().join(".git"));
    let wish = here(wish(&[root], &[(git.to_str().unwrap(), true)], &[]), dir.path());
    assert_eq!(exit(&wish, "exit 0"), Exit::Code(0));
    assert_eq!((access(dir.path()), access(&git)), before);
}

#[test]
fn what_is_not_started_says_why() {
    let dir = temporary();
    std::fs::write(dir.path().join("script.bat"), "exit 0").unwrap();
    std::fs::write(dir.path().join("broken.exe"), "no program").unwrap();
    let wish = full(dir.path());
    let missing = run(&wish, &["no-such-program"]).expect_err("there is none");
    assert_eq!(missing.status(), 127, "{missing}");
    let here = run(&wish, &["broken"]).expect_err("the directory isn't searched");
    assert_eq!(here.status(), 127, "{here}");
    for (program, why) in [("script.bat", "cmd /c"), ("broken.exe", "")] {
        let path = dir.path().join(program);
        let error = run(&wish, &[path.to_str().unwrap()]).expect_err(program);
        assert_eq!(error.status(), 126, "{error}");
        assert!(std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains(why)));
    }
}

#[test]
fn time_over_ends_the_command_and_what_it_started() {
    let dir = temporary();
    for mut wish in [full(dir.path()), here(wish(&[], &[], &[]), dir.path())] {
        let wall_clock = Some(Sourced::new(Span(Duration::from_millis(1500)), Origin::flag("--timeout")));
        wish.limits = Limits { wall_clock, ..Limits::default() };
        let began = Instant::now();
        // One waits for the other: with the first alone gone, `ping` would go on.
        assert_eq!(exit(&wish, "cmd /c ping -n 60 127.0.0.1 >NUL"), Exit::Timeout);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}

#[test]
fn the_environment_is_the_plans() {
    let dir = temporary();
    let mut wish = full(dir.path());
    wish.environment.push(EnvVar {
        name: OsText::new("RINGFENCE_TEST_GIVEN"),
        value: OsText::new("a b"),
        origin: Origin::flag("--env"),
    });
    assert_eq!(exit(&wish, "set RINGFENCE_TEST_> listed"), Exit::Code(0));
    assert_eq!(std::fs::read_to_string(dir.path().join("listed")).unwrap().trim(), "RINGFENCE_TEST_GIVEN=a b");
}

#[test]
fn limits_without_anything_to_hold_them_are_refused() {
    let dir = temporary();
    for mut wish in [full(dir.path()), here(wish(&[], &[], &[]), dir.path())] {
        wish.limits.open_files = Some(Sourced::new(64, Origin::flag("-c limits.open_files")));
        let refused = plan(&wish).expect_err("a job has no such limit");
        assert!(refused.to_string().contains("open files"), "{refused}");
    }
}

#[test]
fn a_host_that_does_not_check_tokens_has_no_tier() {
    let dir = temporary();
    let mut host = recorded();
    host.restricted_token = Some(Tried::Fails { why: "it says so".into(), remedy: Some("another".into()) });
    let refused = compile(&here(wish(&[], &[], &[]), dir.path()), &host, &Options::default()).expect_err("no tier");
    assert!(refused.to_string().contains("it says so"), "{refused}");
    compile(&full(dir.path()), &host, &Options::default()).expect("full access needs none");
}

#[test]
fn fs_01_nothing_outside_the_roots_is_written() {
    if !checked("fs_01_nothing_outside_the_roots_is_written") {
        return;
    }
    let (dir, outside) = (temporary(), temporary());
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    let (root, git) = (dir.path().to_str().unwrap(), dir.path().join(".git"));
    let wish = here(wish(&[root], &[(git.to_str().unwrap(), true)], &[]), dir.path());
    for target in [outside.path().join("x"), git.join("config")] {
        assert_ne!(exit(&wish, &format!("echo x> {}", target.display())), Exit::Code(0));
        assert!(!target.exists(), "{}", target.display());
    }
    assert_eq!(exit(&wish, "mkdir sub&& echo x> sub\\made"), Exit::Code(0));
}
