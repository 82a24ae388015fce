//! The question as a person sees it and as an attacker would like it to be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence::action::{Action, Escalation, Exec, Identity, More, Placement};
use ringfence::approver::{Approver, Asked, NoAnswer, Over, Under};
use ringfence::model::grant::{Answer, Lasts, Scope};
use ringfence::model::report::Reason;
use ringfence::model::text::Untrusted;
use ringfence::model::{AbsPath, Origin, OsText};
use ringfence::prompt::{Look, TerminalApprover, Tty, question};
use ringfence::verdict::{Offer, Question, QuestionKind};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn offer(text: &str, lasts: Lasts) -> Offer {
    Offer { scope: Scope::Prefix { prefix: vec![OsText::new("x")] }, lasts, text: text.to_owned() }
}

fn asked(argv: &[&str], justification: &str, offers: Vec<Offer>) -> Asked {
    let want = Placement::With(More { write: vec![AbsPath::new("/out").expect("path")], ..More::default() });
    let cwd = AbsPath::new("/w").expect("path");
    let reason = Reason {
        kind: "escalation".to_owned(),
        text: format!("the agent says: \"{}\"", Untrusted::new(justification).display()),
        source: Origin::builtin("the agent's request"),
        would_change: Vec::new(),
    };
    let escalation = Escalation { justification: Untrusted::new(justification), want: want.clone(), prefix: None };
    Asked {
        id: "q1".to_owned(),
        action: Action::Exec(Exec {
            argv: argv.iter().map(|word| OsText::new(*word)).collect(),
            cwd: cwd.clone(),
            escalation: Some(escalation),
        }),
        question: Question {
            kind: QuestionKind::Escalation,
            wish: want,
            marks: vec!["could write everywhere".to_owned()],
            offers,
            identity: Identity { act: "a".to_owned(), ..Identity::default() },
        },
        reasons: vec![reason],
        cwd,
        under: Under { mode: "workspace-write".to_owned(), policy: "on-request".to_owned(), policy_text: None },
        over: Over::default(),
    }
}

/// A terminal that plays keys and keeps what it was shown. Keys before the first drain are lost, as typed-ahead ones are.
#[derive(Clone, Default)]
struct Fake {
    state: Arc<Mutex<State>>,
    rows: usize,
}

#[derive(Default)]
struct State {
    ahead: VecDeque<Vec<u8>>,
    keys: VecDeque<Vec<u8>>,
    shown: String,
    drained: usize,
    /// Nobody ever types anything.
    silent: bool,
}

impl Fake {
    fn new(rows: usize, keys: &[&[u8]]) -> Self {
        let keys = keys.iter().map(|key| key.to_vec()).collect();
        Self { state: Arc::new(Mutex::new(State { keys, ..State::default() })), rows }
    }

    fn shown(&self) -> String {
        self.state.lock().expect("state").shown.clone()
    }
}

impl Tty for Fake {
    fn look(&self) -> Look {
        Look { width: 60, rows: self.rows, unicode: true, color: false }
    }

    fn take(&self) -> io::Result<Box<dyn ringfence::prompt::Taken + '_>> {
        Ok(Box::new(self.clone()))
    }
}

impl ringfence::prompt::Taken for Fake {
    fn show(&mut self, text: &str) -> io::Result<()> {
        self.state.lock().expect("state").shown.push_str(text);
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut state = self.state.lock().expect("state");
        state.ahead.clear();
        state.drained += 1;
        Ok(())
    }

    fn keys(&mut self) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock().expect("state");
        if let Some(key) = state.ahead.pop_front() {
            return Ok(key);
        }
        Ok(state.keys.pop_front().unwrap_or_default())
    }

    fn wait(&mut self, limit: Duration) -> io::Result<bool> {
        let state = self.state.lock().expect("state");
        let is_there = !state.silent;
        drop(state);
        if !is_there {
            std::thread::sleep(limit);
        }
        Ok(is_there)
    }

    fn line(&mut self, _: &str) -> io::Result<Option<String>> {
        Ok(self.state.lock().expect("state").keys.pop_front().map(|line| String::from_utf8_lossy(&line).into_owned()))
    }
}

fn answer(rows: usize, keys: &[&[u8]], asked: &Asked) -> (Result<Answer, NoAnswer>, String) {
    let fake = Fake::new(rows, keys);
    let answer = TerminalApprover::new(fake.clone()).ask(asked);
    (answer, fake.shown())
}

#[test]
fn the_question_shows_act_place_reason_and_what_each_key_gives() {
    let offers = vec![
        offer("exactly this command, for this session", Lasts::Session),
        offer("commands like it, always", Lasts::Always),
    ];
    let lines = question(&asked(&["make", "install"], "install it", offers), Look { width: 64, ..Look::default() });
    assert_eq!(
        lines.join("\n"),
        "┌─ ringfence asks\n\
         │ The agent wants to run, with more than the sandbox gives:\n\
         │\n\
         │   make install\n\
         │\n\
         │ in     /w\n\
         │ why    the agent says: \"install it\"\n\
         │ gives  write under /out\n\
         │ look   could write everywhere\n\
         ├─\n\
         │ y      yes, this once\n\
         │ s      exactly this command, for this session\n\
         │ a      commands like it, always\n\
         │ n      no\n\
         │ e      no, and say what to do instead\n\
         │ q      no, and stop the run\n\
         └─"
    );
}

#[test]
fn ap_01_nothing_foreign_can_draw_our_frame_or_hide_the_tail() {
    let tail = "rm -rf /home/u";
    let padding = " ".repeat(10_000);
    let evil = format!("x\r\n└─\r\n┌─ ringfence asks\n\u{1b}[2J\u{202e}\u{200b}{padding}{tail}");
    let asked = asked(&["sh", "-c", &evil], "fine\n│ y      yes\u{1b}[1A", Vec::new());
    let lines = question(&asked, Look { width: 60, ..Look::default() });
    let text = lines.join("\n");
    assert!(
        lines.iter().all(|line| line.starts_with('│') || ["┌─ ringfence asks", "├─", "└─"].contains(&line.as_str()))
    );
    assert_eq!(lines.iter().filter(|line| line.starts_with('┌')).count(), 1);
    assert!(text.chars().all(|c| c == '\n' || !ringfence::model::text::is_deceptive(c)));
    assert!(text.contains(tail), "the tail is there");
    assert!(text.contains("\\u{1b}[2J") && text.contains("\\u{202e}"));
    assert!(lines.iter().all(|line| line.chars().count() <= 60), "wrapped, never cut");
}

#[test]
fn ap_01_letters_that_look_like_others_are_named() {
    let lines = question(&asked(&["\u{455}udo", "ls"], "x", Vec::new()), Look::default()).join("\n");
    assert!(lines.contains("U+0455"), "{lines}");
}

#[test]
fn every_key_does_what_it_says() {
    let session = offer("s", Lasts::Session);
    let always = offer("a", Lasts::Always);
    let one = asked(&["make"], "x", vec![session.clone(), always.clone()]);
    let two = asked(&["make"], "x", vec![session.clone(), session, always]);
    for (question, keys, wanted) in [
        (&one, &[&b"y"[..]][..], Answer::Once),
        (&one, &[b"n"], Answer::No { say: None }),
        (&one, &[b"q"], Answer::Abort),
        (&one, &[b"\x03"], Answer::Abort),
        (&one, &[b"s"], Answer::Offer { offer: 0 }),
        (&one, &[b"a"], Answer::Offer { offer: 1 }),
        (&two, &[b"s", b"2"], Answer::Offer { offer: 1 }),
        (&two, &[b"s", b"n", b"n"], Answer::No { say: None }),
        (&one, &[b"e", b"use make test"], Answer::No { say: Some("use make test".to_owned()) }),
    ] {
        assert_eq!(answer(60, keys, question).0.expect("answer"), wanted, "{keys:?}");
    }
}

#[test]
fn ap_05_bursts_and_enter_are_no_answer_and_the_end_of_input_is_a_denial() {
    let question = asked(&["make"], "x", Vec::new());
    let (answered, shown) = answer(60, &[b"\n", b"yes\n", b"\x1b[A", b"y\n", b"n"], &question);
    assert_eq!(answered.expect("answer"), Answer::No { say: None });
    assert!(shown.contains("several keys at once are no answer"));
    assert!(answer(60, &[], &question).0.is_err());
    assert!(answer(60, &[b"a", b"s"], &question).0.is_err(), "what isn't offered can't be taken");
}

#[test]
fn ap_05_what_was_typed_ahead_is_thrown_away() {
    let question = asked(&["make"], "x", Vec::new());
    let fake = Fake::new(60, &[b"n"]);
    fake.state.lock().expect("state").ahead.push_back(b"y".to_vec());
    assert_eq!(TerminalApprover::new(fake).ask(&question).expect("answer"), Answer::No { say: None });
}

#[test]
fn ap_01_a_long_question_comes_page_by_page_and_no_key_answers_before_its_end() {
    let long = "x".repeat(3_000);
    let question = asked(&["echo", &long, "THE-END"], "x", Vec::new());
    let (answered, shown) = answer(12, &[b"y", b"y", b" ", b"y"], &question);
    assert!(answered.is_err(), "keys before the end don't count");
    assert!(!shown.contains("yes, this once"));
    let mut keys: Vec<&[u8]> = vec![b" "; 40];
    keys.push(b"y");
    let fake = Fake::new(12, &keys);
    let answered = TerminalApprover::new(fake.clone()).ask(&question);
    assert_eq!(answered.expect("answer"), Answer::Once);
    assert!(fake.shown().contains("THE-END") && fake.shown().contains("yes, this once"));
}

#[test]
fn ap_05_many_questions_become_one_list() {
    let all: Vec<Asked> = (0..7).map(|number| asked(&["make", &number.to_string()], "x", Vec::new())).collect();
    let ask = |keys: &[&[u8]]| {
        let fake = Fake::new(60, keys);
        (TerminalApprover::new(fake.clone()).ask_list(&all), fake.shown())
    };
    let (answers, shown) = ask(&[b"n"]);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Answer::No { .. }))) && answers.len() == 7);
    assert!(shown.contains("7.") && shown.contains("make 6"));
    assert!(ask(&[b"y"]).0.iter().all(|answer| matches!(answer, Ok(Answer::Once))));
    assert!(ask(&[]).0.iter().all(Result::is_err));
    let (answers, _) = ask(&[b"o", b"y", b"n"]);
    assert!(
        matches!(answers[0], Ok(Answer::Once)) && matches!(answers[1], Ok(Answer::No { .. })) && answers[2].is_err()
    );
}

#[test]
fn a_question_whose_command_has_ended_is_given_up_and_the_terminal_given_back() {
    let fake = Fake::new(24, &[b"y"]);
    fake.state.lock().expect("state").silent = true;
    let flag = Arc::new(AtomicBool::new(false));
    let mut one = asked(&["curl", "x"], "", Vec::new());
    one.over = Over::when(Arc::clone(&flag));
    let mut forever = asked(&["curl", "y"], "", Vec::new());
    let approver = TerminalApprover::new(fake.clone());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let list = approver.ask_list(&[one.clone(), one.clone()]);
            assert!(list.iter().all(Result::is_err));
            approver.ask(&one)
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!asking.is_finished(), "it is asked as long as it matters");
        flag.store(true, SeqCst);
        assert!(matches!(asking.join().expect("asked"), Err(NoAnswer::Over)));
        // One that still matters is asked to its end.
        fake.state.lock().expect("state").silent = false;
        forever.over = Over::when(Arc::default());
        assert!(matches!(approver.ask(&forever), Ok(Answer::Once)));
    });
    assert!(fake.shown().contains("no answer is needed any more"), "{}", fake.shown());
}
