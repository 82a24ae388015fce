//! The subcommands, one module each: translate, ask the library, show.

mod apply;
#[cfg(target_os = "linux")]
mod approvals;
pub mod ask;
mod completions;
mod config;
mod decide;
mod doctor;
mod ended;
pub mod import;
mod log;
#[cfg(target_os = "linux")]
mod managed;
#[cfg(any(target_os = "macos", windows))]
mod native;
pub mod plan;
pub mod policy;
#[cfg(target_os = "linux")]
mod prove;
#[cfg(all(feature = "proxy", unix))]
mod proxy;
mod rules;
#[cfg(target_os = "linux")]
mod run;
mod session;
mod status;
mod trust;

use crate::args::{Command, RunArgs};
use crate::out::{Failure, notices};
use crate::start::{self, More, Ready};
use ringfence_model::Confinement;
use std::process::ExitCode;

#[cfg(target_os = "linux")]
pub use ringfence_sandbox::Ahead;

/// Elsewhere nothing is made ahead.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum Ahead {}

/// Begins with what a confined command will need, whatever its settings turn out to be; none where that can't be.
#[must_use]
pub fn begin_ahead() -> Option<Ahead> {
    #[cfg(target_os = "linux")]
    return Ahead::begin();
    #[cfg(not(target_os = "linux"))]
    None
}

/// What `sandbox` begins with: settings resolved, notices told, and the confinement that they ask for.
fn begin(args: &RunArgs) -> Result<(Ready, Confinement), Failure> {
    let mut more = vec![More::Env(&args.environment)];
    more.extend(args.timeout.as_deref().map(More::Timeout));
    let ready = start::ready(&args.shared, &more)?;
    if !args.shared.json {
        notices::print(&start::notices(&ready));
    }
    let wish = start::confinement(&ready, args.keep_background)?;
    Ok((ready, wish))
}

/// Shows what `sandbox` would do; nothing runs.
fn dry_run(args: &RunArgs) -> Result<ExitCode, Failure> {
    #[cfg(target_os = "linux")]
    return run::sandbox(args, None);
    #[cfg(not(target_os = "linux"))]
    native::sandbox(args)
}

/// Runs one subcommand; a failure is printed here and nowhere else.
pub fn dispatch(command: Command, ahead: Option<Ahead>) -> ExitCode {
    #[cfg(not(target_os = "linux"))]
    let _ = ahead;
    let result = match command {
        Command::Doctor(args) => doctor::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Import(args) => import::main(&args),
        Command::Policy(args) => policy::main(&args),
        Command::Plan(args) => plan::main(&args),
        Command::Status(args) => status::main(&args),
        Command::Rules(args) => rules::main(&args),
        Command::Config(args) => config::main(&args),
        Command::Trust(args) => trust::trust(&args),
        Command::Permissions(args) => trust::permissions(&args),
        Command::Apply(args) => apply::main(&args),
        Command::Write => apply::write(),
        #[cfg(target_os = "linux")]
        Command::Approvals => approvals::main(),
        #[cfg(not(target_os = "linux"))]
        Command::Approvals => Err(Failure::new("answering from another terminal isn't part of this system's build")),
        Command::Log(args) => log::main(&args),
        Command::Why(args) => log::why(&args),
        Command::Overview => status::overview(),
        #[cfg(all(feature = "proxy", unix))]
        Command::Proxy(args) => proxy::main(&args),
        #[cfg(all(feature = "proxy", not(unix)))]
        Command::Proxy(_) => Err(Failure::new("the proxy isn't part of this build")),
        #[cfg(target_os = "linux")]
        Command::Sandbox(args) => run::sandbox(&args, ahead),
        #[cfg(any(target_os = "macos", windows))]
        Command::Sandbox(args) => native::sandbox(&args),
        Command::Run(args) => decide::run(&args),
        Command::Explain(args) => decide::explain(&args),
        #[cfg(target_os = "linux")]
        Command::Prove(args) => prove::main(&args),
        #[cfg(target_os = "linux")]
        Command::Attack(args) => crate::prove::inside::main(&args),
        #[cfg(not(target_os = "linux"))]
        Command::Prove(_) | Command::Attack(_) => Err(Failure::new("`prove` isn't there on this system yet")),
    };
    result.unwrap_or_else(|failure| failure.report())
}
