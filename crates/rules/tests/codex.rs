//! Side by side with `codex execpolicy check`, where it can be had: the same rules and commands give the same bytes.
//!
//! `RINGFENCE_CODEX` names the program; else one on the path is taken. Without either the test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_model::{Layer, Origin, OsText};
use ringfence_rules::{Permit, Programs, RuleFile, RuleSet, check_json};
use std::process::Command;

/// A small generator with a fixed start, so that a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.roll(from.len())]
    }
}

const TOKENS: &[&str] = &["git", "push", "hg", "/usr/bin/git", "/opt/bin/hg", "-f", "", "a b", "\u{e9}"];
const PROGRAMS: &[&str] = &["git", "hg", "/usr/bin/git", "/usr/bin/../bin//git", "/opt/bin/hg", "/x/git", "push"];

fn quoted(token: &str) -> String {
    format!("\"{token}\"")
}

fn place(dice: &mut Dice) -> String {
    if dice.roll(3) > 0 {
        return quoted(dice.pick(TOKENS));
    }
    let many: Vec<String> = (0..=dice.roll(3)).map(|_| quoted(dice.pick(TOKENS))).collect();
    format!("[{}]", many.join(", "))
}

fn rules(dice: &mut Dice) -> String {
    let mut out = String::new();
    for _ in 0..dice.roll(6) {
        match dice.roll(8) {
            0 => out.push_str("host_executable(name = \"git\", paths = [\"/usr/bin/git\", \"/opt/../usr/bin/git\"])\n"),
            1 => out.push_str("host_executable(\"hg\", [\"/nowhere/hg\"])\n"),
            2 => out.push_str("[prefix_rule([t, \"push\"], \"prompt\") for t in sorted([\"hg\", \"git\"]) + [\"%s\" % \"x\"]]\n"),
            3 => out.push_str("def add(x, d = \"allow\"):\n    prefix_rule(pattern = [x] * 1 + [], decision = d)\nadd(\"git\")\nadd(d = \"forbidden\", x = \"hg\")\n"),
            _ => {
                let pattern: Vec<String> = (0..=dice.roll(3)).map(|_| place(dice)).collect();
                out.push_str(&format!("prefix_rule([{}]", pattern.join(", ")));
                match dice.roll(4) {
                    0 => {}
                    1 => out.push_str(", \"prompt\""),
                    2 => out.push_str(", decision = \"forbidden\", justification = \"why \\\"so\\\"\""),
                    _ => out.push_str(", \"allow\", [], []"),
                }
                out.push_str(")\n");
            }
        }
    }
    // Now and then a file that must not load.
    match dice.roll(12) {
        0 => out.push_str("prefix_rule([])\n"),
        1 => out.push_str("prefix_rule([\"git\"], match = [\"hg\"])\n"),
        2 => out.push_str("prefix_rule([\"git\"], justification = \" \")\n"),
        3 => out.push_str("prefix_rule([\"git\"], nothing = 1)\n"),
        4 => {
            out.push_str("prefix_rule([\"zz\"], match = [\"zz a\", [\"zz\"]], not_match = [\"z\", [\"/z\", \"zz\"]])\n")
        }
        _ => {}
    }
    out
}

fn ours(text: &str, command: &[&str], resolve: bool) -> Option<String> {
    let mut set = RuleSet::new();
    let origin = Origin::File { file: "r.rules".into(), line: 0, column: 0, layer: Layer::User };
    set.load(&RuleFile { origin, text: text.as_bytes(), permit: Permit::Everything });
    let words: Vec<OsText> = command.iter().map(|word| OsText::from(*word)).collect();
    let programs = if resolve { Programs::ByBaseName } else { Programs::Exact };
    set.broken().is_empty().then(|| check_json(&set.judge(&words, programs), false))
}

#[test]
fn the_same_rules_and_commands_give_the_same_json_as_codex() {
    let program = std::env::var("RINGFENCE_CODEX").unwrap_or_else(|_| "codex".to_owned());
    if !Command::new(&program).args(["execpolicy", "check", "--help"]).output().is_ok_and(|run| run.status.success()) {
        println!("SKIPPED: the_same_rules_and_commands_give_the_same_json_as_codex: `{program}` can't be run");
        return;
    }
    let cases = std::env::var("RINGFENCE_CODEX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("r.rules");
    let mut dice = Dice(7);
    let (mut matched, mut refused) = (0, 0);
    for case in 0..cases {
        let text = rules(&mut dice);
        std::fs::write(&file, &text).expect("writes");
        let mut command = vec![dice.pick(PROGRAMS)];
        command.extend((0..dice.roll(3)).map(|_| dice.pick(TOKENS)));
        let resolve = dice.roll(2) == 0;
        let mut run = Command::new(&program);
        run.args(["execpolicy", "check", "--rules"]).arg(&file);
        if resolve {
            run.arg("--resolve-host-executables");
        }
        let theirs = run.arg("--").args(&command).output().expect("runs");
        let theirs = theirs.status.success().then(|| String::from_utf8_lossy(&theirs.stdout).trim_end().to_owned());
        let ours = ours(&text, &command, resolve);
        matched += usize::from(ours.as_ref().is_some_and(|ours| ours.contains("decision")));
        refused += usize::from(ours.is_none());
        assert_eq!(ours, theirs, "case {case}: {text}\n{command:?}, resolve {resolve}");
    }
    println!("{cases} cases side by side: {matched} matched, {refused} files refused by both");
}
