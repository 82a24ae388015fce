//! Other agents' policies as Ringfence settings, rules and requirements.
//!
//! Named texts go in, three texts and a report come out; only [`read`] looks at a disk. One law holds for every importer:
//! **nothing is widened**. What the source refuses or asks about is refused or asked about afterwards; what can't be said
//! exactly is said more strictly or left out, and the report says which and why. Same input, same bytes.

#![forbid(unsafe_code)]

mod claude;
mod codex;
mod command;
mod doc;
mod draft;
mod gemini;
mod json;
mod node;
mod path;
pub mod read;
mod report;
mod srt;
mod tables;

pub use node::{MAX_BYTES, ParseError};
pub use report::{Carried, ReportLine};

use node::Node;
use serde::Serialize;
use std::str::FromStr;

/// An agent or tool whose policy can be brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// The OpenAI Codex command line.
    Codex,
    /// Claude Code.
    ClaudeCode,
    /// The Gemini command line.
    GeminiCli,
    /// Anthropic's sandbox runtime.
    Srt,
}

impl Agent {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Codex, Self::ClaudeCode, Self::GeminiCli, Self::Srt];

    /// As the command line spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Codex => "codex",
            Self::ClaudeCode => "claude-code",
            Self::GeminiCli => "gemini-cli",
            Self::Srt => "srt",
        }
    }

    /// As people say it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Codex => "Codex",
            Self::ClaudeCode => "Claude Code",
            Self::GeminiCli => "Gemini CLI",
            Self::Srt => "sandbox-runtime",
        }
    }
}

impl FromStr for Agent {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|agent| agent.name() == text).ok_or(())
    }
}

/// What a file is to its agent: decides how its paths are meant and whether it binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Defaults or settings for the whole machine, below the user's.
    System,
    /// The user's own.
    User,
    /// A user's named profile, `NAME.config.toml`.
    Profile,
    /// A project's, shared or local.
    Project,
    /// An administrator's, that nobody can override.
    Managed,
    /// An administrator's defaults, applied at each start.
    ManagedDefaults,
}

/// One file of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As comments and report name it: `~/.claude/settings.json`.
    pub name: String,
    /// What it is to its agent.
    pub role: Role,
    /// Its text.
    pub text: String,
}

/// What an import gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// For `config.toml`.
    pub config_toml: String,
    /// For a file under `rules/`.
    pub rules: String,
    /// For `requirements.toml`, where the source has constraints of an administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements_toml: Option<String>,
    /// For `managed_config.toml`, where the source has managed defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_config_toml: Option<String>,
    /// What became of every line that means something, in the order of files and lines.
    pub report: Vec<ReportLine>,
}

/// Why nothing was imported. A file that can't be read might have forbidden something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file isn't what its name says.
    #[error("{file}:{line}:{column}: {why}")]
    Parse {
        /// The file.
        file: String,
        /// Counted from 1.
        line: u32,
        /// Counted from 1.
        column: u32,
        /// What the parser met.
        why: String,
    },
    /// A key that decides something has a value that says nothing.
    #[error("{file}:{line}: `{key}` must be {expected}")]
    Type {
        /// The file.
        file: String,
        /// Counted from 1.
        line: u32,
        /// The key.
        key: String,
        /// What was expected.
        expected: &'static str,
    },
}

/// Brings `files` along. The order of `files` doesn't matter.
pub fn import(agent: Agent, files: &[Input]) -> Result<Imported, ImportError> {
    let mut files: Vec<&Input> = files.iter().collect();
    files.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)));
    match agent {
        Agent::Codex => codex::import(&files),
        Agent::ClaudeCode => Ok(claude::import(&parse_all(&files)?)?.finish()),
        Agent::GeminiCli => Ok(gemini::import(&parse_all(&files)?)?.finish()),
        Agent::Srt => Ok(srt::import(&parse_all(&files)?)?.finish()),
    }
}

/// A file as a tree.
pub(crate) struct Parsed<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) root: Node,
}

fn parse_all<'a>(files: &[&'a Input]) -> Result<Vec<Parsed<'a>>, ImportError> {
    files.iter().map(|input| parse(input)).collect()
}

pub(crate) fn parse(input: &Input) -> Result<Parsed<'_>, ImportError> {
    let root = if input.name.ends_with(".toml") { node::parse_toml(&input.text) } else { json::parse(&input.text) };
    match root {
        Ok(root) => Ok(Parsed { name: &input.name, role: input.role, root }),
        Err(ParseError { line, column, why }) => {
            Err(ImportError::Parse { file: input.name.clone(), line, column, why })
        }
    }
}
