//! What an administrator wrote, as a user meets it: files that can't be trusted or read stop every deciding command
//! before it does anything, and say where the fault lies.
//!
//! The system's directory can't be chosen by a flag or a variable, so each test gets an `/etc` of its own, in a mount
//! namespace that ends with it. That needs root; what concerns a user's own files runs as an ordinary user too.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, Ran, program};
use std::process::{Command, Stdio};

/// Makes `/etc` this namespace's own, prepares it by `$1`, and goes on with the rest as the command.
const OWN_ETC: &str = "set -e; mount --make-rprivate /; d=$(mktemp -d); mount -t tmpfs -o mode=755 none \"$d\"; \
     for f in passwd group hosts nsswitch.conf resolv.conf ld.so.cache ld.so.conf ssl alternatives; do \
     if [ -e \"/etc/$f\" ]; then cp -a \"/etc/$f\" \"$d/\"; fi; done; mkdir \"$d/ringfence\"; mount --bind \"$d\" /etc; \
     umount \"$d\"; rmdir \"$d\"; eval \"$1\"; shift; exec \"$@\"";

/// Whether `/etc` can be made one's own; prints the skip otherwise.
fn own_etc(test: &str) -> bool {
    let may = Command::new("unshare")
        .args(["--mount", "sh", "-c", OWN_ETC, "sh", "true", "true"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    if !may {
        common::skip(test, "an `/etc` of the test's own needs root and `unshare`");
    }
    may && common::confines(test)
}

/// `ringfence ARGS` with `/etc/ringfence` as `prepare` makes it.
fn with_etc(place: &Place, prepare: &str, args: &[&str]) -> Ran {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", OWN_ETC, "sh", prepare]).arg(program()).args(args);
    command.current_dir(place.path("ws")).env_clear().stdin(Stdio::null());
    command.env("HOME", place.path("home")).env("LANG", "C.UTF-8").env("TERM", "dumb");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Ran::of(&mut command)
}

/// What a shell writes into a file of the system's directory.
fn writes(file: &str, text: &str) -> String {
    format!("printf '{}' > /etc/ringfence/{file}", text.replace('\'', "'\\''"))
}

/// Deciding commands end with 125, say `texts`, and run nothing; `config check` names the file. A test's first case tries
/// every command, the others the three ways to run one.
#[track_caller]
fn stops_everything(place: &Place, prepare: &str, texts: &[&str]) {
    let deciding: &[&[&str]] = &[
        &["run", "--", "touch", "ran"],
        &["sandbox", "-s", "workspace-write", "--", "touch", "ran"],
        &["sandbox", "-s", "danger-full-access", "--", "touch", "ran"],
        &["run", "--yolo", "--ignore-user-config", "--", "touch", "ran"],
        &["plan", "--", "touch", "ran"],
        &["explain", "--", "touch", "ran"],
        &["status"],
    ];
    let first = !place.path("out/tried").exists();
    place.write("out/tried", "");
    for args in &deciding[..if first { deciding.len() } else { 3 }] {
        let ran = with_etc(place, prepare, args);
        assert_eq!(ran.status, 125, "{prepare}: {args:?}\n{}{}", ran.out, ran.err);
        for text in texts {
            assert!(ran.err.contains(text), "{prepare}: {args:?}: no `{text}` in\n{}", ran.err);
        }
        assert!(!place.path("ws/ran").exists(), "{prepare}: {args:?} ran the command");
    }
    let checked = with_etc(place, prepare, &["config", "check"]);
    assert_eq!(checked.status, 1, "{prepare}: config check\n{}{}", checked.out, checked.err);
    assert!(checked.out.contains("broken"), "{prepare}: config check\n{}", checked.out);
    if !first {
        return;
    }
    let doctor = with_etc(place, prepare, &["doctor"]);
    assert!(doctor.out.contains("tier"), "{prepare}: doctor\n{}{}", doctor.out, doctor.err);
}

#[test]
fn good_requirements_bind_and_let_work_go_on() {
    if !own_etc("good_requirements_bind_and_let_work_go_on") {
        return;
    }
    let place = Place::new();
    let good = writes("requirements.toml", "allowed_sandbox_modes = [\"read-only\", \"workspace-write\"]\n");
    with_etc(&place, &good, &["run", "--", "touch", "ran"]).ends(0);
    assert!(place.path("ws/ran").exists());
    for args in [&["run", "-s", "danger-full-access", "--", "true"][..], &["sandbox", "--yolo", "--", "true"]] {
        with_etc(&place, &good, args).ends(125).says("/etc/ringfence/requirements.toml:1:1");
    }
    with_etc(&place, &good, &["config", "check"]).ends(0);
    // A user's settings, a trusted project's, and flags are bound alike.
    place.settings("sandbox_mode = \"danger-full-access\"\n");
    with_etc(&place, &good, &["run", "--", "true"]).ends(125).says("config.toml:1:1").says("requirements.toml:1:1");
}

#[test]
fn cf_01_requirements_that_cannot_be_read_stop_every_command() {
    if !own_etc("cf_01_requirements_that_cannot_be_read_stop_every_command") {
        return;
    }
    let place = Place::new();
    let cases: &[(&str, &[&str])] = &[
        ("allowed_sandbox_modes = [\n", &["/etc/ringfence/requirements.toml:"]),
        ("\nallowed_sandbox_modes = \"read-only\"\n", &["requirements.toml:2:1", "list"]),
        ("# x\nallowed_sandbox_mode = [\"read-only\"]\n", &["requirements.toml:2:1", "allowed_sandbox_modes"]),
        ("allowed_approval_policies = []\n", &["requirements.toml:1:"]),
        ("allowed_sandbox_modes = [\"workspace-write\"]\n", &["requirements.toml:1:", "read-only"]),
        ("allowed_sandbox_modes = [\"read-only\", \"root\"]\n", &["requirements.toml:1:39", "root"]),
        ("[permissions.filesystem]\ndeny_read = [\"./x\"]\n", &["requirements.toml:2:"]),
        (
            "[rules]\nprefix_rules = [ { pattern = [{ token = \"git\" }], decision = \"allow\" } ]\n",
            &["requirements.toml:2:"],
        ),
        ("\\357\\273\\277allowed_sandbox_modes = [\"read-only\"]\n", &["requirements.toml:1:1", "byte order mark"]),
        ("allowed_sandbox_modes = [\"read-only\"]\n# \\000\n", &["requirements.toml:2:3"]),
        ("allowed_sandbox_modes = [\"read-only\"]\n# \\377\n", &["requirements.toml:2:3", "UTF-8"]),
    ];
    for (text, says) in cases {
        stops_everything(&place, &writes("requirements.toml", text), says);
    }
}

#[test]
fn cf_01_absurd_requirements_stop_every_command() {
    if !own_etc("cf_01_absurd_requirements_stop_every_command") {
        return;
    }
    let place = Place::new();
    let size = "head -c 1100000 /dev/zero | tr '\\0' '#' > /etc/ringfence/requirements.toml";
    stops_everything(&place, size, &["requirements.toml", "1048576"]);
    let depth = "{ printf 'features = '; for i in $(seq 80); do printf '{a='; done; printf 1; \
         for i in $(seq 80); do printf '}'; done; echo; } > /etc/ringfence/requirements.toml";
    stops_everything(&place, depth, &["requirements.toml:1:"]);
    let entries = "{ echo '[features]'; seq -f 'f%.0f = true' 10001; } > /etc/ringfence/requirements.toml";
    stops_everything(&place, entries, &["requirements.toml", "10000"]);
}

#[test]
fn cf_02_requirements_that_others_can_write_stop_every_command() {
    if !own_etc("cf_02_requirements_that_others_can_write_stop_every_command") {
        return;
    }
    let place = Place::new();
    let good = writes("requirements.toml", "allowed_sandbox_modes = [\"read-only\"]\n");
    let file = "/etc/ringfence/requirements.toml";
    let cases = [
        (format!("chmod 0646 {file}"), "others can write this file"),
        (format!("chmod 0664 {file}"), "others can write this file"),
        ("chmod 0777 /etc/ringfence".into(), "others can write this directory"),
        ("chmod 0775 /etc".into(), "others can write this directory"),
        (format!("chown 1000 {file}"), "belongs to user 1000"),
        ("chown 1000 /etc/ringfence".into(), "belongs to user 1000"),
        (
            format!("mv {file} /etc/real; ln -s /etc/real {file}; chown -h 1000 {file}"),
            "symbolic link belongs to user 1000",
        ),
        (format!("mv {file} /etc/real; chmod 0666 /etc/real; ln -s /etc/real {file}"), "others can write this file"),
        (format!("rm {file}; ln -s /etc/nowhere {file}"), "/etc/nowhere"),
        (format!("rm {file}; ln -s requirements.toml {file}"), "requirements.toml"),
        (format!("rm {file}; mkfifo {file}"), "isn't a regular file"),
        (format!("rm {file}; mkdir {file}"), "requirements.toml"),
        ("rm -r /etc/ringfence; touch /etc/ringfence".into(), "/etc/ringfence"),
        // Who can write the directory can have removed the file.
        (format!("rm {file}; chmod 0777 /etc/ringfence"), "others can write this directory"),
    ];
    for (spoil, says) in cases {
        stops_everything(&place, &format!("{good}; {spoil}"), &[says]);
    }
}

#[test]
fn a_broken_managed_config_stops_every_command_too() {
    if !own_etc("a_broken_managed_config_stops_every_command_too") {
        return;
    }
    let place = Place::new();
    stops_everything(&place, &writes("managed_config.toml", "sandbox_mode = 3\n"), &["managed_config.toml:1:1"]);
    stops_everything(&place, &writes("managed_config.toml", "sandbox_mode = \n"), &["managed_config.toml:1:"]);
    let others = format!("{}; chmod 0666 /etc/ringfence/managed_config.toml", writes("managed_config.toml", "# x\n"));
    stops_everything(&place, &others, &["managed_config.toml", "others can write this file"]);
    stops_everything(&place, &writes("config.toml", "approval_policy = true\n"), &["/etc/ringfence/config.toml:1:1"]);
}

#[test]
fn cf_07_a_required_policy_that_is_not_there_stops_every_command() {
    if !own_etc("cf_07_a_required_policy_that_is_not_there_stops_every_command") {
        return;
    }
    let place = Place::new();
    let cloud = "[cloud]\nurl = \"http://127.0.0.1:9\"\naudience = \"a\"\npublic_keys = [\"ed25519:6kqqSHnvU0Tps6Nh+QpKkUDFvvqd0kk6DQ4hcN4cV14=\"]\n";
    let required = writes("requirements.toml", &format!("{cloud}required = true\n"));
    for args in [&["run", "--", "touch", "ran"][..], &["sandbox", "--", "touch", "ran"], &["plan", "--", "true"]] {
        with_etc(&place, &required, args).ends(125).says("requirements.toml:5:1");
        assert!(!place.path("ws/ran").exists());
    }
    let offered = writes("requirements.toml", cloud);
    with_etc(&place, &offered, &["run", "--", "touch", "ran"]).ends(0).says("going on without the policy");
}

#[test]
fn a_whole_policy_service_on_one_machine() {
    if !own_etc("a_whole_policy_service_on_one_machine") {
        return;
    }
    let place = Place::new();
    place.write("ws/strict.toml", "allowed_sandbox_modes = [\"read-only\"]\n");
    let public = place.run(["policy", "keygen", "policy.key"]).ends(0).out;
    let signed = ["policy", "sign", "strict.toml", "--key", "policy.key", "--audience", "example", "--version", "1"];
    place.run(signed.iter().chain(&["--out", "bundle.json"])).ends(0);
    place.run(["policy", "verify", "bundle.json", "--key", public.trim(), "--audience", "example"]).ends(0);
    place.write("ws/tokens", "0123456789abcdef0123456789abcdef\n");
    place.write("home/.ringfence/policy-token", "0123456789abcdef0123456789abcdef\n");
    for file in ["ws/tokens", "home/.ringfence/policy-token"] {
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(place.path(file), private).expect("private");
    }
    let mut server = place.command(["policy", "serve", "bundle.json", "--tokens", "tokens", "--listen", "127.0.0.1:0"]);
    let mut server = server.stderr(Stdio::piped()).spawn().expect("serves");
    let mut said = std::io::BufReader::new(server.stderr.take().expect("stderr"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).expect("a line");
    let url = line.split(" at ").nth(1).and_then(|rest| rest.strip_suffix("/v1/policy\n")).expect("an address");
    let requirements = writes(
        "requirements.toml",
        &format!(
            "[cloud]\nurl = \"{url}\"\naudience = \"example\"\npublic_keys = [\"{}\"]\nrequired = true\n",
            public.trim()
        ),
    );
    let refused = with_etc(&place, &requirements, &["run", "-s", "workspace-write", "--", "touch", "ran"]);
    let shown = with_etc(&place, &requirements, &["config", "show"]);
    server.kill().expect("ended");
    server.wait().expect("ended");
    refused.ends(125).says("read-only").says("version 1");
    assert!(shown.ends(0).out.contains("version 1"));
    assert!(!place.path("ws/ran").exists());
    // Without the service: the cached policy holds, and can't be thrown away, for it is required.
    let cached = with_etc(&place, &requirements, &["run", "-s", "workspace-write", "--", "true"]);
    cached.ends(125).says("version 1");
    std::fs::remove_dir_all(place.path("home/.ringfence/state")).expect("removed");
    with_etc(&place, &requirements, &["run", "-s", "read-only", "--", "true"]).ends(125).says("requirements.toml:5:1");
}

#[test]
fn a_users_own_broken_settings_stop_the_start() {
    let place = Place::new();
    let cases: &[(&[u8], &[&str])] = &[
        (b"sandbox_mode = \n", &["config.toml:1:"]),
        (b"\nsandbox_mode = true\n", &["config.toml:2:1"]),
        (b"approval_policy = \"sometimes\"\n", &["config.toml:1:1", "on-request"]),
        (b"[sandbox_workspace_write]\nnetwork_access = \"yes\"\n", &["config.toml:2:1"]),
        (b"protected_paths = \"x\"\n", &["config.toml:1:1"]),
        (b"\xEF\xBB\xBFsandbox_mode = \"read-only\"\n", &["config.toml:1:1", "byte order mark"]),
        (b"# \0\n", &["config.toml:1:3"]),
        (b"# \xFF\n", &["config.toml:1:3", "UTF-8"]),
    ];
    for (text, says) in cases {
        std::fs::write(place.path("home/.ringfence/config.toml"), text).expect("written");
        for args in [&["run", "--", "touch", "ran"][..], &["sandbox", "--", "touch", "ran"], &["plan", "--", "true"]] {
            let ran = place.run(args).ends(125);
            for text in *says {
                assert!(ran.err.contains(text), "{args:?}: no `{text}` in\n{}", ran.err);
            }
            assert!(!place.path("ws/ran").exists());
        }
        assert_eq!(place.run(["config", "check"]).status, 1);
    }
    // A key that isn't known is a notice, or an error for who asks for strictness.
    place.settings("sandbox_mod = \"read-only\"\n");
    place.run(["plan", "--", "true"]).ends(0).says("sandbox_mode");
    place.run(["plan", "--strict-config", "--", "true"]).ends(125).says("config.toml:1:1").says("sandbox_mode");
    place.run(["plan", "--ignore-user-config", "--strict-config", "--", "true"]).ends(0);
}

#[test]
fn no_variable_moves_the_systems_directory_or_loosens_anything() {
    if !own_etc("no_variable_moves_the_systems_directory_or_loosens_anything") {
        return;
    }
    let place = Place::new();
    let only = writes("requirements.toml", "allowed_sandbox_modes = [\"read-only\"]\n");
    for assignment in
        ["RINGFENCE_HOME=/nowhere", "RINGFENCE_SYSTEM=/nowhere", "RINGFENCE_SANDBOX=off", "XDG_CONFIG_HOME=/x"]
    {
        let prepare = format!("{only}; export {assignment}");
        with_etc(&place, &prepare, &["run", "-s", "workspace-write", "--", "touch", "ran"])
            .ends(125)
            .says("requirements.toml:1:1");
    }
    assert!(!place.path("ws/ran").exists());
}

#[test]
fn a_preset_that_is_not_allowed_is_rejected_and_not_written() {
    if !own_etc("a_preset_that_is_not_allowed_is_rejected_and_not_written") {
        return;
    }
    let place = Place::new();
    let strict = writes("requirements.toml", "allowed_approval_policies = [\"untrusted\", \"on-request\"]\n");
    with_etc(&place, &strict, &["permissions", "full-access"])
        .ends(125)
        .says("requirements.toml:1:1")
        .says("nothing was written");
    assert!(!place.path("home/.ringfence/config.toml").exists());
    let legacy = writes("managed_config.toml", "approval_policy = \"on-request\"\n");
    with_etc(&place, &legacy, &["permissions", "read-only-ci"]).ends(125).says("managed_config.toml:1:1");
    assert!(!place.path("home/.ringfence/config.toml").exists());
    // What is set now being refused is no reason to refuse something better.
    place.settings("approval_policy = \"never\"\n");
    with_etc(&place, &strict, &["run", "--", "true"]).ends(125);
    with_etc(&place, &strict, &["permissions", "careful"]).ends(0).says("approvals untrusted");
    with_etc(&place, &strict, &["run", "--", "true"]).ends(0);
}

#[test]
fn rules_of_every_layer_count_and_the_strictest_holds() {
    if !own_etc("rules_of_every_layer_count_and_the_strictest_holds") {
        return;
    }
    let place = Place::new();
    let system = "mkdir /etc/ringfence/rules; printf 'prefix_rule([\"touch\"], \"forbidden\", justification=\"by the house\")' \
                  > /etc/ringfence/rules/house.rules";
    place.write("home/.ringfence/rules/default.rules", "prefix_rule([\"touch\"])\nprefix_rule([\"mkdir\"])\n");
    place.write(
        "ws/.ringfence/rules/own.rules",
        "prefix_rule([\"mkdir\"], \"forbidden\", justification=\"by the project\")\nprefix_rule([\"cp\"])\n",
    );
    let run = |args: &[&str]| with_etc(&place, system, &[&["run", "-a", "never", "--"], args].concat());
    run(&["touch", "x"]).ends(126).says("by the house").says("/etc/ringfence/rules/house.rules:1");
    // A project's rules count once it is trusted, and only where they tighten.
    run(&["mkdir", "made"]).ends(0);
    with_etc(&place, system, &["trust"]).ends(0);
    run(&["mkdir", "made2"]).ends(126).says("by the project");
    let listed = with_etc(&place, system, &["rules", "list", "--effective"]).ends(0).out;
    assert!(
        listed.contains("house.rules:1") && listed.contains("own.rules:1") && !listed.contains("\"cp\""),
        "{listed}"
    );
    // Requirements ask where everybody else allows.
    let required = format!(
        "{system}; {}",
        writes(
            "requirements.toml",
            "[rules]\nprefix_rules = [ { pattern = [{ token = \"mv\" }], decision = \"forbidden\", justification = \"no\" } ]\n"
        )
    );
    with_etc(&place, &required, &["run", "--", "mv", "a", "b"]).ends(126).says("requirements.toml:2");
    // A file that can't be loaded fails closed.
    let broken = format!("{system}; echo 'prefix_rule(' > /etc/ringfence/rules/z.rules");
    with_etc(&place, &broken, &["run", "-a", "never", "--", "ls"]).ends(126).says("z.rules");
}
