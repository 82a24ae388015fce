//! The journal as its reader and its attacker see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_audit::{Filter, Journal, Limits, Redactor, Sink, reader, verify};
use ringfence_model::action::{Action, Exec};
use ringfence_model::denial::{Denial, DenialKind, Evidence};
use ringfence_model::event::What;
use ringfence_model::text::Untrusted;
use ringfence_model::{AbsPath, Event, Origin, OsText};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn event(id: &str, what: What) -> Event {
    Event { id: id.to_owned(), at: 1000, session: None, agent: None, what }
}

fn intent(id: &str, act: &str) -> Event {
    event(id, What::Intent { act: act.to_owned(), plan: None })
}

fn exec(argv: &[&str]) -> Event {
    let exec = Exec {
        argv: argv.iter().map(|word| OsText::new(*word)).collect(),
        cwd: AbsPath::new("/w").expect("path"),
        escalation: None,
    };
    event("e", What::Decided { act: Box::new(Action::Exec(exec)), verdict: "refuse".to_owned(), reasons: Vec::new() })
}

fn denial(id: &str) -> Event {
    let denial = Denial {
        id: id.to_owned(),
        kind: DenialKind::FsWrite,
        target: Untrusted::new("/etc/x"),
        operation: "open for writing".to_owned(),
        rule: "outside-roots".to_owned(),
        origin: Origin::builtin("roots"),
        evidence: Evidence::Broker,
        allow_with: Vec::new(),
        answered: false,
    };
    event("act-1", What::Denied { denial: Box::new(denial) })
}

fn small(dir: &Path) -> Journal {
    Journal::new(
        dir.join("log"),
        Limits { max_bytes: 600_000, max_age: Duration::from_secs(3600) },
        Redactor::default(),
    )
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("scratch directory")
}

#[test]
fn what_is_written_is_read_back_and_verifies() {
    let dir = scratch();
    let journal = small(dir.path());
    journal.append(&[intent("a", "ls"), denial("d1")]).expect("append");
    journal.record(&[intent("b", "pwd")]).expect("append");
    let entries = reader::read(journal.dir(), &Filter::default()).expect("read");
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(entries[0].event, Some(intent("a", "ls")));
    let denied = reader::read(journal.dir(), &Filter { denied: true, ..Filter::default() }).expect("read");
    assert_eq!(denied.len(), 1);
    let (found, related) = reader::why(journal.dir(), "d1").expect("read").expect("known");
    assert_eq!((found.rule.as_str(), related.len()), ("outside-roots", 1));
    assert!(reader::why(journal.dir(), "d2").expect("read").is_none());
    let verified = verify(journal.dir()).expect("verify");
    assert_eq!((verified.lines, verified.first, verified.last), (3, Some(1), Some(3)));
    assert!(verified.breaks.is_empty(), "{verified:?}");
}

#[test]
#[cfg(unix)]
fn only_the_owner_can_read_it_and_no_link_is_followed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = scratch();
    let journal = small(dir.path());
    journal.append(&[intent("a", "ls")]).expect("append");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(journal.dir()), 0o700);
    assert_eq!(mode(&journal.dir().join("journal.jsonl")), 0o600);
    fs::remove_file(journal.dir().join("journal.jsonl")).expect("remove");
    fs::write(dir.path().join("victim"), "").expect("victim");
    std::os::unix::fs::symlink(dir.path().join("victim"), journal.dir().join("journal.jsonl")).expect("link");
    assert!(journal.append(&[intent("a", "ls")]).is_err());
    assert_eq!(fs::read_to_string(dir.path().join("victim")).expect("victim"), "");
}

#[test]
fn the_chain_goes_on_behind_a_line_of_any_length() {
    let dir = scratch();
    let journal = Journal::new(dir.path().join("log"), Limits::default(), Redactor::default());
    let lengths = [1, 3800, 3900, 3950, 4000, 4050, 4094, 4095, 4096, 4097, 8192, 30_000, 1];
    for length in lengths {
        journal.append(&[intent("a", &"x".repeat(length))]).expect("append");
    }
    let verified = verify(journal.dir()).expect("verify");
    assert_eq!(verified.lines, lengths.len() as u64);
    assert!(verified.breaks.is_empty(), "{verified:?}");
}

#[test]
fn au_01_one_event_is_one_line_whatever_is_in_it() {
    let dir = scratch();
    let journal = small(dir.path());
    let forged = "x\n{\"seq\":99}\r\u{1b}[2K\u{202e}\u{2028}\u{85}";
    journal.append(&[exec(&["echo", forged])]).expect("append");
    let text = fs::read_to_string(journal.dir().join("journal.jsonl")).expect("text");
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end_matches('\n').chars().all(|c| !ringfence_model::text::is_deceptive(c)));
    let entries = reader::read(journal.dir(), &Filter::default()).expect("read");
    assert_eq!(entries[0].event, Some(exec(&["echo", forged])), "nothing is lost");
}

#[test]
fn au_02_secrets_never_reach_the_disk() {
    let dir = scratch();
    let journal = Journal::new(dir.path().join("log"), Limits::default(), Redactor::new(["value-of-a-variable"]));
    journal
        .append(&[
            exec(&["curl", "-H", "Authorization: Bearer abcdefghijkl", "https://me:geheim@host/?token=abcdef"]),
            exec(&["mysql", "--password", "geheim2", "value-of-a-variable"]),
        ])
        .expect("append");
    let text = fs::read_to_string(journal.dir().join("journal.jsonl")).expect("text");
    for secret in ["abcdefghijkl", "geheim", "abcdef", "value-of-a-variable"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(verify(journal.dir()).expect("verify").breaks.is_empty());
}

#[test]
fn au_03_an_edit_a_removed_line_and_a_cut_end_show() {
    let change = |how: fn(&mut Vec<String>)| {
        let dir = scratch();
        let journal = small(dir.path());
        journal.append(&[intent("a", "one"), intent("b", "two"), intent("c", "three")]).expect("append");
        let file = journal.dir().join("journal.jsonl");
        let mut lines: Vec<String> = fs::read_to_string(&file).expect("text").lines().map(str::to_owned).collect();
        how(&mut lines);
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("write");
        verify(journal.dir()).expect("verify").breaks.len()
    };
    assert_eq!(change(|_| {}), 0);
    assert!(change(|lines| lines[1] = lines[1].replace("two", "2")) > 0);
    assert!(change(|lines| drop(lines.remove(1))) > 0);
    assert!(change(|lines| drop(lines.pop())) > 0, "the head knows which was the last");
    assert!(change(Vec::clear) > 0);
    assert!(change(|lines| lines.push("not json".to_owned())) > 0);
    assert!(change(|lines| lines.swap(0, 2)) > 0);
}

#[test]
fn a_crash_in_the_middle_of_a_line_is_survived_and_said() {
    let dir = scratch();
    let journal = small(dir.path());
    journal.append(&[intent("a", "one")]).expect("append");
    let file = journal.dir().join("journal.jsonl");
    let mut text = fs::read(&file).expect("text");
    text.extend_from_slice(b"{\"half\":");
    fs::write(&file, text).expect("write");
    journal.append(&[intent("b", "two")]).expect("append");
    let entries = reader::read(journal.dir(), &Filter::default()).expect("read");
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
    let verified = verify(journal.dir()).expect("verify");
    assert_eq!(verified.breaks.len(), 1, "the half line is named: {verified:?}");
}

#[test]
fn size_and_age_are_bounded_and_the_chain_spans_files() {
    let dir = scratch();
    let journal = small(dir.path());
    let long = "x".repeat(3000);
    for round in 0..300 {
        journal.append(&[intent(&format!("{round}"), &long)]).expect("append");
    }
    let bytes: u64 = fs::read_dir(journal.dir())
        .expect("dir")
        .flatten()
        .filter(|item| item.file_name().to_string_lossy().ends_with(".jsonl"))
        .map(|item| item.metadata().expect("meta").len())
        .sum();
    assert!(bytes <= 600_000, "{bytes}");
    let verified = verify(journal.dir()).expect("verify");
    assert!(verified.breaks.is_empty(), "{verified:?}");
    assert!(verified.first > Some(1) && verified.last == Some(300), "{verified:?}");
}

#[test]
fn no_line_is_longer_than_the_bound() {
    let dir = scratch();
    let journal = small(dir.path());
    let words: Vec<String> = (0..900).map(|_| "y".repeat(5000)).collect();
    journal.append(&[exec(&words.iter().map(String::as_str).collect::<Vec<_>>())]).expect("append");
    let text = fs::read_to_string(journal.dir().join("journal.jsonl")).expect("text");
    assert!(text.len() <= 64 << 10, "{}", text.len());
    assert!(text.contains("\"cut\""));
}

#[test]
fn several_writers_keep_one_chain() {
    let dir = scratch();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let journal = small(dir.path());
            scope.spawn(move || {
                for round in 0..25 {
                    journal.append(&[intent(&format!("{writer}-{round}"), "x")]).expect("append");
                }
            });
        }
    });
    let verified = verify(&dir.path().join("log")).expect("verify");
    assert_eq!((verified.lines, verified.breaks.len()), (100, 0), "{verified:?}");
}

#[test]
fn following_sees_what_comes_across_a_rotation() {
    let dir = scratch();
    let journal = small(dir.path());
    journal.append(&[intent("before", "x")]).expect("append");
    let (mut seen, mut rounds, mut written) = (Vec::new(), 0, false);
    let long = "x".repeat(4000);
    reader::follow(journal.dir(), &Filter::default(), |entry| {
        match entry {
            Some(entry) => seen.push(entry.seq),
            None => {
                rounds += 1;
                if !written {
                    written = true;
                    for round in 0..40 {
                        journal.append(&[intent(&format!("{round}"), &long)]).expect("append");
                    }
                }
            }
        }
        if seen.last() == Some(&41) || rounds > 50 { reader::Follow::Stop } else { reader::Follow::On }
    })
    .expect("follow");
    assert_eq!(seen.last(), Some(&41));
    assert!(!seen.contains(&1), "what was there before isn't news");
}

/// On a disk of its own that something else fills.
#[cfg(target_os = "linux")]
#[test]
fn fs_17_the_journal_keeps_its_reserve_on_a_disk_that_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let me = std::env::current_exe().unwrap();
    let script = "mount -t tmpfs -o size=2m,mode=700 none \"$0\" && exec \"$1\" on_a_small_disk --exact --ignored -q";
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-r", "-m", "sh", "-c", script]).arg(dir.path()).arg(me).env("RINGFENCE_TEST_DISK", dir.path());
    let can = std::process::Command::new("unshare").args(["-r", "-m", "true"]).output();
    if !can.is_ok_and(|can| can.status.success()) {
        println!(
            "SKIPPED: fs_17_the_journal_keeps_its_reserve_on_a_disk_that_is_full: no small disk can be mounted here"
        );
        return;
    }
    let output = unshare.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "the inside of another test"]
fn on_a_small_disk() {
    let Some(disk) = std::env::var_os("RINGFENCE_TEST_DISK") else { return };
    let disk = Path::new(&disk);
    let journal = Journal::new(disk.join("journal"), Limits::default(), Redactor::default());
    journal.append(&[intent("before", "begin")]).unwrap();
    // Whoever fills the disk takes all there is.
    let fill = |name: &str| {
        let mut file = fs::File::create(disk.join(name)).unwrap();
        for size in [65536, 4096, 1] {
            while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
        }
    };
    fill("filled");
    // What led there, and what is refused from then on, is recorded all the same.
    for round in 0..100 {
        journal
            .append(&[intent(&format!("full-{round}"), "fill the disk"), denial(&format!("refused-{round}"))])
            .unwrap();
    }
    fill("filled again");
    let events = reader::read(&disk.join("journal"), &Filter::default()).unwrap();
    assert!(events.len() >= 201, "{}", events.len());
    assert!(verify(&disk.join("journal")).unwrap().breaks.is_empty());
    // Room again: it is set aside anew.
    fs::remove_file(disk.join("filled")).unwrap();
    fs::remove_file(disk.join("filled again")).unwrap();
    journal.append(&[intent("after", "go on")]).unwrap();
    assert!(fs::metadata(disk.join("journal/reserve")).unwrap().len() >= 256 << 10);
}
