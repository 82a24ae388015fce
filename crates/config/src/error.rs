//! What can be wrong with settings: each problem names what, where and what to do.

use ringfence_model::origin::Origin;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Stable code, documented in the reference.
    pub code: &'static str,
    /// A lower-case fragment without full stop.
    pub text: String,
    /// Where.
    pub origin: Origin,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(code: &'static str, text: impl Into<String>, origin: Origin) -> Self {
        Self { code, text: text.into(), origin, hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Why settings could not be resolved. Every one of them ends a deciding command before anything runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that exists can't be read.
    #[error("can't read {}: {cause}", ringfence_model::os_text::OsText::new(file.as_os_str()).display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {}: {cause}", ringfence_model::os_text::OsText::new(file.as_os_str()).display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// What was read can't be used.
    #[error("{}", list(problems))]
    Invalid {
        /// Everything that is wrong, in the order it was found; never empty.
        problems: Vec<Problem>,
    },
    /// A source that constrains can't be trusted: somebody other than the administrator could have written it.
    #[error("can't trust {}: {why}", ringfence_model::os_text::OsText::new(file.as_os_str()).display())]
    Untrusted {
        /// The source.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A policy bundle is required, and there is no valid one.
    #[error("no valid policy bundle, and `cloud.required` ({origin}) says that nothing runs without: {why}")]
    NoPolicy {
        /// Where that was set.
        origin: Origin,
        /// What is wrong.
        why: String,
    },
    /// An administrator's requirement rejects a choice.
    #[error("{0}")]
    NotAllowed(Box<ringfence_model::requirements::Violation>),
}

impl ConfigError {
    /// One problem.
    #[must_use]
    pub fn one(problem: Problem) -> Self {
        Self::Invalid { problems: vec![problem] }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unwritable { .. } => Some("nothing was changed; make its directory writable for you".into()),
            Self::Unreadable { .. } => Some("make the file readable, or remove it".into()),
            Self::Untrusted { .. } if cfg!(windows) => {
                Some("give the file and its directory to administrators, and let nobody else write there".into())
            }
            Self::Untrusted { .. } => Some(
                "make root the owner of the file and of every directory above it, and let nobody else write there"
                    .into(),
            ),
            Self::NoPolicy { .. } => {
                Some("`ringfence policy status` shows what was tried; ask your administrator".into())
            }
            Self::Invalid { problems } => problems.iter().find_map(|problem| problem.hint.clone()),
            Self::NotAllowed(violation) => Some(violation.hint()),
        }
    }

    /// The places at fault.
    #[must_use]
    pub fn origins(&self) -> Vec<&Origin> {
        match self {
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Untrusted { .. } => Vec::new(),
            Self::NoPolicy { origin, .. } => vec![origin],
            Self::Invalid { problems } => problems.iter().map(|problem| &problem.origin).collect(),
            Self::NotAllowed(violation) => vec![&violation.chosen, &violation.requirement],
        }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::one(problem)
    }
}

fn list(problems: &[Problem]) -> String {
    let mut lines: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.origin, problem.text)).collect();
    lines.dedup();
    lines.join("\n")
}
