//! A session: settings, rules, grants, approver and journal of one agent or one run, and the one road an action takes.
//!
//! [`Session::decide`] says what would happen, [`Session::authorize`] has somebody asked where that is needed, and
//! [`Session::perform`] runs what was authorized. There is no second road.

mod act;
mod apply;
mod authorize;
mod edits;
#[cfg(all(feature = "egress", unix))]
mod hosts;
mod leftovers;
mod managed;
mod open;
mod perform;
mod record;
mod rules;
mod writing;

pub use act::Gathered;
pub use apply::{Applied, ApplyError};
pub use authorize::{Authorization, AuthorizeError};
pub use edits::EditCheck;
pub use leftovers::leftovers;
pub use open::{OpenError, Opening, redactor, reviewer};
pub use perform::{Cancel, Flow, OnStart, PerformError, RunError, Running, Streams};
pub use record::record_denials;
pub use rules::load as load_rules;

use crate::approver::{Approver, Gate};
use crate::facts::{self, Start};
use crate::grants::{GrantError, Store};
use crate::under;
use ringfence_audit::Sink;
use ringfence_config::Resolved;
use ringfence_model::action::{Action, Exec, Placement};
use ringfence_model::{AbsPath, Decision, Denial, Grant, Notice, OsText, Settings, Sourced, WorldFacts};
use ringfence_policy::decide::smallest;
use ringfence_policy::{Explanation, decide};
use ringfence_rules::RuleSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Settings, rules, grants, approver and journal of one agent or run.
pub struct Session {
    start: Start,
    resolved: Resolved,
    rules: RuleSet,
    world: WorldFacts,
    notices: Vec<Notice>,
    approver: Arc<dyn Approver>,
    gate: Gate,
    sink: Arc<dyn Sink>,
    /// The session's name, if the front end knows one.
    name: Option<String>,
    agent: Option<String>,
    store: Option<Store>,
    grants: Mutex<Vec<Grant>>,
    /// Why nobody's yes counts here: this process itself runs under Ringfence.
    under: Option<under::Evidence>,
    keep_background: Sourced<bool>,
    every_refusal: bool,
    /// The program, with its first arguments, that writes patches inside a sandbox.
    writer: Option<Vec<OsText>>,
    /// Why the journal isn't written, the first time it wasn't.
    journal_problem: Mutex<Option<String>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("name", &self.name).field("cwd", &self.start.cwd).finish_non_exhaustive()
    }
}

impl Session {
    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.resolved.settings
    }

    /// The settings in force, with how it came to them.
    #[must_use]
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// The rules of every source.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The world around this session, as it was found when it was opened.
    #[must_use]
    pub fn world(&self) -> &WorldFacts {
        &self.world
    }

    /// The surroundings it was opened in.
    #[must_use]
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// What a person should be told once.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Why the journal couldn't be written, if it couldn't: the run goes on, and a person is told.
    #[must_use]
    pub fn journal_problem(&self) -> Option<String> {
        self.journal_problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its working directory.
    #[must_use]
    pub fn cwd(&self) -> &AbsPath {
        &self.start.cwd
    }

    /// Whether this process runs under Ringfence, so that nobody's yes counts here.
    #[must_use]
    pub fn under(&self) -> Option<&under::Evidence> {
        self.under.as_ref()
    }

    /// The action of running a command in the session's directory.
    #[must_use]
    pub fn exec<W: Into<OsText>>(&self, argv: impl IntoIterator<Item = W>) -> Action {
        Action::Exec(Exec {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: self.start.cwd.clone(),
            escalation: None,
        })
    }

    /// What would happen with an action, and why. Nobody is asked and nothing runs.
    #[must_use]
    pub fn decide(&self, action: &Action) -> Decision {
        self.decide_after(action, &[])
    }

    /// What would happen if the action were tried again after the sandbox refused it `denials`.
    #[must_use]
    pub fn decide_after(&self, action: &Action, denials: &[Denial]) -> Decision {
        let gathered = self.gather(action, denials);
        let grants = self.grants();
        decide(self.settings(), &self.rules, &grants, &gathered.facts(self.name.as_deref()), action)
    }

    /// How a command is judged, step by step.
    #[must_use]
    pub fn explain(&self, exec: &Exec) -> Explanation {
        let gathered = self.gather(&Action::Exec(exec.clone()), &[]);
        let grants = self.grants();
        let facts = gathered.facts(self.name.as_deref());
        ringfence_policy::explain(self.settings(), &self.rules, &grants, &facts, exec)
    }

    /// The grants that count now.
    #[must_use]
    pub fn grants(&self) -> Vec<Grant> {
        let now = seconds();
        self.lock_grants().iter().filter(|grant| grant.counts(now, self.name.as_deref())).cloned().collect()
    }

    /// Withdraws a grant. False: there was none of this name.
    pub fn withdraw(&self, id: &str) -> Result<bool, GrantError> {
        let mut found = {
            let mut grants = self.lock_grants();
            let before = grants.len();
            grants.retain(|grant| grant.id != id);
            before != grants.len()
        };
        if let Some(store) = &self.store {
            found |= store.withdraw(id, seconds())?;
        }
        Ok(found)
    }

    fn lock_grants(&self) -> MutexGuard<'_, Vec<Grant>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world again, with the directories that this action, or what it was refused before, would add.
    fn world_with(&self, action: &Action, denials: &[Denial]) -> WorldFacts {
        let mut wished = match action {
            Action::Exec(exec) => match exec.escalation.as_ref().map(|escalation| &escalation.want) {
                Some(Placement::With(more)) => more.write.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        wished.extend(smallest(denials, &self.world).map(|more| more.write).unwrap_or_default());
        if wished.is_empty() {
            return self.world.clone();
        }
        let granted: Vec<Sourced<AbsPath>> = wished
            .into_iter()
            .map(|path| Sourced::new(path, ringfence_model::Origin::Grant { grant: "the answer".to_owned() }))
            .collect();
        let project = (self.resolved.project.root.clone(), self.resolved.project.version_controlled);
        facts::gather(&self.start, self.settings(), project, &granted)
    }
}

/// Seconds since 1970.
pub(crate) fn seconds() -> u64 {
    millis() / 1000
}

/// Milliseconds since 1970.
pub(crate) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
