//! Who answers when no person does: programs, front ends over channels of their own, and nobody that runs under Ringfence.
//! And what is asked about: what git would be made to run, and what is hard to undo.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, Ran, confines, have, program};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A front end that gets requests and gives answers, one document a line.
struct FrontEnd<R, W> {
    requests: R,
    answers: W,
}

impl<R: BufRead, W: Write> FrontEnd<R, W> {
    /// The next request.
    fn request(&mut self) -> Value {
        let mut line = String::new();
        self.requests.read_line(&mut line).expect("a request");
        let request: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(request["schema"], "ringfence.dev/v1/approval-request", "{request}");
        request
    }

    fn answer(&mut self, request: &Value, mut answer: Value) {
        answer["id"] = request["id"].clone();
        answer["schema"] = "ringfence.dev/v1/approval-answer".into();
        writeln!(self.answers, "{answer}").and_then(|()| self.answers.flush()).expect("an answer");
    }
}

/// Two pipes with names, both ends open here, so that starting waits for nobody.
fn pipes(place: &Place) -> (PathBuf, FrontEnd<BufReader<File>, File>) {
    let (answers, requests) = (place.path("home/answers"), place.path("home/requests"));
    for pipe in [&answers, &requests] {
        assert!(Command::new("mkfifo").arg(pipe).status().expect("mkfifo").success());
    }
    let open = |path: &PathBuf| OpenOptions::new().read(true).write(true).open(path).expect("a pipe");
    (place.path("home"), FrontEnd { requests: BufReader::new(open(&requests)), answers: open(&answers) })
}

/// `ringfence ARGS` with the pipes as descriptors 3 and 4.
fn with_pipes(place: &Place, args: &[&str]) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 3<\"$HOME/answers\" 4>\"$HOME/requests\""]).arg(program()).args(args);
    command.current_dir(place.path("ws")).env_clear().env("HOME", place.path("home"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().expect("it ends");
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_front_end_answers_over_descriptors_and_standard_output_stays_the_commands() {
    if !confines("a_front_end_answers_over_descriptors") || !have("a_front_end", "mkfifo") {
        return;
    }
    let place = Place::new();
    let (_, mut front) = pipes(&place);
    let line = "touch made && echo out && (readlink /proc/self/fd/3 /proc/self/fd/4; true)";
    let child =
        with_pipes(&place, &["run", "--json", "-a", "untrusted", "--approve-over", "3,4", "--", "sh", "-c", line]);
    let request = front.request();
    assert!(request["command"].as_str().expect("text").contains("touch made"), "{request}");
    assert_eq!(request["cwd"], place.path("ws").display().to_string());
    assert!(!place.path("ws/made").exists(), "nothing runs before the answer");
    front.answer(&request, json!({"decision": "approve"}));
    let ran = ended(child).ends(0);
    assert_eq!(ran.out, "out\n", "the command's alone, and it has no way to the front end");
    let report: Value = serde_json::from_str(ran.err.lines().last().expect("a report")).expect("JSON");
    assert_eq!(report["verdict"], "run");
    assert!(place.path("ws/made").exists());
    let log = place.run(["log", "--json"]).ends(0).out;
    assert!(log.contains("\"by\":\"front-end\""), "{log}");
}

#[test]
fn ap_06_a_front_end_that_denies_dies_or_guesses_gives_no_yes() {
    if !have("ap_06_a_front_end", "mkfifo") {
        return;
    }
    for (answer, said) in [
        (json!({"decision": "deny", "reason": "use `make`"}), "use `make`"),
        (json!({"decision": "abort"}), "aborted"),
        (json!({"decision": "ask"}), "nobody to ask"),
        (json!({"decision": "approve", "offer": 77}), "offer"),
        (json!({"decision": "yes"}), "isn't an answer"),
    ] {
        let place = Place::new();
        let (_, mut front) = pipes(&place);
        let child = with_pipes(&place, &["run", "-a", "untrusted", "--approve-over", "3,4", "--", "touch", "made"]);
        let request = front.request();
        front.answer(&request, answer.clone());
        ended(child).ends(126).says(said);
        assert!(!place.path("ws/made").exists(), "{answer}");
    }
    let place = Place::new();
    let (_, front) = pipes(&place);
    let args = ["run", "-a", "untrusted", "-c", "approvals.timeout=1s", "--approve-over", "3,4", "--", "touch", "made"];
    ended(with_pipes(&place, &args)).ends(126).says("in time");
    // A yes that was there before the question can't know its name.
    let mut front = front;
    front.answer(&json!({"id": "1"}), json!({"decision": "approve"}));
    ended(with_pipes(&place, &args)).ends(126).says("another question");
    assert!(!place.path("ws/made").exists());
}

#[test]
fn a_socket_is_one_channel_for_both_ways() {
    if !confines("a_socket_is_one_channel") {
        return;
    }
    let place = Place::new();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 3<&0 0</dev/null"]).arg(program());
    command.args(["run", "-a", "untrusted", "--approve-over", "3", "--", "touch", "made"]);
    command.current_dir(place.path("ws")).env("HOME", place.path("home"));
    let child = command.stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs))).spawn().expect("it starts");
    drop(command);
    let mut front = FrontEnd { requests: BufReader::new(ours.try_clone().expect("ours")), answers: ours };
    let request = front.request();
    front.answer(&request, json!({"decision": "approve"}));
    ended(child).ends(0);
    assert!(place.path("ws/made").exists());
}

#[test]
fn over_standard_streams_every_line_is_a_document_and_the_last_is_the_report() {
    if !confines("over_standard_streams") {
        return;
    }
    let place = Place::new();
    let mut command = place.command(["run", "-a", "untrusted", "--approve-over", "stdio", "--"]);
    command.args(["sh", "-c", "read line || echo nothing to read; touch made"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let (stdin, stdout) = (child.stdin.take().expect("stdin"), child.stdout.take().expect("stdout"));
    let mut front = FrontEnd { requests: BufReader::new(stdout), answers: stdin };
    let request = front.request();
    front.answer(&request, json!({"decision": "approve"}));
    let mut rest = String::new();
    front.requests.read_line(&mut rest).expect("the report");
    let report: Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!((&report["schema"], &report["verdict"]), (&json!("ringfence.dev/v1/report"), &json!("run")));
    rest.clear();
    assert_eq!(front.requests.read_line(&mut rest).expect("the end"), 0, "{rest}");
    let ran = ended(child).ends(0);
    assert!(ran.err.contains("nothing to read"), "{}", ran.err);
    assert!(place.path("ws/made").exists());
}

#[test]
fn what_is_no_channel_is_refused_before_anything_runs() {
    let place = Place::new();
    for channel in ["0", "2,3", "99", "3,", "x", "-1", "70000", "3,4,5", ""] {
        let ran = place.run(["run", "-a", "untrusted", "--approve-over", channel, "--", "touch", "made"]).ends(125);
        assert!(ran.err.contains("--approve-over"), "{channel}: {}", ran.err);
    }
    place.run(["run", "--approve-over", "3", "--approve-with", "true", "--", "ls"]).ends(125);
    place.run(["apply", "--approve-over", "stdio"]).ends(125).says("standard input");
    assert!(!place.path("ws/made").exists());
}

/// A reviewing program with this body.
fn reviewer(place: &Place, name: &str, body: &str) -> String {
    place.write(name, &format!("#!/bin/sh\n{body}\n"));
    std::fs::set_permissions(place.path(name), Permissions::from_mode(0o755)).expect("mode");
    place.path(name).display().to_string()
}

const YES: &str = "cat >/dev/null; echo '{\"decision\":\"approve\"}'";

#[test]
fn a_program_named_by_flag_answers() {
    if !confines("a_program_named_by_flag_answers") {
        return;
    }
    let place = Place::new();
    let run = |program: &str| place.run(["run", "-a", "untrusted", "--approve-with", program, "--", "touch", "made"]);
    // The request and the words of the flag reach it.
    let keeps = reviewer(
        &place,
        "out/keeps",
        &format!("cat >{}; echo \"$1\" >&2; echo '{{\"decision\":\"approve\"}}'", place.path("out/request").display()),
    );
    run(&format!("{keeps} --team")).ends(0).says("--team");
    assert!(place.path("ws/made").exists());
    let request: Value = serde_json::from_str(&place.read("out/request")).expect("JSON");
    assert_eq!(request["command"], "touch made");
    std::fs::remove_file(place.path("ws/made")).expect("made");
    run(&reviewer(&place, "out/no", "echo '{\"decision\":\"deny\",\"reason\":\"not today\"}'"))
        .ends(126)
        .says("not today");
    run(&reviewer(&place, "out/dies", "exit 3")).ends(126);
    // One that the agent could have written isn't asked at all.
    run(&reviewer(&place, "ws/yes", YES)).ends(125).says("an agent can write");
    run("./yes").ends(125);
    run("/no/such/program").ends(125);
    assert!(!place.path("ws/made").exists());
}

#[test]
fn ap_04_no_flag_lets_what_runs_inside_answer_itself() {
    if !confines("ap_04_no_flag_lets") {
        return;
    }
    let place = Place::new();
    let yes = reviewer(&place, "out/yes", YES);
    let program = program().display().to_string();
    let outside = place.path("out/made").display().to_string();
    let escalate = format!("{program} run --escalate outside --justification please");
    for (inside, untouched) in [
        (format!("{escalate} --approve-with {yes} -- touch {outside}"), "out/made"),
        (format!("{escalate} --approve-over 3 -- touch {outside} 3<>/dev/null"), "out/made"),
        (
            format!("echo '{{\"decision\":\"approve\"}}' | {escalate} --approve-over stdio -- touch {outside}"),
            "out/made",
        ),
        (format!("{program} run --yolo -- touch {outside}"), "out/made"),
        (
            format!("env -i HOME={} {program} rules add allow -- rm", place.path("home").display()),
            "home/.ringfence/rules/default.rules",
        ),
        (format!("{program} trust"), "home/.ringfence/config.toml"),
        (format!("{program} permissions full-access"), "home/.ringfence/config.toml"),
        (format!("{program} config set sandbox_mode danger-full-access"), "home/.ringfence/config.toml"),
        (
            format!(
                "mkdir -p {h}/rules; echo 'prefix_rule(pattern=[\"rm\"])' >{h}/rules/default.rules",
                h = place.path("home/.ringfence").display()
            ),
            "home/.ringfence/rules/default.rules",
        ),
        (
            format!(
                "mkdir -p {h}/state/sessions; echo '{{}}' >{h}/state/sessions/s1.json",
                h = place.path("home/.ringfence").display()
            ),
            "home/.ringfence/state/sessions/s1.json",
        ),
    ] {
        let ran = place.run(["sandbox", "-s", "workspace-write", "--", "sh", "-c", &inside]);
        assert!(!place.path(untouched).exists(), "{inside}: {}{}", ran.out, ran.err);
    }
    // A command that was let out of the sandbox isn't a person either.
    for inside in [
        format!("{program} rules add allow -- rm"),
        format!("{program} trust"),
        format!("{program} permissions full-access"),
        format!("{program} config set sandbox_mode danger-full-access"),
        format!("{escalate} --approve-with {yes} -- touch {outside}"),
        format!("env -i HOME={} PATH=/usr/bin:/bin {program} rules add allow -- rm", place.path("home").display()),
    ] {
        place.run(["sandbox", "-s", "danger-full-access", "--", "sh", "-c", &inside]).says("runs under Ringfence");
    }
    // Nor under another name: the program is known by the name it gives itself.
    std::os::unix::fs::symlink(&program, place.path("out/rf")).expect("a link");
    std::os::unix::fs::symlink(&program, place.path("out/other")).expect("a link");
    let inside = format!(
        "env -i HOME={} PATH=/usr/bin:/bin {} rules add allow -- rm",
        place.path("home").display(),
        place.path("out/other").display()
    );
    let mut command = Command::new(place.path("out/rf"));
    command.args(["sandbox", "-s", "danger-full-access", "--", "sh", "-c", &inside]);
    command.current_dir(place.path("ws")).env_clear().env("HOME", place.path("home"));
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    Ran::of(&mut command).says("runs under Ringfence");
    for untouched in ["out/made", "home/.ringfence/rules/default.rules", "home/.ringfence/config.toml"] {
        assert!(!place.path(untouched).exists(), "{untouched}");
    }
    // Nor can it write its own past: the journal stays whole.
    place.run(["run", "--", "true"]).ends(0);
    let forge = format!("echo forged >>{}", place.path("home/.ringfence/log/journal.jsonl").display());
    place.run(["run", "--", "sh", "-c", &forge]);
    place.run(["log", "--verify"]).ends(0);
}

/// A repository of its own in `ws`.
fn repository(place: &Place) -> impl Fn(&str) + '_ {
    std::fs::remove_dir_all(place.path("ws/.git")).expect("away with the plain one");
    let git = |line: &str| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]);
        command.args(line.split(' ')).current_dir(place.path("ws")).env("HOME", place.path("home"));
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.output().expect("git runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    git("init -q");
    place.write("ws/a.txt", "one\n");
    git("add a.txt");
    git("commit -q -m first");
    git
}

#[test]
fn cmd_16_git_reads_run_unasked_only_where_nothing_makes_git_run_something() {
    if !confines("cmd_16_git_reads") || !have("cmd_16_git_reads", "git") {
        return;
    }
    let place = Place::new();
    let git = repository(&place);
    let read =
        |line: &str| place.run([&["run", "-a", "untrusted", "--"], &line.split(' ').collect::<Vec<_>>()[..]].concat());
    for line in ["git status", "git log --oneline", "git diff", "git show HEAD", "git rev-parse HEAD"] {
        read(line).ends(0);
    }
    place.write("ws/evil", "#!/bin/sh\ntouch made\n");
    std::fs::set_permissions(place.path("ws/evil"), Permissions::from_mode(0o755)).expect("mode");
    git("config core.fsmonitor ./evil");
    let refused = read("git status").ends(126);
    assert!(refused.err.contains("core.fsmonitor"), "the key is named: {}", refused.err);
    git("config --unset core.fsmonitor");
    place.write("ws/.gitattributes", "* filter=x diff=x\n");
    // A filter runs although fsmonitor and hooks are off; textconv and external diffs by their own keys.
    for (key, line, named) in [
        ("filter.x.clean", "git status", "filter.x.clean"),
        ("diff.external", "git diff", "diff.external"),
        ("diff.x.textconv", "git log -p", "diff.x.textconv"),
        ("alias.log", "git log", "alias.log"),
    ] {
        git(&format!("config {key} ./evil"));
        let refused = read(line).ends(126);
        assert!(refused.err.contains(named), "{line}: {}", refused.err);
        git(&format!("config --unset {key}"));
    }
    // What another file brings in counts, too.
    place.write("ws/more.cfg", "[core]\n\tfsmonitor = ./evil\n");
    git("config include.path ../more.cfg");
    read("git status").ends(126);
    git("config --unset include.path");
    read("git status").ends(0);
    for (key, value, line) in [
        ("log.showSignature", "true", "git log"),
        ("core.sshCommand", "./evil", "git log"),
        ("extensions.partialClone", "o", "git show HEAD"),
    ] {
        git(&format!("config {key} {value}"));
        assert!(read(line).ends(126).err.to_lowercase().contains(&key.to_lowercase()), "{line}");
        git(&format!("config --unset {key}"));
    }
    // A hook that git runs by itself is switched off for a read.
    place.write("ws/.git/hooks/post-index-change", "#!/bin/sh\ntouch made\n");
    std::fs::set_permissions(place.path("ws/.git/hooks/post-index-change"), Permissions::from_mode(0o755))
        .expect("mode");
    place.write("ws/a.txt", "changed, so that the index is refreshed\n");
    read("git status").ends(0);
    assert!(!place.path("ws/made").exists(), "the hook didn't run");
    std::fs::remove_file(place.path("ws/.git/hooks/post-index-change")).expect("the hook");
    // A submodule's own configuration counts, and so does that of a bare repository further down.
    git("init -q sub");
    git("-C sub commit -q --allow-empty -m first");
    git("-c protocol.file.allow=always submodule --quiet add ./sub sub");
    git("-C sub config core.fsmonitor ../evil");
    read("git status").ends(126).says("core.fsmonitor");
    git("-C sub config --unset core.fsmonitor");
    git("init -q --bare bare");
    git("--git-dir=bare config core.fsmonitor ../evil");
    let below = place.path("ws/bare").display().to_string();
    place.run(["run", "-a", "untrusted", "-C", &below, "--", "git", "status"]).ends(126);
    assert!(!place.path("ws/made").exists() && !place.path("ws/bare/made").exists(), "nothing of it ever ran");
    // Configuration from the line, other places, and subcommands that read and write alike.
    for line in [
        "git -c core.fsmonitor=./evil status",
        "git --git-dir=.git status",
        "git -p log",
        "git diff --ext-diff",
        "git log --output=f",
        "git branch -D main",
        "git status -v",
    ] {
        read(line).ends(126);
    }
}

#[test]
fn what_is_hard_to_undo_asks_first() {
    if !confines("what_is_hard_to_undo_asks_first") || !have("what_is_hard_to_undo", "git") {
        return;
    }
    let place = Place::new();
    let git = repository(&place);
    for number in 0..60 {
        place.write(&format!("ws/work/{number}"), "untracked\n");
    }
    git("commit -q --allow-empty -m second");
    place.write("ws/a.txt", "changed, not committed\n");
    let run = |args: &[&str]| place.run([&["run", "-a", "on-request", "--"], args].concat());
    for args in [
        &["rm", "-rf", "work"][..],
        &["rm", "-rf", "."],
        &["bash", "-c", "rm -rf *"],
        &["bash", "-c", "cd work && rm -rf ./*"],
        &["find", "work", "-delete"],
        &["git", "clean", "-fdx"],
        &["git", "reset", "--hard"],
        &["git", "checkout", "--", "."],
        &["git", "push", "--force"],
        &["env", "git", "push", "-f", "origin", "main"],
        &["git", "push", "--mirror"],
    ] {
        let ran = run(args).ends(126);
        assert!(ran.err.contains("nobody to ask"), "{args:?}: {}", ran.err);
    }
    assert_eq!(std::fs::read_dir(place.path("ws/work")).expect("work").count(), 60);
    assert_eq!(place.read("ws/a.txt"), "changed, not committed\n");
    // Few files, what only looks, and what the threshold lets through run unasked.
    run(&["rm", "-rf", "work/1", "work/2"]).ends(0);
    run(&["git", "clean", "-ndx"]).ends(0);
    place.settings("[destructive]\nask_above = 1000\n");
    run(&["rm", "-rf", "work"]).ends(0);
    place.settings("[destructive]\nask_above = 0\n");
    run(&["rm", "a.txt"]).ends(126).says("ask_above");
    // With nobody to ask by policy it runs: the sandbox holds it to the workspace.
    place.run(["run", "-a", "never", "--", "rm", "a.txt"]).ends(0);
}

#[test]
fn a_patch_outside_the_workspace_asks_and_is_written_through_the_sandbox() {
    if !confines("a_patch_outside_the_workspace") {
        return;
    }
    let place = Place::new();
    let yes = reviewer(&place, "home/yes", YES);
    place.write("home/p", "--- /dev/null\n+++ b/sub/deep/new\n@@ -0,0 +1 @@\n+hi\n--- a/.git/config\n+++ b/.git/config\n@@ -1 +1,2 @@\n [core]\n+\tbare = false\n");
    let patch = place.path("home/p").display().to_string();
    place.run(["apply", &patch]).ends(126).says("nobody to ask");
    assert!(!place.path("ws/sub").exists());
    place.run(["apply", "--approve-with", &yes, &patch]).ends(0);
    assert_eq!(place.read("ws/sub/deep/new"), "hi\n");
    assert!(place.read("ws/.git/config").contains("bare = false"), "what was said yes to is written, protected or not");
    place.write("home/q", "--- /dev/null\n+++ b/../out/new\n@@ -0,0 +1 @@\n+hi\n");
    let patch = place.path("home/q").display().to_string();
    place.run(["apply", "-a", "never", &patch]).ends(126);
    place.run(["apply", "-s", "read-only", "--approve-with", &yes, &patch]).ends(0);
    assert_eq!(place.read("out/new"), "hi\n");
    // A private `/tmp` is the commands', not the patch's.
    let file = format!("/tmp/ringfence-test-patch-{}", std::process::id());
    let up = "../".repeat(12);
    place.write("home/t", &format!("--- /dev/null\n+++ b/{up}{}\n@@ -0,0 +1 @@\n+hi\n", &file[1..]));
    let patch = place.path("home/t").display().to_string();
    place.run(["apply", "-c", "private_tmp=true", "--approve-with", &yes, &patch]).ends(0);
    assert_eq!(std::fs::read_to_string(&file).expect("on the host"), "hi\n");
    std::fs::remove_file(&file).expect("written");
    // Half of it doesn't fit: nothing is written, and nothing is left beside.
    place.write(
        "home/r",
        "--- /dev/null\n+++ b/first\n@@ -0,0 +1 @@\n+hi\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-x\n+y\n",
    );
    place.write("ws/a.txt", "other\n");
    place.run(["apply", &place.path("home/r").display().to_string()]).ends(1).says("a.txt");
    assert!(!place.path("ws/first").exists() && place.read("ws/a.txt") == "other\n");
    let log = place.run(["log", "--json"]).ends(0).out;
    assert!(log.contains("\"plan\""), "the plan of the writer is on record: {log}");
}
