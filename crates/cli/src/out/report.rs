//! The report of one run, as `--report` and `--json` give it.

use super::Failure;
use ringfence_model::mode::Tier;
use ringfence_model::report::{Report, SCHEMA};
use ringfence_model::{AbsPath, Origin, OsText};
use ringfence_sandbox::{Outcome, Plan};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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

/// Where a report goes: a file that is opened before the command starts, so that what can't be written is known then, and
/// no link that the command makes leads it elsewhere.
#[derive(Debug)]
pub struct Target {
    file: File,
    name: PathBuf,
}

impl Target {
    /// Opens the file of `--report`, if there is one.
    pub fn open(name: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(name) = name else { return Ok(None) };
        let file = File::create(name).map_err(|error| unwritten(name, &error))?;
        Ok(Some(Self { file, name: name.to_owned() }))
    }

    /// Writes it.
    pub fn write(&self, report: &Report) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(report).map_err(|error| Failure::from_error(&error))?;
        (&self.file).write_all((text + "\n").as_bytes()).map_err(|error| unwritten(&self.name, &error))
    }
}

fn unwritten(name: &Path, error: &io::Error) -> Failure {
    let shown = ringfence_model::text::escape_os(name);
    Failure::new(format!("the report can't be written to {shown}"))
        .cause(error.to_string())
        .origin(Origin::flag("--report"))
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
