//! The command line as a user meets it: exit statuses, streams, messages with their origin.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, Ran, confines};

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
fn a_command_has_the_umask_and_the_processors_that_it_was_started_with() {
    if !confines("a_command_has_the_umask_and_the_processors_that_it_was_started_with") {
        return;
    }
    let place = Place::new();
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let ringfence = common::program().display().to_string();
    let look = "umask; grep Cpus_allowed: /proc/self/status";
    // On whichever processor what is made beside the start ends up.
    for round in 0..12 {
        let mut outside = format!("umask 0{}7; ", round % 8);
        if round % 3 == 1 {
            outside += &format!("taskset -cp {} $$ >/dev/null || exit 3; ", round % all);
        }
        let script = format!("{outside} {look}; exec '{ringfence}' sandbox -- sh -c '{look}'");
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", &script]).current_dir(place.path("ws")).env("HOME", place.path("home"));
        shell.env_remove("RINGFENCE_HOME").stdin(std::process::Stdio::null());
        let ran = Ran::of(&mut shell);
        if ran.status == 3 {
            // `taskset` isn't everywhere.
            continue;
        }
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines.len(), 4, "{}{}", ran.out, ran.err);
        assert_eq!(lines[..2], lines[2..], "round {round}");
    }
}

#[test]
fn not_found_is_127_and_not_executable_126() {
    if !confines("not_found_is_127_and_not_executable_126") {
        return;
    }
    let place = Place::new();
    place.run(["sandbox", "--", "no-such-program-here"]).ends(127).says("ringfence: ");
    place.run(["sandbox", "--env", "PATH=/proc/1/fd:/usr/bin:/bin", "--", "no-such-program-here"]).ends(127);
    place.write("ws/plain", "text\n");
    place.run(["sandbox", "--", "./plain"]).ends(126).says("ringfence: ");
}

#[test]
fn what_a_mount_refuses_is_explained() {
    if !confines("what_a_mount_refuses_is_explained") {
        return;
    }
    let place = Place::new();
    let try_it = |mode: &str, act: &str| place.run(["sandbox", "-s", mode, "--log-denials", "--", "sh", "-c", act]);
    try_it("workspace-write", "echo >.git/index.lock").says("protected-path").says("allow with -c 'git=\"commit\"'");
    try_it("workspace-write", "mkdir /etc/made").says("outside-roots").says("allow with --add-dir /etc ");
    place.write("ws/.git/config", "[core]\n");
    try_it("workspace-write", "rm -f .git/config").ends(1).says("denied: remove ").says("protected-path");
    try_it("workspace-write", "chmod 600 .git/config").says("denied: change the mode ");
    try_it("workspace-write", "touch -d yesterday .git/config").says("denied: change the times ");
    // `run` explains the same, where the same is asked for.
    for act in ["rm -f .git/config", "chmod 600 .git/config"] {
        let run = ["run", "-s", "workspace-write", "--log-denials", "--", "sh", "-c", act];
        place.run(run).says("denied: ").says("protected-path");
    }
    assert_eq!(place.read("ws/.git/config"), "[core]\n");
    let honest = "set -e; for d in . /tmp/$$ /dev/shm/$$; do mkdir -p $d; echo a >$d/f; chmod 640 $d/f; touch -d yesterday $d/f; \
                  ln $d/f $d/g; mv $d/g $d/h; truncate -s 9 $d/h; rm $d/f $d/h; done; rmdir /tmp/$$ /dev/shm/$$";
    let ran = try_it("workspace-write", honest).ends(0);
    assert!(!ran.err.contains("denied"), "{}", ran.err);
    try_it("read-only", "echo >made").says("[flag `--sandbox`]; allow with --sandbox workspace-write ");
    // A grant that would be refused is no grant to name.
    let home = place.path("home");
    let made = format!("allow with --add-dir {}/.cache, once it is there ", home.display());
    try_it("workspace-write", "mkdir ~/.cache").says(&made);
    let broad = format!("allow with -c dangerously_allow_broad_roots=true --add-dir {} ", home.display());
    try_it("workspace-write", "echo >~/made").says(&broad);
}

#[test]
fn what_the_sandbox_alone_refused_is_explained_later() {
    if !confines("what_the_sandbox_alone_refused_is_explained_later") {
        return;
    }
    let place = Place::new();
    let refused = ["sandbox", "-s", "workspace-write", "--log-denials", "--", "sh", "-c", "mkdir .codex"];
    place.run(["sandbox", "-s", "workspace-write", "--", "true"]).ends(0);
    assert!(!place.path("home/.ringfence/log").exists(), "what was refused nothing leaves no trace");
    let ran = place.run(refused).says("protected-path");
    let id = ran.err.lines().last().and_then(|line| line.rsplit_once('(')).expect("an id").1.trim_end_matches(')');
    for words in [vec!["why", id], vec!["why"]] {
        let why = place.run(words).ends(0).out;
        assert!(why.contains("create a directory") && why.contains("sh -c 'mkdir .codex'"), "{why}");
    }
    assert!(place.run(["log", "--denied"]).ends(0).out.contains(id));
    place.run(["log", "--verify"]).ends(0);
    place.settings("[history]\npersistence = \"none\"\n");
    for command in ["sandbox", "run"] {
        let mut words = refused;
        words[0] = command;
        let ran = place.run(words).says("protected-path");
        assert!(!ran.err.contains("  ("), "a name that nothing is known by: {}", ran.err);
    }
}

/// What is protected is so by every mount that shows it, and so is what can't be read.
#[test]
fn fs_08_other_mounts_of_a_protected_or_denied_place_are_no_way_in() {
    let test = "fs_08_other_mounts_of_a_protected_or_denied_place_are_no_way_in";
    if !confines(test) {
        return;
    }
    let place = Place::new();
    for name in ["alias", "hooks", "copy/x", "seen"] {
        std::fs::create_dir_all(place.path(&format!("ws/{name}"))).expect("a directory");
    }
    place.write("home/secret/key", "s3cret\n");
    let script = format!(
        "set -e; mount --bind .git alias; mount --bind .git/hooks hooks; mount --bind {ws} copy; mount --bind {home}/secret seen; \
         for tier in namespaces bwrap landlock; do \"$0\" sandbox -s workspace-write -c linux.backend=$tier \
         -c 'deny_read=[\"{home}/secret\"]' -- true 2>/dev/null || {{ echo SKIPPED $tier; continue; }}; \
         \"$0\" sandbox -s workspace-write -c linux.backend=$tier -c 'deny_read=[\"{home}/secret\"]' -- sh -c '\
         for p in alias/config alias/hooks/new hooks/new copy/.git/config copy/.codex; do echo evil >>$p && echo GOT-THROUGH $p; done; \
         mkdir copy/.agents && echo GOT-THROUGH .agents; cat seen/key; echo honest >copy/$0 && cat copy/$0' $tier; echo ran $tier; done",
        ws = place.path("ws").display(),
        home = place.path("home").display(),
    );
    let map = if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        "-m"
    } else {
        "-Urm"
    };
    let model = place.command(["sandbox"]);
    let mut command = std::process::Command::new("unshare");
    command.args([map, "--propagation", "private", "sh", "-c", &script]).arg(common::program());
    command.current_dir(place.path("ws")).env_clear();
    command.envs(model.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::of(&mut command);
    if ran.status != 0 && !ran.out.contains("ran ") {
        common::skip(test, &format!("no mounts can be made here: {}", ran.err.lines().next().unwrap_or_default()));
        return;
    }
    assert!(
        ran.out.contains("honest") && !ran.out.contains("GOT-THROUGH") && !ran.out.contains("s3cret"),
        "{}",
        ran.out
    );
    assert_eq!(place.read("ws/.git/config"), "[core]\n\trepositoryformatversion = 0\n");
    assert!(!place.path("ws/.git/hooks/new").exists() && !place.path("ws/.codex").exists());
}

/// Where a link or git's configuration leads to what isn't there, a command still runs, and doesn't make it.
#[test]
fn fs_22_what_is_missing_where_a_link_or_git_leads_is_not_made() {
    let test = "fs_22_what_is_missing_where_a_link_or_git_leads_is_not_made";
    if !confines(test) {
        return;
    }
    let place = Place::new();
    place.write("ws/.git/config", "[core]\n\thooksPath = .husky\n[include]\n\tpath = ../team/git.cfg\n");
    for (link, to) in [(".envrc", "env.sh"), (".codex", "agents/codex"), (".mcp.json", "gone/../servers.json")] {
        std::os::unix::fs::symlink(to, place.path("ws").join(link)).expect("a link");
    }
    for tier in tiers(&place, test) {
        let backend = format!("linux.backend={tier}");
        let script = "for d in .husky agents/codex gone; do mkdir -p $d && echo GOT-THROUGH $d; done
            mkdir -p team; for f in env.sh team/git.cfg; do echo evil >$f && echo GOT-THROUGH $f; done
            mkdir -p x/codex && mv x agents2 && rmdir agents && mv agents2 agents && echo GOT-THROUGH moved
            mkdir -p agents && echo honest >agents/other && cat agents/other";
        let ran = place.run(["sandbox", "-s", "workspace-write", "-c", &backend, "--", "sh", "-c", script]);
        assert!(ran.out.contains("honest") && !ran.out.contains("GOT-THROUGH"), "{tier}: {} {}", ran.out, ran.err);
        for name in [".husky", "env.sh", "team/git.cfg", "agents/codex", "servers.json", "gone"] {
            assert!(!place.path("ws").join(name).exists(), "{tier}: {name}");
        }
        std::fs::remove_dir_all(place.path("ws/agents")).expect("what was made");
    }
}

/// The tiers that work here, for tests that run in each.
fn tiers(place: &Place, test: &str) -> Vec<&'static str> {
    let works = |tier: &&str| {
        let ran = place.run(["sandbox", "-c", &format!("linux.backend={tier}"), "--", "true"]);
        if ran.status != 0 {
            common::skip(test, &format!("the `{tier}` tier doesn't work here"));
        }
        ran.status == 0
    };
    ["namespaces", "bwrap", "landlock"].into_iter().filter(works).collect()
}

/// Nothing that Ringfence starts outside is found where a command could have put it, and its environment is its own.
#[test]
fn proc_10_and_14_no_helper_is_found_by_path() {
    let place = Place::new();
    for name in ["bwrap", "git", "sh", "unshare", "ls", "true", "newuidmap", "ip", "nft", "mount"] {
        let text = format!("#!/bin/sh\necho {name} >>{}\n", place.path("out/ran").display());
        place.write(&format!("ws/bin/{name}"), &text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path(&format!("ws/bin/{name}")), mode).expect("executable");
    }
    place.write("ws/evil.so", "not a library\n");
    let outside = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("PATH", format!("{}:/usr/bin:/bin", place.path("ws/bin").display()));
        command.env("GIT_DIR", place.path("ws/bin")).env("BASH_ENV", place.path("ws/bin/git"));
        let ran = Ran::of(&mut command);
        assert!(!place.path("out/ran").exists(), "{words:?} ran {}: {}", place.read("out/ran"), ran.err);
    };
    for words in [
        vec!["status"],
        vec!["doctor"],
        vec!["plan"],
        vec!["explain", "--", "git", "status"],
        vec!["run", "-a", "untrusted", "--", "git", "status"],
        vec!["prove", "--only", "devices"],
    ] {
        outside(&words);
    }
    for tier in tiers(&place, "proc_10_and_14_no_helper_is_found_by_path") {
        outside(&["sandbox", "-c", &format!("linux.backend={tier}"), "--", "/bin/true"]);
    }
}

/// What people call directories, variables and programs is data to every helper.
#[test]
fn proc_15_names_never_become_options() {
    let place = Place::new();
    for odd in ["--bind", "-x=y", "--ro-bind / a", "new\nline=", "a=b:c,d"] {
        std::fs::create_dir_all(place.path(&format!("ws/{odd}/more"))).expect("a directory");
        place.write(&format!("ws/{odd}/--dev"), "#!/bin/sh\nprintf %s \"$ODD\" >made; printf %s \"$1\" >more/arg\n");
        let program = place.path(&format!("ws/{odd}/--dev"));
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        for tier in tiers(&place, "proc_15_names_never_become_options") {
            let (backend, variable) = (format!("linux.backend={tier}"), format!("ODD={odd}"));
            let words = [
                "sandbox",
                "-s",
                "workspace-write",
                "-c",
                &backend,
                "--env",
                &variable,
                "-C",
                &format!("./{odd}"),
                "--",
            ];
            let ran = place.run(words.into_iter().chain(["./--dev", odd]));
            assert_eq!(ran.status, 0, "{tier}: {odd:?}: {}", ran.err);
            for made in ["made", "more/arg"] {
                assert_eq!(place.read(&format!("ws/{odd}/{made}")), odd, "{tier}");
                std::fs::remove_file(place.path(&format!("ws/{odd}/{made}"))).expect("it was made");
            }
        }
    }
}

#[test]
fn a_mistyped_option_is_not_run_as_a_command() {
    let place = Place::new();
    for command in ["sandbox", "run", "explain", "plan"] {
        place.run([command, "--sandbx", "read-only", "--", "true"]).ends(125).says("'--sandbox'");
    }
    place.run(["sandbox", "--keep-backgroun", "--", "true"]).ends(125).says("'--keep-background'");
    place.run(["rules", "add", "--justificatio", "x", "prompt", "ls"]).ends(125).says("'--justification'");
    if confines("a_mistyped_option_is_not_run_as_a_command") {
        place.run(["sandbox", "--", "--keep-backgroun", "true"]).ends(127).says("`--keep-backgroun`");
        place.write("ws/-odd", "#!/bin/sh\necho odd $1\n");
        let path = place.path("ws/-odd");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
        let mut command = place.command(["sandbox", "--", "-odd", "-x"]);
        let ran = Ran::of(command.env("PATH", format!("{}:/usr/bin:/bin", place.path("ws").display()))).ends(0);
        assert_eq!(ran.out, "odd -x\n");
    }
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
    let ran = place.run(["sandbox", "--add-dir", "/does/not/exist", "--ignore-user-config", "--", "true"]).ends(125);
    assert!(!ran.err.contains("left out"), "{}", ran.err);
    place
        .run(["sandbox", "-s", "read-only", "--add-dir", ".", "--ignore-user-config", "--", "true"])
        .says("nothing is")
        .says("flag `--add-dir`");
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

#[test]
fn run_decides_records_and_explains() {
    if !confines("run_decides_records_and_explains") {
        return;
    }
    let place = Place::new();
    place.write(
        "home/.ringfence/rules/mine.rules",
        "prefix_rule(pattern=[\"touch\"], decision=\"forbidden\", justification=\"no new files\")\n",
    );
    place.run(["run", "--", "echo", "hi"]).ends(0);
    let refused = place.run(["run", "--", "touch", "x"]).ends(126).says("no new files").says("mine.rules:1");
    assert!(!place.path("ws/x").exists(), "{}", refused.err);
    let ran = place.run(["run", "--json", "--", "touch", "x"]).ends(126);
    let report: serde_json::Value = serde_json::from_str(&ran.err).expect("a report");
    assert_eq!(report["verdict"], "refuse");
    assert!(report["exit"].is_null());
    let explained = place.run(["explain", "--json", "--", "touch", "x"]).ends(0).out;
    let document: serde_json::Value = serde_json::from_str(&explained).expect("a document");
    assert_eq!(document["schema"], "ringfence.dev/v1/explain");
    let log = place.run(["log"]).ends(0).out;
    assert!(log.contains("echo hi") && log.contains("touch x"), "{log}");
    place.run(["log", "--verify"]).ends(0);
}

#[test]
fn with_nobody_to_ask_a_question_is_a_refusal() {
    let place = Place::new();
    place.run(["run", "-a", "untrusted", "--", "touch", "x"]).ends(126).says("nobody to ask");
    place.run(["run", "--escalate", "outside", "--justification", "x", "--", "ls"]).ends(126);
    place.run(["run", "--escalate", "moon", "--justification", "x", "--", "ls"]).ends(125).says("--escalate");
}

#[test]
fn a_denial_is_explained_afterwards() {
    if !confines("a_denial_is_explained_afterwards") {
        return;
    }
    let place = Place::new();
    let ran = place.run(["run", "--log-denials", "--", "sh", "-c", "mkdir .codex; exit 0"]).ends(0);
    if !ran.err.contains("denied:") {
        common::skip("a_denial_is_explained_afterwards", "this host's tier leaves no evidence of a refused name");
        return;
    }
    assert!(ran.err.contains("protected-path"), "{}", ran.err);
    let why = place.run(["why"]).ends(0).out;
    assert!(why.contains("protected-path") && why.contains("allow with"), "{why}");
}

#[test]
fn settings_are_seen_and_changed() {
    let place = Place::new();
    place.settings("# mine\nsandbox_mode = \"read-only\"  # for now\n");
    place.run(["config", "set", "git", "commit"]).ends(0);
    let text = place.read("home/.ringfence/config.toml");
    assert!(text.contains("# mine") && text.contains("# for now") && text.contains("git = \"commit\""), "{text}");
    assert_eq!(place.run(["config", "get", "git"]).ends(0).out, "commit\n");
    assert!(place.run(["config", "show"]).ends(0).out.contains("config.toml:2:1"));
    place.run(["config", "unset", "git"]).ends(0);
    assert_eq!(place.run(["config", "get", "git"]).ends(0).out, "read-only\n");
    place.write("ws/requirements.toml", "allowed_sandbox_modes = [\"workspace-write\"]\n");
    let ran = place.run(["config", "check", "requirements.toml"]).ends(1);
    assert!(ran.out.contains("read-only"), "{}", ran.out);
    let schema: serde_json::Value = serde_json::from_str(&place.run(["config", "schema"]).ends(0).out).expect("JSON");
    assert!(schema["properties"]["sandbox_mode"].is_object());
}

#[test]
fn nothing_that_runs_inside_changes_policy() {
    if !confines("nothing_that_runs_inside_changes_policy") {
        return;
    }
    let place = Place::new();
    let program = common::program().display().to_string();
    for args in
        ["config set sandbox_mode danger-full-access", "rules add allow -- rm", "trust", "permissions full-access"]
    {
        let ran = place.run(["sandbox", "-s", "workspace-write", "--", "sh", "-c", &format!("{program} {args}")]);
        assert_ne!(ran.status, 0, "{args}: {}{}", ran.out, ran.err);
    }
    assert!(!place.path("home/.ringfence/config.toml").exists());
    assert!(!place.path("home/.ringfence/rules/default.rules").exists());
}

#[test]
fn rules_are_judged_as_json_and_changed_by_hand() {
    let place = Place::new();
    place.run(["rules", "add", "prompt", "--justification", "leaves", "--", "git", "push"]).ends(0);
    let file = place.path("home/.ringfence/rules/default.rules").display().to_string();
    let json = place.run(["rules", "check", "--rules", &file, "git", "push", "x"]).ends(0).out;
    assert_eq!(
        json,
        "{\"matchedRules\":[{\"prefixRuleMatch\":{\"matchedPrefix\":[\"git\",\"push\"],\"decision\":\"prompt\",\"justification\":\"leaves\"}}],\"decision\":\"prompt\"}\n"
    );
    assert_eq!(place.run(["execpolicy", "check", "--rules", &file, "ls"]).ends(0).out, "{\"matchedRules\":[]}\n");
    place.write("ws/bad.rules", "prefix_rule(pattern=[])\n");
    place.run(["rules", "check", "--rules", "bad.rules", "ls"]).ends(1).says("bad.rules:1");
    place.run(["rules", "remove", "prompt", "--", "git", "push"]).ends(0);
    assert_eq!(place.read("home/.ringfence/rules/default.rules").trim(), "");
}

#[test]
fn a_patch_is_applied_whole_or_not() {
    if !confines("a_patch_is_applied_whole_or_not") {
        return;
    }
    let place = Place::new();
    place.write("ws/a.txt", "one\ntwo\n");
    place.write("out/p", "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n");
    let patch = place.path("out/p").display().to_string();
    place.run(["apply", "--check", &patch]).ends(0);
    assert_eq!(place.read("ws/a.txt"), "one\ntwo\n");
    place.run(["apply", &patch]).ends(0);
    assert_eq!(place.read("ws/a.txt"), "one\nthree\n");
    place.run(["apply", &patch]).ends(1);
    place.write("out/q", "--- /dev/null\n+++ b/.git/hooks/pre-commit\n@@ -0,0 +1 @@\n+x\n");
    let patch = place.path("out/q").display().to_string();
    place.run(["apply", &patch]).ends(126);
    assert!(!place.path("ws/.git/hooks/pre-commit").exists());
}

#[test]
fn the_limit_that_ended_a_command_is_named() {
    if !confines("the_limit_that_ended_a_command_is_named") {
        return;
    }
    let place = Place::new();
    let limited = |limit: &str, script: &str| {
        place.run(["sandbox", "-s", "workspace-write", "-c", limit, "--report", "../report", "--", "sh", "-c", script])
    };
    let ran = limited("limits.output=\"10KB\"", "yes")
        .ends(137)
        .says("the limit on output ended the command (`limits.output`)");
    assert_eq!(ran.out.len(), 10_000);
    assert!(place.read("report").contains("\"limit\": \"output\""), "{}", place.read("report"));
    limited("limits.file_size=\"4KiB\"", "head -c 9000 /dev/zero > big").ends(153).says("`limits.file_size`");
    limited("limits.cpu_time=\"1s\"", "while :; do :; done").ends(152).says("`limits.cpu_time`");
    limited("limits.wall_clock=\"300ms\"", "sleep 20").ends(124).says("`limits.wall_clock`");
    let denied = [
        "sandbox",
        "-c",
        "limits.processes=12",
        "--log-denials",
        "--",
        "sh",
        "-c",
        "for i in $(seq 30); do sleep 2 & done",
    ];
    place.run(denied).says("start a process more than 12: limits.processes").says("-c limits.processes=24");
}

#[test]
fn a_preset_is_set_for_the_project_it_is_set_in() {
    let place = Place::new();
    place.settings("# mine\napproval_policy = \"on-request\"\n");
    std::fs::create_dir_all(place.path("other/.git")).expect("another project");
    let elsewhere = place.path("other").display().to_string();
    place.run(["permissions", "careful"]).ends(0).says("approvals untrusted");
    assert!(place.run(["permissions"]).ends(0).out.contains("* careful"));
    assert!(place.run(["permissions", "-C", &elsewhere]).ends(0).out.contains("* auto"));
    let text = place.read("home/.ringfence/config.toml");
    assert!(text.starts_with("# mine\napproval_policy = \"on-request\"\n\n[projects.\""), "{text}");
    // From below the project's root, its root's entry is meant.
    std::fs::create_dir_all(place.path("ws/deep/er")).expect("a directory");
    place.run(["permissions", "read-only", "-C", "deep/er"]).ends(0).says("sandbox read-only");
    assert!(place.run(["status"]).ends(0).out.contains("read-only"));
    place.run(["permissions", "--forget"]).ends(0).says("sandbox workspace-write");
    let text = place.read("home/.ringfence/config.toml");
    assert_eq!(text.trim_end(), "# mine\napproval_policy = \"on-request\"", "nothing is left behind");
    assert!(place.run(["permissions"]).ends(0).out.contains("* auto"));
    place.run(["permissions", "read-only-ci", "--everywhere"]).ends(0);
    assert!(place.run(["permissions", "-C", &elsewhere]).ends(0).out.contains("* read-only-ci"));
    place.run(["permissions", "fulll"]).ends(125).says("there is no preset `fulll`").says("`full-access`");
    place.run(["permissions", "--everywhere"]).ends(125);
    place.run(["permissions", "auto", "--forget"]).ends(125);
}

#[test]
fn cf_08_rules_and_settings_written_at_once_are_all_kept() {
    let place = Place::new();
    // A link, as managers of dotfiles make them, stays one.
    place.write("home/dots/default.rules", "# mine\n");
    std::fs::create_dir_all(place.path("home/.ringfence/rules")).expect("a directory");
    let link = place.path("home/.ringfence/rules/default.rules");
    std::os::unix::fs::symlink(place.path("home/dots/default.rules"), &link).expect("a link");
    let writers: Vec<_> = (0..8)
        .flat_map(|number| {
            let (tool, key) = (format!("tool{number}"), format!("limits.{}", ["memory", "file_size"][number % 2]));
            let rule = place.command(["rules", "add", "allow", "--", &tool]).spawn().expect("it starts");
            let value = format!("{}MiB", number + 1);
            [rule, place.command(["config", "set", &key, &value]).spawn().expect("it starts")]
        })
        .collect();
    for writer in writers {
        assert!(writer.wait_with_output().expect("it ends").status.success());
    }
    let rules = place.read("home/dots/default.rules");
    assert!(
        rules.starts_with("# mine\n") && (0..8).all(|number| rules.contains(&format!("\"tool{number}\""))),
        "{rules}"
    );
    assert!(link.symlink_metadata().expect("it is there").is_symlink());
    let settings = place.read("home/.ringfence/config.toml");
    assert!(settings.contains("memory = ") && settings.contains("file_size = "), "{settings}");
    place.run(["rules", "add", "allow", "--", "tool3"]).ends(0).says("nothing to change");
}

#[test]
fn what_is_checked_is_what_a_start_reads() {
    let place = Place::new();
    place.settings("project_root_markers = [\"Root\"]\n");
    std::fs::create_dir_all(place.path("Root")).expect("a marker");
    place.write(".ringfence/config.toml", "sandbox_mode = 3\n");
    let ran = place.run(["config", "check"]).ends(1);
    assert!(ran.out.contains(".ringfence/config.toml:1:1"), "{}", ran.out);
    // Markers that can't be read are the default's: the repository is the project.
    place.settings("project_root_markers = [\n");
    let ran = place.run(["config", "check"]).ends(1);
    assert!(!ran.out.contains("sandbox_mode"), "{}", ran.out);
}

#[test]
fn a_rule_that_allows_everything_says_so() {
    let place = Place::new();
    for rule in ["python3", "bash -c", "sudo", "npx", "env"] {
        let args = format!("rules add allow -- {rule}");
        place.run(args.split(' ')).ends(0).says("allows everything").says(&format!("rules remove allow -- {rule}"));
    }
    for args in ["rules add allow -- git push", "rules add forbidden -- python3"] {
        assert!(!place.run(args.split(' ')).ends(0).err.contains("note:"), "{args}");
    }
    assert!(place.run(["rules", "test"]).ends(0).out.contains("no rule of 7 has an example"));
}

#[test]
fn fs_16_a_report_goes_where_it_was_named_whatever_the_command_does() {
    if !confines("fs_16_a_report") {
        return;
    }
    let place = Place::new();
    for command in ["run", "sandbox"] {
        let swap = "rm r.json; ln -s ../out/keep r.json";
        place.run([command, "-s", "workspace-write", "--report", "r.json", "--", "sh", "-c", swap]).ends(0);
        assert_eq!(place.read("out/keep"), "a canary\n", "{command}: no link of the command's is followed");
        std::fs::remove_file(place.path("ws/r.json")).expect("the link");
        // Nor one that an earlier command left.
        place
            .run([command, "-s", "workspace-write", "--", "sh", "-c", "ln -s ../out/keep r.json; ln -s ../out to"])
            .ends(0);
        for name in ["r.json", "to/keep", "to/new"] {
            let linked = [command, "-s", "workspace-write", "--report", name, "--", "touch", "made"];
            place.run(linked).ends(125).says("is no plain file").says("--report");
        }
        assert_eq!(place.read("out/keep"), "a canary\n", "{command}: no link of an earlier command is followed");
        assert!(!place.path("out/new").exists() && !place.path("ws/made").exists(), "{command}");
        for name in ["r.json", "to"] {
            std::fs::remove_file(place.path("ws").join(name)).expect("the link");
        }
        place.run([command, "-s", "workspace-write", "--", "mkfifo", "r.json"]).ends(0);
        place
            .run([command, "-s", "workspace-write", "--report", "r.json", "--", "true"])
            .ends(125)
            .says("no plain file");
        std::fs::remove_file(place.path("ws/r.json")).expect("the pipe");
        let printed = place.run([command, "-s", "workspace-write", "--report", "/dev/stdout", "--", "true"]).ends(0);
        assert!(printed.out.contains("schema"), "{command}: {}", printed.out);
        let unwritable = [command, "-s", "workspace-write", "--report", "no/r.json", "--", "touch", "made"];
        place.run(unwritable).ends(125).says("the report can't be written to no/r.json").says("--report");
        assert!(!place.path("ws/made").exists(), "{command}: nothing ran");
    }
}

#[test]
fn what_cannot_be_printed_or_read_is_said_at_once() {
    let place = Place::new();
    let full = |args: &[&str]| {
        let file = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        Ran::of(place.command(args).stdout(file))
    };
    full(&["config", "show", "--all"]).ends(125).says("standard output can't be written");
    full(&["config", "schema"]).ends(125);
    // A reader that went away is none of that.
    let mut command = place.command(["config", "schema"]);
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    Ran::of(command.stdout(write)).ends(0);
    // A pipe in a file's place holds nobody up.
    let made = std::process::Command::new("mkfifo").arg(place.path("home/.ringfence/config.toml")).status();
    if !made.is_ok_and(|status| status.success()) {
        common::skip("what_cannot_be_read", "`mkfifo` isn't installed");
        return;
    }
    for args in [&["status"][..], &["config", "set", "git", "commit"], &["permissions", "auto"]] {
        place.run(args).ends(125).says("not a regular file");
    }
}

#[test]
fn the_journal_is_followed_filtered_and_left_when_nobody_reads() {
    use std::io::BufRead as _;
    if !confines("the_journal_is_followed") {
        return;
    }
    let place = Place::new();
    place.write("home/.ringfence/rules/x.rules", "prefix_rule([\"touch\"], \"forbidden\")\n");
    place.run(["run", "--", "echo", "before"]).ends(0);
    place.run(["run", "--", "touch", "x"]).ends(126);
    let denied = place.run(["log", "--denied"]).ends(0).out;
    assert!(denied.contains("touch x") && !denied.contains("echo before"), "{denied}");
    let mut command = place.command(["log", "--follow", "--json", "-n", "1"]);
    let mut following = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut lines = std::io::BufReader::new(following.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("the last event so far");
    place.run(["run", "--", "echo", "after"]).ends(0);
    while !line.contains("after") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).expect("further events"), 0, "it goes on");
    }
    drop(lines);
    let begun = std::time::Instant::now();
    while following.try_wait().expect("waited for").is_none() {
        place.run(["run", "--", "true"]).ends(0);
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it ends when nobody reads");
    }
}
