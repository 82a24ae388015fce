//! Opening a session: surroundings, settings, rules, facts, approver, journal.

use super::{Session, rules, seconds};
use crate::approver::{Approver, Gate, Nobody, ProgramApprover};
use crate::facts::{self, Start, StartError, program};
use crate::grants::{GrantError, Store};
use crate::under;
use ringfence_audit::{Journal, Limits, Nowhere, Redactor, Sink};
use ringfence_config::{ConfigError, Overrides, Places, Request, Resolved};
use ringfence_model::mode::Reviewer;
use ringfence_model::{AbsPath, Layer, Origin, OsText, Settings, Sourced, WorldFacts};
use ringfence_policy::environment;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What a session is opened with. The default is this process's directory and environment, and nobody to ask.
#[derive(Default)]
pub struct Opening {
    /// The directory; none: the process's.
    pub cd: Option<PathBuf>,
    /// The surroundings, where the caller has made them out already.
    pub start: Option<Start>,
    /// What the command line sets.
    pub flags: Overrides,
    /// `--profile`.
    pub profile: Option<String>,
    /// Unknown keys are errors.
    pub strict: bool,
    /// The user's settings aren't read.
    pub ignore_user: bool,
    /// Settings, where the caller has resolved them already.
    pub resolved: Option<Resolved>,
    /// Who is asked, unless settings name a program.
    pub approver: Option<Arc<dyn Approver>>,
    /// Who is asked where settings want a program: a front end that was given its own channel. A program that an
    /// administrator named is not replaced.
    pub front_end: Option<Arc<dyn Approver>>,
    /// Where events go; none: the journal.
    pub sink: Option<Arc<dyn Sink>>,
    /// The session's name, whose grants are kept for twelve hours.
    pub session: Option<String>,
    /// The agent it acts for.
    pub agent: Option<String>,
    /// `--keep-background`.
    pub keep_background: bool,
    /// `--log-denials`: what mounts refuse is explained too, which costs the command a little at each refusal.
    pub every_refusal: bool,
    /// The program, by absolute path, and its first arguments, that writes patches inside a sandbox: one that calls
    /// [`write_inside`](crate::apply::write_inside) with its standard input and output, such as one's own program under
    /// another name. None: patches are written by this process, and only its own checks hold what was judged.
    pub writer: Option<Vec<OsText>>,
}

/// Why a session can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The surroundings can't be made out.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Settings can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The session's grants can't be used.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// The settings name a program that reviews, and it can't be one.
    #[error("the reviewing program `{program}` can't be used: {why}")]
    Reviewer {
        /// As set.
        program: String,
        /// What is wrong with it.
        why: String,
        /// Where it was set.
        origin: Origin,
    },
}

impl Session {
    /// Opens a session.
    pub fn open(opening: Opening) -> Result<Self, OpenError> {
        let Opening { cd, start, flags, profile, strict, ignore_user, resolved, .. } = &opening;
        let start = match start {
            Some(start) => start.clone(),
            None => Start::ambient(cd.as_deref())?,
        };
        let resolved = match resolved {
            Some(resolved) => resolved.clone(),
            None => {
                let mut request = Request::new(Places::of_machine(start.ringfence_home.clone()), start.cwd.clone());
                request.user_home.clone_from(&start.home);
                request.tmpdir = start.variable(crate::facts::TMPDIR).and_then(|dir| AbsPath::new(dir).ok());
                request.flags = flags.clone();
                request.profile.clone_from(profile);
                request.strict = *strict;
                request.ignore_user = *ignore_user;
                ringfence_config::load_from(&request, &crate::machine())?
            }
        };
        let project = (resolved.project.root.clone(), resolved.project.version_controlled);
        let world = facts::gather(&start, &resolved.settings, project, &[]);
        let (rules, rule_notices) = rules::load(&start, &resolved, *ignore_user);
        let mut notices = resolved.notices.clone();
        notices.extend(rule_notices);
        notices.extend(ringfence_policy::decide::notices(&resolved.settings, &world, &rules));
        let store = match &opening.session {
            Some(name) => Some(Store::of_session(&start.ringfence_home, name)?),
            None => None,
        };
        let grants = match &store {
            Some(store) => store.load(seconds())?,
            None => Vec::new(),
        };
        let approver = approver(opening.approver, opening.front_end, &resolved.settings, &start, &world)?;
        let sink = match opening.sink {
            Some(sink) => sink,
            None => journal(&resolved.settings, &start),
        };
        let keep_background = match opening.keep_background {
            true => Sourced::new(true, Origin::flag("--keep-background")),
            false => Sourced::default_of(false, "--keep-background"),
        };
        let session = Self {
            start,
            rules,
            world,
            notices,
            approver,
            gate: Gate::default(),
            sink,
            name: opening.session,
            agent: opening.agent,
            store,
            grants: Mutex::new(grants),
            under: under::evidence(),
            keep_background,
            every_refusal: opening.every_refusal,
            writer: opening.writer,
            journal_problem: Mutex::new(None),
            resolved,
        };
        session.record_start();
        Ok(session)
    }

    /// `off`, `proxy` or `on`, as the settings have it.
    pub(super) fn network_name(&self) -> &'static str {
        let network = &self.settings().network;
        match (network.access.value, network.proxy.value) {
            (false, _) => "off",
            (true, true) => "proxy",
            (true, false) => "on",
        }
    }
}

/// The journal in Ringfence's home, with the values of dropped variables as secrets.
pub(super) fn journal(settings: &Settings, start: &Start) -> Arc<dyn Sink> {
    if !settings.history.persist.value {
        return Arc::new(Nowhere);
    }
    let Ok(dir) = start.ringfence_home.join("log") else { return Arc::new(Nowhere) };
    let mut limits = Limits::default();
    if let Some(bytes) = &settings.history.max_bytes {
        limits.max_bytes = bytes.value;
    }
    Arc::new(Journal::new(dir.into_path_buf(), limits, redactor(start)))
}

/// Knows the values of variables whose names say that they are secrets.
#[must_use]
pub fn redactor(start: &Start) -> Redactor {
    let secrets = start.environment.iter().filter(|(name, _)| environment::is_secret_name(name));
    Redactor::new(secrets.filter_map(|(_, value)| value.as_str()))
}

fn approver(
    given: Option<Arc<dyn Approver>>,
    front_end: Option<Arc<dyn Approver>>,
    settings: &Settings,
    start: &Start,
    world: &WorldFacts,
) -> Result<Arc<dyn Approver>, OpenError> {
    let managed = |program: &Sourced<Vec<String>>| program.origin.layer() > Layer::CommandLine;
    match (settings.approvals.reviewer.value, &settings.approvals.program, front_end) {
        (Reviewer::User, ..) => Ok(given.unwrap_or_else(|| inbox(settings, start, world))),
        (Reviewer::Program, Some(program), Some(_)) if managed(program) => Err(OpenError::Reviewer {
            program: ringfence_model::text::escape(&program.value.join(" ")),
            why: "it was named for this computer, and no front end takes its place".to_owned(),
            origin: program.origin.clone(),
        }),
        (Reviewer::Program, _, Some(front_end)) => Ok(front_end),
        (Reviewer::Program, None, None) => Err(OpenError::Reviewer {
            program: String::new(),
            why: "`approvals_reviewer = \"program\"` needs `[approvals] program = [...]`".to_owned(),
            origin: settings.approvals.reviewer.origin.clone(),
        }),
        (Reviewer::Program, Some(program), None) => Ok(Arc::new(reviewer(program, settings, start, world)?)),
    }
}

/// The person who waits for questions in another terminal, if there is one; nobody else.
#[cfg(target_os = "linux")]
fn inbox(settings: &Settings, start: &Start, world: &WorldFacts) -> Arc<dyn Approver> {
    use crate::approver::inbox::{Inbox, place};

    let socket = place(start.variable("XDG_RUNTIME_DIR"), &start.ringfence_home);
    let from_agent =
        ringfence_policy::decide::agent_places(world).iter().any(|place| socket.starts_with(place.as_path()));
    match socket.exists() && !from_agent {
        true => Arc::new(Inbox::new(socket, settings.approvals.timeout.value.0)),
        false => Arc::new(Nobody),
    }
}

#[cfg(not(target_os = "linux"))]
fn inbox(_: &Settings, _: &Start, _: &WorldFacts) -> Arc<dyn Approver> {
    Arc::new(Nobody)
}

/// A reviewing program, found where no agent can have put it.
pub fn reviewer(
    words: &Sourced<Vec<String>>,
    settings: &Settings,
    start: &Start,
    world: &WorldFacts,
) -> Result<ProgramApprover, OpenError> {
    let refuse = |why: &str| OpenError::Reviewer {
        program: ringfence_model::text::escape(&words.value.join(" ")),
        why: why.to_owned(),
        origin: words.origin.clone(),
    };
    let (first, args) = words.value.split_first().ok_or_else(|| refuse("it is empty"))?;
    let places = ringfence_policy::decide::agent_places(world);
    let path = start.variable("PATH");
    let found = program::find(&first.as_str().into(), &start.ringfence_home, path, &places);
    let file = found.resolved.ok_or_else(|| refuse("no such program was found"))?;
    if found.from_writable {
        return Err(refuse("it could come from a directory an agent can write; name it by an absolute path elsewhere"));
    }
    let cwd = match start.ringfence_home.as_path().is_dir() {
        true => start.ringfence_home.clone(),
        false => AbsPath::root(),
    };
    Ok(ProgramApprover::new(file, args.to_vec(), settings.approvals.timeout.value.0, &start.environment, cwd))
}
