//! Laws of reading, as sentences.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use ringfence_model::OsText;
use ringfence_shell::{command::quoted, read};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[a-z]{1,3}[ ;|&$`\"'\\\\#*(){}<>~=!\n]{1,3}[a-z]{0,3}",
        Just("rm".to_owned()),
        Just("-rf".to_owned()),
    ]
}

/// A word as any POSIX shell reads it: single quotes around everything.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn name() -> impl Strategy<Value = String> {
    "[a-z]{2,6}".prop_filter("no word of the grammar", |name| {
        ![
            "if", "fi", "do", "done", "then", "else", "elif", "case", "esac", "for", "while", "until", "in", "select",
            "time", "function", "coproc", "eval",
        ]
        .contains(&name.as_str())
    })
}

fn command() -> impl Strategy<Value = Vec<String>> {
    (name(), proptest::collection::vec(word(), 0..4)).prop_map(|(name, mut words)| {
        words.insert(0, name);
        words
    })
}

fn line(commands: &[Vec<String>], joins: &[&str]) -> String {
    let mut out = String::new();
    for (index, command) in commands.iter().enumerate() {
        if index > 0 {
            out.push_str(joins[index % joins.len()]);
        }
        let words: Vec<String> =
            command.iter().enumerate().map(|(at, word)| if at == 0 { word.clone() } else { quote(word) }).collect();
        out.push_str(&words.join(" "));
    }
    out
}

fn shell(script: &str) -> ringfence_shell::Reading {
    read(&["bash", "-c", script].map(OsText::from))
}

fn words(commands: &[ringfence_shell::SimpleCommand]) -> Vec<Vec<String>> {
    commands.iter().map(|one| one.words.iter().map(|word| word.as_str().unwrap_or("").to_owned()).collect()).collect()
}

proptest! {
    #[test]
    fn splitting_gives_exactly_the_commands_that_were_joined(
        commands in proptest::collection::vec(command(), 1..6),
        joins in proptest::sample::subsequence(vec![" && ", " || ", "; ", " | ", "\n", ";"], 1..4),
    ) {
        let script = line(&commands, &joins);
        let reading = shell(&script);
        prop_assert!(reading.is_plain(), "{script:?}: {:?}", reading.opaque);
        prop_assert_eq!(words(&reading.commands), commands);
    }

    #[test]
    fn splitting_never_loses_a_command(
        commands in proptest::collection::vec(command(), 1..5),
        place in 0usize..12,
    ) {
        let inside = line(&commands, &["; "]);
        let script = match place {
            0 => format!("echo $({inside})"),
            1 => format!("({inside})"),
            2 => format!("{{ {inside}; }}"),
            3 => format!("if true; then {inside}; fi"),
            4 => format!("f() {{ {inside}; }}; f"),
            5 => format!("x=1 true & {inside} &"),
            6 => format!("cat <({inside}) > f"),
            7 => format!("echo \"a $({inside}) b\""),
            8 => format!("for i in 1 2; do {inside}; done"),
            9 => format!("bash -c {}", quote(&inside)),
            10 => format!("eval {}", quote(&inside)),
            _ => format!("case x in x) {inside};; esac"),
        };
        let reading = shell(&script);
        let seen: Vec<Vec<String>> = words(&reading.commands).into_iter().chain(words(&reading.inner)).collect();
        for command in &commands {
            prop_assert!(seen.contains(command), "{script:?} lost {command:?}: {seen:?}");
        }
    }

    #[test]
    fn an_opaque_line_is_judged_as_exactly_its_argv(script in ".{0,60}") {
        let reading = shell(&script);
        if !reading.is_plain() {
            prop_assert_eq!(reading.commands.len(), 1);
            prop_assert_eq!(&reading.commands[0].words, &reading.argv);
        }
    }

    #[test]
    fn a_shown_word_has_no_character_that_deceives(text in any::<String>()) {
        let shown = quoted(&OsText::from(text));
        prop_assert!(!shown.chars().any(ringfence_model::text::is_deceptive));
    }
}
