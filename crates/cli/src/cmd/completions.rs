//! `ringfence completions SHELL`.

use crate::args::{Cli, CompletionsArgs};
use crate::out::{Failure, json};
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints the script.
pub fn main(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ringfence", &mut script);
    json::text_out(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
