//! Whether a command is a known-safe read, by the table.

pub mod table;

use crate::class::{ClassifyFacts, Finding, Platform};
use crate::command::{SimpleCommand, base_name};
use ringfence_model::OsText;
use std::path::Path;
use table::{Arguments, BUILTINS, On, Operands, Options, SYSTEM_DIRECTORIES, TABLE, VARIABLES};

/// Judges a command by the table: why it is safe, or what keeps it from being so.
pub(crate) fn judge(command: &SimpleCommand, facts: &ClassifyFacts) -> Result<Finding, Finding> {
    let Some(word) = command.words.first() else { return Err(Finding::new("there is no command")) };
    if let Some(unknown) = command.unknown.first().and_then(|at| command.words.get(*at)) {
        return Err(Finding::new("a word's value isn't known before the shell runs").with_word(unknown));
    }
    let Some(text) = word.as_str() else { return Err(Finding::new("the program's name isn't text").with_word(word)) };
    let name = base_name(text);
    let row = TABLE.iter().find(|row| row.program == name && (row.on == On::All || facts.platform == Platform::Linux));
    let Some(row) = row.filter(|_| facts.platform != Platform::Windows) else {
        let why = format!("`{}` isn't in the table of known-safe reads", ringfence_model::text::escape(name));
        return Err(Finding::new(why));
    };
    let builtin = command.span.is_some() && text == name && BUILTINS.contains(&name);
    if !builtin {
        trusted_program(word, facts)?;
    }
    environment(name, facts)?;
    match row.arguments {
        Arguments::Any => {}
        Arguments::Listed(options) => check(name, options, command, facts.platform)?,
        Arguments::Special(rule) => {
            if !prints_lines(&command.words) {
                return Err(Finding::new(format!("safe is {rule}")));
            }
        }
    }
    Ok(Finding::new(format!("`{name}` only reads: it {}", row.why)))
}

/// Whether the program is the one it claims to be: outside of everything that can be written to.
pub(crate) fn trusted_program(word: &OsText, facts: &ClassifyFacts) -> Result<(), Finding> {
    let text = word.as_str().unwrap_or("");
    let problem = |why: String| Err(Finding::new(why).with_word(word));
    if text.contains('/') {
        let folder = Path::new(text).parent().and_then(Path::to_str).unwrap_or("");
        if !SYSTEM_DIRECTORIES.contains(&folder) {
            return problem("the program is named by a path that isn't in a system directory".to_owned());
        }
    } else if facts.path_writable {
        return problem("`PATH` has an entry that is empty, relative or writable for the command".to_owned());
    }
    let Some(found) = facts.programs.iter().find(|found| found.requested == *word) else {
        return problem("the program wasn't looked up".to_owned());
    };
    let Some(path) = &found.resolved else { return problem("the program isn't found".to_owned()) };
    if found.from_writable || facts.writable_roots.iter().any(|root| path.as_path().starts_with(root.as_path())) {
        return problem("the program lies in a writable place".to_owned());
    }
    Ok(())
}

/// Whether a variable makes the program do more.
pub(crate) fn environment(program: &str, facts: &ClassifyFacts) -> Result<(), Finding> {
    for (name, value) in &facts.environment {
        let Some(name) = name.as_str() else { continue };
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        for variable in VARIABLES.iter().filter(|variable| fits(variable.name)) {
            let concerns = variable.program.is_empty() || variable.program == program;
            if concerns && (!variable.only_writable || leads_into_writable(value, facts)) {
                return Err(Finding::new(format!("the variable `{name}` {}", variable.why)));
            }
        }
    }
    Ok(())
}

fn leads_into_writable(value: &OsText, facts: &ClassifyFacts) -> bool {
    let Some(value) = value.as_str() else { return true };
    value.split([':', ' ']).filter(|part| !part.is_empty()).any(|part| {
        let path = Path::new(part);
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        !part.starts_with('/') || climbs || facts.writable_roots.iter().any(|root| path.starts_with(root.as_path()))
    })
}

/// Checks every option and operand against the listed ones.
pub(crate) fn check(
    program: &str,
    options: &Options,
    command: &SimpleCommand,
    platform: Platform,
) -> Result<(), Finding> {
    let dashed = options.long.iter().any(|long| !long.starts_with("--"));
    let mut operands = 0;
    let mut value_follows = false;
    let mut only_operands = false;
    for word in command.words.iter().skip(1) {
        let text = word.as_str().unwrap_or("-");
        let is_value = std::mem::take(&mut value_follows);
        if only_operands || !text.starts_with('-') || text == "-" {
            if !is_value {
                operands += 1;
                operand(program, options.operands, operands, word)?;
            }
        } else if dashed && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            // A number that a test of `find` takes.
        } else if text == "--" {
            only_operands = !dashed;
        } else if text.starts_with("--") || (dashed && text.len() > 2) {
            let name = text.split_once('=').map_or(text, |(name, _)| name);
            if !options.long.contains(&name) {
                return Err(refused(program, options, name, word));
            }
            value_follows = options.long_values.contains(&text);
        } else {
            value_follows = cluster(program, options, word, platform)?;
        }
    }
    Ok(())
}

/// Checks `-abc`; says whether the last letter takes the next word as its value.
fn cluster(program: &str, options: &Options, word: &OsText, platform: Platform) -> Result<bool, Finding> {
    let letters = word.as_str().and_then(|text| text.strip_prefix('-')).unwrap_or("");
    for (place, letter) in letters.char_indices() {
        // `date -I` takes a value only when it is joined.
        if program == "date" && letter == 'I' {
            return Ok(false);
        }
        if options.values.contains(letter) {
            return Ok(place + letter.len_utf8() == letters.len());
        }
        // `date -f` reads a file with GNU's, and sets the clock with BSD's.
        let gnu_date = program == "date" && platform == Platform::Linux;
        if gnu_date && (letter == 'f' || letter == 'r') {
            return Ok(place + letter.len_utf8() == letters.len());
        }
        let word_option = options.long.contains(&format!("-{letter}").as_str());
        if !options.flags.contains(letter) && !word_option {
            return Err(refused(program, options, &format!("-{letter}"), word));
        }
    }
    Ok(false)
}

fn refused(program: &str, options: &Options, name: &str, word: &OsText) -> Finding {
    let shown = ringfence_model::text::escape(name);
    let why = match options.harmful.iter().find(|(harmful, _)| *harmful == name) {
        Some((_, why)) => format!("`{program} {shown}` {why}"),
        None => format!("`{shown}` isn't an option of `{program}` that is known to be harmless"),
    };
    Finding::new(why).with_word(word)
}

fn operand(program: &str, rule: Operands, count: usize, word: &OsText) -> Result<(), Finding> {
    match rule {
        Operands::AtMost(most, why) if count > most => Err(Finding::new(format!("`{program}`: {why}")).with_word(word)),
        Operands::Format(why) if !word.as_str().is_some_and(|text| text.starts_with('+')) => {
            Err(Finding::new(format!("`{program}`: {why}")).with_word(word))
        }
        _ => Ok(()),
    }
}

/// `sed -n Np`, `sed -n N,Mp`, `sed -n N,$p`, and files.
fn prints_lines(words: &[OsText]) -> bool {
    let [_, quiet, script, files @ ..] = words else { return false };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let lines = |text: &str| match text.split_once(',') {
        Some((from, to)) => number(from) && (number(to) || to == "$"),
        None => number(text) || text == "$",
    };
    quiet.as_str() == Some("-n")
        && script.as_str().and_then(|script| script.strip_suffix('p')).is_some_and(lines)
        && files.iter().all(|file| !file.as_bytes().starts_with(b"-"))
}
