//! Floods of questions: a burst comes one by one, the rest as one list, and each gets its own answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence::action::{Action, Exec, Identity, Placement};
use ringfence::approver::{Approver, Asked, BURST, Gate, NoAnswer, Over, Under};
use ringfence::model::grant::Answer;
use ringfence::model::{AbsPath, OsText};
use ringfence::verdict::{Question, QuestionKind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Counting {
    single: Mutex<usize>,
    lists: Mutex<Vec<usize>>,
}

fn verdict(asked: &Asked) -> Result<Answer, NoAnswer> {
    match asked.id.ends_with("yes") {
        true => Ok(Answer::Once),
        false => Ok(Answer::No { say: None }),
    }
}

impl Approver for Counting {
    fn name(&self) -> &str {
        "user"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        *self.single.lock().expect("count") += 1;
        verdict(asked)
    }

    fn ask_list(&self, asked: &[Asked]) -> Vec<Result<Answer, NoAnswer>> {
        self.lists.lock().expect("lists").push(asked.len());
        asked.iter().map(verdict).collect()
    }
}

fn question(id: &str) -> Asked {
    let cwd = AbsPath::new("/w").expect("path");
    Asked {
        id: id.to_owned(),
        action: Action::Exec(Exec { argv: vec![OsText::new("make")], cwd: cwd.clone(), escalation: None }),
        question: Question {
            kind: QuestionKind::Policy,
            wish: Placement::Inside,
            marks: Vec::new(),
            offers: Vec::new(),
            identity: Identity { act: "a".to_owned(), ..Identity::default() },
        },
        reasons: Vec::new(),
        cwd,
        under: Under { mode: String::new(), policy: String::new(), policy_text: None },
        over: Over::default(),
    }
}

#[test]
fn ap_05_after_a_burst_the_rest_come_as_one_list_and_every_answer_finds_its_question() {
    let (gate, approver, now) = (Gate::default(), Counting::default(), Instant::now());
    for number in 0..BURST {
        let _ = gate.ask(&approver, &question(&number.to_string()), now);
    }
    assert_eq!(*approver.single.lock().expect("count"), BURST);
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (gate, approver) = (&gate, &approver);
            scope.spawn(move || {
                let yes = number % 2 == 0;
                let id = format!("{number}-{}", if yes { "yes" } else { "no" });
                let answer = gate.ask(approver, &question(&id), now).expect("answered");
                assert_eq!(answer == Answer::Once, yes);
            });
        }
    });
    assert_eq!(*approver.single.lock().expect("count"), BURST, "no more one by one");
    let lists = approver.lists.lock().expect("lists");
    assert_eq!(lists.iter().sum::<usize>(), 20);
    assert!(lists.len() < 20, "gathered: {lists:?}");
    drop(lists);
    let later = now + Duration::from_secs(60);
    let _ = gate.ask(&approver, &question("later"), later);
    assert_eq!(*approver.single.lock().expect("count"), BURST + 1, "quiet again");
}

#[cfg(unix)]
#[test]
fn a_question_that_is_over_holds_up_neither_a_front_end_nor_a_program_nor_the_next_in_turn() {
    use ringfence::approver::{JsonApprover, ProgramApprover};
    let minute = Duration::from_secs(60);
    let (answers, _from) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let (requests, _to) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let silent = JsonApprover::over(answers.into(), requests.into(), minute);
    let root = AbsPath::new("/").expect("a path");
    let shell = AbsPath::new("/bin/sh").expect("a path");
    let program = ProgramApprover::new(shell, vec!["-c".to_owned(), "exec sleep 60".to_owned()], minute, &[], root);
    for approver in [&silent as &dyn Approver, &program] {
        let (gate, flag, start) = (Gate::default(), Arc::new(AtomicBool::new(false)), Instant::now());
        let mut asked = question("1");
        asked.over = Over::when(Arc::clone(&flag));
        std::thread::scope(|scope| {
            // One is asked, the other waits for its turn.
            let asking = [(); 2].map(|()| scope.spawn(|| gate.ask(approver, &asked, Instant::now())));
            std::thread::sleep(Duration::from_millis(300));
            assert!(asking.iter().all(|asking| !asking.is_finished()));
            flag.store(true, SeqCst);
            for asking in asking {
                assert!(matches!(asking.join().expect("asked"), Err(NoAnswer::Over)));
            }
        });
        assert!(start.elapsed() < minute / 2, "{:?}", start.elapsed());
    }
}
