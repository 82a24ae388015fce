//! Questions about hosts that a running command wants to reach. Each unknown host is an action of its own, judged and asked
//! about like any other.

use super::{Authorization, AuthorizeError, Session};
use crate::approver::Over;
use ringfence_egress::ask::{Answer, Pending};
use ringfence_egress::host::Host;
use ringfence_model::action::{Action, Connect};
use ringfence_model::grant::Lasts;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What came of the questions of one run.
#[derive(Default)]
pub(super) struct Hosts {
    /// Set once the run is to end: its other questions are over.
    over: Arc<AtomicBool>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    declined: BTreeSet<String>,
    ended: Option<Ended>,
}

/// Somebody ended a run, asked about a connection of it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// Who.
    pub(super) by: String,
    /// What they were asked about.
    pub(super) act: String,
}

impl Hosts {
    /// Whether somebody said no to this destination, as `HOST:PORT`.
    pub(super) fn was_declined(&self, target: &str) -> bool {
        self.inner().declined.contains(target)
    }

    /// Who ended the run, if anybody did.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.inner().ended.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a refusal says: the error, and the cause that isn't in its sentence already.
fn said(error: &AuthorizeError) -> String {
    let text = error.to_string();
    match std::error::Error::source(error).map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

impl Session {
    /// Answers until there are no more questions. Each has a thread: one that a person thinks about holds up none that
    /// policy or an earlier answer decides, and the gate sees how many there are. The proxy bounds their number.
    /// `end` ends the run.
    pub(super) fn answer_questions(&self, asked: Receiver<Pending>, hosts: &Hosts, end: &(impl Fn() + Sync)) {
        std::thread::scope(|scope| {
            for pending in asked {
                let thread = std::thread::Builder::new().name("ringfence-question".to_owned());
                // Without a thread the question is dropped, which is a no.
                let _ = thread.spawn_scoped(scope, move || self.answer_question(pending, hosts, end));
            }
        });
    }

    fn answer_question(&self, pending: Pending, hosts: &Hosts, end: &impl Fn()) {
        let target = &pending.question.target;
        let host = match &target.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let protocol = pending.question.protocol.name().to_owned();
        let action = Action::Connect(Connect { host, port: target.port, protocol });
        let (target, act) = (target.to_string(), action.display());
        let over = Over::when(Arc::clone(&pending.over)).of_run(Arc::clone(&hosts.over));
        let answer = match self.authorize_until(action, &[], &over) {
            Ok(authorization) => Answer::Kept(self.lasts(&authorization)),
            Err(error) => {
                let said = said(&error);
                match error {
                    AuthorizeError::Denied { .. } => drop(hosts.inner().declined.insert(target)),
                    AuthorizeError::Aborted { by } => {
                        hosts.inner().ended.get_or_insert(Ended { by, act });
                        end();
                    }
                    _ => {}
                }
                Answer::No(said)
            }
        };
        pending.answer(answer);
    }

    /// How long what authorized this lasts. The grant stays the session's, which can withdraw it: it answers the next
    /// question by itself.
    fn lasts(&self, authorization: &Authorization) -> Lasts {
        let used = &authorization.run.grants;
        let grants = self.grants();
        grants.iter().filter(|grant| used.contains(&grant.id)).map(|grant| grant.lasts).max().unwrap_or(Lasts::Once)
    }
}
