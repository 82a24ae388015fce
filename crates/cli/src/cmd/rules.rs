//! `ringfence rules`: what rule files say, and changes to the user's own.

use crate::args::rules::{CheckArgs, RulesArgs, RulesCommand, TestArgs};
use crate::out::{Failure, Paint, json};
use ringfence_model::origin::{Layer, Origin};
use ringfence_model::{OsText, text};
use ringfence_rules::{ExampleOutcome, Judgement, Permit, Programs, RuleFile, RuleSet, check_json, run_examples};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs one of its subcommands.
pub fn main(args: &RulesArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        RulesCommand::Check(args) => check(args),
        RulesCommand::Test(args) => test(args),
        _ => Err(Failure::new("not here yet")),
    }
}

/// Judges the tokens; exit status 0 for any verdict, 1 when a file can't be loaded.
fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let set = load(&args.rules)?;
    let programs = if args.resolve_host_executables { Programs::ByBaseName } else { Programs::Exact };
    let words: Vec<OsText> = args.command.iter().map(OsText::new).collect();
    let judgement = if args.shell {
        let reading = ringfence_shell::read(&words);
        let judged = set.judge_reading(&reading, programs);
        let decision = judged.decision;
        let matches = judged.commands.into_iter().chain(judged.inner).flat_map(|one| one.matches).collect();
        Judgement { matches, decision }
    } else {
        set.judge(&words, programs)
    };
    json::text_out(&check_json(&judgement, args.pretty));
    Ok(ExitCode::SUCCESS)
}

/// Loads files in the order given; the first that can't be loaded ends it with exit status 1.
fn load(files: &[PathBuf]) -> Result<RuleSet, Failure> {
    let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
    let mut set = home.map_or_else(RuleSet::new, RuleSet::with_home);
    for file in files {
        let shown = text::escape_bytes(file.as_os_str().as_encoded_bytes());
        let bytes = std::fs::read(file)
            .map_err(|error| Failure::new(format!("can't read {shown}")).cause(error.to_string()).status(1))?;
        let origin = Origin::File { file: OsText::new(file), line: 0, column: 0, layer: Layer::CommandLine };
        set.load(&RuleFile { origin, text: &bytes, permit: Permit::Everything });
        if let Some(broken) = set.broken().first() {
            return Err(Failure::new("a rule file can't be loaded")
                .cause(text::escape(&broken.cause))
                .origin(broken.origin.clone())
                .status(1));
        }
    }
    Ok(set)
}

/// Runs every example; exit status 1 if one doesn't show what it should.
fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    let set = load(&args.files)?;
    let paint = Paint::stdout();
    let reports = run_examples(&set);
    let mut failed = 0usize;
    for report in &reports {
        let wanted = if report.should_match { "matches" } else { "doesn't match" };
        let (word, says) = match report.outcome {
            ExampleOutcome::Ok => (paint.good("ok    "), wanted),
            ExampleOutcome::NotMatched => (paint.bad("FAILED"), "should match, and doesn't"),
            ExampleOutcome::Matched => (paint.bad("FAILED"), "shouldn't match, and does"),
        };
        failed += usize::from(report.outcome != ExampleOutcome::Ok);
        json::text_out(&format!("{word}  `{}` {says}  [{}]", text::escape(&report.example), report.origin));
    }
    json::text_out(&format!("{} passed, {failed} failed", reports.len() - failed));
    Ok(ExitCode::from(u8::from(failed > 0)))
}
