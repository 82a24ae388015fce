//! Git reads: safe only with harmless options, run neutralised, in a repository whose configuration runs nothing.
//!
//! The three conditions, one file each: [`options`] (what is asked for), [`neutral`] (how it is run), [`facts`] (what Git
//! would read and obey). Gathering the configuration is somebody else's; [`config`] reads its text.

pub mod config;
pub mod facts;
mod neutral;
pub mod options;

pub use config::{ConfigEntry, ConfigError, parse};
pub use facts::{GitFacts, Trouble, troubles};

use crate::class::{ClassifyFacts, Finding, Neutralised};
use crate::command::SimpleCommand;
use crate::safety::{environment, trusted_program};

/// Judges a `git` command by its words: how it would be safe, or what keeps it from being so.
pub(crate) fn judge(command: &SimpleCommand, facts: &ClassifyFacts) -> Result<Neutralised, Finding> {
    let Some(word) = command.words.first() else { return Err(Finding::new("there is no command")) };
    trusted_program(word, facts)?;
    environment("git", facts)?;
    let words: Vec<&str> = command.words.iter().map(|word| word.as_str().unwrap_or("\0")).collect();
    let (subcommand, at) = options::judge(&words).map_err(|(why, word)| {
        let finding = Finding::new(why);
        match command.words.get(word) {
            Some(word) => finding.with_word(word),
            None => finding,
        }
    })?;
    Ok(neutral::run(command, subcommand, at, facts.platform))
}
