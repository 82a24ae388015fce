//! From the bytes of a rule file to its statements, within bounds.
//!
//! The grammar is Starlark's own parser; the evaluation is ours, because it must be bounded exactly: every step and every
//! byte that a file makes is counted before it is spent. There are no loads, no I/O and no clock to reach.

mod builtins;
mod eval;
mod literal;
mod methods;
mod ops;
mod scan;
mod statements;
mod value;

use crate::rule::{Broken, HostExecutable, NetworkRule, PrefixRule};
use ringfence_model::Origin;
use starlark_syntax::codemap::{CodeMap, Span};
use starlark_syntax::syntax::{AstModule, Dialect, DialectTypes};

/// Bounds of one rule file.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Brackets, operators and blocks within each other.
    pub depth: usize,
    /// Steps of evaluation.
    pub steps: u64,
    /// Bytes made during evaluation.
    pub memory: usize,
    /// Statements that the file may make.
    pub statements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 100, steps: 2_000_000, memory: 64 << 20, statements: 100_000 }
    }
}

/// A rule file that can't be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct LoadError {
    /// The file and line.
    pub origin: Origin,
    /// What is wrong there.
    pub problem: LoadProblem,
}

impl LoadError {
    /// The entry it leaves in a rule set.
    #[must_use]
    pub fn broken(self) -> Broken {
        Broken { origin: self.origin, cause: self.problem.to_string() }
    }
}

/// What is wrong with a rule file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProblem {
    /// Too many bytes.
    #[error("the file has {actual} bytes, more than the {limit} that are read; split it")]
    Size {
        /// How many it has.
        actual: usize,
        /// How many are read.
        limit: usize,
    },
    /// A byte order mark, a NUL, or not UTF-8.
    #[error("{0}")]
    Encoding(&'static str),
    /// Nested too deeply.
    #[error("brackets, operators or blocks are nested more than {0} deep; write it flatter")]
    Depth(usize),
    /// Not Starlark.
    #[error("{0}")]
    Syntax(String),
    /// Too many steps.
    #[error("evaluation takes more than {0} steps; rule files are lists of rules, not programs")]
    Steps(u64),
    /// Too much memory.
    #[error("evaluation needs more than {0} bytes; rule files are lists of rules, not programs")]
    Memory(usize),
    /// Too many statements.
    #[error("the file makes more than {0} statements; split it")]
    Statements(usize),
    /// Something of Starlark that rule files don't have.
    #[error("{0}")]
    NotAvailable(String),
    /// A name that doesn't exist.
    #[error("`{0}` isn't defined; rule files have `prefix_rule`, `host_executable`, `network_rule` and plain Starlark")]
    UnknownName(String),
    /// A value of the wrong type, or an operation that doesn't fit it.
    #[error("{0}")]
    Type(String),
    /// A statement's argument is missing, unknown, given twice, or not what it must be.
    #[error("{statement}: {text}")]
    Argument {
        /// The statement.
        statement: &'static str,
        /// What is wrong.
        text: String,
    },
}

/// The statements of one file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Loaded {
    pub rules: Vec<PrefixRule>,
    pub hosts: Vec<HostExecutable>,
    pub network: Vec<NetworkRule>,
}

/// A problem and where in the file it is.
pub(crate) type Fault = Box<(LoadProblem, Option<Span>)>;

/// Everything of Starlark's extended dialect but types; `load` is parsed so that its refusal can say why.
const DIALECT: Dialect =
    Dialect { enable_types: DialectTypes::ParseOnly, enable_f_strings: true, enable_load: true, ..Dialect::Extended };

/// Loads a rule file. Examples aren't run yet: they need every `host_executable` first.
pub(crate) fn load(text: &[u8], file: &Origin, home: Option<&str>, limits: &Limits) -> Result<Loaded, LoadError> {
    let at_file = |problem| LoadError { origin: at(file, 0, 0), problem };
    if text.len() > limits.bytes {
        return Err(at_file(LoadProblem::Size { actual: text.len(), limit: limits.bytes }));
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(at_file(LoadProblem::Encoding("the file begins with a byte order mark; save it as plain UTF-8")));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        LoadError {
            origin: at(file, line, 0),
            problem: LoadProblem::Encoding("the text isn't UTF-8; save it as plain UTF-8"),
        }
    })?;
    if let Some(nul) = text.find('\0') {
        let line = text.get(..nul).map_or(0, |before| before.matches('\n').count()) + 1;
        return Err(LoadError { origin: at(file, line, 0), problem: LoadProblem::Encoding("the text holds a NUL") });
    }
    match literal::load(text, file, home, limits) {
        Some(loaded) => Ok(loaded),
        None => load_starlark(text, file, home, limits),
    }
}

/// The long way: Starlark's parser, then evaluation.
fn load_starlark(text: &str, file: &Origin, home: Option<&str>, limits: &Limits) -> Result<Loaded, LoadError> {
    let codemap = CodeMap::new(String::new(), text.to_owned());
    let located = |fault: Fault| {
        let (problem, span) = *fault;
        locate(file, &codemap, problem, span)
    };
    scan::check(text, &codemap, limits).map_err(located)?;
    let module = AstModule::parse("", text.to_owned(), &DIALECT).map_err(|error| {
        let span = error.span().map(|found| found.span);
        let problem = LoadProblem::Syntax(one_line(&error.without_diagnostic().to_string()));
        locate(file, &codemap, problem, span)
    })?;
    eval::run(&module, &codemap, file, home, limits).map_err(located)
}

#[cfg(test)]
mod tests;

fn locate(file: &Origin, codemap: &CodeMap, problem: LoadProblem, span: Option<Span>) -> LoadError {
    let (line, column) = span.map_or((0, 0), |span| position(codemap, span));
    LoadError { origin: at(file, line, column), problem }
}

/// Line and column of a span's beginning, counted from 1.
pub(crate) fn position(codemap: &CodeMap, span: Span) -> (usize, usize) {
    let begin = codemap.resolve_span(span).begin;
    (begin.line + 1, begin.column + 1)
}

/// The same origin at a line.
pub(crate) fn at(file: &Origin, line: usize, column: usize) -> Origin {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match file {
        Origin::File { file, layer, .. } => {
            Origin::File { file: file.clone(), line: number(line), column: number(column), layer: *layer }
        }
        Origin::Preference { preference, layer, .. } => {
            Origin::Preference { preference: preference.clone(), line: number(line), layer: *layer }
        }
        Origin::Cloud { cloud, version, .. } => {
            Origin::Cloud { cloud: cloud.clone(), version: *version, line: number(line) }
        }
        other => other.clone(),
    }
}

fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("not Starlark");
    let line = line.strip_prefix("Parse error: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
    ringfence_model::text::escape(line)
}
