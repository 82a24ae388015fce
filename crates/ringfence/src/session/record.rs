//! Recording: every decision, question, answer, intent and outcome becomes an event.

use super::open::journal;
use super::{Session, millis};
use crate::facts::Start;
use ringfence_model::action::display_argv;
use ringfence_model::event::What;
use ringfence_model::{Event, Report, Settings};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

impl Session {
    /// An event of this session.
    pub(super) fn event(&self, id: &str, what: What) -> Event {
        Event { id: id.to_owned(), at: millis(), session: self.name.clone(), agent: self.agent.clone(), what }
    }

    /// Records events. A journal that can't be written doesn't stop a run; [`Session::journal_problem`] says why.
    pub(super) fn record(&self, events: &[Event]) {
        if let Err(error) = self.sink.record(events) {
            self.journal_failed(&error);
        }
    }

    pub(super) fn record_start(&self) {
        let settings = self.settings();
        let what = What::Started {
            mode: settings.sandbox_mode.value.to_string(),
            policy: settings.approval_policy.value.to_string(),
            network: self.network_name().to_owned(),
            profile: settings.permissions.as_ref().map(|profile| profile.value.clone()),
            requirements: self
                .resolved
                .requirements
                .sources
                .iter()
                .filter(|source| source.present)
                .map(|source| source.name.clone())
                .collect(),
        };
        self.record(&[self.event(&new_id(), what)]);
    }

    fn journal_failed(&self, error: &ringfence_audit::JournalError) {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let mut problem = self.journal_problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.get_or_insert_with(|| format!("{error}{cause}"));
    }
}

/// Writes down that the sandbox refused a command something, where no session was open: what was run, what was refused, how
/// it ended. False if it isn't written, so that the denials have no name to be looked up by later.
#[must_use]
pub fn record_denials(settings: &Settings, start: &Start, report: &Report) -> bool {
    let id = new_id();
    let event = |what: What| Event { id: id.clone(), at: millis(), session: None, agent: None, what };
    let intent = What::Intent { act: display_argv(&report.command), plan: Some(report.plan_id.clone()) };
    let denied = report.denials.iter().map(|denial| What::Denied { denial: Box::new(denial.clone()) });
    let events: Vec<Event> = std::iter::once(intent).chain(denied).chain([outcome(report)]).map(event).collect();
    settings.history.persist.value && journal(settings, start).record(&events).is_ok()
}

/// How a command ended.
pub(super) fn outcome(report: &Report) -> What {
    What::Outcome {
        result: "done".to_owned(),
        exit: report.exit,
        duration_ms: report.duration_ms,
        tier: report.tier.map(|tier| tier.to_string()),
        not_held: report.not_held.clone(),
        error: None,
    }
}

/// An identifier that is unique in the journal: time, process, count.
pub(super) fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{count:x}", millis(), std::process::id())
}
