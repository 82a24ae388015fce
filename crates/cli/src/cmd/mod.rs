//! The subcommands, one module each: translate, ask the library, show.

mod completions;
mod doctor;
pub mod import;
mod log;
pub mod plan;
pub mod policy;
#[cfg(target_os = "linux")]
mod prove;
mod rules;
#[cfg(target_os = "linux")]
mod run;
mod status;

use crate::args::Command;
#[cfg(not(target_os = "linux"))]
use crate::out::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs one subcommand; a failure is printed here and nowhere else.
pub fn dispatch(command: Command, args: &[OsString]) -> ExitCode {
    let _ = args;
    let result = match command {
        Command::Doctor(args) => doctor::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Import(args) => import::main(&args),
        Command::Policy(args) => policy::main(&args),
        Command::Plan(args) => plan::main(&args),
        Command::Status(args) => status::main(&args),
        Command::Rules(args) => rules::main(&args),
        Command::Log(args) => log::main(&args),
        Command::Why(args) => log::why(&args),
        Command::Overview => status::overview(),
        #[cfg(target_os = "linux")]
        Command::Sandbox(args) | Command::Run(args) => run::sandbox(&args),
        #[cfg(target_os = "linux")]
        Command::Prove(args) => prove::main(&args),
        #[cfg(target_os = "linux")]
        Command::Attack(args) => crate::prove::inside::main(&args),
        #[cfg(not(target_os = "linux"))]
        Command::Sandbox(_) | Command::Run(_) | Command::Prove(_) | Command::Attack(_) => {
            Err(Failure::new("this system's sandbox isn't part of this build"))
        }
    };
    result.unwrap_or_else(|failure| failure.report())
}
