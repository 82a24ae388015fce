//! The command line of Ringfence: arguments, prompts, tables, exit statuses.
//!
//! It translates what a person typed into actions and settings, asks the library, and shows what came back. It decides
//! nothing.

#![forbid(unsafe_code)]

pub mod args;
pub mod beside;
pub mod cmd;
pub mod out;
#[cfg(target_os = "linux")]
pub mod prove;
pub mod start;

use args::{Cli, Command};
use clap::Parser;
use ringfence_model::report::status;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line `args`, program name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // What we start must know us in the table of processes, whatever name our file was given.
    #[cfg(target_os = "linux")]
    ringfence_sandbox::take_name(c"ringfence");
    let args: Vec<OsString> = args.into_iter().collect();
    // The kernel makes namespaces while arguments and settings are read.
    let ahead = if args::confines(&args) { cmd::begin_ahead() } else { None };
    let parsed = match args::hot_path(&args) {
        Some(parsed) => parsed,
        None => Cli::try_parse_from(&args),
    };
    match parsed {
        Ok(cli) => {
            let status = cmd::dispatch(cli.command.unwrap_or(Command::Overview), ahead);
            beside::settle();
            match out::json::unwritten() {
                Some(failure) => failure.report(),
                None => status,
            }
        }
        Err(error) => usage(&error),
    }
}

/// Prints help, the version, or what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    let helps = !error.use_stderr();
    if helps {
        // A closed pipe (`ringfence --help | head -1`) is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprint!("{error}");
        return ExitCode::from(status::FAILED);
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    eprint!("ringfence: {text}");
    ExitCode::from(status::FAILED)
}
