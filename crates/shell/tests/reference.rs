//! The reference of the command table is the table: `docs/reference/commands.md` is printed from it and compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ringfence_shell::git::{facts::KEYS, options};
use ringfence_shell::safety::table::{
    Arguments, BUILTINS, On, Operands, Options, SYSTEM_DIRECTORIES, TABLE, VARIABLES,
};
use ringfence_shell::wrappers::{MAX_DEPTH, Runs, WRAPPERS};
use std::fmt::Write as _;

fn code(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().map(|word| format!("`{}`", word.replace('|', "\\|"))).collect::<Vec<_>>().join(" ")
}

fn letters(letters: &str) -> impl Iterator<Item = String> + '_ {
    letters.chars().map(|letter| format!("-{letter}"))
}

fn options(out: &mut String, options: &Options) {
    let harmless =
        letters(options.flags).chain(letters(options.values)).chain(options.long.iter().map(|long| (*long).to_owned()));
    let _ = writeln!(out, "  - harmless: {}", code(harmless));
    for (option, why) in options.harmful {
        let _ = writeln!(out, "  - not `{option}`: {why}");
    }
    match options.operands {
        Operands::Any => {}
        Operands::AtMost(0, why) => {
            let _ = writeln!(out, "  - no operand: {why}");
        }
        Operands::AtMost(most, why) => {
            let _ = writeln!(out, "  - at most {most} operand: {why}");
        }
        Operands::Format(why) => {
            let _ = writeln!(out, "  - operands begin with `+`: {why}");
        }
    }
}

fn reference() -> String {
    let mut out = String::from(
        "# How commands are understood\n\n\
         This page is printed from the tables in `crates/shell`; a test compares the two.\n\n\
         ## Known-safe reads\n\n\
         A known-safe read reads only, runs nothing else, loads no configuration that could, and reaches no network. It runs\n\
         without a question even under `untrusted`. A path outside the workspace is still only read.\n\n\
         The program must be a bare name that resolves outside the workspace and every writable root, with no entry of `PATH`\n\
         that is empty, relative or writable; or an absolute path directly in one of\n",
    );
    let _ = writeln!(out, "{}.", code(SYSTEM_DIRECTORIES.iter().map(|one| (*one).to_owned())));
    let _ = writeln!(
        out,
        "In a shell line, {} are the shell's own.\n\nNothing is known-safe on Windows.\n",
        code(BUILTINS.iter().map(|one| (*one).to_owned()))
    );
    out.push_str("### With any arguments\n\n| program | what it does |\n| --- | --- |\n");
    for row in TABLE.iter().filter(|row| matches!(row.arguments, Arguments::Any)) {
        let only = if row.on == On::Linux { " (Linux)" } else { "" };
        let _ = writeln!(out, "| `{}`{only} | {} |", row.program, row.why);
    }
    out.push_str(
        "\n### With conditions\n\n\
         Only the options listed as harmless may appear, joined or not, before or after operands. Anything else takes the\n\
         command off the list: an option that harms, one that isn't known, and an abbreviated long option.\n\n",
    );
    for row in TABLE {
        match row.arguments {
            Arguments::Any => {}
            Arguments::Listed(listed) => {
                let _ = writeln!(out, "- **`{}`** {}", row.program, row.why);
                options(&mut out, listed);
            }
            Arguments::Special(rule) => {
                let _ = writeln!(out, "- **`{}`** {}\n  - {rule}", row.program, row.why);
            }
        }
    }
    out.push_str(
        "\n### Variables that take programs off the list\n\n| variable | for | what it does |\n| --- | --- | --- |\n",
    );
    for variable in VARIABLES {
        let program = match variable.program {
            "" => "every program".to_owned(),
            "sh" => "every shell line".to_owned(),
            program => format!("`{program}`"),
        };
        let place =
            if variable.only_writable { ", if its value is relative or leads into a writable place" } else { "" };
        let _ = writeln!(out, "| `{}` | {program}{place} | {} |", variable.name, variable.why);
    }
    git(&mut out);
    wrappers(&mut out);
    out
}

fn git(out: &mut String) {
    out.push_str(
        "\n## Git reads\n\n\
         A Git read is safe only if every option is listed here, it is run neutralised (no hooks, file watcher, pager, external\n\
         diff, converter, signature check, lazy fetch or submodules) inside the read-only sandbox with the network off, and\n\
         nothing in the configuration that Git would read runs a program or fetches. It must be run by itself: not in a line\n\
         with other commands.\n\n| subcommand | needs | harmless options | operands |\n| --- | --- | --- | --- |\n",
    );
    for row in options::SUBCOMMANDS {
        let needs = if row.requires.is_empty() {
            String::new()
        } else {
            format!("one of {}", code(row.requires.iter().map(|one| (*one).to_owned())))
        };
        let harmless =
            letters(row.flags).chain(letters(row.values)).chain(row.long.iter().map(|long| (*long).to_owned()));
        let operands = match row.operands {
            options::Operands::Any => "any".to_owned(),
            options::Operands::AtMost(0) if row.name == "branch" => "none, or patterns with `--list`".to_owned(),
            options::Operands::AtMost(0) => "none".to_owned(),
            options::Operands::AtMost(most) => format!("at most {most}"),
        };
        let _ = writeln!(out, "| `{}` | {needs} | {} | {operands} |", row.name, code(harmless));
    }
    out.push_str("\nOptions that make one of them something else:\n\n| option | why |\n| --- | --- |\n");
    for (option, why) in options::HARMFUL {
        let _ = writeln!(out, "| `{option}` | {why} |");
    }
    out.push_str(
        "\nKeys of the configuration that make Ringfence ask. A driver that no attribute names is never run and doesn't count.\n\n\
         | key | why | in one's own file |\n| --- | --- | --- |\n",
    );
    for row in KEYS {
        let (section, sub, name) = row.key;
        let key = sub.map_or(format!("{section}.{name}"), |sub| format!("{section}.{sub}.{name}"));
        let own = if row.own_is_fine { "harmless when neutralised" } else { "asks" };
        let _ = writeln!(out, "| `{key}` | {} | {own} |", row.why);
    }
}

fn wrappers(out: &mut String) {
    let _ = write!(
        out,
        "\n## Wrappers\n\n\
         What these run is seen for `prompt`, `forbidden` and danger, up to {MAX_DEPTH} deep; deeper counts as dangerous. It never\n\
         counts for `allow` or safety. Also looked into: `find -exec`, `fd -x`, `trap`, `alias`, `mapfile -C`, `compgen -C`, shells\n\
         with `-c` or a here-document, `echo … | sh`, and Git's `-c alias.x=!…`, `rebase -x`, `bisect run`, `submodule foreach`.\n\n\
         | program | options with a value | own operands | runs |\n| --- | --- | --- | --- |\n",
    );
    for row in WRAPPERS {
        let values = letters(row.values).chain(row.long_values.iter().map(|long| (*long).to_owned()));
        let mut runs = match row.runs {
            Runs::Command => "the rest as a command",
            Runs::Script => "the rest as a script",
            Runs::Either => "the rest as a command or a script",
            Runs::Options => "what its options say",
        }
        .to_owned();
        if !row.scripts.is_empty() {
            let _ = write!(runs, "; {} as a script", code(row.scripts.iter().map(|one| (*one).to_owned())));
        }
        let assignments = if row.assignments { ", `NAME=value`" } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {}{assignments} | {runs} |", row.name, code(values), row.operands);
    }
}

#[test]
fn the_reference_is_the_table() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/commands.md");
    let printed = reference();
    if std::env::var_os("RINGFENCE_WRITE_REFERENCE").is_some() {
        std::fs::write(file, &printed).expect("writes the reference");
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default().replace("\r\n", "\n");
    assert!(kept == printed, "run this test with RINGFENCE_WRITE_REFERENCE=1 to print docs/reference/commands.md anew");
}

/// No option is listed as harmless and harmful at once, and no row stands twice.
#[test]
fn the_table_does_not_contradict_itself() {
    for (index, row) in TABLE.iter().enumerate() {
        assert!(TABLE.iter().skip(index + 1).all(|other| other.program != row.program), "{} twice", row.program);
        let Arguments::Listed(listed) = row.arguments else { continue };
        for (option, _) in listed.harmful {
            let letter = option.strip_prefix('-').filter(|rest| rest.chars().count() == 1);
            assert!(!listed.long.contains(option), "{} {option}", row.program);
            assert!(
                !letter.is_some_and(|letter| listed.flags.contains(letter) || listed.values.contains(letter)),
                "{} {option}",
                row.program
            );
        }
        let both = listed.flags.chars().find(|flag| listed.values.contains(*flag));
        assert_eq!(both, None, "{}: an option either takes a value or doesn't", row.program);
    }
}
