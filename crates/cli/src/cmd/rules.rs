//! `ringfence rules`: what rule files say, and changes to the user's own.

use crate::args::Shared;
use crate::args::rules::{ChangeArgs, CheckArgs, ListArgs, RulesArgs, RulesCommand, Said, TestArgs};
use crate::out::{Failure, Paint, json};
use crate::start;
use ringfence::Opening;
use ringfence::always::{self, AlwaysError};
use ringfence_model::origin::{Layer, Origin};
use ringfence_model::{Notice, OsText, text};
use ringfence_policy::scopes;
use ringfence_rules::{
    Alternatives, EditError, ExampleOutcome, Judgement, Permit, PrefixRule, Programs, RuleFile, RuleSet, add,
    check_json, effective, remove, run_examples,
};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs one of its subcommands.
pub fn main(args: &RulesArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        RulesCommand::Check(args) => check(args),
        RulesCommand::Test(args) => test(args),
        RulesCommand::List(args) => list(args),
        RulesCommand::Add(args) => change(args, add).inspect(|_| say_what_it_allows(args)),
        RulesCommand::Remove(args) => change(args, remove),
    }
}

/// Judges the tokens; exit status 0 for any verdict, 1 when a file can't be loaded.
fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let set = load(&args.rules, RuleSet::load)?;
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
fn load(files: &[PathBuf], how: fn(&mut RuleSet, &RuleFile<'_>) -> Vec<Notice>) -> Result<RuleSet, Failure> {
    let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
    let mut set = home.map_or_else(RuleSet::new, RuleSet::with_home);
    for file in files {
        let shown = text::escape_os(file);
        let bytes = std::fs::read(file)
            .map_err(|error| Failure::new(format!("can't read {shown}")).cause(error.to_string()).status(1))?;
        let origin = Origin::File { file: OsText::new(file), line: 0, column: 0, layer: Layer::CommandLine };
        how(&mut set, &RuleFile { origin, text: &bytes, permit: Permit::Everything });
        if let Some(broken) = set.broken().first() {
            return Err(Failure::new("a rule file can't be loaded")
                .cause(text::escape(&broken.cause))
                .origin(broken.origin.clone())
                .status(1));
        }
    }
    Ok(set)
}

/// Every rule that counts here.
fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    let set = in_force(&args.shared)?;
    let rules = effective(&set);
    if args.shared.json {
        let rules: Vec<_> =
            rules.iter().map(|rule| serde_json::json!({ "rule": rule.statement, "origin": rule.origin })).collect();
        let broken = broken(&set);
        json::print(&serde_json::json!({ "schema": "ringfence.dev/v1/rules", "rules": rules, "broken": broken }))?;
        return Ok(ExitCode::from(u8::from(!broken.is_empty())));
    }
    if rules.is_empty() {
        json::text_out("no rules");
    }
    for rule in rules {
        json::text_out(&format!("{}  # {}", text::escape(&rule.statement), rule.origin));
    }
    if let Some(broken) = set.broken().first() {
        return Err(Failure::new("a rule file can't be loaded: until it is mended every command asks")
            .cause(text::escape(&broken.cause))
            .origin(broken.origin.clone())
            .status(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// The rules of every layer, as a session has them.
fn in_force(shared: &Shared) -> Result<RuleSet, Failure> {
    let opening = Opening { sink: Some(Arc::new(ringfence::audit::Nowhere)), ..Opening::default() };
    let session = super::session::open(shared, start::ready(shared, &[])?, opening)?;
    Ok(session.rules().clone())
}

/// Changes `rules/default.rules` of the user; refused to a process that runs under Ringfence.
fn change(args: &ChangeArgs, how: fn(&str, &PrefixRule) -> Result<String, EditError>) -> Result<ExitCode, Failure> {
    let home = start::home()?;
    let rule = PrefixRule {
        pattern: args.pattern.iter().cloned().map(Alternatives::One).collect(),
        decision: args.decision.into(),
        justification: args.justification.clone(),
        matches: Vec::new(),
        not_matches: Vec::new(),
        origin: Origin::flag("rules"),
    };
    let file = always::file(&home).map_err(|error| Failure::from_error(&error))?;
    let changed = always::change(&home, |text| how(text, &rule)).map_err(|error| match &error {
        AlwaysError::File(error) => start::config_failure(error),
        AlwaysError::Edit { cause, .. } => Failure::from_error(cause).origin(Origin::File {
            file: OsText::new(file.as_path()),
            line: 0,
            column: 0,
            layer: Layer::User,
        }),
        other => Failure::from_error(other),
    })?;
    match changed {
        true => eprintln!("ringfence: wrote {}", file.display()),
        false => eprintln!("ringfence: nothing to change in {}", file.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// A rule that is hardly meant as it stands: its program runs whatever it is given.
fn say_what_it_allows(args: &ChangeArgs) {
    let words: Vec<&str> = args.pattern.iter().map(String::as_str).collect();
    if args.decision == Said::Allow && scopes::allows_anything(&words) {
        eprintln!(
            "ringfence: note: `{}` runs whatever stands behind it, so this rule allows everything, unasked and outside the \
             sandbox; take it back with `ringfence rules remove allow -- {}`",
            text::escape(&words.join(" ")),
            text::escape(&words.join(" "))
        );
    }
}

/// Runs every example; exit status 1 if one doesn't show what it should, or if a file that should count doesn't load.
fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    let set = match args.files.as_slice() {
        [] => in_force(&Shared::default())?,
        files => load(files, RuleSet::load_untested)?,
    };
    let reports = run_examples(&set);
    let failed = reports.iter().filter(|report| report.outcome != ExampleOutcome::Ok).count();
    let passed = reports.len() - failed;
    let status = ExitCode::from(u8::from(failed > 0 || !set.broken().is_empty()));
    if args.json {
        json::print(&serde_json::json!({
            "schema": "ringfence.dev/v1/rules-test",
            "examples": reports,
            "passed": passed,
            "failed": failed,
            "broken": broken(&set),
        }))?;
        return Ok(status);
    }
    let paint = Paint::stdout();
    for report in &reports {
        let wanted = if report.should_match { "matches" } else { "doesn't match" };
        let (word, says) = match report.outcome {
            ExampleOutcome::Ok => (paint.good("ok    "), wanted),
            ExampleOutcome::NotMatched => (paint.bad("FAILED"), "should match, and doesn't"),
            ExampleOutcome::Matched => (paint.bad("FAILED"), "shouldn't match, and does"),
        };
        json::text_out(&format!("{word}  `{}` {says}  [{}]", text::escape(&report.example), report.origin));
    }
    for one in set.broken() {
        json::text_out(&format!("{}  {}  [{}]", paint.bad("BROKEN"), text::escape(&one.cause), one.origin));
    }
    if reports.is_empty() && set.broken().is_empty() {
        json::text_out(&match set.rules().len() {
            0 => "no rules".to_owned(),
            count => format!("no rule of {count} has an example (`match`, `not_match`)"),
        });
        return Ok(status);
    }
    json::text_out(&format!("{passed} passed, {failed} failed"));
    Ok(status)
}

/// The files that couldn't be loaded, for documents.
fn broken(set: &RuleSet) -> Vec<serde_json::Value> {
    set.broken().iter().map(|one| serde_json::json!({ "origin": one.origin, "cause": one.cause })).collect()
}
