//! The guide's transcripts, run: what a page shows after `$ ` is what the program prints. `…` stands for any text, a line
//! of nothing else for any lines. A block that can't be run says why, in a comment above it: `<!-- not run: … -->`.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, confines, program};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One command and what follows it.
struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// The transcripts of a page, and the lines of those that are said not to run.
fn transcripts(text: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let (mut inside, mut skipped) = (false, false);
    let mut last = "";
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console";
            skipped = inside && last.starts_with("<!-- not run: ");
        } else if inside && !skipped {
            match line.strip_prefix("$ ") {
                Some(command) => {
                    shown.push(Shown { line: number + 1, command: command.to_owned(), output: Vec::new() });
                }
                None => shown.last_mut().expect("a block begins with a command").output.push(line.to_owned()),
            }
        }
        last = line;
    }
    shown
}

/// Whether a line is as shown.
fn fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

fn all_fit(shown: &[String], lines: &[&str]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "…" => (0..=lines.len()).any(|skip| all_fit(rest, &lines[skip..])),
        (Some((first, rest)), Some((line, below))) => fits(first, line) && all_fit(rest, below),
        _ => false,
    }
}

fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("docs/guide.md")];
    let more = std::fs::read_dir(root.join("docs/guide")).into_iter().flatten().flatten().map(|entry| entry.path());
    pages.extend(more.filter(|page| page.extension().is_some_and(|end| end == "md")));
    pages.sort();
    pages
}

#[test]
fn every_transcript_of_the_guide_is_what_is_printed() {
    if !confines("every_transcript_of_the_guide_is_what_is_printed") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages(&root) {
        let text = std::fs::read_to_string(&page).expect("readable");
        let place = Place::new();
        // The working directory has the name that the pages give it.
        std::fs::rename(place.path("ws"), place.path("app")).expect("renamed");
        std::fs::create_dir(place.path("bin")).expect("made");
        std::os::unix::fs::symlink(program(), place.path("bin/ringfence")).expect("linked");
        let mut status = 0;
        for shown in transcripts(&text) {
            let mut path = place.path("bin").into_os_string();
            path.push(":");
            path.push(std::env::var_os("PATH").unwrap_or_default());
            let mut command = Command::new("sh");
            // `$?` is the status of the command before, as in the reader's shell.
            command.args(["-c", &format!("exec 2>&1; (exit {status}); {}", shown.command)]);
            command.current_dir(place.path("app")).env_clear().stdin(std::process::Stdio::null());
            command.env("HOME", place.path("home")).env("LANG", "C.UTF-8").env("TERM", "dumb").env("PATH", path);
            let output = command.output().expect("runs");
            status = output.status.code().unwrap_or(-1);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            count += 1;
            if !all_fit(&shown.output, &printed.lines().collect::<Vec<_>>()) {
                let page = page.strip_prefix(&root).unwrap_or(&page).display();
                wrong.push(format!(
                    "{page}:{}: $ {}\nshown:\n{}\nprinted:\n{printed}",
                    shown.line,
                    shown.command,
                    shown.output.join("\n")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count > 10, "{count} transcripts");
}

#[test]
fn what_stands_for_any_text_is_read_so() {
    assert!(fits("a … c", "a b c") && fits("…/app", "/x/app") && fits("x", "x") && fits("a…", "abc"));
    assert!(!fits("a … c", "a b d") && !fits("x", "xy") && !fits("a…b…c", "acb"));
    let shown = ["a", "…", "z"].map(str::to_owned);
    assert!(all_fit(&shown, &["a", "z"]) && all_fit(&shown, &["a", "b", "c", "z"]) && !all_fit(&shown, &["a", "b"]));
}
