//! A plan as text for people and as JSON for programs: every path with the setting it came from.

use crate::plan::{Act, Insistence, Plan, Step};

/// The JSON document, with the plan's id.
#[must_use]
pub fn json(plan: &Plan) -> serde_json::Value {
    let mut value = serde_json::to_value(plan).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("plan_id".to_owned(), plan.id().into());
    }
    value
}

/// The text, one line per step.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        out.push_str(&line(step));
        out.push('\n');
    }
    out
}

fn line(step: &Step) -> String {
    let must = match step.insistence {
        Insistence::Must => "must",
        Insistence::Should => "should",
    };
    format!("{must:<6} {:<22} {}  [{}]", step.promise, what(&step.act), step.origin)
}

fn what(act: &Act) -> String {
    format!("{act:?}")
}
