//! `run` and `explain`: a command that is decided about first.

use super::{RunArgs, Shared};
use clap::Args;
use std::ffi::OsString;

/// Arguments of `ringfence run`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// What is asked for beyond the sandbox.
    #[command(flatten)]
    pub wish: Wish,
    /// Who is asked.
    #[command(flatten)]
    pub answers: Answers,
    /// The agent's session: grants given for it are kept for twelve hours
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// The agent this is for, as journals and reports name it
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// How to run it.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Who is asked instead of the person at the terminal.
#[derive(Debug, Clone, Default, Args)]
pub struct Answers {
    /// Ask PROGRAM (split at blanks): the request as JSON on its standard input, the answer from its standard output
    #[arg(long, value_name = "PROGRAM", conflicts_with = "approve_over")]
    pub approve_with: Option<String>,
    /// Ask over a channel, one JSON document a line: `N` (a socket), `IN,OUT` (answers from descriptor IN, requests to
    /// OUT), or `stdio`
    #[arg(long, value_name = "CHANNEL", allow_negative_numbers = true)]
    pub approve_over: Option<String>,
}

/// A request for more than the sandbox gives.
#[derive(Debug, Clone, Default, Args)]
pub struct Wish {
    /// Ask to run with more: `outside`, `write=DIR`, `read=PATH`, `network=HOST` or `socket=PATH`; may be given again
    #[arg(long, value_name = "WHAT", requires = "justification")]
    pub escalate: Vec<String>,
    /// Why, in the agent's own words
    #[arg(long, value_name = "TEXT")]
    pub justification: Option<String>,
}

/// Arguments of `ringfence explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What is asked for beyond the sandbox.
    #[command(flatten)]
    pub wish: Wish,
    /// The command and its arguments, after `--`
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Settings to judge it under.
    #[command(flatten)]
    pub shared: Shared,
}
