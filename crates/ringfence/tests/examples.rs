//! The examples do what their first lines say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::{Command, Output};

/// Runs an example in a directory and a home of its own; none if it isn't built or can't be reached.
fn run(name: &str, args: &[&str]) -> Option<Output> {
    let tests = std::env::current_exe().expect("this test's own program");
    let built = tests.ancestors().nth(2).map(|dir| dir.join("examples").join(name)).filter(|path| path.is_file());
    let Some(program) = built else {
        println!("SKIPPED: {name}: the example isn't built (`cargo build --package ringfence --examples`)");
        return None;
    };
    let dir = tempfile::tempdir_in("/var/tmp").expect("scratch directory");
    let place = |name: &str| -> PathBuf { dir.path().join(name) };
    for name in ["ws/.git", "home"] {
        std::fs::create_dir_all(place(name)).expect(name);
    }
    let mut command = Command::new("setsid");
    command.arg("-w").arg(program).args(args).current_dir(place("ws")).env_clear().env("HOME", place("home"));
    command.env("PATH", "/usr/bin:/bin").stdin(std::process::Stdio::null());
    Some(command.output().expect("`setsid` runs"))
}

#[test]
fn an_approver_of_ones_own_decides() {
    let Some(output) = run("own_approver", &[]) else { return };
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    let parts: Vec<&str> = out.split("\n").collect();
    assert!(parts.contains(&"ls -l") && parts.contains(&"make test"), "{out}");
    assert!(out.contains("denied: only make may run here"), "{out}");
}

#[test]
fn one_command_is_run_as_an_agents() {
    let Some(output) = run("run_one", &["sh", "-c", "echo hi; touch made; exit 3"]) else { return };
    if output.status.code() == Some(126) {
        println!("SKIPPED: one_command_is_run_as_an_agents: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hi\n");
}
