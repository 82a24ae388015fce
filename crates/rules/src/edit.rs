//! Changing the text of a rule file without touching anything else in it.

use crate::language::{self, Limits, LoadError};
use crate::print::print_rule;
use crate::rule::PrefixRule;
use ringfence_model::{Layer, Origin};
use starlark_syntax::codemap::{CodeMap, Span};
use starlark_syntax::syntax::ast::{ExprP, StmtP};
use starlark_syntax::syntax::{AstModule, Dialect};

/// Why a rule file wasn't changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file can't be loaded as it is; changing it could lose a rule.
    #[error("the rule file can't be loaded; mend it first")]
    Broken(#[source] LoadError),
    /// No rule of the file has this pattern and decision as a statement of its own.
    #[error("no rule of the file has this pattern")]
    NotFound,
    /// The rule comes out of a loop or function; only its author can say what to change.
    #[error(
        "the rule of line {0} is made by a loop, a function or a line with other statements; edit the file by hand"
    )]
    NotAStatement(u32),
    /// The new text isn't what it should be; nothing was changed.
    #[error("the changed file would hold other rules than it should; edit the file by hand")]
    Unfaithful,
}

/// The text of a rule file with `rule` at its end. The same text if the file has the rule already.
pub fn add(text: &str, rule: &PrefixRule) -> Result<String, EditError> {
    let before = load(text)?;
    if before.iter().any(|known| same(known, rule)) {
        return Ok(text.to_owned());
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(end);
    }
    out.push_str(&print_rule(rule));
    out.push_str(end);
    let after = load(&out).map_err(|_| EditError::Unfaithful)?;
    match after.split_last() {
        Some((last, rest)) if same(last, rule) && rest.len() == before.len() => Ok(out),
        _ => Err(EditError::Unfaithful),
    }
}

/// The text of a rule file without the rules that have this pattern and decision. Comments stay.
pub fn remove(text: &str, rule: &PrefixRule) -> Result<String, EditError> {
    let before = load(text)?;
    let alike = |known: &PrefixRule| known.pattern == rule.pattern && known.decision == rule.decision;
    let lines: Vec<u32> = before.iter().filter(|known| alike(known)).map(line).collect();
    if lines.is_empty() {
        return Err(EditError::NotFound);
    }
    let mut spans = Vec::new();
    for line in &lines {
        spans.push(statement_at(text, *line).ok_or(EditError::NotAStatement(*line))?);
    }
    let mut out = text.to_owned();
    spans.sort_unstable();
    spans.dedup();
    for (start, end) in spans.into_iter().rev() {
        out.replace_range(start..end, "");
    }
    let after = load(&out).map_err(|_| EditError::Unfaithful)?;
    let kept: Vec<&PrefixRule> = before.iter().filter(|known| !alike(known)).collect();
    let faithful = after.len() == kept.len() && after.iter().zip(kept).all(|(one, other)| same(one, other));
    if faithful { Ok(out) } else { Err(EditError::Unfaithful) }
}

fn load(text: &str) -> Result<Vec<PrefixRule>, EditError> {
    let file = Origin::File { file: "rules".into(), line: 0, column: 0, layer: Layer::User };
    let loaded = language::load(text.as_bytes(), &file, Some("/"), &Limits::default()).map_err(EditError::Broken)?;
    Ok(loaded.rules)
}

fn line(rule: &PrefixRule) -> u32 {
    match rule.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    }
}

/// Whether two rules say the same, wherever they stand.
fn same(one: &PrefixRule, other: &PrefixRule) -> bool {
    PrefixRule { origin: other.origin.clone(), ..one.clone() } == *other
}

/// The bytes of the statement that begins at a line, whole lines with the line end: only if it is one call and alone.
fn statement_at(text: &str, line: u32) -> Option<(usize, usize)> {
    let codemap = CodeMap::new(String::new(), text.to_owned());
    let module = AstModule::parse("", text.to_owned(), &Dialect::Extended).ok()?;
    let all = match &module.statement().node {
        StmtP::Statements(all) => all.iter().collect(),
        _ => vec![module.statement()],
    };
    let lines = |span: Span| {
        let found = codemap.resolve_span(span);
        (found.begin.line, found.end.line)
    };
    let wanted = usize::try_from(line).ok()?.checked_sub(1)?;
    let mut on_line = all.iter().filter(|stmt| lines(stmt.span).0 == wanted);
    let stmt = on_line.next()?;
    let StmtP::Expression(expr) = &stmt.node else { return None };
    let ExprP::Call(..) = &expr.node else { return None };
    if on_line.next().is_some() {
        return None;
    }
    let start = usize::try_from(expr.span.begin().get()).ok()?;
    let end = usize::try_from(expr.span.end().get()).ok()?;
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let after = text.get(end..)?;
    let rest = after.split('\n').next().unwrap_or(after);
    if !text.get(line_start..start)?.trim().is_empty() {
        return None;
    }
    match rest.trim() {
        "" => Some((line_start, (end + rest.len() + 1).min(text.len()))),
        // A comment behind the rule stays, on a line of its own.
        comment if comment.starts_with('#') => Some((line_start, end + rest.len() - rest.trim_start().len())),
        _ => None,
    }
}
