//! Performing what was authorized: compiled for this host, enforced, run, recorded, reported.

use super::record::new_id;
use super::{Authorization, AuthorizeError, Session};
use ringfence_model::action::Action;
use ringfence_model::confinement::{EnvVar, NetworkWish};
use ringfence_model::event::What;
use ringfence_model::glob::name_matches;
use ringfence_model::mode::Tier;
use ringfence_model::report::{Report, SCHEMA};
use ringfence_model::verdict::Instead;
use ringfence_model::{Confinement, Denial, Evidence, Origin, OsText, Voucher};
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
use ringfence_sandbox::Command;
#[cfg(target_os = "linux")]
use ringfence_sandbox::Killer;
#[cfg(any(target_os = "macos", windows))]
use ringfence_sandbox::Sandbox;
use ringfence_sandbox::fallback::{self, Failed};
use ringfence_sandbox::{Outcome, Plan, Signals, StartError, Stdio, Unenforceable};
use std::sync::{Arc, Mutex, PoisonError};

/// Why an authorized action wasn't performed, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerformError {
    /// What was approved isn't what would run any more.
    #[error("{what} changed between the approval and the run, so it is asked about again")]
    Changed {
        /// What: `the directory`, `the program`, `the environment`.
        what: &'static str,
    },
    /// This host can't hold the sandbox.
    #[error("this host can't hold the sandbox: {}", unmet(.0))]
    Unenforceable(Unenforceable),
    /// The sandbox or the command can't be started.
    #[error("the command can't be started")]
    Start(#[from] StartError),
    /// The plan needs the proxy, and none serves this session.
    #[error("network goes only through the proxy, and no proxy serves this session; nothing was run")]
    NoProxy {
        /// Where that was set.
        origin: Origin,
    },
    /// The proxy can't serve it.
    #[cfg(all(feature = "egress", unix))]
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    /// Somebody who was asked about a connection of it ended it.
    #[error("ended by {by}, who was asked about `{act}`")]
    Ended {
        /// Who.
        by: String,
        /// What they were asked about.
        act: String,
    },
    /// It was cancelled before it began.
    #[error("cancelled before it began")]
    Cancelled,
    /// It isn't a command, so there is nothing to run here.
    #[error("`{action}` isn't performed by running a command")]
    NotACommand {
        /// What it is.
        action: &'static str,
    },
    /// This system has no enforcer yet.
    #[error("commands can't be confined on this system")]
    NoEnforcer,
}

impl From<Failed<Self>> for PerformError {
    fn from(failed: Failed<Self>) -> Self {
        match failed {
            Failed::Unenforceable(error) => Self::Unenforceable(error),
            Failed::Start(error) => Self::Start(error),
            Failed::Share(error) => error,
        }
    }
}

fn unmet(error: &Unenforceable) -> String {
    let parts: Vec<String> = error.unmet.iter().map(|unmet| format!("{}: {}", unmet.what, unmet.why)).collect();
    parts.join("; ")
}

/// The standard streams of a command, and what signals do.
#[derive(Debug)]
pub struct Streams {
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
    /// What happens to signals that this process gets meanwhile.
    pub signals: Signals,
}

impl Default for Streams {
    fn default() -> Self {
        Self { stdin: Stdio::Inherit, stdout: Stdio::Inherit, stderr: Stdio::Inherit, signals: Signals::Leave }
    }
}

/// Cancels a run from another thread. Cloned handles cancel the same run.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    state: Arc<Mutex<CancelState>>,
}

#[derive(Debug, Default)]
struct CancelState {
    cancelled: bool,
    #[cfg(target_os = "linux")]
    killer: Option<Killer>,
}

impl Cancel {
    /// Ends the run with everything in it; one that hasn't begun doesn't begin.
    pub fn cancel(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cancelled = true;
        #[cfg(target_os = "linux")]
        if let Some(killer) = &state.killer {
            killer.kill();
        }
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    #[cfg(target_os = "linux")]
    fn begun(&self, killer: Option<Killer>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.cancelled
            && let Some(killer) = &killer
        {
            killer.kill();
        }
        state.killer = killer;
    }
}

/// What looks at a command when it has started.
pub type OnStart<'f> = Box<dyn FnOnce(Running<'_>) + 'f>;

/// How one action goes: its streams, its cancelling, and what looks at it when it runs.
#[derive(Default)]
pub struct Flow<'f> {
    /// Its streams.
    pub streams: Streams,
    /// What cancels it.
    pub cancel: Cancel,
    /// Called once when the command runs, with our ends of its pipes and the plan that holds it.
    pub on_start: Option<OnStart<'f>>,
    /// What its connections to a proxy on the machine's loopback begin with.
    pub voucher: Option<Voucher>,
}

/// A command that has just started.
#[derive(Debug)]
pub struct Running<'r> {
    /// The plan that holds it.
    pub plan: &'r Plan,
    /// Our ends of its pipes, to take.
    #[cfg(target_os = "linux")]
    pub pipes: &'r mut ringfence_sandbox::run::Pipes,
    /// What was made inside for the proxy to serve.
    #[cfg(target_os = "linux")]
    pub inlets: Vec<(ringfence_sandbox::Inlet, std::os::fd::OwnedFd)>,
}

impl Session {
    /// Performs an authorized command with this process's own streams, and reports.
    pub fn perform(&self, authorization: Authorization) -> Result<Report, PerformError> {
        self.perform_with(authorization, Flow::default())
    }

    /// As [`Session::perform`], with other streams, cancellable, and seen when it starts.
    pub fn perform_with(&self, authorization: Authorization, flow: Flow<'_>) -> Result<Report, PerformError> {
        let id = authorization.id.clone();
        match self.perform_command(authorization, flow) {
            Ok(report) => Ok(report),
            // It ran, and what came of it is recorded.
            Err(error @ PerformError::Ended { .. }) => Err(error),
            Err(error) => {
                let what = What::Outcome {
                    result: "not-started".to_owned(),
                    exit: None,
                    duration_ms: 0,
                    tier: None,
                    not_held: Vec::new(),
                    error: Some(error.to_string()),
                };
                self.record(&[self.event(&id, what)]);
                Err(error)
            }
        }
    }

    /// Gives an authorization up: the journal says that it wasn't used.
    pub fn abandon(&self, authorization: Authorization) {
        let what = What::Outcome {
            result: "not-started".to_owned(),
            exit: None,
            duration_ms: 0,
            tier: None,
            not_held: Vec::new(),
            error: Some("abandoned".to_owned()),
        };
        self.record(&[self.event(&authorization.id, what)]);
    }

    /// The plan of an authorized command on this host; nothing runs and nothing is consumed.
    pub fn plan(&self, authorization: &Authorization) -> Result<Plan, PerformError> {
        let wish = wish(&authorization.run.confinement, authorization.run.instead.as_ref());
        Ok(Wishes::one(&wish).plan()?)
    }

    /// Authorizes and performs a command, and once more outside or with more where the sandbox refused something and
    /// policy has somebody asked about that. `flow` gives the streams of each attempt.
    pub fn run(&self, action: Action, mut flow: impl FnMut() -> Flow<'static>) -> Result<Report, RunError> {
        let report = self.run_once(action.clone(), &[], &mut flow)?;
        // What somebody said no to isn't asked about again.
        let open: Vec<Denial> = report.denials.iter().filter(|denial| !denial.answered).cloned().collect();
        let evidence = open.iter().any(|denial| denial.evidence != Evidence::Guess);
        let failed = report.exit.is_none_or(|exit| exit.status() != 0);
        if !evidence || !failed {
            return Ok(report);
        }
        match self.run_once(action, &open, &mut flow) {
            Ok(second) => Ok(second),
            // Nobody to ask, or a no: the first attempt's own end is what is reported.
            Err(RunError::Authorize(AuthorizeError::Aborted { by })) => {
                Err(RunError::Authorize(AuthorizeError::Aborted { by }))
            }
            Err(RunError::Authorize(_)) => Ok(report),
            Err(error) => Err(error),
        }
    }

    fn run_once(
        &self,
        action: Action,
        denials: &[Denial],
        flow: &mut impl FnMut() -> Flow<'static>,
    ) -> Result<Report, RunError> {
        let mut left = 3;
        loop {
            let authorization = self.authorize_after(action.clone(), denials)?;
            left -= 1;
            match self.perform_with(authorization, flow()) {
                Err(PerformError::Changed { .. }) if left > 0 => {}
                other => return Ok(other?),
            }
        }
    }

    fn perform_command(&self, authorization: Authorization, flow: Flow<'_>) -> Result<Report, PerformError> {
        let Action::Exec(exec) = &authorization.action else {
            return Err(PerformError::NotACommand { action: authorization.action.name() });
        };
        self.unchanged(&authorization)?;
        if flow.cancel.is_cancelled() {
            return Err(PerformError::Cancelled);
        }
        let instead = authorization.run.instead.as_ref();
        let mut wish = wish(&authorization.run.confinement, instead);
        wish.cwd.clone_from(&exec.cwd);
        if matches!(wish.network.value, NetworkWish::Proxy { .. }) && flow.on_start.is_none() {
            return self.perform_managed(&authorization, wish, flow);
        }
        self.perform_wish(&authorization, &Wishes::one(&wish), flow)
    }

    /// Compiles, records, runs and reports one command.
    pub(super) fn perform_wish(
        &self,
        authorization: &Authorization,
        wishes: &Wishes<'_>,
        flow: Flow<'_>,
    ) -> Result<Report, PerformError> {
        let Action::Exec(exec) = &authorization.action else {
            return Err(PerformError::NotACommand { action: authorization.action.name() });
        };
        let instead = authorization.run.instead.as_ref();
        let argv = instead.map_or(&exec.argv, |instead| &instead.argv).clone();
        let mut report = self.perform_argv(authorization, wishes, argv, flow)?;
        report.command.clone_from(&exec.argv);
        self.record_outcome(&authorization.id, &report);
        Ok(report)
    }

    /// Compiles `wish`, records the intent and the denials, and runs `argv` under it: the outcome is for the caller to
    /// record.
    pub(super) fn perform_argv(
        &self,
        authorization: &Authorization,
        wishes: &Wishes<'_>,
        argv: Vec<OsText>,
        flow: Flow<'_>,
    ) -> Result<Report, PerformError> {
        let mut plan = wishes.plan()?;
        plan.every_refusal = self.every_refusal;
        let intent = What::Intent { act: authorization.action.display(), plan: Some(plan.id()) };
        self.record(&[self.event(&authorization.id, intent)]);
        let (plan, outcome) = start(plan, wishes, argv.clone(), flow)?;
        let report = report(authorization, argv, wishes.own, &plan, outcome);
        let denied = |denial: &Denial| self.event(&authorization.id, What::Denied { denial: Box::new(denial.clone()) });
        self.record(&report.denials.iter().map(denied).collect::<Vec<_>>());
        Ok(report)
    }

    /// What was approved must be what runs: directory, program and environment are looked at again.
    fn unchanged(&self, authorization: &Authorization) -> Result<(), PerformError> {
        let now = self.identity(&authorization.action);
        let then = &authorization.identity;
        let what = match () {
            () if now.act != then.act => "the command",
            () if now.cwd != then.cwd => "the directory",
            () if now.program != then.program || now.program_state != then.program_state => "the program",
            () if now.environment != then.environment => "the environment",
            () => return Ok(()),
        };
        Err(PerformError::Changed { what })
    }

    fn record_outcome(&self, id: &str, report: &Report) {
        let what = super::record::outcome(report);
        self.record(&[self.event(id, what)]);
    }
}

/// The wish of one command, and what it becomes where the sandbox shares the machine's network.
pub(super) type Wishes<'w> = fallback::Wishes<'w, PerformError>;

/// Why [`Session::run`] has no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It wasn't authorized.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// It wasn't performed.
    #[error(transparent)]
    Perform(#[from] PerformError),
}

/// The confinement, with the environment that a read made harmless needs.
fn wish(confinement: &Confinement, instead: Option<&Instead>) -> Confinement {
    let mut wish = confinement.clone();
    if let Some(instead) = instead {
        let goes =
            |name: &OsText| instead.unset.iter().any(|pattern| name_matches(pattern.as_bytes(), name.as_bytes()));
        wish.environment.retain(|var| !goes(&var.name) && !instead.set.iter().any(|(name, _)| *name == var.name));
        let origin = Origin::builtin("known-safe reads");
        wish.environment.extend(instead.set.iter().map(|(name, value)| EnvVar {
            name: name.clone(),
            value: value.clone(),
            origin: origin.clone(),
        }));
        wish.environment.sort();
    }
    wish
}

fn report(
    authorization: &Authorization,
    command: Vec<OsText>,
    wish: &Confinement,
    plan: &Plan,
    outcome: Outcome,
) -> Report {
    let not_held = outcome.not_held(plan);
    let mut denials = outcome.denials;
    for denial in denials.iter_mut().filter(|denial| denial.id.is_empty()) {
        denial.id = new_id();
    }
    Report {
        schema: SCHEMA.to_owned(),
        command,
        cwd: wish.cwd.clone(),
        verdict: "run".to_owned(),
        reasons: authorization.reasons.clone(),
        plan_id: plan.id(),
        tier: (outcome.tier != Tier::Unconfined).then_some(outcome.tier),
        exit: Some(outcome.exit),
        duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        denials,
        not_held,
        grants_used: authorization.run.grants.clone(),
    }
}

/// Starts the command under `plan`; where that tier turns out not to hold here and none was asked for by name, under those
/// that remain. The plan that held comes back.
#[cfg(target_os = "linux")]
fn start(plan: Plan, wishes: &Wishes<'_>, argv: Vec<OsText>, flow: Flow<'_>) -> Result<(Plan, Outcome), PerformError> {
    let Flow { streams: Streams { stdin, stdout, stderr, signals }, cancel, mut on_start, voucher } = flow;
    let command = Command { argv, stdin, stdout, stderr, signals, voucher };
    let ran = wishes.start(plan, command, |sandbox, command| {
        let mut running = sandbox.spawn(command, None)?;
        cancel.begun(running.killer().ok());
        if let Some(seen) = on_start.take() {
            let inlets = running.inlets();
            seen(Running { plan: sandbox.plan(), pipes: running.pipes(), inlets });
        }
        let outcome = running.wait();
        cancel.begun(None);
        Ok(outcome)
    })?;
    Ok(ran)
}

/// Starts the command under `plan`: these systems have one tier each. A run that has begun can't be cancelled there.
#[cfg(any(target_os = "macos", windows))]
fn start(plan: Plan, wishes: &Wishes<'_>, argv: Vec<OsText>, flow: Flow<'_>) -> Result<(Plan, Outcome), PerformError> {
    if flow.on_start.is_some() {
        // Nothing is made inside that a proxy could serve.
        return Err(PerformError::NoProxy { origin: wishes.own.network.origin.clone() });
    }
    let Streams { stdin, stdout, stderr, signals } = flow.streams;
    let sandbox = Sandbox::new(plan)?;
    let outcome = sandbox.run(Command { argv, stdin, stdout, stderr, signals, voucher: None })?;
    Ok((sandbox.into_plan(), outcome))
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn start(_: Plan, _: &Wishes<'_>, _: Vec<OsText>, _: Flow<'_>) -> Result<(Plan, Outcome), PerformError> {
    Err(PerformError::NoEnforcer)
}
