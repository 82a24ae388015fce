//! The question on a real terminal: transcripts of what a person sees for each answer, and what an attacker would rather
//! have them see. The transcripts are the files in `snapshots`.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use common::{Place, confines, have};
use insta::assert_snapshot;
use std::time::{Duration, Instant};
use terminal::{Setup, Terminal};

/// The last line of a question.
const END: &str = "└─";

const ASK: &[&str] = &["run", "-a", "untrusted", "--"];

/// `ringfence run -a untrusted -- ARGS` on a terminal, as far as its question.
fn asked(place: &Place, args: &[&str]) -> Terminal {
    let mut terminal = Terminal::ringfence(place, &Setup::default(), &[ASK, args].concat());
    terminal.until(END, 1);
    terminal
}

/// A place whose project is trusted: its own question comes in a test of its own.
fn place() -> Place {
    let place = Place::new();
    let root = place.path("ws").display().to_string();
    place.settings(&format!("[projects.\"{root}\"]\ntrust_level = \"trusted\"\n"));
    place
}

fn possible(test: &str) -> bool {
    have(test, "script") && have(test, "stty")
}

#[test]
fn yes_holds_once() {
    if !possible("yes_holds_once") || !confines("yes_holds_once") {
        return;
    }
    let place = place();
    for _ in 0..2 {
        let mut terminal = asked(&place, &["touch", "made"]);
        assert!(!place.path("ws/made").exists(), "nothing runs before the answer");
        assert_eq!(terminal.keys("y").ends(), 0, "{}", terminal.shown());
        assert_snapshot!("once", terminal.shown());
        std::fs::remove_file(place.path("ws/made")).expect("it was made");
    }
}

#[test]
fn a_session_answer_is_shown_in_full_and_holds_for_what_it_said() {
    if !possible("a_session_answer") || !confines("a_session_answer") {
        return;
    }
    let place = place();
    let ask = |args: &[&str]| {
        let all = [&["run", "--session", "s1", "-a", "untrusted", "--"], args].concat();
        Terminal::ringfence(&place, &Setup::default(), &all)
    };
    let mut terminal = ask(&["mkdir", "-p", "a"]);
    terminal.until(END, 1).keys("s").until("which?", 1).keys("1");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert_snapshot!("session-exact", terminal.shown());
    // The same is not asked about again, other words are; the prefix is wider, and only as wide as it says.
    assert_eq!(ask(&["mkdir", "-p", "a"]).ends(), 0);
    let mut terminal = ask(&["mkdir", "-p", "b"]);
    terminal.until(END, 1).keys("s").until("which?", 1).keys("2");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert_snapshot!("session-prefix", terminal.shown());
    assert_eq!(ask(&["mkdir", "-p", "b", "c"]).ends(), 0);
    let mut terminal = ask(&["touch", "d"]);
    assert_eq!(terminal.until(END, 1).keys("n").ends(), 126);
    // Another session knows nothing of it.
    assert_eq!(asked(&place, &["mkdir", "-p", "e"]).keys("n").ends(), 126);
}

#[test]
fn always_writes_a_rule_that_the_next_start_obeys() {
    if !possible("always_writes_a_rule") || !confines("always_writes_a_rule") {
        return;
    }
    let place = place();
    let mut terminal = asked(&place, &["mkdir", "-p", "a"]);
    assert_eq!(terminal.keys("a").ends(), 0, "{}", terminal.shown());
    assert_snapshot!("always", terminal.shown());
    let rules = place.read("home/.ringfence/rules/default.rules");
    assert_eq!(rules, "prefix_rule(pattern=[\"mkdir\", \"-p\", \"a\"], decision=\"allow\")\n");
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &[ASK, &["mkdir", "-p", "a", "b"]].concat());
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    // What could run anything is never offered for always.
    let mut terminal = asked(&place, &["bash", "-c", "touch $(echo x)"]);
    terminal.keys("a").until("not offered", 1).keys("n");
    assert_eq!(terminal.ends(), 126);
    assert_eq!(place.read("home/.ringfence/rules/default.rules"), rules);
}

#[test]
fn no_with_and_without_words_and_abort() {
    if !possible("no_with_and_without_words") {
        return;
    }
    let place = place();
    let mut terminal = asked(&place, &["touch", "made"]);
    assert_eq!(terminal.keys("n").ends(), 126);
    assert_snapshot!("no", terminal.shown());
    let mut terminal = asked(&place, &["touch", "made"]);
    terminal.keys("e").until("what to do instead", 2).keys("write it with \u{1b}[1mapply\n");
    assert_eq!(terminal.ends(), 126);
    assert_snapshot!("no-and-say", terminal.shown());
    let mut terminal = asked(&place, &["touch", "made"]);
    assert_eq!(terminal.keys("q").ends(), 126);
    assert_snapshot!("abort", terminal.shown());
    assert!(!place.path("ws/made").exists());
}

#[test]
fn a_new_project_is_asked_about_once_and_a_change_of_its_settings_again() {
    if !possible("a_new_project_is_asked_about_once") || !confines("a_new_project_is_asked_about_once") {
        return;
    }
    let place = Place::new();
    place.write("ws/.ringfence/rules/own.rules", "prefix_rule(pattern=[\"mkdir\"], decision=\"forbidden\")\n");
    let start = |args: &[&str]| Terminal::ringfence(&place, &Setup::default(), &[&["run", "--"], args].concat());
    // Later is no answer; Enter isn't either.
    let mut terminal = start(&["touch", "made"]);
    assert_eq!(terminal.until(END, 1).keys("\r").keys("l").ends(), 0, "{}", terminal.shown());
    assert_snapshot!("trust", terminal.shown());
    assert_eq!(start(&["touch", "made"]).until(END, 1).keys("q").ends(), 126);
    // Without a terminal nobody is asked, and the project's rules don't count.
    place.run(["run", "--", "mkdir", "a"]).ends(0);
    let mut terminal = start(&["mkdir", "b"]);
    assert_eq!(terminal.until(END, 1).keys("y").ends(), 126, "its rules count now: {}", terminal.shown());
    assert!(place.read("home/.ringfence/config.toml").contains("trust_level = \"trusted\""));
    let mut terminal = start(&["touch", "made"]);
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.shown().contains("ringfence asks"), "asked once: {}", terminal.shown());
    // What was trusted is what was there.
    place.write("ws/.ringfence/rules/own.rules", "\n");
    place.run(["run", "--", "touch", "made"]).ends(0).says("changed since you trusted them");
    let mut terminal = start(&["mkdir", "c"]);
    assert_eq!(terminal.until(END, 1).keys("y").ends(), 0, "{}", terminal.shown());
    assert_snapshot!("trust-changed", terminal.shown());
    place.write("ws/.ringfence/config.toml", "sandbox_mode = \"read-only\"\n");
    place.run(["trust"]).ends(0);
    let ran = place.run(["run", "--", "true"]).ends(0);
    assert!(!ran.err.contains("changed since"), "{}", ran.err);
    // No, and it can only read.
    let place = Place::new();
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["run", "--", "touch", "made"]);
    terminal.until(END, 1).keys("n").until(END, 2).keys("n");
    assert_eq!(terminal.ends(), 126, "{}", terminal.shown());
    assert!(place.read("home/.ringfence/config.toml").contains("untrusted"));
}

#[test]
fn ap_01_what_deceives_is_made_visible() {
    if !possible("ap_01_what_deceives") {
        return;
    }
    let place = place();
    let hidden = "a\u{1b}[2J\u{1b}]0;title\u{7}b\r└─\n┌─ ringfence asks\u{202e}cba\u{200b}\u{ad}";
    let mut terminal = Terminal::ringfence(
        &place,
        &Setup::default(),
        &["run", "--escalate", "outside", "--justification", "fine\n│ y      yes\u{1b}[1A", "--", "\u{455}udo", hidden],
    );
    terminal.until("no, and stop the run", 1).until(END, 1);
    assert_eq!(terminal.keys("n").ends(), 126);
    let shown = terminal.shown();
    assert!(!shown.contains("<1b>") && !shown.contains("<07>"), "{shown}");
    assert_snapshot!("deceptive", shown);
}

#[test]
fn ap_01_the_tail_of_a_long_command_is_never_hidden() {
    if !possible("ap_01_the_tail") {
        return;
    }
    let place = place();
    let padding = format!("true{}; {}", " ".repeat(6_000), "true; ".repeat(300));
    let setup = Setup { rows: 24, columns: 80, ..Setup::default() };
    let script = format!("{padding} rm -rf THE-TAIL");
    let line = [ASK, &["bash", "-c", &script]].concat();
    let mut terminal = Terminal::ringfence(&place, &setup, &line);
    // Keys before the end answer nothing.
    terminal.until("more", 1).keys("y").keys("y");
    let mut pages = 1;
    while !terminal.shown().contains(END) {
        terminal.keys(" ");
        pages += 1;
        assert!(pages < 60, "{}", terminal.shown());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!place.path("ws/THE-TAIL").exists());
    assert_eq!(terminal.keys("n").ends(), 126);
    let shown = terminal.shown();
    let (tail, choice) = (shown.find("THE-TAIL").expect("the tail"), shown.find("yes, this once").expect("the choice"));
    assert!(tail < choice && pages > 3, "the tail comes before the choice");
}

#[test]
fn ap_05_what_was_typed_before_the_question_and_pastes_are_no_answer() {
    if !possible("ap_05_what_was_typed") {
        return;
    }
    let place = place();
    let script = "sleep 1; exec \"$RINGFENCE\" run -a untrusted -- touch made";
    let mut terminal = Terminal::script(&place, &Setup::default(), script);
    terminal.keys("y").until(END, 1).keys("\r").keys("yes\r").until("several keys at once", 1);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!place.path("ws/made").exists());
    assert_eq!(terminal.keys("n").ends(), 126, "{}", terminal.shown());
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    if !possible("colour_is_left_out") {
        return;
    }
    let place = place();
    let mut seen = Vec::new();
    for variables in [
        vec![("LC_ALL", "C.UTF-8"), ("TERM", "xterm")],
        vec![("LC_ALL", "C.UTF-8"), ("TERM", "xterm"), ("NO_COLOR", "1")],
        vec![("LC_ALL", "C"), ("TERM", "dumb")],
    ] {
        let setup = Setup { variables, ..Setup::default() };
        let mut terminal = Terminal::ringfence(&place, &setup, &[ASK, &["touch", "made"]].concat());
        terminal.until("no, and stop the run", 1);
        assert_eq!(terminal.keys("n").ends(), 126);
        seen.push(terminal.shown());
    }
    assert!(seen[0].contains("<1b>[1m"), "{}", seen[0]);
    assert!(!seen[1].contains("<1b>") && seen[1].contains(END), "{}", seen[1]);
    assert!(!seen[2].contains("<1b>") && seen[2].is_ascii(), "no boxes where there are none: {}", seen[2]);
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    if !possible("the_terminal_is_given_back") {
        return;
    }
    let place = place();
    let script = "stty -g; \"$RINGFENCE\" run -a untrusted -- touch made 2>/dev/null; stty -g";
    for key in ["n", "q", "\u{3}"] {
        let mut terminal = Terminal::script(&place, &Setup::default(), script);
        terminal.until(END, 1).keys(key);
        assert_eq!(terminal.ends(), 0);
        let shown = terminal.shown();
        let (before, after) = (shown.lines().next(), shown.lines().last());
        assert_eq!(before, after, "{shown}");
        assert!(before.is_some_and(|modes| modes.contains(':')), "{shown}");
    }
}

#[test]
fn ap_06_in_the_background_or_after_a_hang_up_nobody_is_asked() {
    if !possible("ap_06_in_the_background") {
        return;
    }
    let place = place();
    // A job in the background isn't seen by anybody: its question would stop it, or take the keys of another program.
    let script = "set -m; \"$RINGFENCE\" run -a untrusted -- touch made & wait $!; echo status $?";
    let mut terminal = Terminal::script(&place, &Setup::default(), script);
    terminal.until("status 126", 1);
    assert!(terminal.shown().contains("nobody to ask"), "{}", terminal.shown());
    let mut terminal = asked(&place, &["touch", "made"]);
    terminal.hang_up();
    let start = Instant::now();
    let alive = || {
        let line = place.path("home/line").display().to_string();
        std::process::Command::new("pgrep").args(["-f", &line]).output().is_ok_and(|found| !found.stdout.is_empty())
    };
    while have("ap_06_in_the_background", "pgrep") && alive() {
        assert!(start.elapsed() < Duration::from_secs(20), "it waits for an answer that can't come");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(200));
    assert!(!place.path("ws/made").exists());
}

#[test]
fn ap_06_without_a_terminal_nothing_waits() {
    if !have("ap_06_without_a_terminal", "setsid") {
        return;
    }
    let place = place();
    let start = Instant::now();
    let mut command = std::process::Command::new("setsid");
    command.args(["-w".as_ref(), common::program().as_os_str()]).args(ASK).args(["touch", "made"]);
    command.current_dir(place.path("ws")).env("HOME", place.path("home")).stdin(std::process::Stdio::piped());
    let ran = common::Ran::of(&mut command).ends(126).says("nobody to ask");
    assert!(start.elapsed() < Duration::from_secs(30), "{}", ran.err);
}

#[test]
fn ap_04_a_terminal_of_its_own_is_no_persons() {
    if !possible("ap_04_a_terminal_of_its_own") || !confines("ap_04_a_terminal_of_its_own") {
        return;
    }
    let place = place();
    let program = common::program().display().to_string();
    // The agent makes itself a terminal, starts Ringfence on it, and would type the yes.
    let inner =
        format!("(sleep 1; printf y; sleep 1) | script -qefc \"{program} run -a untrusted -- touch made\" /dev/null");
    let shell = ["sh", "-c", &inner];
    for outer in [
        [&["sandbox", "-s", "workspace-write", "--"][..], &shell].concat(),
        [&["sandbox", "-s", "danger-full-access", "--"][..], &shell].concat(),
        // Also where it takes away what would show on the first look.
        [&["sandbox", "-s", "danger-full-access", "--", "env", "-i", "PATH=/usr/bin:/bin", "HOME=/"][..], &shell]
            .concat(),
    ] {
        let ran = place.run(outer);
        assert!(ran.status != 0 && !place.path("ws/made").exists(), "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("runs under Ringfence"), "{}{}", ran.out, ran.err);
    }
}

/// A run without a terminal, asked about by a person who waits in another one.
#[test]
fn ap_04_a_person_answers_in_a_terminal_of_their_own() {
    if !possible("ap_04_a_person_answers") || !confines("ap_04_a_person_answers") {
        return;
    }
    let place = place();
    let run = |file: &str| place.run([ASK, &["touch", file]].concat());
    // Nobody waits yet: nobody is asked, and nothing hangs.
    run("made").ends(126).says("nobody to ask");
    let mut person = Terminal::ringfence(&place, &Setup::default(), &["approvals"]);
    person.until("waiting for questions", 1);
    let asking = |args: &[&str]| {
        let mut command = place.command([ASK, args].concat());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("it starts")
    };
    let ended = |child: std::process::Child| {
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let yes = asking(&["touch", "made"]);
    person.until("touch made", 1).until(END, 1).keys("y");
    let (status, said) = ended(yes);
    assert_eq!(status, Some(0), "{said}");
    assert!(place.path("ws/made").exists());
    let no = asking(&["touch", "not"]);
    person.until("touch not", 1).until(END, 2).keys("e").until("what to do instead", 1).keys("ask first\n");
    let (status, said) = ended(no);
    assert_eq!(status, Some(126), "{said}");
    assert!(said.contains("ask first"), "{said}");
    assert!(!place.path("ws/not").exists());
    // A run that goes away takes its question with it.
    let mut gone = asking(&["touch", "gone"]);
    person.until("touch gone", 1).until(END, 3);
    gone.kill().and_then(|()| gone.wait()).expect("killed");
    person.until("that question is over", 1);
    // What the answer gave is in the journal under this name.
    assert!(place.run(["log", "--json"]).ends(0).out.contains("\"by\":\"inbox\""));
    // A second one is told, and what runs inside can neither reach the socket nor wait at one.
    let mut second = Terminal::ringfence(&place, &Setup::default(), &["approvals"]);
    assert_eq!(second.ends(), 125, "{}", second.shown());
    assert!(second.shown().contains("already waited for"), "{}", second.shown());
    let socket = place.path("home/.ringfence/state/approvals.sock").display().to_string();
    if have("ap_04_a_person_answers: the socket from inside", "python3") {
        let code = format!("import socket; socket.socket(socket.AF_UNIX).connect('{socket}')");
        let inside = place.run(["sandbox", "-s", "workspace-write", "--", "python3", "-c", &code]);
        assert_ne!(inside.status, 0, "{}{}", inside.out, inside.err);
    }
    let program = common::program().display().to_string();
    place
        .run(["sandbox", "-s", "danger-full-access", "--", &program, "approvals"])
        .ends(125)
        .says("runs under Ringfence");
    person.hang_up();
}

/// A program that doesn't outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A socket in the inbox's place that somebody else made isn't asked.
#[test]
fn ap_04_only_the_users_own_inbox_is_asked() {
    if !have("ap_04_only_the_users_own_inbox", "python3") || !confines("ap_04_only_the_users_own_inbox") {
        return;
    }
    let place = place();
    let state = place.path("home/.ringfence/state");
    let open = |mode: u32| {
        std::fs::create_dir_all(&state).expect("a directory");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&state, mode).expect("mode");
    };
    open(0o755);
    let socket = state.join("approvals.sock").display().to_string();
    // It says yes to everything; first by itself, in a directory others can look into, then under Ringfence.
    let code = format!(
        "import socket, json, os\nif os.path.exists('{socket}'): os.remove('{socket}')\ns = socket.socket(socket.AF_UNIX)\n\
         s.bind('{socket}')\ns.listen()\nopen('ready', 'w').close()\nwhile True:\n  c, _ = s.accept()\n  q = c.makefile().readline()\n  \
         q and c.sendall((json.dumps({{'id': json.loads(q)['id'], 'decision': 'approve'}}) + '\\n').encode())\n"
    );
    let ready = || {
        let begun = Instant::now();
        while !place.path("ws/ready").exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the false inbox doesn't start");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::fs::remove_file(place.path("ws/ready")).expect("it was there");
    };
    let ask = || place.run([ASK, &["touch", "made"]].concat());
    let mut python = std::process::Command::new("python3");
    python.args(["-c", &code]).current_dir(place.path("ws"));
    let alone = Killed(python.stdout(std::process::Stdio::null()).spawn().expect("it starts"));
    ready();
    ask().ends(126).says("is open to others");
    open(0o700);
    ask().ends(0);
    std::fs::remove_file(place.path("ws/made")).expect("this one is the user's own program, and is believed");
    drop(alone);
    let mut command = place.command(["sandbox", "-s", "danger-full-access", "--", "python3", "-c", &code]);
    let under = Killed(command.stdout(std::process::Stdio::null()).spawn().expect("it starts"));
    ready();
    ask().ends(126).says("runs under Ringfence");
    drop(under);
    // What it left behind is nobody.
    open(0o700);
    let begun = Instant::now();
    while !ask().ends(126).err.contains("nobody to ask") {
        assert!(begun.elapsed() < Duration::from_secs(30), "the false inbox doesn't end");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!place.path("ws/made").exists());
}
