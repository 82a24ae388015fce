//! `apply` and `import`.

use super::Shared;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `ringfence apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The patch: a unified diff, or the `*** Begin Patch` form; `-` or nothing for standard input
    #[arg(value_name = "FILE")]
    pub patch: Option<PathBuf>,
    /// Judge only, change nothing
    #[arg(long)]
    pub check: bool,
    /// Settings to judge it under.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Whose settings
    #[arg(value_enum)]
    pub agent: From,
    /// A file or directory of that agent; without one, its usual places
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Write the files to DIR; without it they are only printed
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// An agent with settings that can be brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// The OpenAI Codex CLI
    Codex,
    /// Claude Code
    ClaudeCode,
    /// The Gemini CLI
    GeminiCli,
    /// sandbox-runtime
    Srt,
}
