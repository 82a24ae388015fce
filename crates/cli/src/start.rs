//! From flags to a wish: surroundings, settings, facts, confinement. The same road for every subcommand that decides or
//! shows.

use crate::args::Shared;
use crate::args::decide::Answers;
use crate::args::run::Environment;
use crate::out::Failure;
use ringfence::facts::{self, Start};
use ringfence_config::{ConfigError, NetworkFlag, Places, Request, Resolved};
use ringfence_model::mode::SandboxMode;
use ringfence_model::notice::Notice;
use ringfence_model::origin::Sourced;
use ringfence_model::{AbsPath, Confinement, Origin, WorldFacts};
use ringfence_policy::confine;

/// Everything that holds at one start.
pub struct Ready {
    /// What holds, and where it was set.
    pub resolved: Resolved,
    /// The world around it.
    pub facts: WorldFacts,
    /// What the start was given.
    pub start: Start,
}

/// Gathers and resolves.
pub fn ready(shared: &Shared, more: &[More<'_>]) -> Result<Ready, Failure> {
    let start = Start::ambient(shared.cd.as_deref()).map_err(|error| Failure::from_error(&error))?;
    let resolved = crate::cmd::policy::load(&request(shared, more, &start)?).map_err(|error| config_failure(&error))?;
    let project = (resolved.project.root.clone(), resolved.project.version_controlled);
    let facts = facts::gather(&start, &resolved.settings, project, &[]);
    Ok(Ready { resolved, facts, start })
}

/// Flags that only some subcommands have.
#[derive(Debug, Clone, Copy)]
pub enum More<'a> {
    /// `--env`.
    Env(&'a Environment),
    /// `--timeout`.
    Timeout(&'a str),
    /// `--approve-with` and `--approve-over`.
    Answers(&'a Answers),
}

/// The request for settings that these flags make.
pub fn request(shared: &Shared, more: &[More<'_>], start: &Start) -> Result<Request, Failure> {
    let mut request = Request::new(Places::of_machine(start.ringfence_home.clone()), start.cwd.clone());
    request.user_home.clone_from(&start.home);
    request.tmpdir =
        start.variable(facts::TMPDIR).and_then(|dir| AbsPath::new(dir).ok()).filter(|dir| dir.as_path().is_dir());
    request.profile.clone_from(&shared.profile);
    request.strict = shared.strict_config;
    request.ignore_user = shared.ignore_user_config;
    let flags = &mut request.flags;
    for text in &shared.config {
        flags.config(text).map_err(|error| config_failure(&error))?;
    }
    if shared.full_auto {
        flags.full_auto();
    }
    if let Some(mode) = &shared.sandbox {
        flags.sandbox(mode_named(mode)?);
    }
    if let Some(policy) = &shared.ask_for_approval {
        flags.ask_for_approval(policy);
    }
    if shared.yolo {
        flags.bypass("--dangerously-bypass-approvals-and-sandbox");
    }
    if shared.search {
        flags.search();
    }
    match shared.network.as_deref() {
        Some("off") => flags.network(NetworkFlag::Off),
        Some("on") => flags.network(NetworkFlag::On),
        Some("proxy") => flags.network(NetworkFlag::Proxy),
        _ => {}
    }
    if let Some(name) = &shared.permissions {
        flags.permissions(name);
    }
    for directory in &shared.add_dir {
        let text = directory.to_str().ok_or_else(|| {
            let shown = ringfence_model::text::escape_os(directory);
            Failure::new(format!("the name of `{shown}` is not UTF-8")).origin(Origin::flag("--add-dir"))
        })?;
        flags.add_dir(text);
    }
    for more in more {
        match more {
            More::Env(environment) => {
                for text in &environment.env {
                    let text = text.to_str().ok_or_else(|| {
                        Failure::new("a variable that isn't UTF-8 can't be set by flag").origin(Origin::flag("--env"))
                    })?;
                    flags.env(text).map_err(|error| config_failure(&error))?;
                }
            }
            More::Timeout(duration) => flags.timeout(duration),
            More::Answers(answers) => crate::cmd::ask::set(answers, flags),
        }
    }
    Ok(request)
}

fn mode_named(name: &str) -> Result<SandboxMode, Failure> {
    SandboxMode::from_name(name).ok_or_else(|| {
        let names: Vec<_> = SandboxMode::NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
        Failure::new(format!("there is no sandbox mode `{}`", ringfence_model::text::escape(name)))
            .origin(Origin::flag("--sandbox"))
            .hint(format!("use {}", names.join(", ")))
    })
}

/// The wish of one command under these settings.
pub fn confinement(ready: &Ready, keep_background: bool) -> Result<Confinement, Failure> {
    let keep = if keep_background {
        Sourced::new(true, Origin::flag("--keep-background"))
    } else {
        Sourced::default_of(false, "--keep-background")
    };
    let request = confine::Request { keep_background: keep, ..confine::Request::default() };
    confine::confine(&ready.resolved.settings, &ready.facts, &request)
        .map_err(|error| Failure::from_error(&error).origin(error.origin().clone()))
}

/// What a person should be told once about these settings.
#[must_use]
pub fn notices(ready: &Ready) -> Vec<Notice> {
    let mut notices = ready.resolved.notices.clone();
    notices.extend(confine::notices(&ready.resolved.settings, &ready.facts));
    notices
}

/// As shown: the problem, where, what to do.
#[must_use]
pub fn config_failure(error: &ConfigError) -> Failure {
    let failure = match error {
        // Each problem names its own place; the text of the whole lists them.
        ConfigError::Invalid { problems } => match problems.as_slice() {
            [only] => Failure::new(only.text.clone()).origin(only.origin.clone()),
            many => many.iter().fold(Failure::new("settings can't be used"), |failure, problem| {
                failure.cause(format!("{}: {}", problem.origin, problem.text))
            }),
        },
        other => Failure::from_error(other),
    };
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Ringfence's home of this user.
pub fn home() -> Result<AbsPath, Failure> {
    Start::ambient(None).map(|start| start.ringfence_home).map_err(|error| Failure::from_error(&error))
}
