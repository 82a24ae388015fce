//! Hostile hosts, each made for its test: Ringfence starts there with the tier it should, and holds; or it ends with 125,
//! runs nothing, and names the fix.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod kernel;
mod podman;

use common::{Place, Ran, have, program, skip};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Honest work, and attacks: what comes of either is looked at from outside.
const ACTS: &str = "echo tier=$RINGFENCE_SANDBOX; echo made > made; echo x > ../out/keep; mkdir .codex; exit 0";

/// A host that a test makes hostile.
struct Host {
    place: Place,
    program: PathBuf,
}

impl Host {
    fn new() -> Self {
        Self { place: Place::new(), program: program() }
    }

    /// `LAUNCHER… ringfence sandbox … -- sh -c ACTS`.
    fn run(&self, launcher: &[&str]) -> Ran {
        self.run_with(launcher, &["sandbox", "-s", "workspace-write", "--", "sh", "-c", ACTS])
    }

    /// `LAUNCHER… ringfence ARGUMENTS…`.
    fn run_with(&self, launcher: &[&str], arguments: &[&str]) -> Ran {
        let ringfence = self.program.display().to_string();
        let own = std::iter::once(ringfence.as_str()).chain(arguments.iter().copied());
        let all: Vec<&str> = launcher.iter().copied().chain(own).collect();
        let plain = self.place.command([""]);
        let mut outer = Command::new(all[0]);
        outer.args(&all[1..]).current_dir(self.place.path("ws")).env_clear().stdin(Stdio::null());
        outer.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::of(&mut outer)
    }

    /// Within a shell that changes this host first: `{}` stands for the command.
    fn within(&self, launcher: &[&str], change: &str) -> Ran {
        let script = format!("{change} && exec \"$@\"");
        let all: Vec<&str> = launcher.iter().copied().chain(["sh", "-c", script.as_str(), "sh"]).collect();
        self.run(&all)
    }

    /// Whether Landlock has a right for unix sockets here, as the program itself finds.
    fn kernel_holds_sockets(&self) -> bool {
        let ran = self.run_with(&[], &["doctor", "--json"]);
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let found = document["findings"].as_array().unwrap();
        found.iter().any(|found| found["name"] == "landlock-unix-sockets" && found["tried"]["found"] == "works")
    }

    /// It ran, in this tier, and the attack failed.
    #[track_caller]
    fn holds(&self, ran: Ran, tier: &str) {
        let ran = ran.ends(0);
        assert!(ran.out.contains(&format!("tier={tier}\n")), "not `{tier}`:\n{}\n{}", ran.out, ran.err);
        assert_eq!(self.place.read("ws/made"), "made\n");
        assert_eq!(self.place.read("out/keep"), "a canary\n");
        assert!(!self.place.path("ws/.codex").exists());
    }

    /// It ended with 125, said this, and nothing ran.
    #[track_caller]
    fn refuses(&self, ran: Ran, says: &[&str]) {
        let mut ran = ran.ends(125);
        for text in says {
            ran = ran.says(text);
        }
        assert_eq!(ran.out, "", "something ran");
        assert!(!self.place.path("ws/made").exists(), "something ran");
    }
}

/// A user namespace in which this process may change the host for itself alone; none if it can't be had.
fn own_host(test: &str, more: &'static str) -> Option<[&'static str; 3]> {
    let launcher = ["unshare", "-r", more];
    let tried = Command::new("unshare").args([launcher[1], more, "true"]).output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(launcher);
    }
    skip(test, "`unshare` makes no user namespace here");
    None
}

/// A launcher whose filter forbids calls; none if it can't be had.
fn filtered<'a>(test: &str, what: &'a str) -> Option<[&'a str; 4]> {
    const HOSTILE: &str = include_str!("hostile.py");
    have(test, "python3").then_some(["python3", "-c", HOSTILE, what])
}

#[test]
fn namespaces_forbidden_by_a_filter_leave_the_landlock_tier() {
    let test = "namespaces_forbidden_by_a_filter_leave_the_landlock_tier";
    let Some(launcher) = filtered(test, "namespaces") else { return };
    let host = Host::new();
    host.holds(host.run(&launcher), "landlock");
}

#[test]
fn the_managed_network_is_had_where_namespaces_are_forbidden() {
    let test = "the_managed_network_is_had_where_namespaces_are_forbidden";
    let Some(launcher) = filtered(test, "namespaces").filter(|_| have(test, "curl")) else { return };
    let host = Host::new();
    host.place.settings(
        "sandbox_mode = \"workspace-write\"\n[sandbox_workspace_write]\nnetwork_access = true\n[network]\nenabled = true\n\
         [network.domains]\n\"example.com\" = \"deny\"\n",
    );
    let acts = "echo tier=$RINGFENCE_SANDBOX; curl -sm 20 -o /dev/null -w '%{http_code}\\n' http://example.com/";
    for subcommand in ["sandbox", "run"] {
        let ran = host.run_with(&launcher, &[subcommand, "--", "sh", "-c", acts]).ends(0);
        assert_eq!(ran.out, "tier=landlock\n403\n", "{subcommand}: {}", ran.err);
    }
}

#[test]
fn namespaces_switched_off_by_their_limit_leave_the_landlock_tier() {
    let test = "namespaces_switched_off_by_their_limit_leave_the_landlock_tier";
    let Some(launcher) = own_host(test, "-U") else { return };
    let host = Host::new();
    host.holds(host.within(&launcher, "echo 0 > /proc/sys/user/max_user_namespaces"), "landlock");
}

#[test]
fn no_landlock_is_held_by_mounts_and_said() {
    let test = "no_landlock_is_held_by_mounts_and_said";
    let Some(launcher) = filtered(test, "landlock") else { return };
    let host = Host::new();
    let ran = host.run(&launcher).says("held weaker here: write-outside");
    host.holds(ran, "namespaces");
}

#[test]
fn neither_namespaces_nor_landlock_is_refused_with_the_fix_of_each() {
    let test = "neither_namespaces_nor_landlock_is_refused_with_the_fix_of_each";
    let Some(launcher) = filtered(test, "namespaces,landlock") else { return };
    let host = Host::new();
    let says = ["the `namespaces` tier: ", "EPERM", "the `landlock` tier: the kernel offers no Landlock", "hint: "];
    host.refuses(host.run(&launcher), &says);
}

#[test]
fn a_program_that_serves_notifications_around_us_is_named() {
    let test = "a_program_that_serves_notifications_around_us_is_named";
    let Some(launcher) = filtered(test, "listener") else { return };
    let host = Host::new();
    let only = "only the broker holds it, and none can be had";
    // A name that doesn't exist is the broker's in every case.
    let left = if host.kernel_holds_sockets() { "doesn't come into being" } else { "no unix socket made outside" };
    host.refuses(host.run(&launcher), &[only, left]);
    let Some(launcher) = filtered(test, "namespaces,listener") else { return };
    host.refuses(host.run(&launcher), &["the `namespaces` tier: ", "the `landlock` tier: "]);
}

#[test]
fn within_a_program_that_serves_notifications_the_kernel_holds_what_it_can() {
    let test = "within_a_program_that_serves_notifications_the_kernel_holds_what_it_can";
    let Some(launcher) = filtered(test, "listener") else { return };
    let host = Host::new();
    let socket = host.place.path("out/sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    let acts =
        format!("echo tier=$RINGFENCE_SANDBOX; echo x > ../out/keep; python3 -c '{connect}' {}", socket.display());
    let ran = host.run_with(&launcher, &["sandbox", "-s", "read-only", "--", "sh", "-c", &acts]);
    if !host.kernel_holds_sockets() {
        return host.refuses(ran, &["only the broker holds it, and none can be had", "no unix socket made outside"]);
    }
    let ran = ran.ends(1).says("Permission denied");
    assert_eq!(ran.out, "tier=namespaces\n", "{}", ran.err);
    assert!(!ran.err.contains("held weaker"), "{}", ran.err);
    assert_eq!(host.place.read("out/keep"), "a canary\n");
}

#[test]
fn a_read_only_root_is_fine() {
    let test = "a_read_only_root_is_fine";
    let Some(launcher) = own_host(test, "-Um") else { return };
    let host = Host::new();
    let top = host.place.path("ws");
    let top = top.parent().unwrap().display();
    let change = format!("mount --bind {top} {top} && cd {top}/ws && mount -o remount,bind,ro /");
    host.holds(host.within(&launcher, &change), "namespaces");
}

#[test]
fn a_host_without_proc_is_refused_with_the_fix() {
    let test = "a_host_without_proc_is_refused_with_the_fix";
    let Some(launcher) = own_host(test, "-Um") else { return };
    let host = Host::new();
    let ran = host.within(&launcher, "mount -t tmpfs none /proc");
    host.refuses(ran, &["`/proc` is not mounted", "hint: mount `/proc`"]);
}

#[test]
fn proc_04_a_second_mount_of_proc_shows_nothing_of_processes_outside() {
    let test = "proc_04_a_second_mount_of_proc_shows_nothing_of_processes_outside";
    let Some(launcher) = own_host(test, "-Um").filter(|_| have(test, "setpriv")) else { return };
    let host = Host::new();
    // As every process of an ordinary user.
    let plain = "env SECRET=of-outside setpriv --bounding-set -all --inh-caps -all";
    // A directory that is called by a number, as a process could be.
    std::fs::create_dir_all(host.place.path("out/2/proc")).unwrap();
    let other = host.place.path("out/2/proc").display().to_string();
    let denied = format!("deny_read=[\"{}/**/*.pem\"]", host.place.path("ws").display());
    let acts = format!(
        "echo tier=$RINGFENCE_SANDBOX; read outside < outside; for proc in /proc {other}; do \
         cat $proc/$outside/environ $proc/$outside/root/etc/hostname $proc/$outside/cwd/outside; done; \
         head -c 5 {other}/version; cat /proc/self/environ | tr '\\0' '\\n' | grep -c ^HOME="
    );
    let change = format!("mount --rbind /proc {other} && {{ {plain} sleep 60 & echo $! > outside; }}");
    let script = format!("{change} && {{ \"$@\"; status=$?; kill $!; exit $status; }}");
    let shell: Vec<&str> = launcher.iter().copied().chain(["sh", "-c", script.as_str(), "sh"]).collect();
    for more in ["linux.backend=\"namespaces\"", "linux.backend=\"landlock\""] {
        // Only with a pattern, every open is the broker's.
        for denied in [denied.as_str(), "deny_read=[]"] {
            let arguments =
                ["sandbox", "-s", "workspace-write", "-c", more, "-c", denied, "--", "sh", "-c", acts.as_str()];
            let ran = host.run_with(&shell, &arguments).ends(0);
            assert!(!ran.out.contains("of-outside"), "{more}, {denied}:\n{}", ran.out);
            assert!(ran.out.ends_with("Linux1\n"), "{more}, {denied}:\n{}\n{}", ran.out, ran.err);
        }
    }
}

#[test]
fn a_temporary_directory_that_runs_nothing_is_fine() {
    let test = "a_temporary_directory_that_runs_nothing_is_fine";
    let Some(launcher) = own_host(test, "-Um") else { return };
    let mut host = Host::new();
    // What is below `/tmp` can't be run then, and the program may be.
    let elsewhere = host.place.path("ringfence");
    std::fs::copy(&host.program, &elsewhere).unwrap();
    host.program = elsewhere;
    host.holds(host.within(&launcher, "mount -t tmpfs -o noexec none /tmp"), "namespaces");
}

#[test]
fn root_without_capabilities_is_treated_as_anybody() {
    let test = "root_without_capabilities_is_treated_as_anybody";
    if !is_root() {
        return skip(test, "this isn't root");
    }
    if !have(test, "setpriv") {
        return;
    }
    let host = Host::new();
    // The kernel lets nobody without CAP_SETFCAP map user 0, so there is no user namespace to be had.
    let launcher = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs", "--"];
    host.holds(host.run(&launcher), "landlock");
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
