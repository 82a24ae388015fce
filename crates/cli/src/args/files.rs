//! `apply`.

use super::Shared;
use clap::Args;
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
    /// Who is asked.
    #[command(flatten)]
    pub answers: super::decide::Answers,
    /// Settings to judge it under.
    #[command(flatten)]
    pub shared: Shared,
}
