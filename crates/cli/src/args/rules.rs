//! `rules`: checking, listing, testing and changing command rules.

use super::Shared;
use clap::{Args, Subcommand, ValueEnum};
use ringfence_rules::Decision;
use std::path::PathBuf;

/// `ringfence rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Judge a command by rule files, as JSON; the tokens are taken as they stand
    Check(CheckArgs),
    /// List the rules in force, with the place of each
    List(ListArgs),
    /// Run the examples of every rule
    Test(TestArgs),
    /// Add a rule to `rules/default.rules`
    Add(ChangeArgs),
    /// Remove a rule from `rules/default.rules`
    Remove(ChangeArgs),
}

/// `ringfence rules check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A rule file; may be given again
    #[arg(long = "rules", short = 'r', value_name = "FILE", required = true)]
    pub rules: Vec<PathBuf>,
    /// Match absolute paths by their base name where no rule matches the path itself
    #[arg(long)]
    pub resolve_host_executables: bool,
    /// Indent the JSON
    #[arg(long)]
    pub pretty: bool,
    /// Read shell lines: judge each command in them alone
    #[arg(long)]
    pub shell: bool,
    /// The command
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `ringfence rules list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Every rule of every layer that counts here; this is what is listed in any case
    #[arg(long)]
    pub effective: bool,
    /// Settings to take them from.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence rules test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Rule files; without one, every file in force here
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// `ringfence rules add`, `ringfence rules remove`.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// What holds for the command
    #[arg(value_enum)]
    pub decision: Said,
    /// Why; shown when the rule matters
    #[arg(long, value_name = "TEXT")]
    pub justification: Option<String>,
    /// The tokens a command must begin with
    #[arg(required = true, trailing_var_arg = true, value_name = "TOKEN")]
    pub pattern: Vec<String>,
}

/// A decision, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Said {
    /// Runs without a question
    Allow,
    /// Asks
    Prompt,
    /// Is refused
    Forbidden,
}

impl From<Said> for Decision {
    fn from(said: Said) -> Self {
        match said {
            Said::Allow => Self::Allow,
            Said::Prompt => Self::Prompt,
            Said::Forbidden => Self::Forbidden,
        }
    }
}
