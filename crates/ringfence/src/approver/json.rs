//! Questions and answers as JSON: for programs that review, and for front ends that ask over their own channel.
//!
//! An answer counts only if it names the question it is for; anything else is a denial.

use super::{Asked, NoAnswer};
use ringfence_model::action::{Action, display_argv};
use ringfence_model::grant::Answer;
use serde::Deserialize;
use serde_json::{Value, json};

/// `schema` of a request.
pub const REQUEST_SCHEMA: &str = "ringfence.dev/v1/approval-request";
/// `schema` of an answer.
pub const ANSWER_SCHEMA: &str = "ringfence.dev/v1/approval-answer";

/// Longest answer that is read.
pub(super) const MAX_ANSWER: u64 = 64 << 10;

/// The request as a document.
#[must_use]
pub fn request_document(asked: &Asked) -> Value {
    let offers: Vec<Value> = asked
        .question
        .offers
        .iter()
        .enumerate()
        .map(|(at, offer)| json!({"offer": at, "lasts": offer.lasts, "scope": offer.scope, "text": offer.text}))
        .collect();
    let (command, justification) = match &asked.action {
        Action::Exec(exec) => {
            let said = exec.escalation.as_ref().map(|escalation| escalation.justification.raw().to_owned());
            (Some(display_argv(&exec.argv)), said)
        }
        _ => (None, None),
    };
    json!({
        "schema": REQUEST_SCHEMA,
        "id": asked.id,
        "action": asked.action,
        "command": command,
        "cwd": asked.cwd,
        "kind": asked.question.kind,
        "wish": asked.question.wish,
        "marks": asked.question.marks,
        "reasons": asked.reasons,
        "offers": offers,
        // The agent's own words, unescaped JSON text: a claim, not a fact.
        "agent_says": justification,
        "sandbox_mode": asked.under.mode,
        "approval_policy": asked.under.policy,
        "policy_text": asked.under.policy_text,
    })
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    id: Option<String>,
    decision: String,
    #[serde(default)]
    offer: Option<usize>,
    #[serde(default)]
    reason: Option<String>,
}

/// What a reader of answers insists on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    /// The answer must name the question.
    Required,
    /// It may leave it out, since it can only be for this one: a program that was started for it.
    Optional,
}

/// Reads an answer to `asked`.
pub fn read_answer(text: &str, asked: &Asked) -> Result<Answer, NoAnswer> {
    parse(text, asked, Id::Required, "the front end")
}

pub(super) fn parse(text: &str, asked: &Asked, id: Id, who: &str) -> Result<Answer, NoAnswer> {
    let garbage = |why: String| NoAnswer::Garbage { who: who.to_owned(), why };
    let wire: Wire = serde_json::from_str(text.trim()).map_err(|error| garbage(error.to_string()))?;
    if wire.schema.as_deref().is_some_and(|schema| schema != ANSWER_SCHEMA) {
        return Err(garbage("another schema".to_owned()));
    }
    match &wire.id {
        Some(named) if *named != asked.id => return Err(garbage("it names another question".to_owned())),
        None if id == Id::Required => return Err(garbage("it doesn't name the question".to_owned())),
        _ => {}
    }
    match wire.decision.as_str() {
        "approve" | "once" => match wire.offer {
            None => Ok(Answer::Once),
            Some(offer) if offer < asked.question.offers.len() => Ok(Answer::Offer { offer }),
            Some(_) => Err(garbage("it takes an offer that wasn't made".to_owned())),
        },
        "deny" => Ok(Answer::No { say: wire.reason.filter(|reason| !reason.is_empty()) }),
        "abort" => Ok(Answer::Abort),
        // "ask" hands the question back; whoever stands behind decides what that means.
        "ask" => Err(NoAnswer::Nobody),
        _ => Err(garbage("its decision is none of `approve`, `deny`, `ask`, `abort`".to_owned())),
    }
}
