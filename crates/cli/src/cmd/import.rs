//! `ringfence import`: another agent's settings, with a report of every line that couldn't be carried over exactly.

use crate::args::files::{From, ImportArgs};
use crate::out::{Failure, Paint, json};
use ringfence_import::read::{Where, read};
use ringfence_import::{Agent, Carried, import};
use ringfence_model::text;
use std::path::Path;
use std::process::ExitCode;

/// Reads, translates, and prints or writes.
pub fn main(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let agent = match args.agent {
        From::Codex => Agent::Codex,
        From::ClaudeCode => Agent::ClaudeCode,
        From::GeminiCli => Agent::GeminiCli,
        From::Srt => Agent::Srt,
    };
    let place = Where { home: std::env::home_dir(), project: std::env::current_dir().ok(), only: args.path.clone() };
    let inputs = read(agent, &place).map_err(|error| Failure::from_error(&error))?;
    if inputs.is_empty() {
        return Err(Failure::new(format!("no settings of {} were found", agent.title()))
            .hint("name the file or directory: `ringfence import AGENT PATH`"));
    }
    let imported = import(agent, &inputs).map_err(|error| Failure::from_error(&error))?;
    if args.json {
        return json::print(&imported);
    }
    let files = [
        ("config.toml", Some(&imported.config_toml)),
        ("rules/imported.rules", Some(&imported.rules)),
        ("requirements.toml", imported.requirements_toml.as_ref()),
        ("managed_config.toml", imported.managed_config_toml.as_ref()),
    ];
    for (name, content) in files {
        let Some(content) = content.filter(|content| !content.trim().is_empty()) else { continue };
        match &args.write {
            Some(directory) => write(&directory.join(name), content)?,
            None => json::text_out(&format!("# {name}\n{}", content.trim_end())),
        }
    }
    let paint = Paint::stderr();
    for line in &imported.report {
        let word = match line.carried {
            Carried::Exactly => continue,
            Carried::Narrowed => paint.warn("narrowed"),
            Carried::NotCarried => paint.bad("not carried"),
        };
        eprintln!("{word}: {}:{}: {}: {}", text::escape(&line.file), line.line, line.what, line.why);
    }
    let exact = imported.report.iter().filter(|line| line.carried == Carried::Exactly).count();
    eprintln!("ringfence: {exact} of {} lines carried over exactly", imported.report.len());
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that isn't there yet: an import never overwrites.
fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let shown = text::escape_bytes(path.as_os_str().as_encoded_bytes());
    let failed = |error: std::io::Error| Failure::new(format!("{shown} can't be written")).cause(error.to_string());
    if path.exists() {
        return Err(Failure::new(format!("{shown} exists, and an import overwrites nothing"))
            .hint("write to an empty directory and merge by hand"));
    }
    if let Some(parent) = path.parent() {
        ringfence_config::edit::make_private_directory(parent).map_err(failed)?;
    }
    ringfence_config::edit::write_private(path, content.as_bytes()).map_err(failed)?;
    eprintln!("ringfence: wrote {shown}");
    Ok(())
}
