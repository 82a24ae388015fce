//! `ringfence plan -- COMMAND…`: the exact plan, as text or JSON; nothing is run.

use crate::args::PlanArgs;
use crate::out::{Failure, Paint, json, notices, plan};
use crate::start::{self, More};
use ringfence_model::OsText;
use ringfence_model::report::status;
use ringfence_sandbox::{Options, Plan, Unenforceable, compile};
use std::ffi::OsString;
use std::process::ExitCode;

/// Prints the plan.
pub fn main(args: &PlanArgs) -> Result<ExitCode, Failure> {
    let ready = start::ready(&args.shared, &[More::Env(&args.environment)])?;
    notices::print(&start::notices(&ready));
    let wish = start::confinement(&ready, /* keep background */ false)?;
    let host = ringfence_sandbox::probe::survey().facts;
    let plan = compile(&wish, &host, &Options::default()).map_err(|error| unenforceable(&error))?;
    show(&plan, &args.command, args.shared.json)
}

/// Prints one plan for `command`.
pub fn show(plan: &Plan, command: &[OsString], as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        return json::print(&ringfence_sandbox::compile::print::json(plan));
    }
    let command: Vec<_> = command.iter().map(|word| OsText::new(word).display()).collect();
    let command = if command.is_empty() { "any".to_owned() } else { command.join(" ") };
    json::text_out(plan::render(plan, &command, Paint::stdout()).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// What this host can't hold, each with its remedy.
#[must_use]
pub fn unenforceable(error: &Unenforceable) -> Failure {
    let mut failure = Failure::new("this host can't hold what the settings ask for").status(status::FAILED);
    for unmet in &error.unmet {
        failure = failure.cause(format!("{}: {}", unmet.what, unmet.why));
    }
    let mut remedies: Vec<&str> = Vec::new();
    for remedy in error.unmet.iter().map(|unmet| unmet.remedy.as_str()).filter(|remedy| !remedy.is_empty()) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
            failure = failure.hint(remedy);
        }
    }
    if let Some(first) = error.unmet.first().filter(|first| first.origin.is_explicit()) {
        failure = failure.origin(first.origin.clone());
    }
    failure.hint("`ringfence doctor` lists everything this host can and can't do")
}
