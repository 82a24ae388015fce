//! `ringfence trust` and `ringfence permissions`: what a person says of a project, and the presets.

use super::config::user_file;
use crate::args::Shared;
use crate::args::config::{PermissionsArgs, TrustArgs};
use crate::out::{Failure, Paint, json, table};
use crate::start::{self, Ready};
use ringfence::grants::Store;
use ringfence::prompt::Said;
use ringfence_config::edit::{self, Change, change_file};
use ringfence_config::gather::{self, ProjectChange};
use ringfence_config::{Places, ProjectLayer};
use ringfence_model::AbsPath;
use ringfence_model::report::status;
use ringfence_model::settings::Trust;
use ringfence_policy::presets::{self, Preset};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn refuse(what: &str) -> Result<(), Failure> {
    ringfence::under::refuse(what).map_err(|error| Failure::from_error(&error))
}

/// Writes what is said of a project into the user's settings.
pub fn trust(args: &TrustArgs) -> Result<ExitCode, Failure> {
    refuse("trusting a project")?;
    let shared = Shared { cd: args.directory.clone(), ..Shared::default() };
    let ready = start::ready(&shared, &[])?;
    let root = &ready.facts.project_root;
    let (level, word) = match (args.no, args.forget) {
        (true, _) => (Trust::Untrusted, "untrusted"),
        (_, true) => (Trust::Unknown, "unknown"),
        _ => (Trust::Trusted, "trusted"),
    };
    remember(&ready, level)?;
    eprintln!("ringfence: {} is {word} now", root.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes what was said; a trusted project's own settings are recorded as they are now, so that a change is seen.
fn remember(ready: &Ready, level: Trust) -> Result<(), Failure> {
    let root = &ready.facts.project_root;
    let failed = |error| start::config_failure(&error);
    edit::trust(&user_file()?, root, level).map_err(failed)?;
    if level == Trust::Trusted {
        let places = Places::of_machine(ready.start.ringfence_home.clone());
        gather::accept(&places, &ready.start.cwd, root, &ringfence::machine()).map_err(failed)?;
    }
    Ok(())
}

/// At a terminal: asks once whether a project that nothing was said of is trusted, and again when its own settings changed.
/// What is said is remembered, and `again` resolves the settings anew.
pub fn ask_first(ready: Ready, again: impl FnOnce() -> Result<Ready, Failure>) -> Result<Ready, Failure> {
    let trust = &ready.resolved.settings.trust;
    let changes = match &ready.resolved.project_layer {
        ProjectLayer::Changed(change) => changes(change),
        _ if trust.value == Trust::Unknown && !trust.origin.is_explicit() => Vec::new(),
        _ => return Ok(ready),
    };
    match said(&ready.facts.project_root, &changes) {
        None | Some(Said::Later) => Ok(ready),
        Some(Said::Stop) => {
            Err(Failure::new("stopped at the question of trust; nothing was run").status(status::DENIED))
        }
        Some(said) => {
            let level = if said == Said::Trusted { Trust::Trusted } else { Trust::Untrusted };
            match remember(&ready, level) {
                Ok(()) => again(),
                Err(failure) => Err(failure.cause("what you said of the project can't be remembered")),
            }
        }
    }
}

fn changes(change: &ProjectChange) -> Vec<String> {
    let list = |what: &'static str, names: &[String]| {
        names.iter().map(move |name| format!("{what} {name}")).collect::<Vec<String>>()
    };
    [list("new:", &change.added), list("gone:", &change.removed), list("changed:", &change.changed)].concat()
}

/// The answer of the person at the terminal; none: nobody sits there whose answer counts.
#[cfg(unix)]
fn said(root: &AbsPath, changes: &[String]) -> Option<Said> {
    use ringfence::prompt::{ControllingTty, TerminalApprover};
    let tty = ControllingTty::open()?;
    match ringfence::under::evidence() {
        Some(_) => None,
        None => TerminalApprover::new(tty).ask_trust(root, changes).ok(),
    }
}

#[cfg(not(unix))]
fn said(_: &AbsPath, _: &[String]) -> Option<Said> {
    None
}

/// Shows the preset in force and the grants of sessions, or sets a preset.
pub fn permissions(args: &PermissionsArgs) -> Result<ExitCode, Failure> {
    if let Some(id) = &args.withdraw {
        return withdraw(id);
    }
    if args.preset.is_some() || args.forget {
        refuse("switching permissions")?;
    }
    match &args.preset {
        Some(name) => {
            let preset = preset(name)?;
            switch(args, &allowed(&args.shared, preset)?, Some(preset))
        }
        None if args.forget => switch(args, &start::ready(&args.shared, &[])?, None),
        None => show_permissions(args, &start::ready(&args.shared, &[])?),
    }
}

/// What would hold with the preset. One that requirements don't allow is rejected before anything is written; one that they
/// do allow can be set even where what is set now isn't allowed.
fn allowed(shared: &Shared, preset: &Preset) -> Result<Ready, Failure> {
    let chosen = Shared {
        sandbox: Some(preset.mode.to_string()),
        ask_for_approval: Some(preset.policy.to_string()),
        full_auto: false,
        yolo: false,
        ..shared.clone()
    };
    start::ready(&chosen, &[]).map_err(|failure| failure.hint("nothing was written"))
}

fn preset(name: &str) -> Result<&'static Preset, Failure> {
    presets::by_name(name).ok_or_else(|| {
        let names: Vec<_> = presets::PRESETS.iter().map(|preset| format!("`{}`", preset.name)).collect();
        Failure::new(format!("there is no preset `{}`", ringfence_model::text::escape(name)))
            .hint(format!("use {}", names.join(", ")))
    })
}

/// Writes a preset into the user's settings, or takes this project's back.
fn switch(args: &PermissionsArgs, ready: &Ready, preset: Option<&Preset>) -> Result<ExitCode, Failure> {
    let file = user_file()?;
    let root = &ready.facts.project_root;
    let failed = |error| start::config_failure(&error);
    let changes = match preset {
        Some(preset) => [preset.mode.to_string(), preset.policy.to_string()].map(Change::Set),
        None => [Change::Unset, Change::Unset],
    };
    for (key, change) in ["sandbox_mode", "approval_policy"].into_iter().zip(&changes) {
        if args.everywhere {
            change_file(&file, &[key.to_owned()], change).map_err(failed)?;
        } else {
            change_file(&file, &edit::of_project(&file, root, key).map_err(failed)?, change).map_err(failed)?;
        }
    }
    // What holds after it may be something else: a profile, a project or an administrator may say otherwise.
    let after = start::ready(&args.shared, &[])?.resolved.settings;
    eprintln!(
        "ringfence: {}: sandbox {} [{}], approvals {} [{}]",
        root.display(),
        after.sandbox_mode.value,
        after.sandbox_mode.origin,
        after.approval_policy.value,
        after.approval_policy.origin
    );
    if let Some(preset) = preset
        && (after.sandbox_mode.value, after.approval_policy.value) != (preset.mode, preset.policy)
    {
        eprintln!("ringfence: that isn't `{}`: what is named in brackets holds over your own settings", preset.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn show_permissions(args: &PermissionsArgs, ready: &Ready) -> Result<ExitCode, Failure> {
    let settings = &ready.resolved.settings;
    let now = presets::of(settings.sandbox_mode.value, settings.approval_policy.value);
    if args.shared.json {
        let presets: Vec<_> = presets::PRESETS
            .iter()
            .map(|preset| {
                let (mode, policy) = (preset.mode.to_string(), preset.policy.to_string());
                serde_json::json!({ "name": preset.name, "sandbox_mode": mode, "approval_policy": policy, "about": preset.about })
            })
            .collect();
        return json::print(&serde_json::json!({
            "schema": "ringfence.dev/v1/permissions",
            "sandbox_mode": settings.sandbox_mode.clone().map(|mode| mode.to_string()),
            "approval_policy": settings.approval_policy.clone().map(|policy| policy.to_string()),
            "preset": now.map(|now| now.name),
            "presets": presets,
            "grants": of_sessions()?,
        }));
    }
    let paint = Paint::stdout();
    let rows: Vec<Vec<String>> = presets::PRESETS
        .iter()
        .map(|preset| {
            let mark = if now.is_some_and(|now| now.name == preset.name) { "*" } else { " " };
            vec![
                format!("{mark} {}", preset.name),
                preset.mode.to_string(),
                preset.policy.to_string(),
                preset.about.to_owned(),
            ]
        })
        .collect();
    json::text_out(&format!(
        "{}: sandbox {} [{}], approvals {} [{}]\n",
        ready.facts.project_root.display(),
        settings.sandbox_mode.value,
        settings.sandbox_mode.origin,
        settings.approval_policy.value,
        settings.approval_policy.origin
    ));
    json::text_out(table::columns(&rows, "").trim_end());
    grants(paint)?;
    Ok(ExitCode::SUCCESS)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A grant that a session still has.
#[derive(serde::Serialize)]
struct Given {
    id: String,
    session: String,
    by: String,
    shown: Vec<String>,
}

fn of_sessions() -> Result<Vec<Given>, Failure> {
    let home = start::home()?;
    let mut given = Vec::new();
    for session in Store::sessions(&home) {
        let store = Store::of_session(&home, &session).map_err(|error| Failure::from_error(&error))?;
        for grant in store.load(now()).map_err(|error| Failure::from_error(&error))? {
            given.push(Given { id: grant.id, session: session.clone(), by: grant.by, shown: grant.shown });
        }
    }
    Ok(given)
}

fn grants(paint: Paint) -> Result<(), Failure> {
    let escape = ringfence_model::text::escape;
    let rows: Vec<Vec<String>> = of_sessions()?
        .into_iter()
        .map(|grant| {
            let shown: Vec<_> = grant.shown.iter().map(|line| escape(line)).collect();
            vec![grant.id, escape(&grant.session), grant.by, shown.join("; ")]
        })
        .collect();
    if !rows.is_empty() {
        json::text_out(&format!("\n{}", paint.bold("grants of sessions (withdraw with `--withdraw ID`)")));
        json::text_out(table::columns(&rows, "  ").trim_end());
    }
    Ok(())
}

fn withdraw(id: &str) -> Result<ExitCode, Failure> {
    let home = start::home()?;
    for session in Store::sessions(&home) {
        let store = Store::of_session(&home, &session).map_err(|error| Failure::from_error(&error))?;
        if store.withdraw(id, now()).map_err(|error| Failure::from_error(&error))? {
            eprintln!("ringfence: withdrawn");
            return Ok(ExitCode::SUCCESS);
        }
    }
    Err(Failure::new(format!("there is no grant `{}`", ringfence_model::text::escape(id)))
        .hint("`ringfence permissions` lists them"))
}
