//! Opening the library's session from flags, and turning what it says into failures.

use crate::args::Shared;
use crate::args::decide::Wish;
use crate::out::Failure;
use crate::start::{self, Ready};
use ringfence::facts::Start;
use ringfence::{AuthorizeError, OpenError, Opening, PerformError, RunError, Session};
use ringfence_model::action::{Escalation, More as Added, Placement};
use ringfence_model::report::{Reason, status};
use ringfence_model::{AbsPath, Action, Origin, OsText, text};
use std::ffi::OsString;
use std::path::Path;

/// Opens a session on what was resolved.
pub fn open(shared: &Shared, ready: Ready, opening: Opening) -> Result<Session, Failure> {
    let Ready { resolved, start, .. } = ready;
    let opening =
        Opening { start: Some(start), resolved: Some(resolved), ignore_user: shared.ignore_user_config, ..opening };
    Session::open(opening).map_err(|error| open_failure(&error))
}

/// The action of a command with the wish that goes with it.
pub fn action(session: &Session, command: &[OsString], wish: &Wish) -> Result<Action, Failure> {
    let mut action = session.exec(command.iter().map(OsText::new));
    if let Action::Exec(exec) = &mut action {
        exec.escalation = escalation(wish, session.start())?;
    }
    Ok(action)
}

fn escalation(wish: &Wish, start: &Start) -> Result<Option<Escalation>, Failure> {
    if wish.escalate.is_empty() {
        return Ok(None);
    }
    let mut outside = false;
    let mut added = Added::default();
    for what in &wish.escalate {
        let path = |path: &str| absolute(path, start);
        match what.split_once('=') {
            None if what == "outside" => outside = true,
            Some(("write", dir)) => added.write.push(path(dir)?),
            Some(("read", file)) => added.read.push(path(file)?),
            Some(("socket", file)) => added.unix_sockets.push(path(file)?),
            Some(("network", host)) if !host.is_empty() => added.network.push(host.to_owned()),
            _ => {
                return Err(Failure::new(format!("`{}` can't be asked for", text::escape(what)))
                    .origin(Origin::flag("--escalate"))
                    .hint("use `outside`, `write=DIR`, `read=PATH`, `network=HOST` or `socket=PATH`"));
            }
        }
    }
    let want = if outside { Placement::Outside } else { Placement::With(added) };
    let justification = text::Untrusted::new(wish.justification.clone().unwrap_or_default());
    Ok(Some(Escalation { justification, want, prefix: None }))
}

fn absolute(path: &str, start: &Start) -> Result<AbsPath, Failure> {
    let resolved = std::fs::canonicalize(start.cwd.as_path().join(Path::new(path)));
    resolved
        .map_err(|error| error.to_string())
        .and_then(|path| AbsPath::new(path).map_err(|error| error.to_string()))
        .map_err(|cause| {
            Failure::new(format!("`{}` can't be asked for", text::escape(path)))
                .cause(cause)
                .origin(Origin::flag("--escalate"))
        })
}

/// A session that can't be opened.
pub fn open_failure(error: &OpenError) -> Failure {
    match error {
        OpenError::Config(error) => start::config_failure(error),
        OpenError::Reviewer { origin, .. } => Failure::from_error(error).origin(origin.clone()),
        other => Failure::from_error(other),
    }
}

/// A run that didn't come about: policy's refusals end with 126, everything else with 125 or what the start says.
pub fn run_failure(error: &RunError) -> Failure {
    match error {
        RunError::Authorize(error) => authorize_failure(error),
        RunError::Perform(error) => perform_failure(error),
        other => Failure::from_error(other),
    }
}

/// What was authorized and couldn't be held or started.
pub fn perform_failure(error: &PerformError) -> Failure {
    match error {
        PerformError::Start(error) => super::ended::start_failure(error),
        PerformError::Unenforceable(error) => super::plan::unenforceable(error),
        PerformError::NoProxy { origin } => Failure::from_error(error).origin(origin.clone()),
        PerformError::Ended { .. } => Failure::from_error(error).status(status::DENIED),
        error => Failure::from_error(error),
    }
}

/// A refusal: what, because of what, and what would change it.
pub fn authorize_failure(error: &AuthorizeError) -> Failure {
    let policy = matches!(
        error,
        AuthorizeError::Refused(_)
            | AuthorizeError::Denied { .. }
            | AuthorizeError::Aborted { .. }
            | AuthorizeError::NoAnswer { .. }
            | AuthorizeError::UnderRingfence { .. }
            | AuthorizeError::Unsteady
    );
    // The sentence of a refusal has its cause in it already.
    let failure = if policy { Failure::new(error.to_string()) } else { Failure::from_error(error) };
    with_reasons(failure.status(if policy { status::DENIED } else { status::FAILED }), error.reasons())
}

/// Adds where the first reason stands, the further reasons, and what would change the verdict.
pub fn with_reasons(failure: Failure, reasons: &[Reason]) -> Failure {
    let Some((first, more)) = reasons.split_first() else { return failure };
    let failure = failure.origin(first.source.clone());
    let failure =
        more.iter().fold(failure, |failure, reason| failure.because(format!("{} [{}]", reason.text, reason.source)));
    let mut changes: Vec<&str> = Vec::new();
    for change in reasons.iter().flat_map(|reason| &reason.would_change) {
        if !changes.contains(&change.as_str()) {
            changes.push(change);
        }
    }
    if changes.is_empty() { failure } else { failure.hint(format!("this would change it: {}", changes.join("; "))) }
}
