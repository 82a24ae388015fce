//! A second reader: the parser of a working shell must find the same commands in a script before it counts as plain.
//!
//! It only ever sees scripts that [`crate::script`] found flat, so nothing in them can make it recurse.

use crate::command::SimpleCommand;
use brush_parser::ast::{AndOr, Command, CommandPrefixOrSuffixItem, Pipeline, SeparatorOperator};
use brush_parser::{Parser, ParserOptions};
use ringfence_model::OsText;

/// Bytes of a script that are still judged command by command.
pub(crate) const MAX_PLAIN: usize = 16 << 10;

/// Whether the parser reads `text` as exactly these commands, joined by `&&`, `||`, `;`, `|` and line ends.
pub(crate) fn agrees(text: &str, commands: &[SimpleCommand]) -> bool {
    let options = ParserOptions { enable_extended_globbing: false, ..ParserOptions::default() };
    let Ok(program) = Parser::new(text.as_bytes(), &options).parse_program() else { return false };
    let mut found = Vec::new();
    for list in &program.complete_commands {
        for item in &list.0 {
            if matches!(item.1, SeparatorOperator::Async) || !pipeline(&item.0.first, &mut found) {
                return false;
            }
            for AndOr::And(next) | AndOr::Or(next) in &item.0.additional {
                if !pipeline(next, &mut found) {
                    return false;
                }
            }
        }
    }
    found.len() == commands.len() && found.iter().zip(commands).all(|(found, ours)| same(found, &ours.words))
}

fn pipeline(pipeline: &Pipeline, found: &mut Vec<Vec<String>>) -> bool {
    if pipeline.bang || pipeline.timed.is_some() {
        return false;
    }
    pipeline.seq.iter().all(|command| match command {
        Command::Simple(simple) => {
            let mut words = Vec::new();
            if simple.prefix.as_ref().is_some_and(|prefix| prefix.0.iter().any(|item| !is_redirect(item))) {
                return false;
            }
            words.extend(simple.word_or_name.iter().map(|word| word.value.clone()));
            for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
                match item {
                    CommandPrefixOrSuffixItem::Word(word) | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                        words.push(word.value.clone());
                    }
                    CommandPrefixOrSuffixItem::IoRedirect(_) => {}
                    CommandPrefixOrSuffixItem::ProcessSubstitution(..) => return false,
                }
            }
            found.push(words);
            true
        }
        _ => false,
    })
}

fn is_redirect(item: &CommandPrefixOrSuffixItem) -> bool {
    matches!(item, CommandPrefixOrSuffixItem::IoRedirect(_))
}

/// Compares raw words of the parser with our values.
fn same(raw: &[String], ours: &[OsText]) -> bool {
    raw.len() == ours.len() && raw.iter().zip(ours).all(|(raw, ours)| ours.as_str() == Some(unquote(raw).as_str()))
}

/// The value of a raw word without expansions: quotes and escapes taken off.
fn unquote(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut single, mut double) = (false, false);
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '\\' if !single => match chars.next() {
                Some('\n') => {}
                Some(next) if double && !matches!(next, '"' | '\\' | '$' | '`') => out.extend(['\\', next]),
                Some(next) => out.push(next),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}
