//! The report of one run, as `--report` and `--json` give it.

use super::Failure;
use ringfence_model::mode::Tier;
use ringfence_model::report::{Report, SCHEMA};
use ringfence_model::{AbsPath, OsText};
use ringfence_sandbox::{Outcome, Plan};
use std::io::Write;
use std::path::Path;

/// The report of a command that ran.
#[must_use]
pub fn of(plan: &Plan, argv: &[OsText], cwd: &AbsPath, outcome: Outcome) -> Report {
    let not_held = outcome.not_held(plan);
    Report {
        schema: SCHEMA.to_owned(),
        command: argv.to_vec(),
        cwd: cwd.clone(),
        verdict: "run".to_owned(),
        reasons: Vec::new(),
        plan_id: plan.id(),
        tier: (outcome.tier != Tier::Unconfined).then_some(outcome.tier),
        exit: Some(outcome.exit),
        duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        denials: outcome.denials,
        not_held,
        grants_used: Vec::new(),
    }
}

/// Writes it to a file.
pub fn write(report: &Report, file: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report).map_err(|error| Failure::from_error(&error))?;
    std::fs::write(file, text + "\n").map_err(|error| {
        Failure::from_error(&error).cause(format!("the report can't be written to {}", file.display()))
    })
}

/// Prints it to standard error: standard output is the command's.
pub fn print(report: &Report) -> Result<(), Failure> {
    print_to(&mut std::io::stderr().lock(), report)
}

/// Prints it as one line.
pub fn print_to(out: &mut impl Write, report: &Report) -> Result<(), Failure> {
    let text = serde_json::to_string(report).map_err(|error| Failure::from_error(&error))?;
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    Ok(())
}
