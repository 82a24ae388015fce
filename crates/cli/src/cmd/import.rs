//! `ringfence import`: brings another agent's policy along, and says of every line what became of it.

use crate::out::{Failure, Paint, json};
use clap::Args;
use ringfence::facts::Start;
use ringfence_import::read::{Where, read};
use ringfence_import::{Agent, Carried, Imported, ReportLine, import};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `ringfence import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Whose policy: `codex`, `claude-code`, `gemini-cli` or `srt`
    #[arg(value_name = "AGENT", value_parser = agent)]
    pub agent: Agent,
    /// A file or directory to read instead of the places where the agent keeps its own
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Write `config.toml`, `rules/`, `requirements.toml` and the report into this directory; files that are there stay
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

fn agent(text: &str) -> Result<Agent, String> {
    text.parse().map_err(|()| {
        let names: Vec<&str> = Agent::ALL.into_iter().map(Agent::name).collect();
        format!("use one of {}", names.join(", "))
    })
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    agent: Agent,
    files: Vec<&'a str>,
    #[serde(flatten)]
    imported: &'a Imported,
}

/// Reads, imports, shows or writes.
pub fn main(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let start = Start::ambient(None).map_err(|error| Failure::from_error(&error))?;
    let place = Where {
        home: start.home.as_ref().map(|home| home.as_path().to_owned()),
        project: Some(start.cwd.as_path().to_owned()),
        only: args.path.clone(),
    };
    let inputs = read(args.agent, &place).map_err(|error| {
        Failure::from_error(&error).hint("nothing was imported: what can't be read might forbid something")
    })?;
    if inputs.is_empty() {
        let text = format!("no settings of {} were found", args.agent.title());
        return Err(Failure::new(text).hint("name a file or directory: `ringfence import AGENT PATH`"));
    }
    let imported = import(args.agent, &inputs).map_err(|error| {
        Failure::from_error(&error).hint("nothing was imported: what can't be read might forbid something")
    })?;
    if let Some(directory) = &args.out {
        write(directory, args.agent, &imported)?;
    }
    if args.json {
        let files = inputs.iter().map(|input| input.name.as_str()).collect();
        return json::print(&Document {
            schema: "ringfence.dev/v1/import",
            agent: args.agent,
            files,
            imported: &imported,
        });
    }
    if args.out.is_none() {
        json::text_out(&texts(args.agent, &imported));
    }
    eprintln!("{}", summary(&imported, Paint::stderr()));
    Ok(ExitCode::SUCCESS)
}

/// The files and their names below a directory.
fn files(agent: Agent, imported: &Imported) -> Vec<(PathBuf, &str)> {
    let rules = Path::new("rules").join(format!("imported-{}.rules", agent.name()));
    let optional =
        [("requirements.toml", &imported.requirements_toml), ("managed_config.toml", &imported.managed_config_toml)];
    let mut files =
        vec![(PathBuf::from("config.toml"), imported.config_toml.as_str()), (rules, imported.rules.as_str())];
    files.extend(optional.into_iter().filter_map(|(name, text)| Some((PathBuf::from(name), text.as_deref()?))));
    files
}

fn texts(agent: Agent, imported: &Imported) -> String {
    let texts =
        files(agent, imported).into_iter().map(|(name, text)| format!("=== {}\n{}", name.display(), text.trim_end()));
    texts.collect::<Vec<_>>().join("\n\n")
}

fn write(directory: &Path, agent: Agent, imported: &Imported) -> Result<(), Failure> {
    let report = serde_json::to_string_pretty(&imported.report).map_err(|error| Failure::from_error(&error))?;
    let mut files = files(agent, imported);
    files.push((PathBuf::from("import-report.json"), &report));
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| directory.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        let text = format!("{} is there already, and nothing was written", there.display());
        return Err(
            Failure::new(text).hint("name an empty directory with `--out` and compare: `ringfence config diff`")
        );
    }
    for (path, (_, text)) in paths.iter().zip(&files) {
        create(path, text).map_err(|error| {
            let text = format!("could not write {}", path.display());
            Failure::new(text).cause(error.to_string())
        })?;
    }
    Ok(())
}

/// A new file, for its owner alone: servers' variables may hold secrets.
fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn summary(imported: &Imported, paint: Paint) -> String {
    let count = |carried: Carried| imported.report.iter().filter(|line| line.carried == carried).count();
    let mut lines = Vec::new();
    for (carried, word) in [(Carried::NotCarried, "not carried"), (Carried::Narrowed, "narrowed")] {
        for ReportLine { file, line, what, why, .. } in imported.report.iter().filter(|line| line.carried == carried) {
            let place = if *line == 0 { file.clone() } else { format!("{file}:{line}") };
            let word = if carried == Carried::NotCarried { paint.bad(word) } else { paint.warn(word) };
            lines.push(format!("{word}  {}  {what}", ringfence_model::text::escape(&place)));
            lines.push(format!("    {why}"));
        }
    }
    lines.push(format!(
        "{} lines exactly, {} narrowed, {} not carried; nothing is allowed that wasn't before",
        count(Carried::Exactly),
        count(Carried::Narrowed),
        count(Carried::NotCarried)
    ));
    lines.join("\n")
}
