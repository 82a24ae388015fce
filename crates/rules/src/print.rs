//! Printing a rule so that parsing it gives the same rule.

use crate::rule::{Alternatives, Example, PrefixRule};
use std::fmt::Write;

/// The rule as one line of a rule file, without a line end.
#[must_use]
pub fn print_rule(rule: &PrefixRule) -> String {
    let mut out = String::from("prefix_rule(pattern=[");
    list(&mut out, &rule.pattern, |out, alternatives| match alternatives {
        Alternatives::One(token) => string(out, token),
        Alternatives::Any(tokens) => strings(out, tokens),
    });
    let _ = write!(out, "], decision=\"{}\"", rule.decision);
    if let Some(justification) = &rule.justification {
        out.push_str(", justification=");
        string(&mut out, justification);
    }
    for (name, examples) in [("match", &rule.matches), ("not_match", &rule.not_matches)] {
        if !examples.is_empty() {
            let _ = write!(out, ", {name}=[");
            list(&mut out, examples, example);
            out.push(']');
        }
    }
    out.push(')');
    out
}

fn example(out: &mut String, example: &Example) {
    match &example.line {
        Some(line) => string(out, line),
        None => strings(out, &example.words),
    }
}

fn strings(out: &mut String, tokens: &[String]) {
    out.push('[');
    list(out, tokens, |out, token| string(out, token));
    out.push(']');
}

fn list<T>(out: &mut String, items: &[T], mut print: impl FnMut(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        print(out, item);
    }
}

/// A Starlark string literal.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push_str(&ringfence_model::text::quote(text));
}
