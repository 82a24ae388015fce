//! The report of one run, as `--report` and `--json` give it.

use super::Failure;
use ringfence_model::mode::Tier;
use ringfence_model::report::{Report, SCHEMA};
use ringfence_model::{AbsPath, Origin, OsText};
use ringfence_sandbox::{Outcome, Plan};
use std::collections::VecDeque;
use std::ffi::OsString;
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
    /// Opens the file of `--report`, if there is one. `roots` are where commands may write: what an earlier one left there
    /// doesn't lead the report elsewhere, or hold it up.
    pub fn open<'r>(name: Option<&Path>, roots: impl Iterator<Item = &'r AbsPath>) -> Result<Option<Self>, Failure> {
        let Some(name) = name else { return Ok(None) };
        let failed = |error: io::Error| unwritten(name, &error);
        let roots: Vec<&Path> = roots.map(AbsPath::as_path).collect();
        let whole = std::path::absolute(name).map_err(failed)?;
        if let Some(planted) = planted(&whole, &roots) {
            let shown = ringfence_model::text::escape_os(&planted);
            let why = format!("`{shown}` is no plain file, and commands can write where it is");
            return Err(failed(io::Error::other(why)).hint("remove it, or name a file outside the workspace"));
        }
        let file = File::options().write(true).create(true).truncate(false).open(name).map_err(failed)?;
        if file.metadata().is_ok_and(|meta| meta.is_file()) {
            file.set_len(0).map_err(failed)?;
        }
        Ok(Some(Self { file, name: name.to_owned() }))
    }

    /// Writes it.
    pub fn write(&self, report: &Report) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(report).map_err(|error| Failure::from_error(&error))?;
        (&self.file).write_all((text + "\n").as_bytes()).map_err(|error| unwritten(&self.name, &error))
    }
}

/// Links that are followed.
const MAX_LINKS: usize = 40;

/// A link that is passed on the way to `path`, or what `path` is itself if that is no file, where it lies in one of `roots`.
fn planted(path: &Path, roots: &[&Path]) -> Option<PathBuf> {
    let in_roots = |dir: &Path| dir.canonicalize().is_ok_and(|dir| roots.iter().any(|root| dir.starts_with(root)));
    let mut rest: VecDeque<OsString> = path.components().map(|part| part.as_os_str().to_owned()).collect();
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(part) = rest.pop_front() {
        let entry = at.join(part);
        let meta = entry.symlink_metadata().ok()?;
        if meta.is_symlink() {
            links += 1;
            let target = entry.read_link().ok()?;
            if links > MAX_LINKS || in_roots(&at) {
                return Some(entry);
            }
            for part in target.components().rev() {
                rest.push_front(part.as_os_str().to_owned());
            }
            continue;
        }
        if rest.is_empty() && !meta.is_file() && in_roots(&at) {
            return Some(entry);
        }
        at = entry;
    }
    None
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
