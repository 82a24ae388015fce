//! After a command: what is said, what is written down, and the status; and what is said where none was started.

use crate::args::RunArgs;
use crate::out::{Failure, denials, notices, report};
use crate::start::Ready;
use ringfence::record_denials;
use ringfence_model::OsText;
use ringfence_model::report::Exit;
use ringfence_sandbox::{Outcome, Plan, StartError};
use std::io::Write as _;
use std::process::ExitCode;

/// What is said after the command, and the status.
pub fn finish(
    args: &RunArgs,
    target: Option<&report::Target>,
    ready: &Ready,
    plan: &Plan,
    argv: &[OsText],
    outcome: Outcome,
) -> Result<ExitCode, Failure> {
    let status = outcome.exit.status();
    let settings = &ready.resolved.settings;
    let (exit, not_held, refused) = (outcome.exit, outcome.not_held(plan), !outcome.denials.is_empty());
    let asked = target.is_some() || args.shared.json;
    let report = (refused || asked).then(|| report::of(plan, argv, &ready.facts.cwd, outcome));
    let recorded = refused && report.as_ref().is_some_and(|report| record_denials(settings, &ready.start, report));
    if !args.shared.json {
        let refused = report.as_ref().map_or(&[][..], |report| report.denials.as_slice());
        denials::after_run(Some(exit), &not_held, refused, args.log_denials, recorded);
        notices::print(&ringfence::leftovers(settings, &ready.facts));
    }
    if let Some(report) = report.filter(|_| asked) {
        if let Some(target) = target {
            target.write(&report)?;
        }
        if args.shared.json {
            report::print(&report)?;
        }
    }
    Ok(as_ours(Some(exit), status))
}

/// The status that Ringfence ends with after a command. On Windows one is a number of 32 bits, which the standard library's
/// type can't hold.
pub fn as_ours(exit: Option<Exit>, status: u8) -> ExitCode {
    if cfg!(windows)
        && let Some(Exit::Code(code)) = exit
        && u8::try_from(code).is_err()
    {
        let _ = std::io::stdout().flush();
        std::process::exit(code);
    }
    ExitCode::from(status)
}

/// As shown: what could not be held or started, and what to do.
pub fn start_failure(error: &StartError) -> Failure {
    let failure = Failure::from_error(error).status(error.status());
    let failure = match error {
        StartError::Step { step, .. } => failure.origin(step.origin.clone()),
        _ => failure,
    };
    match error.remedy() {
        Some(remedy) => failure.hint(remedy),
        None if error.status() == ringfence_model::report::status::FAILED => {
            failure.hint("`ringfence doctor` shows what this host can hold")
        }
        None => failure,
    }
}
