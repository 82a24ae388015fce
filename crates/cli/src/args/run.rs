//! `run` and `sandbox`: a command and how to run it.

use super::Shared;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments of `ringfence run` and `ringfence sandbox`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Variables for the command.
    #[command(flatten)]
    pub environment: Environment,
    /// End the command after this time, e.g. `90s` or `10m`; exit status 124
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Write the JSON report to FILE
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print the plan and run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// List afterwards everything that was refused, with the smallest grant for each
    #[arg(long)]
    pub log_denials: bool,
    /// Let processes the command leaves behind go on, confined; Ringfence stays until the last has ended, or it is ended itself
    #[arg(long)]
    pub keep_background: bool,
    /// The command and its arguments, after `--`
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Settings for this command.
    #[command(flatten)]
    pub shared: Shared,
}

/// Variables for the command.
#[derive(Debug, Clone, Default, Args)]
pub struct Environment {
    /// Pass variable KEY through, or set it with KEY=VALUE; may be given again
    #[arg(long = "env", value_name = "KEY[=VALUE]")]
    pub env: Vec<OsString>,
}
