//! `ringfence config`: what holds and where it was set; checking, comparing and changing files.

use crate::args::config::{
    CheckArgs, ConfigArgs, ConfigCommand, DiffArgs, GetArgs, SchemaArgs, SchemaOf, SetArgs, ShowArgs,
};
use crate::out::{Failure, Paint, json, notices, table};
use crate::start;
use ringfence::facts::Start;
use ringfence_config::diff::{Direction, diff_files};
use ringfence_config::edit::{Change, change_file};
use ringfence_config::error::Problem;
use ringfence_config::gather::{self, World as _};
use ringfence_config::inspect::{FileKind, check_bytes};
use ringfence_config::node::Value;
use ringfence_config::show::{Shown, get, show};
use ringfence_config::{Places, Request};
use ringfence_model::origin::{Layer, Origin};
use ringfence_model::{OsText, text};
use ringfence_rules::{Permit, RuleFile, RuleSet};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs one of its subcommands.
pub fn main(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        ConfigCommand::Show(args) => shown(args),
        ConfigCommand::Get(args) => got(args),
        ConfigCommand::Set(args) => set(args),
        ConfigCommand::Unset(args) => change(&args.key, &Change::Unset),
        ConfigCommand::Edit => edit(),
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Diff(args) => diff(args),
        ConfigCommand::Schema(args) => schema(args),
    }
}

fn shown(args: &ShowArgs) -> Result<ExitCode, Failure> {
    let ready = start::ready(&args.shared, &[])?;
    let overview = show(&ready.resolved);
    if args.shared.json {
        let mut document = serde_json::to_value(&overview).map_err(|error| Failure::from_error(&error))?;
        if let Some(object) = document.as_object_mut() {
            object.insert("schema".into(), "ringfence.dev/v1/config".into());
        }
        return json::print(&document);
    }
    let paint = Paint::stdout();
    let rows: Vec<Vec<String>> = overview
        .settings
        .iter()
        .filter(|setting| args.all || setting.is_set || setting.changed.is_some())
        .map(|setting| vec![setting.key.clone(), value(&setting.value), format!("[{}]", setting.origin)])
        .collect();
    if rows.is_empty() {
        json::text_out("nothing is set; `ringfence config show --all` lists the defaults");
    }
    json::text_out(table::columns(&rows, "").trim_end());
    for setting in &overview.settings {
        if let Some(changed) = &setting.changed {
            json::text_out(&format!(
                "{} {}: `{}` became `{}`, by `{}` of {}",
                paint.warn("changed by a requirement:"),
                setting.key,
                changed.from,
                changed.to,
                changed.requirement_key,
                changed.requirement
            ));
        }
    }
    if !overview.requirements.is_empty() {
        json::text_out(&format!("\n{}", paint.bold("requirements")));
        let rows: Vec<Vec<String>> = overview
            .requirements
            .iter()
            .map(|one| vec![one.key.to_owned(), text::escape(&one.value), format!("[{}]", one.origin)])
            .collect();
        json::text_out(table::columns(&rows, "  ").trim_end());
    }
    let sources: Vec<_> =
        overview.sources.iter().filter(|source| source.present).map(|source| source.name.clone()).collect();
    if !sources.is_empty() {
        json::text_out(&format!("requirements come from, highest first: {}", sources.join(", ")));
    }
    notices::print(&overview.notices);
    Ok(ExitCode::SUCCESS)
}

/// A value as one line that can't disturb a terminal.
fn value(value: &Value) -> String {
    text::escape(&value.to_string())
}

fn path(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

fn got(args: &GetArgs) -> Result<ExitCode, Failure> {
    let ready = start::ready(&args.shared, &[])?;
    let shown: Shown = get(&ready.resolved, &path(&args.key)).map_err(|problem| failure(&problem))?;
    if args.shared.json {
        let mut document = serde_json::to_value(&shown).map_err(|error| Failure::from_error(&error))?;
        if let Some(object) = document.as_object_mut() {
            object.insert("schema".into(), "ringfence.dev/v1/setting".into());
        }
        return json::print(&document);
    }
    // Text goes out as it is, so that a script can use it.
    let text = match &shown.value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    };
    json::text_out(&text);
    Ok(ExitCode::SUCCESS)
}

fn failure(problem: &Problem) -> Failure {
    let failure = Failure::new(problem.text.clone()).origin(problem.origin.clone());
    match &problem.hint {
        Some(hint) => failure.hint(hint.clone()),
        None => failure,
    }
}

fn set(args: &SetArgs) -> Result<ExitCode, Failure> {
    change(&args.key, &Change::Set(args.value.clone()))
}

/// Changes the user's settings; refused to a process that runs under Ringfence.
fn change(key: &str, change: &Change) -> Result<ExitCode, Failure> {
    ringfence::under::refuse("changing settings").map_err(|error| Failure::from_error(&error))?;
    let file = user_file()?;
    let changed = change_file(&file, &path(key), change).map_err(|error| start::config_failure(&error))?;
    match changed {
        true => eprintln!("ringfence: wrote {}", shown_path(&file)),
        false => eprintln!("ringfence: nothing to change in {}", shown_path(&file)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The user's `config.toml`.
pub fn user_file() -> Result<PathBuf, Failure> {
    Ok(start::home()?.as_path().join("config.toml"))
}

fn shown_path(file: &Path) -> String {
    text::escape_os(file)
}

fn edit() -> Result<ExitCode, Failure> {
    ringfence::under::refuse("changing settings").map_err(|error| Failure::from_error(&error))?;
    let file = user_file()?;
    let chosen = ["VISUAL", "EDITOR"].iter().find_map(std::env::var_os);
    if chosen.is_none() && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(Failure::new("there is no terminal for an editor")
            .hint("set `EDITOR` to a program that has a window of its own, or use `ringfence config set KEY VALUE`"));
    }
    let editor = chosen.unwrap_or_else(|| "vi".into());
    if let Some(parent) = file.parent() {
        ringfence_config::edit::make_private_directory(parent)
            .map_err(|error| Failure::from_error(&error).cause(shown_path(parent)))?;
    }
    // As other programs do: the variable may hold arguments, so a shell takes it apart; the file is an argument.
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg({
        let mut line = editor.clone();
        line.push(" \"$1\"");
        line
    });
    let status = shell.arg("sh").arg(&file).status().map_err(|error| Failure::from_error(&error).cause("/bin/sh"))?;
    if !status.success() {
        return Err(Failure::new(format!("the editor ended with {status}")));
    }
    check(&CheckArgs { files: vec![file], json: false })
}

fn check(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let places = Places::of_machine(start::home()?);
    let files = if args.files.is_empty() { in_force(&places)? } else { args.files.clone() };
    let mut documents = Vec::new();
    let mut bad = 0usize;
    let paint = Paint::stdout();
    for file in &files {
        let (problems, notes) = one(file, &places);
        bad += usize::from(!problems.is_empty());
        if args.json {
            documents.push(json!({ "file": shown_path(file), "problems": problems, "notices": notes }));
            continue;
        }
        let word = if problems.is_empty() { paint.good("ok    ") } else { paint.bad("broken") };
        json::text_out(&format!("{word} {}", shown_path(file)));
        problems.iter().for_each(|problem| json::text_out(&format!("  {problem}")));
        notes.iter().for_each(|notice| json::text_out(&format!("  {}", notices::line(notice, paint))));
    }
    if args.json {
        json::print(&json!({ "schema": "ringfence.dev/v1/config-check", "files": documents }))?;
    } else if files.is_empty() {
        json::text_out("there are no settings files here: everything is at its default");
    }
    Ok(ExitCode::from(u8::from(bad > 0)))
}

/// The files that constrain: whoever could have written one is looked at too.
fn constrains(file: &Path, places: &Places) -> bool {
    file == places.system.join("requirements.toml") || file == gather::managed_file(places)
}

/// Every file that a start here would read.
fn in_force(places: &Places) -> Result<Vec<PathBuf>, Failure> {
    let start = Start::ambient(None).map_err(|error| Failure::from_error(&error))?;
    let (system, home) = (places.system.as_path(), places.home.as_path());
    let mut files = vec![system.join("config.toml"), system.join("requirements.toml"), gather::managed_file(places)];
    files.push(home.join("config.toml"));
    files.extend(below(home, |name| name.ends_with(".config.toml")));
    files.extend(
        [system, home].into_iter().flat_map(|base| below(&base.join("rules"), |name| name.ends_with(".rules"))),
    );
    let request = Request::new(places.clone(), start.cwd.clone());
    let project = gather::project(&request, &ringfence::machine());
    let own =
        gather::chain(&start.cwd, &project.root).into_iter().map(|directory| directory.as_path().join(".ringfence"));
    for directory in own.filter(|directory| directory != home) {
        files.push(directory.join("config.toml"));
        files.extend(below(&directory.join("rules"), |name| name.ends_with(".rules")));
    }
    // A link that leads nowhere and a directory that can't be searched are no absence.
    files.retain(|file| match constrains(file, places) {
        true => !matches!(ringfence::machine().read_trusted(file), Ok(None)),
        false => !matches!(file.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound),
    });
    Ok(files)
}

fn below(directory: &Path, named: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&named)).collect();
    files.sort();
    files
}

/// The content of a file, if it may be believed and is there.
fn content(file: &Path, places: &Places) -> Result<Vec<u8>, String> {
    let missing = || "there is no such file".to_owned();
    if constrains(file, places) {
        return ringfence::machine().read_trusted(file).map_err(|error| error.to_string())?.ok_or_else(missing);
    }
    ringfence::machine().read(file).map_err(|error| error.to_string())?.ok_or_else(missing)
}

fn one(file: &Path, places: &Places) -> (Vec<Problem>, Vec<ringfence_model::notice::Notice>) {
    let origin = Origin::File { file: OsText::new(file), line: 0, column: 0, layer: Layer::User };
    let bytes = match content(file, places) {
        Ok(bytes) => bytes,
        Err(why) => return (vec![Problem::new("unreadable-file", why, origin)], Vec::new()),
    };
    if file.extension().is_some_and(|end| end == "rules") {
        let mut set = RuleSet::new();
        let notices = set.load(&RuleFile { origin, text: &bytes, permit: Permit::Everything });
        let problems =
            set.broken().iter().map(|broken| Problem::new("rules", broken.cause.clone(), broken.origin.clone()));
        return (problems.collect(), notices);
    }
    let checked = check_bytes(file, &bytes, FileKind::of(file));
    (checked.problems, checked.notices)
}

fn diff(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let differences = diff_files(&args.before, &args.after).map_err(|error| start::config_failure(&error))?;
    if args.json {
        return json::print(&json!({ "schema": "ringfence.dev/v1/config-diff", "differences": differences }));
    }
    let paint = Paint::stdout();
    for difference in &differences {
        let word = match difference.direction {
            Direction::Weaker => paint.bad("weaker  "),
            Direction::Stricter => paint.good("stricter"),
            _ => paint.faint("other   "),
        };
        let side = |side: &Option<Value>| side.as_ref().map_or_else(|| "unset".to_owned(), value);
        let (before, after) = (side(&difference.before), side(&difference.after));
        json::text_out(&format!("{word} {}: {before} -> {after}", difference.key));
    }
    if differences.is_empty() {
        json::text_out("no difference");
    }
    Ok(ExitCode::SUCCESS)
}

fn schema(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    json::print(&match args.of {
        SchemaOf::Config => ringfence_config::schema::config(),
        SchemaOf::Requirements => ringfence_config::schema::requirements(),
    })
}
