//! `[rules] prefix_rules` of requirements: they prompt or forbid, and never allow.

use super::{words, wrong};
use crate::error::Problem;
use crate::node::{Node, Table};
use ringfence_model::requirements::{RequiredDecision, RequiredRule};

/// Reads the list.
pub fn read(node: &Node, name: &str) -> Result<Vec<RequiredRule>, Vec<Problem>> {
    let Some(list) = node.as_list() else {
        return Err(vec![wrong(format!("`{name}` must be a list of tables, not {}", node.value.type_name()), node)]);
    };
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    for entry in list {
        match rule(entry, name) {
            Ok(rule) => rules.push(rule),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

fn rule(node: &Node, name: &str) -> Result<RequiredRule, Problem> {
    let table = node.as_table().ok_or_else(|| wrong(format!("an element of `{name}` must be a table"), node))?;
    known(table, &["pattern", "decision", "justification"], name)?;
    let missing = |field: &str| {
        Problem::new("missing-field", format!("an element of `{name}` lacks `{field}`"), node.mark.origin())
    };
    let pattern = table.get("pattern").ok_or_else(|| missing("pattern"))?;
    let tokens = pattern
        .as_list()
        .filter(|tokens| !tokens.is_empty())
        .ok_or_else(|| wrong(format!("`pattern` of `{name}` must be a list that isn't empty"), pattern))?;
    let decision =
        table.get("decision").ok_or_else(|| missing("decision").hint("it is \"prompt\" or \"forbidden\""))?;
    let decision = match decision.as_str() {
        Some("prompt") => RequiredDecision::Prompt,
        Some("forbidden") => RequiredDecision::Forbidden,
        Some("allow") => {
            let text = format!("`decision` of `{name}` is \"allow\"; a requirement can't allow");
            return Err(wrong(text, decision).hint("use \"prompt\" or \"forbidden\""));
        }
        _ => {
            let text = format!("`decision` of `{name}` is {}; expected \"prompt\" or \"forbidden\"", decision.value);
            return Err(wrong(text, decision));
        }
    };
    let justification = match table.get("justification") {
        None => None,
        Some(node) => match node.as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            _ => return Err(wrong(format!("`justification` of `{name}` must be text that isn't blank"), node)),
        },
    };
    Ok(RequiredRule {
        pattern: tokens.iter().map(|token| alternatives(token, name)).collect::<Result<_, _>>()?,
        decision,
        justification,
        origin: node.mark.origin(),
    })
}

/// `{ token = "x" }` or `{ any_of = ["x", "y"] }`, exactly one of them.
fn alternatives(node: &Node, name: &str) -> Result<Vec<String>, Problem> {
    let expected = || {
        let text = format!("an element of `pattern` of `{name}` must be `{{ token = \"…\" }}` or `{{ any_of = […] }}`");
        wrong(text, node)
    };
    let table = node.as_table().ok_or_else(expected)?;
    known(table, &["token", "any_of"], &format!("{name}.pattern"))?;
    match (table.get("token"), table.get("any_of")) {
        (Some(token), None) => match token.as_str() {
            Some(token) if !token.is_empty() => Ok(vec![token.to_owned()]),
            _ => Err(expected()),
        },
        (None, Some(any_of)) => {
            let list = any_of.as_list().unwrap_or(&[]);
            let tokens: Vec<String> = words(any_of).iter().map(|(word, _)| (*word).to_owned()).collect();
            let good = !list.is_empty() && tokens.len() == list.len() && tokens.iter().all(|token| !token.is_empty());
            if good { Ok(tokens) } else { Err(expected()) }
        }
        _ => Err(expected()),
    }
}

/// Refuses fields that nobody knows.
pub(super) fn known(table: &Table, fields: &[&str], name: &str) -> Result<(), Problem> {
    match table.iter().find(|(field, _)| !fields.contains(&field.as_str())) {
        None => Ok(()),
        Some((field, node)) => {
            let text = format!("unknown field `{}` of `{name}`", ringfence_model::text::escape(field));
            let mut problem = Problem::new("unknown-key", text, node.mark.origin());
            problem.hint =
                crate::suggest::nearest(field, fields.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Err(problem)
        }
    }
}
