//! The subcommands, one module each: translate, ask the library, show.

mod completions;
mod doctor;
pub mod plan;
#[cfg(target_os = "linux")]
mod prove;
#[cfg(target_os = "linux")]
mod run;
mod status;

use crate::args::Command;
use crate::out::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs one subcommand; a failure is printed here and nowhere else.
pub fn dispatch(command: Command, args: &[OsString]) -> ExitCode {
    let _ = args;
    let result = match command {
        Command::Doctor(args) => doctor::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Plan(args) => plan::main(&args),
        Command::Status(args) => status::main(&args),
        Command::Overview => status::overview(),
        #[cfg(target_os = "linux")]
        Command::Sandbox(args) | Command::Run(args) => run::sandbox(&args),
        #[cfg(target_os = "linux")]
        Command::Prove(args) => prove::main(&args),
        #[cfg(target_os = "linux")]
        Command::Attack(args) => crate::prove::inside::main(&args),
        _ => Err(Failure::new("not here yet")),
    };
    result.unwrap_or_else(|failure| failure.report())
}
