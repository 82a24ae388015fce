//! The report: what became of each line of the source.

use serde::Serialize;

/// How much of a line arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carried {
    /// It means the same.
    Exactly,
    /// It allows less, or refuses or asks about more.
    Narrowed,
    /// It isn't there. Where it refused something, a question is what remains.
    NotCarried,
}

/// One line of the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ReportLine {
    /// The file, as it was named.
    pub file: String,
    /// Counted from 1; 0: the whole file, or what it doesn't say.
    pub line: u32,
    /// What stands there, escaped.
    pub what: String,
    /// How much of it arrived.
    pub carried: Carried,
    /// Why not all, or what to know about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Src {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) what: String,
}

impl Src {
    pub(crate) fn new(file: &str, line: u32, what: impl AsRef<str>) -> Self {
        let what: String = what.as_ref().chars().take(200).collect();
        Self { file: file.to_owned(), line, what: ringfence_model::text::escape(&what) }
    }

    /// As a comment says it.
    pub(crate) fn comment(&self) -> String {
        let file = ringfence_model::text::escape(&self.file);
        match self.line {
            0 => format!("{file}: {}", self.what),
            line => format!("{file}:{line}: {}", self.what),
        }
    }

    pub(crate) fn line(&self, carried: Carried, why: impl Into<String>) -> ReportLine {
        ReportLine { file: self.file.clone(), line: self.line, what: self.what.clone(), carried, why: why.into() }
    }
}
