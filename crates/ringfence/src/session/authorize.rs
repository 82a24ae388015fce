//! From an action to the right to perform it once: decided, asked about where policy wants that, and decided again with
//! the answer as a fact.

use super::record::new_id;
use super::{Session, seconds};
use crate::approver::{Asked, NoAnswer, Over, Under};
use crate::grants::{GrantError, SESSION_SECONDS};
use crate::session::act::Gathered;
use crate::under::SelfApproval;
use ringfence_model::action::{Action, Identity, Placement};
use ringfence_model::event::What;
use ringfence_model::grant::{Answer, Lasts, Scope};
use ringfence_model::report::Reason;
use ringfence_model::settings::AllowRuns;
use ringfence_model::verdict::{Question, QuestionKind, Run};
use ringfence_model::{Decision, Denial, Grant, Verdict};
use ringfence_policy::decide;
use std::time::Instant;

/// The right to perform one action once. Only [`Session::authorize`] makes it, and performing consumes it.
///
/// ```compile_fail,E0451
/// # fn forge(action: ringfence::Action, run: ringfence::verdict::Run) {
/// let forged = ringfence::Authorization { action, run };
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # fn twice(session: &ringfence::Session, authorization: ringfence::Authorization) {
/// let _ = session.perform(authorization);
/// let _ = session.perform(authorization);
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # fn copy(authorization: &ringfence::Authorization) -> ringfence::Authorization {
/// authorization.clone()
/// # }
/// ```
#[must_use = "perform it, or record it as abandoned"]
#[derive(Debug)]
pub struct Authorization {
    pub(super) id: String,
    pub(super) action: Action,
    pub(super) run: Box<Run>,
    pub(super) reasons: Vec<Reason>,
    pub(super) identity: Identity,
}

impl Authorization {
    /// What may be performed.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Where and how.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Why.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }
}

/// Why an action isn't authorized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// Policy refuses it.
    #[error("refused: {}", first(&.0.reasons))]
    Refused(Box<Decision>),
    /// Whoever was asked said no.
    #[error("denied by {by}{}", said(.say.as_deref()))]
    Denied {
        /// Who.
        by: String,
        /// What the agent is told to do instead.
        say: Option<String>,
        /// Why it was asked.
        reasons: Vec<Reason>,
    },
    /// Whoever was asked wants the run to end.
    #[error("aborted by {by}")]
    Aborted {
        /// Who.
        by: String,
    },
    /// It needs a yes, and none came.
    #[error("it needs a yes: {}; {cause}", first(.reasons))]
    NoAnswer {
        /// Why there was no answer.
        #[source]
        cause: NoAnswer,
        /// Why it was asked.
        reasons: Vec<Reason>,
    },
    /// It needs a yes, and nobody's counts here.
    #[error("it needs a yes: {}; {cause}", first(.reasons))]
    UnderRingfence {
        /// How that is known.
        #[source]
        cause: SelfApproval,
        /// Why it was asked.
        reasons: Vec<Reason>,
    },
    /// The answer can't be kept as long as it was given for.
    #[error("the answer can't be kept")]
    Keep(#[source] GrantError),
    /// "Always" can't be written down.
    #[error("the rule can't be written")]
    Rule(#[source] crate::always::AlwaysError),
    /// What was shown changed again and again while it was asked about.
    #[error("it changed while it was asked about, more than once")]
    Unsteady,
}

fn first(reasons: &[Reason]) -> &str {
    reasons.first().map_or("no reason is known", |reason| reason.text.as_str())
}

fn said(say: Option<&str>) -> String {
    say.map(|say| format!(": {}", ringfence_model::text::escape(say))).unwrap_or_default()
}

impl AuthorizeError {
    /// Why, for reports and for the agent.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Refused(decision) => &decision.reasons,
            Self::Denied { reasons, .. } | Self::NoAnswer { reasons, .. } | Self::UnderRingfence { reasons, .. } => {
                reasons
            }
            _ => &[],
        }
    }

    /// `verdict` of a report: `refuse` or `ask-refused`.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refuse",
            _ => "ask-refused",
        }
    }
}

impl Session {
    /// Gets the right to perform an action: by policy, or by somebody's yes.
    pub fn authorize(&self, action: Action) -> Result<Authorization, AuthorizeError> {
        self.authorize_after(action, &[])
    }

    /// Gets the right to perform an action that the sandbox refused `denials` when it was tried before. A new action with
    /// a verdict of its own, never a quiet retry.
    pub fn authorize_after(&self, action: Action, denials: &[Denial]) -> Result<Authorization, AuthorizeError> {
        self.authorize_until(action, denials, &Over::default())
    }

    /// The same, for as long as the answer matters.
    pub(super) fn authorize_until(
        &self,
        action: Action,
        denials: &[Denial],
        over: &Over,
    ) -> Result<Authorization, AuthorizeError> {
        let id = new_id();
        let mut given: Vec<Grant> = Vec::new();
        for _ in 0..3 {
            let gathered = self.gather(&action, denials);
            let mut grants = self.grants();
            grants.extend(given.iter().cloned());
            let decision =
                decide(self.settings(), &self.rules, &grants, &gathered.facts(self.name.as_deref()), &action);
            self.record(&[self.event(
                &id,
                What::Decided {
                    act: Box::new(action.clone()),
                    verdict: decision.verdict.name().to_owned(),
                    reasons: decision.reasons.clone(),
                },
            )]);
            match decision.verdict {
                Verdict::Run(run) => {
                    let identity = gathered.facts(None).identity;
                    return Ok(Authorization { id, action, run, reasons: decision.reasons, identity });
                }
                Verdict::Refuse(_) => return Err(AuthorizeError::Refused(Box::new(decision))),
                Verdict::Ask(ref question) => {
                    given.push(self.ask(&id, &action, question, &decision.reasons, &gathered, over)?);
                }
            }
        }
        Err(AuthorizeError::Unsteady)
    }

    /// Puts the question. A yes comes back as a grant, kept for as long as it was given for.
    fn ask(
        &self,
        id: &str,
        action: &Action,
        question: &Question,
        reasons: &[Reason],
        gathered: &Gathered,
        over: &Over,
    ) -> Result<Grant, AuthorizeError> {
        let no_answer = |cause| AuthorizeError::NoAnswer { cause, reasons: reasons.to_vec() };
        if let Some(evidence) = &self.under {
            let cause = SelfApproval { what: "a yes to one's own request".to_owned(), evidence: evidence.clone() };
            return Err(AuthorizeError::UnderRingfence { cause, reasons: reasons.to_vec() });
        }
        // A mere report of a denial becomes a question only where a person sits.
        let only_reported = question.kind == QuestionKind::Denied
            && ringfence_policy::table::cell(
                self.settings().sandbox_mode.value,
                ringfence_policy::table::Row::DeniedBefore,
                self.settings().approval_policy.value,
            ) == ringfence_policy::table::Cell::Report;
        if only_reported && !self.approver.is_terminal() {
            return Err(no_answer(NoAnswer::Nobody));
        }
        let asked = Asked {
            id: new_id(),
            action: action.clone(),
            question: question.clone(),
            reasons: reasons.to_vec(),
            cwd: gathered.facts(None).world.cwd.clone(),
            under: Under::of(self.settings()),
            over: over.clone(),
        };
        let whom = self.approver.name().to_owned();
        let wish = serde_json::to_string(&question.wish).unwrap_or_default();
        self.record(&[self.event(id, What::Asked { wish, whom: whom.clone() })]);
        let answered = |decision: &str, by: &str, grant: Option<&Grant>| {
            let what = What::Answered {
                decision: decision.to_owned(),
                by: by.to_owned(),
                grant: grant.map(|grant| Box::new(grant.clone())),
            };
            self.record(&[self.event(id, what)]);
        };
        let answer = self.gate.ask(self.approver.as_ref(), &asked, Instant::now());
        let (scope, lasts) = match answer {
            Err(cause) => {
                answered("denied", "nobody", None);
                return Err(no_answer(cause));
            }
            Ok(Answer::No { say }) => {
                answered("denied", &whom, None);
                return Err(AuthorizeError::Denied { by: whom, say, reasons: reasons.to_vec() });
            }
            Ok(Answer::Abort) => {
                answered("abort", &whom, None);
                return Err(AuthorizeError::Aborted { by: whom });
            }
            Ok(Answer::Once) => (exact(question), Lasts::Once),
            Ok(Answer::Offer { offer }) => match question.offers.get(offer) {
                Some(offer) => (offer.scope.clone(), offer.lasts),
                None => {
                    answered("denied", &whom, None);
                    let why = "it takes an offer that wasn't made".to_owned();
                    return Err(no_answer(NoAnswer::Garbage { who: whom, why }));
                }
            },
        };
        let now = seconds();
        let shown = reasons.iter().map(|reason| reason.text.clone()).chain(question.marks.clone()).collect();
        let grant = |scope: Scope, gives: Placement, lasts: Lasts| Grant {
            id: new_id(),
            scope,
            gives,
            lasts,
            by: whom.clone(),
            at: now,
            expires: (lasts == Lasts::Session).then_some(now.saturating_add(SESSION_SECONDS)),
            session: self.name.clone(),
            shown,
        };
        match lasts {
            Lasts::Once => {
                let grant = grant(scope, question.wish.clone(), Lasts::Once);
                answered("approved", &whom, Some(&grant));
                Ok(grant)
            }
            Lasts::Session => {
                let grant = grant(scope, question.wish.clone(), Lasts::Session);
                answered("approved-for-session", &whom, Some(&grant));
                self.lock_grants().push(grant.clone());
                if let Some(store) = &self.store {
                    store.add(&grant, now).map_err(AuthorizeError::Keep)?;
                }
                Ok(grant)
            }
            Lasts::Always => {
                crate::always::write(&self.start.ringfence_home, &scope).map_err(AuthorizeError::Rule)?;
                // The rule counts from the next start on; until then the same is granted for this session.
                let gives = match self.settings().allow_runs.value {
                    AllowRuns::Unsandboxed if matches!(scope, Scope::Prefix { .. }) => Placement::Outside,
                    _ => question.wish.clone(),
                };
                let grant = grant(scope, gives, Lasts::Always);
                answered("approved-always", &whom, Some(&grant));
                self.lock_grants().push(grant.clone());
                Ok(grant)
            }
        }
    }
}

fn exact(question: &Question) -> Scope {
    Scope::Exact { identity: question.identity.clone() }
}
