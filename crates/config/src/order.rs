//! Which of two values of a key is stricter, by the order its row names.

use crate::node::{Table, Value};
use crate::registry::{Fallback, Key, Kind, Order};
use ringfence_model::mode::{ApprovalPolicy, Granular};
use ringfence_model::units::{ByteSize, Span};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How strict `a` is beside `b`, where none means "not set": `Greater` is stricter, none can't be said.
#[must_use]
pub fn compare(key: &Key, a: Option<&Value>, b: Option<&Value>) -> Option<Ordering> {
    match key.order {
        Order::None => match (a, b) {
            (Some(a), Some(b)) => a.says_the_same(b).then_some(Ordering::Equal),
            (None, None) => Some(Ordering::Equal),
            _ => None,
        },
        Order::True => Some(truth(key, a)?.cmp(&truth(key, b)?)),
        Order::False => Some(truth(key, b)?.cmp(&truth(key, a)?)),
        Order::Words(words) => {
            let rank = |value| words.iter().position(|word| text(key, value) == Some(*word));
            Some(rank(b)?.cmp(&rank(a)?))
        }
        Order::Smaller => match (magnitude(key, a), magnitude(key, b)) {
            (Some(a), Some(b)) => Some(b.cmp(&a)),
            (Some(_), None) => Some(Ordering::Greater),
            (None, Some(_)) => Some(Ordering::Less),
            (None, None) => Some(Ordering::Equal),
        },
        Order::Policy => compare_policies(policy(a?)?, policy(b?)?),
        Order::MoreEntries => subsets(&entries(a), &entries(b)),
        Order::FewerEntries => subsets(&entries(b), &entries(a)),
        Order::FewerButSome => {
            let (a, b) = (entries(a), entries(b));
            match (a.is_empty(), b.is_empty()) {
                (true, true) => Some(Ordering::Equal),
                (false, true) => Some(Ordering::Greater),
                (true, false) => Some(Ordering::Less),
                (false, false) => subsets(&b, &a),
            }
        }
        Order::FewerThanAll => match (a, b) {
            (None, None) => Some(Ordering::Equal),
            (Some(_), None) => Some(Ordering::Greater),
            (None, Some(_)) => Some(Ordering::Less),
            (a, b) => subsets(&entries(b), &entries(a)),
        },
        Order::FalseOverUnset => {
            let is_false = |value: Option<&Value>| matches!(value, Some(Value::Bool(false)));
            Some(is_false(a).cmp(&is_false(b)))
        }
        Order::Denials => denials(a, b),
    }
}

/// Whether an entry of a table of words takes something away.
#[must_use]
pub fn is_denial(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text == "deny" || text == "none" || text == "exclude")
}

fn truth(key: &Key, value: Option<&Value>) -> Option<bool> {
    match (value, key.default) {
        (Some(Value::Bool(value)), _) => Some(*value),
        (None, Fallback::Bool(value)) => Some(value),
        (None, Fallback::Unset) => Some(false),
        _ => None,
    }
}

fn text<'v>(key: &'v Key, value: Option<&'v Value>) -> Option<&'v str> {
    match (value, key.default) {
        (Some(Value::Text(text)), _) => Some(text),
        (None, Fallback::Text(text)) => Some(text),
        _ => None,
    }
}

fn magnitude(key: &Key, value: Option<&Value>) -> Option<u128> {
    match (value, key.default) {
        (Some(Value::Integer(number)), _) => u128::try_from(*number).ok(),
        (None, Fallback::Integer(number)) => u128::try_from(number).ok(),
        (Some(Value::Text(text)), _) => match key.kind {
            Kind::Size => text.parse::<ByteSize>().ok().map(|size| u128::from(size.0)),
            _ => text.parse::<Span>().ok().map(|span| span.0.as_millis()),
        },
        _ => None,
    }
}

/// The policy that a value of `approval_policy` names.
#[must_use]
pub fn policy(value: &Value) -> Option<ApprovalPolicy> {
    match value {
        Value::Text(text) => Some(match text.as_str() {
            "untrusted" => ApprovalPolicy::Untrusted,
            "on-request" => ApprovalPolicy::OnRequest,
            "on-failure" => ApprovalPolicy::OnFailure,
            "never" => ApprovalPolicy::Never,
            _ => return None,
        }),
        Value::Table(table) => {
            let (form, fields) = table.iter().next()?;
            let fields = fields.as_table()?;
            let on = |name: &str, missing: bool| fields.get(name).and_then(|node| node.as_bool()).unwrap_or(missing);
            let reject = form == "reject";
            // `reject` names what is refused, `granular` what is asked; what `reject` leaves out is asked.
            let asks = |name: &str| if reject { !on(name, false) } else { on(name, false) };
            Some(ApprovalPolicy::Granular(Granular {
                sandbox_approval: asks("sandbox_approval"),
                rules: asks("rules"),
                mcp_elicitations: asks("mcp_elicitations"),
                request_permissions: asks("request_permissions"),
                skill_approval: asks("skill_approval"),
            }))
        }
        _ => None,
    }
}

/// How much more `a` asks than `b`; none where each asks what the other doesn't.
#[must_use]
pub fn compare_policies(a: ApprovalPolicy, b: ApprovalPolicy) -> Option<Ordering> {
    match (a, b) {
        (ApprovalPolicy::Granular(a), ApprovalPolicy::Granular(b)) => {
            let pairs = [
                (a.sandbox_approval, b.sandbox_approval),
                (a.rules, b.rules),
                (a.mcp_elicitations, b.mcp_elicitations),
                (a.request_permissions, b.request_permissions),
                (a.skill_approval, b.skill_approval),
            ];
            let (more, less) = (pairs.iter().any(|(a, b)| *a && !*b), pairs.iter().any(|(a, b)| !*a && *b));
            match (more, less) {
                (true, true) => None,
                (true, false) => Some(Ordering::Greater),
                (false, true) => Some(Ordering::Less),
                (false, false) => Some(Ordering::Equal),
            }
        }
        _ => Some(a.strictness().cmp(&b.strictness())),
    }
}

fn entries(value: Option<&Value>) -> BTreeSet<String> {
    match value {
        Some(Value::List(list)) => list.iter().map(|node| node.value.to_string()).collect(),
        _ => BTreeSet::new(),
    }
}

fn subsets(more: &BTreeSet<String>, less: &BTreeSet<String>) -> Option<Ordering> {
    match (more.is_superset(less), less.is_superset(more)) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => None,
    }
}

/// Denials add strictness, everything else takes it away.
fn denials(a: Option<&Value>, b: Option<&Value>) -> Option<Ordering> {
    let parts = |value: Option<&Value>| {
        let (mut denied, mut granted) = (BTreeSet::new(), BTreeSet::new());
        match value {
            Some(Value::Table(table)) => split(table, "", &mut denied, &mut granted),
            Some(value @ Value::Text(text)) if !is_denial(value) => drop(granted.insert(text.clone())),
            Some(Value::Text(_)) => drop(denied.insert(String::new())),
            _ => {}
        }
        (denied, granted)
    };
    let ((denied_a, granted_a), (denied_b, granted_b)) = (parts(a), parts(b));
    match (subsets(&denied_a, &denied_b)?, subsets(&granted_b, &granted_a)?) {
        (Ordering::Equal, other) | (other, Ordering::Equal) => Some(other),
        (a, b) if a == b => Some(a),
        _ => None,
    }
}

fn split(table: &Table, above: &str, denied: &mut BTreeSet<String>, granted: &mut BTreeSet<String>) {
    for (name, node) in table {
        let name = format!("{above}{name}\0");
        match &node.value {
            Value::Table(inner) => split(inner, &name, denied, granted),
            value if is_denial(value) => drop(denied.insert(name)),
            value => drop(granted.insert(format!("{name}{value}"))),
        }
    }
}
