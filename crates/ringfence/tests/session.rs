//! A session as an agent and a person meet it: what runs, what asks, what is refused, what is recorded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use ringfence::action::{Action, Escalation, Exec, More, Placement};
use ringfence::approver::{Approver, Asked, JsonApprover, NoAnswer};
use ringfence::config::Overrides;
use ringfence::facts::Start;
use ringfence::model::grant::{Answer, Lasts};
use ringfence::model::text::Untrusted;
use ringfence::model::{AbsPath, Exit, OsText};
use ringfence::session::Running;
use ringfence::verdict::QuestionKind;
use ringfence::{AuthorizeError, Cancel, Flow, Opening, PerformError, Session, Streams, Verdict};
use ringfence_sandbox::Stdio;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A workspace and a home, outside `/tmp` so that neither lies in a writable root by accident.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir_in("/var/tmp").expect("scratch directory") };
        for name in ["ws", "home/.ringfence", "out"] {
            fs::create_dir_all(place.path(name)).expect(name);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).expect("scratch").join(name)
    }

    fn opening(&self, approver: Option<Arc<dyn Approver>>, set: &[&str]) -> Opening {
        let environment = vec![
            ("HOME".into(), self.path("home").into()),
            ("RINGFENCE_HOME".into(), self.path("home/.ringfence").into()),
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("SERVICE_TOKEN".into(), "token-that-must-not-show".into()),
        ];
        let start = Start::new(environment, Some(&self.path("ws"))).expect("start");
        let mut flags = Overrides::default();
        for text in ["sandbox_mode=workspace-write"].iter().chain(set) {
            flags.config(text).expect("setting");
        }
        Opening { start: Some(start), flags, approver, ..Opening::default() }
    }

    fn session(&self, approver: Option<Arc<dyn Approver>>, set: &[&str]) -> Session {
        Session::open(self.opening(approver, set)).expect("session")
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.path("home/.ringfence/log/journal.jsonl")).unwrap_or_default()
    }
}

/// Answers from a list, and keeps what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<Vec<Result<Answer, NoAnswer>>>,
    asked: Mutex<Vec<Asked>>,
    before_answer: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Script {
    fn new(answers: Vec<Answer>) -> Arc<Self> {
        let answers = answers.into_iter().rev().map(Ok).collect();
        Arc::new(Self { answers: Mutex::new(answers), ..Self::default() })
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("asked").clone()
    }
}

impl Approver for Script {
    fn name(&self) -> &str {
        "user"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        self.asked.lock().expect("asked").push(asked.clone());
        if let Some(act) = self.before_answer.lock().expect("act").take() {
            act();
        }
        self.answers.lock().expect("answers").pop().unwrap_or(Err(NoAnswer::Nobody))
    }
}

fn escalated(session: &Session, argv: &[&str], want: Placement) -> Action {
    Action::Exec(Exec {
        argv: argv.iter().map(|word| OsText::new(*word)).collect(),
        cwd: session.cwd().clone(),
        escalation: Some(Escalation { justification: Untrusted::new("needs it"), want, prefix: None }),
    })
}

/// Runs and gives the exit; skips where the host can't make a sandbox.
fn run(session: &Session, action: Action) -> Option<Exit> {
    let authorization = session.authorize(action).expect("authorized");
    let streams = || Streams { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null, ..Streams::default() };
    match session.perform_with(authorization, Flow { streams: streams(), ..Flow::default() }) {
        Ok(report) => report.exit,
        Err(PerformError::Unenforceable(why)) => {
            println!("SKIPPED: session: {why:?}");
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

#[test]
fn what_is_inside_the_workspace_runs_and_what_is_outside_is_held() {
    let place = Place::new();
    let session = place.session(None, &[]);
    let Some(exit) = run(&session, session.exec(["touch", "inside"])) else { return };
    assert_eq!(exit, Exit::Code(0));
    assert!(place.path("ws/inside").exists());
    let outside = place.path("out/x");
    let exit = run(&session, session.exec([OsText::new("touch"), OsText::new(outside.as_os_str())]));
    assert_ne!(exit, Some(Exit::Code(0)));
    assert!(!outside.exists());
    let journal = place.journal();
    for event in ["\"event\":\"started\"", "\"event\":\"decided\"", "\"event\":\"intent\"", "\"event\":\"outcome\""] {
        assert!(journal.contains(event), "{event} in {journal}");
    }
    assert!(!journal.contains("token-that-must-not-show"));
    let verified = ringfence::audit::verify(&place.path("home/.ringfence/log")).expect("verify");
    assert!(verified.breaks.is_empty());
}

#[test]
fn a_yes_to_an_escalation_holds_once() {
    let place = Place::new();
    let script = Script::new(vec![Answer::Once]);
    let session = place.session(Some(script.clone()), &[]);
    let outside = place.path("out/x").display().to_string();
    let action = escalated(&session, &["touch", &outside], Placement::Outside);
    let Some(exit) = run(&session, action.clone()) else { return };
    assert_eq!(exit, Exit::Code(0));
    assert!(place.path("out/x").exists());
    let asked = script.asked();
    assert_eq!(asked[0].question.kind, QuestionKind::Escalation);
    assert!(asked[0].question.marks.iter().any(|mark| mark.contains("without the sandbox")));
    assert!(matches!(session.authorize(action), Err(AuthorizeError::NoAnswer { .. })), "asked again");
    assert_eq!(script.asked().len(), 2);
}

#[test]
fn the_smaller_wish_opens_only_what_it_names() {
    let place = Place::new();
    let script = Script::new(vec![Answer::Once, Answer::Once]);
    let session = place.session(Some(script), &[]);
    let want = Placement::With(More { write: vec![AbsPath::new(place.path("out")).expect("path")], ..More::default() });
    let inside = place.path("out/x").display().to_string();
    let Some(exit) = run(&session, escalated(&session, &["touch", &inside], want.clone())) else { return };
    assert_eq!(exit, Exit::Code(0));
    let other = place.path("home/x").display().to_string();
    assert_ne!(run(&session, escalated(&session, &["touch", &other], want)), Some(Exit::Code(0)));
    assert!(!place.path("home/x").exists());
}

#[test]
fn a_session_grant_answers_the_same_command_and_no_other() {
    let place = Place::new();
    let script = Script::new(vec![Answer::Offer { offer: 0 }]);
    let session = place.session(Some(script.clone()), &["approval_policy=untrusted"]);
    let action = session.exec(["touch", "a"]);
    session.abandon(session.authorize(action.clone()).expect("asked"));
    session.abandon(session.authorize(action).expect("granted"));
    assert_eq!(script.asked().len(), 1);
    assert!(session.authorize(session.exec(["touch", "b"])).is_err());
    let grants = session.grants();
    assert_eq!((grants.len(), grants[0].lasts), (1, Lasts::Session));
    assert!(session.withdraw(&grants[0].id).expect("withdraw"));
    assert!(session.authorize(session.exec(["touch", "a"])).is_err());
}

#[test]
fn a_named_session_keeps_its_grants_for_the_next_process_and_an_unnamed_one_does_not() {
    let place = Place::new();
    let open = |script: Arc<Script>, name: Option<&str>| {
        let opening = place.opening(Some(script), &["approval_policy=untrusted"]);
        Session::open(Opening { session: name.map(str::to_owned), ..opening }).expect("session")
    };
    for (name, kept) in [(Some("s-1"), true), (None, false)] {
        let session = open(Script::new(vec![Answer::Offer { offer: 0 }]), name);
        session.abandon(session.authorize(session.exec(["touch", "a"])).expect("asked"));
        let script = Script::new(Vec::new());
        let next = open(script.clone(), name);
        assert_eq!(next.authorize(next.exec(["touch", "a"])).is_ok(), kept);
        assert_eq!(script.asked().is_empty(), kept);
    }
    let other = open(Script::new(Vec::new()), Some("s-2"));
    assert!(other.authorize(other.exec(["touch", "a"])).is_err(), "another session's grant");
    let opening = place.opening(None, &[]);
    assert!(Session::open(Opening { session: Some("../x".to_owned()), ..opening }).is_err());
    let mode = fs::metadata(place.path("home/.ringfence/state/sessions/s-1.json")).expect("file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn always_writes_one_rule_and_the_next_start_obeys_it() {
    let place = Place::new();
    let file = place.path("home/.ringfence/rules/default.rules");
    fs::create_dir_all(file.parent().expect("folder")).expect("folder");
    fs::write(&file, "# mine\n").expect("file");
    let always = {
        let session = place.session(None, &["approval_policy=untrusted"]);
        let Verdict::Ask(question) = session.decide(&session.exec(["git", "push", "origin"])).verdict else {
            panic!("asks")
        };
        question.offers.iter().position(|offer| offer.lasts == Lasts::Always).expect("offered")
    };
    let script = Script::new(vec![Answer::Offer { offer: always }]);
    let session = place.session(Some(script.clone()), &["approval_policy=untrusted"]);
    session.abandon(session.authorize(session.exec(["git", "push", "origin"])).expect("asked"));
    session.abandon(session.authorize(session.exec(["git", "push", "other"])).expect("granted for this session too"));
    let text = fs::read_to_string(&file).expect("file");
    assert_eq!(text, "# mine\nprefix_rule(pattern=[\"git\", \"push\"], decision=\"allow\")\n");
    let next = place.session(None, &["approval_policy=untrusted"]);
    let decision = next.decide(&next.exec(["git", "push", "x"]));
    assert!(matches!(&decision.verdict, Verdict::Run(run) if run.placement == Placement::Outside), "{decision:?}");
}

#[test]
fn ap_02_what_was_swapped_between_yes_and_run_is_not_run() {
    let place = Place::new();
    let tool = place.path("out/tool");
    let write = |text: &str| {
        let beside = place.path("out/new");
        fs::write(&beside, text).expect("tool");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).expect("mode");
        fs::rename(&beside, &tool).expect("swap");
    };
    write("#!/bin/sh\nexit 0\n");
    let script = Script::new(vec![Answer::Once, Answer::Once]);
    let session = place.session(Some(script), &["approval_policy=untrusted"]);
    let action = session.exec([OsText::new(tool.as_os_str())]);
    let authorization = session.authorize(action.clone()).expect("authorized");
    write("#!/bin/sh\nexit 7\n");
    assert!(matches!(session.perform(authorization), Err(PerformError::Changed { what: "the program" })));
    let authorization = session.authorize(action).expect("authorized");
    fs::rename(place.path("ws"), place.path("old")).expect("rename");
    fs::create_dir(place.path("ws")).expect("new");
    assert!(matches!(session.perform(authorization), Err(PerformError::Changed { what: "the directory" })));
}

#[test]
fn ap_02_a_program_written_anew_in_place_is_not_run() {
    let place = Place::new();
    let tool = place.path("out/tool");
    fs::write(&tool, "#!/bin/sh\nexit 0\n").expect("tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("mode");
    let session = place.session(Some(Script::new(vec![Answer::Once])), &["approval_policy=untrusted"]);
    let authorization = session.authorize(session.exec([OsText::new(tool.as_os_str())])).expect("authorized");
    // The same file, the same size, even the same time of modification.
    let modified = fs::metadata(&tool).expect("tool").modified().expect("time");
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&tool, "#!/bin/sh\nexit 7\n").expect("tool");
    fs::File::options().write(true).open(&tool).expect("tool").set_modified(modified).expect("time");
    assert!(matches!(session.perform(authorization), Err(PerformError::Changed { what: "the program" })));
}

#[test]
fn ap_02_a_link_that_is_turned_to_another_program_is_not_followed_there() {
    let place = Place::new();
    let link = place.path("out/tool");
    std::os::unix::fs::symlink("/bin/true", &link).expect("link");
    let session = place.session(Some(Script::new(vec![Answer::Once])), &["approval_policy=untrusted"]);
    let authorization = session.authorize(session.exec([OsText::new(link.as_os_str())])).expect("authorized");
    fs::remove_file(&link).expect("link");
    std::os::unix::fs::symlink("/bin/sh", &link).expect("link");
    assert!(matches!(session.perform(authorization), Err(PerformError::Changed { what: "the program" })));
}

#[test]
fn ap_02_a_program_that_comes_first_in_path_meanwhile_is_not_run() {
    let place = Place::new();
    let mut opening = place.opening(Some(Script::new(vec![Answer::Once])), &["approval_policy=untrusted"]);
    let bin = place.path("out/bin");
    fs::create_dir(&bin).expect("bin");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let environment = vec![
        ("HOME".into(), place.path("home").into()),
        ("RINGFENCE_HOME".into(), place.path("home/.ringfence").into()),
        ("PATH".into(), path.into()),
    ];
    opening.start = Some(Start::new(environment, Some(&place.path("ws"))).expect("start"));
    let session = Session::open(opening).expect("session");
    let authorization = session.authorize(session.exec(["touch", "made"])).expect("authorized");
    fs::write(bin.join("touch"), "#!/bin/sh\nexit 7\n").expect("tool");
    fs::set_permissions(bin.join("touch"), fs::Permissions::from_mode(0o755)).expect("mode");
    assert!(matches!(session.perform(authorization), Err(PerformError::Changed { what: "the program" })));
    assert!(!place.path("ws/made").exists());
}

#[test]
fn ap_02_a_yes_is_for_these_words_this_directory_and_these_variables() {
    let place = Place::new();
    let script = Script::new(vec![Answer::Once, Answer::No { say: None }, Answer::No { say: None }]);
    let session = place.session(Some(script.clone()), &["approval_policy=untrusted"]);
    let authorization = session.authorize(session.exec(["touch", "a"])).expect("yes");
    session.abandon(authorization);
    // Once is once: the same words are asked about again, and so are others.
    assert!(session.authorize(session.exec(["touch", "a"])).is_err());
    assert!(session.authorize(session.exec(["touch", "a", "b"])).is_err());
    assert_eq!(script.asked().len(), 3);
    // A session's grant is for its directory.
    let script = Script::new(vec![Answer::Offer { offer: 0 }, Answer::No { say: None }]);
    let session = place.session(Some(script.clone()), &["approval_policy=untrusted"]);
    let first = session.authorize(session.exec(["touch", "a"])).expect("yes");
    session.abandon(first);
    let mut elsewhere = session.exec(["touch", "a"]);
    if let Action::Exec(exec) = &mut elsewhere {
        fs::create_dir(place.path("ws/sub")).expect("sub");
        exec.cwd = AbsPath::new(place.path("ws/sub")).expect("path");
    }
    assert!(session.authorize(elsewhere).is_err());
    assert_eq!(script.asked().len(), 2);
}

#[test]
fn ap_02_a_swap_while_it_is_asked_about_asks_again() {
    let place = Place::new();
    let tool = place.path("out/tool");
    fs::write(&tool, "#!/bin/sh\n").expect("tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("mode");
    let script = Script::new(vec![Answer::Once, Answer::No { say: None }]);
    let swapped = tool.clone();
    *script.before_answer.lock().expect("act") = Some(Box::new(move || {
        fs::copy(&swapped, swapped.with_extension("new")).expect("copy");
        fs::rename(swapped.with_extension("new"), &swapped).expect("swap");
    }));
    let session = place.session(Some(script.clone()), &["approval_policy=untrusted"]);
    let result = session.authorize(session.exec([OsText::new(tool.as_os_str())]));
    assert!(matches!(result, Err(AuthorizeError::Denied { .. })));
    assert_eq!(script.asked().len(), 2);
}

#[test]
fn ap_06_without_an_answer_nothing_runs() {
    let place = Place::new();
    let session = place.session(None, &["approval_policy=untrusted"]);
    let error = session.authorize(session.exec(["touch", "a"])).expect_err("nobody");
    assert_eq!(error.verdict(), "ask-refused");
    assert!(error.to_string().contains("nobody to ask"), "{error}");
    for answer in [
        "",
        "garbage",
        "{\"decision\":\"approve\"}",
        "{\"id\":\"other\",\"decision\":\"approve\"}",
        "{\"id\":\"ID\",\"decision\":\"maybe\"}",
    ] {
        let approver = Arc::new(JsonApprover::new(std::io::Cursor::new(format!("{answer}\n")), std::io::sink()));
        let session = place.session(Some(approver), &["approval_policy=untrusted"]);
        assert!(session.authorize(session.exec(["touch", "a"])).is_err(), "{answer}");
    }
    let script = Script::new(vec![Answer::Offer { offer: 99 }]);
    let session = place.session(Some(script), &["approval_policy=untrusted"]);
    assert!(session.authorize(session.exec(["touch", "a"])).is_err(), "an offer that wasn't made");
    assert!(place.journal().contains("\"decision\":\"denied\""));
}

#[test]
fn ap_06_over_a_channel_the_first_answer_to_this_very_question_counts_and_in_time() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    let place = Place::new();
    let (ours, theirs) = UnixStream::pair().expect("pair");
    let again = theirs.try_clone().expect("descriptor");
    let approver = JsonApprover::over(theirs.into(), again.into(), std::time::Duration::from_millis(300));
    let session = place.session(Some(Arc::new(approver)), &["approval_policy=untrusted"]);
    let mut requests = BufReader::new(ours.try_clone().expect("descriptor"));
    let mut answers = ours;
    let mut id = || {
        let mut line = String::new();
        requests.read_line(&mut line).expect("a request");
        let request: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(request["schema"], "ringfence.dev/v1/approval-request");
        request["id"].as_str().expect("an id").to_owned()
    };
    let error = session.authorize(session.exec(["touch", "a"])).expect_err("no answer");
    assert!(error.to_string().contains("in time"), "{error}");
    let first = id();
    // The late answer isn't one to the next question; a guess at its id is a no.
    writeln!(answers, "{{\"id\":\"{first}\",\"decision\":\"approve\"}}").expect("write");
    writeln!(answers, "{{\"id\":\"guessed\",\"decision\":\"approve\"}}").expect("write");
    assert!(session.authorize(session.exec(["touch", "b"])).is_err());
    let second = id();
    assert_ne!(first, second);
    // Answered twice: the first counts, the other is left aside.
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| session.authorize(session.exec(["touch", "c"])));
        let third = id();
        for decision in ["approve", "deny"] {
            writeln!(answers, "{{\"id\":\"{third}\",\"decision\":\"{decision}\"}}").expect("write");
        }
        session.abandon(asking.join().expect("thread").expect("yes"));
        let asking = scope.spawn(|| session.authorize(session.exec(["touch", "d"])));
        let fourth = id();
        writeln!(answers, "{{\"id\":\"{fourth}\",\"decision\":\"approve\"}}").expect("write");
        session.abandon(asking.join().expect("thread").expect("yes"));
    });
    // A line without an end is bounded, and nothing counts after it.
    answers.write_all(&vec![b'x'; 70_000]).expect("write");
    assert!(session.authorize(session.exec(["touch", "e"])).is_err());
    drop((answers, requests));
    assert!(session.authorize(session.exec(["touch", "f"])).is_err());
}

#[test]
fn a_no_with_words_reaches_the_agent_and_abort_ends() {
    let place = Place::new();
    let script = Script::new(vec![Answer::No { say: Some("use cargo".to_owned()) }, Answer::Abort]);
    let session = place.session(Some(script), &["approval_policy=untrusted"]);
    let error = session.authorize(session.exec(["make"])).expect_err("no");
    assert!(matches!(&error, AuthorizeError::Denied { say: Some(say), .. } if say == "use cargo"));
    assert!(matches!(session.authorize(session.exec(["make"])), Err(AuthorizeError::Aborted { .. })));
}

#[test]
fn a_reviewing_program_answers_in_time_or_the_answer_is_no() {
    let place = Place::new();
    for (body, approves) in [
        ("cat >/dev/null; echo '{\"decision\":\"approve\"}'", true),
        ("cat >/dev/null; echo '{\"decision\":\"deny\",\"reason\":\"no\"}'", false),
        ("cat >/dev/null; echo '{\"decision\":\"approve\",\"id\":\"other\"}'", false),
        ("echo yes", false),
        ("cat >/dev/null; echo '{\"decision\":\"approve\"}'; exit 1", false),
        ("sleep 60", false),
    ] {
        let program = place.path("home/review");
        fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("mode");
        let named = format!("approvals.program=[\"{}\"]", program.display());
        let set = ["approval_policy=untrusted", "approvals_reviewer=program", &named, "approvals.timeout=1s"];
        let session = place.session(None, &set);
        assert_eq!(session.authorize(session.exec(["make"])).is_ok(), approves, "{body}");
    }
}

#[test]
fn proc_14_a_reviewer_that_an_agent_could_have_written_is_not_used() {
    let place = Place::new();
    let program = place.path("ws/review");
    fs::write(&program, "#!/bin/sh\necho '{\"decision\":\"approve\"}'\n").expect("program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("mode");
    let named = format!("approvals.program=[\"{}\"]", program.display());
    let opening = place.opening(None, &["approvals_reviewer=program", &named]);
    assert!(Session::open(opening).is_err());
}

#[test]
fn a_rule_file_that_cannot_be_loaded_makes_every_command_ask() {
    let place = Place::new();
    fs::create_dir_all(place.path("home/.ringfence/rules")).expect("folder");
    fs::write(place.path("home/.ringfence/rules/a.rules"), "prefix_rule(").expect("file");
    let session = place.session(None, &[]);
    assert!(matches!(session.decide(&session.exec(["true"])).verdict, Verdict::Ask(_)));
    assert!(session.notices().iter().any(|notice| notice.code == "rules-broken"));
    let session = place.session(None, &["approval_policy=never"]);
    assert!(matches!(session.decide(&session.exec(["true"])).verdict, Verdict::Refuse(_)));
}

#[test]
fn a_run_can_be_cancelled_and_its_output_read() {
    let place = Place::new();
    let session = place.session(None, &[]);
    let authorization =
        session.authorize(session.exec(["sh", "-c", "echo ready; exec sleep 600"])).expect("authorized");
    let cancel = Cancel::default();
    let canceller = cancel.clone();
    let on_start = move |running: Running<'_>| {
        let mut stdout = running.pipes.stdout.take().expect("pipe");
        std::thread::spawn(move || {
            let mut line = [0; 5];
            stdout.read_exact(&mut line).expect("output");
            assert_eq!(&line, b"ready");
            canceller.cancel();
        });
    };
    let streams = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Null, ..Streams::default() };
    let flow = Flow { streams, cancel: cancel.clone(), on_start: Some(Box::new(on_start)), ..Flow::default() };
    match session.perform_with(authorization, flow) {
        Ok(report) => assert_ne!(report.exit, Some(Exit::Code(0))),
        Err(PerformError::Unenforceable(why)) => println!("SKIPPED: cancel: {why:?}"),
        Err(error) => panic!("{error}"),
    }
    let authorization = session.authorize(session.exec(["true"])).expect("authorized");
    let flow = Flow { cancel, ..Flow::default() };
    assert!(matches!(session.perform_with(authorization, flow), Err(PerformError::Cancelled)));
}

#[test]
fn fs_21_what_git_outside_would_run_is_reported() {
    let place = Place::new();
    for name in ["ws/.git/objects", "ws/.git/refs/replace", "ws/.git/rebase-merge"] {
        fs::create_dir_all(place.path(name)).expect(name);
    }
    fs::write(place.path("ws/.git/HEAD"), "ref: refs/heads/main\n").expect("head");
    fs::write(place.path("ws/.git/rebase-merge/git-rebase-todo"), "pick 1\nexec sh x\n").expect("todo");
    fs::write(place.path("ws/.git/refs/replace/abc"), "def\n").expect("replace");
    let codes =
        |session: &Session| -> Vec<String> { session.leftovers().into_iter().map(|notice| notice.code).collect() };
    assert_eq!(codes(&place.session(None, &["git=commit"])), ["git-rebase-exec", "git-replace"]);
    assert!(codes(&place.session(None, &[])).is_empty());
    // A list and the copy it is restored from are said once; other worktrees' lists count as well.
    fs::create_dir_all(place.path("ws/.git/worktrees/x/rebase-merge")).expect("worktree");
    for (dir, line) in [("ws/.git", "exec sh x"), ("ws/.git/worktrees/x", "exec sh y")] {
        for name in ["git-rebase-todo", "git-rebase-todo.backup"] {
            fs::write(place.path(&format!("{dir}/rebase-merge/{name}")), format!("pick 1\n{line}\n")).expect("todo");
        }
    }
    assert_eq!(codes(&place.session(None, &["git=commit"])), ["git-rebase-exec", "git-rebase-exec", "git-replace"]);
}
