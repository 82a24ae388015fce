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

/// A Starlark string literal. What could deceive a reader of the file is written as an escape.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if ringfence_model::text::is_deceptive(c) => {
                let code = u32::from(c);
                let _ = if code <= 0xffff { write!(out, "\\u{code:04x}") } else { write!(out, "\\U{code:08x}") };
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
