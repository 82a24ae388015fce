//! What can be typed: one type per subcommand, the shared flags in [`shared`]. Parsing only; nothing is looked up.

pub mod config;
pub mod decide;
pub mod files;
pub mod hot;
pub mod log;
pub mod platform;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod rules;
pub mod run;
pub mod shared;

pub use hot::{confines, hot_path};
pub use run::RunArgs;
pub use shared::Shared;

use clap::{Args, Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ringfence",
    version,
    about = "Decide what a coding agent may do, hold it there with the operating system, and record it",
    long_about = "Ringfence runs commands of coding agents: it decides by policy, asks a person where policy says so, \
                  runs the command in a sandbox that the operating system enforces, and records what happened.\n\n\
                  Without a subcommand it prints where you stand and what to do next.",
    after_help = "Start with `ringfence doctor`, then `ringfence sandbox -- ls`, then `ringfence prove`.",
    disable_help_subcommand = true,
    infer_subcommands = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one command as an agent's command is run: decide, ask if need be, confine, record
    Run(decide::DecideArgs),
    /// Run a command in the sandbox, without asking anything
    #[command(visible_alias = "debug")]
    Sandbox(RunArgs),
    /// Explain what would happen with a command, and why; nothing runs
    Explain(decide::ExplainArgs),
    /// Print exactly what a command would be allowed, and where each permission comes from
    Plan(PlanArgs),
    /// Show the workspace, mode, policy, trust, and what this host can't hold
    Status(StatusArgs),
    /// Find out by trying what this host can enforce, and how to mend what it can't
    Doctor(DoctorArgs),
    /// Attack the sandbox under your present settings and show what held
    Prove(ProveArgs),
    /// Explain a denial: what was refused, by which rule, and what would allow it
    Why(WhyArgs),
    /// Apply a patch: all of it or nothing, judged like any other change of files
    Apply(files::ApplyArgs),
    /// Check, list, test and change command rules
    #[command(alias = "execpolicy")]
    Rules(rules::RulesArgs),
    /// See, check, compare and change settings
    Config(config::ConfigArgs),
    /// Say whether you trust a project, so that its own settings count
    Trust(config::TrustArgs),
    /// Show and switch presets of sandbox and approvals; list and withdraw grants
    Permissions(config::PermissionsArgs),
    /// Wait in this terminal for questions of runs that have none, and answer them
    Approvals,
    /// Read the journal of decisions, runs and denials
    Log(log::LogArgs),
    /// Bring another agent's policy along; nothing is widened
    Import(crate::cmd::import::ImportArgs),
    /// Sign, serve and fetch the policies of a fleet
    Policy(crate::cmd::policy::PolicyArgs),
    /// Run the proxy of the managed network alone, for any sandbox, virtual machine or container
    #[cfg(feature = "proxy")]
    Proxy(proxy::ProxyArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// No subcommand: where you stand and what to do next
    #[command(skip)]
    Overview,
    /// One forbidden act, tried from inside; used by `prove`
    #[command(name = "__attack", hide = true)]
    Attack(AttackArgs),
    /// Write one patch, judged outside; used by `apply`, inside the sandbox
    #[command(name = "__write", hide = true)]
    Write,
}

/// `ringfence plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Variables for the command.
    #[command(flatten)]
    pub environment: run::Environment,
    /// The command; without one, the plan for `true`.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
    /// Settings for this command.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Settings to show it under.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Also list what works
    #[arg(long, short = 'v')]
    pub verbose: bool,
}

/// `ringfence prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Only the promises whose name contains this text; may be given again
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Settings to prove.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The denial's identifier, as printed after a run; without one, the latest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `ringfence completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `ringfence __attack`.
#[derive(Debug, Args)]
pub struct AttackArgs {
    /// The act's name and what it is aimed at.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub act: Vec<std::ffi::OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
