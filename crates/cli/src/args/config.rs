//! `config`, `trust` and `permissions`: seeing and changing settings.

use super::Shared;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `ringfence config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting that holds, and where it was set
    Show(ShowArgs),
    /// Print one setting
    Get(GetArgs),
    /// Set one key in your settings, keeping comments
    Set(SetArgs),
    /// Remove one key from your settings
    Unset(UnsetArgs),
    /// Open your settings in $VISUAL or $EDITOR, and check them afterwards
    Edit,
    /// Check files without using them: settings, requirements, rules
    Check(CheckArgs),
    /// Compare two files: what got weaker, what got stricter
    Diff(DiffArgs),
    /// Print the JSON Schema of a file
    Schema(SchemaArgs),
}

/// `ringfence config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Also what nobody set
    #[arg(long)]
    pub all: bool,
    /// Settings to show.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence config get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The key, dotted
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Settings to look in.
    #[command(flatten)]
    pub shared: Shared,
}

/// `ringfence config set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The key, dotted
    #[arg(value_name = "KEY")]
    pub key: String,
    /// The value, as TOML; what isn't TOML is taken as text
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: String,
}

/// `ringfence config unset`.
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The key, dotted
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// `ringfence config check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Files; without one, everything that is in force here
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `ringfence config diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The file before
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The file after
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `ringfence config schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which file
    #[arg(value_enum, default_value_t = SchemaOf::Config)]
    pub of: SchemaOf,
}

/// A file with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `config.toml`
    Config,
    /// `requirements.toml`
    Requirements,
}

/// `ringfence trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The project; without one, that of the current directory
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Mark it as untrusted: read-only, and everything but known-safe reads asks
    #[arg(long, conflicts_with = "forget")]
    pub no: bool,
    /// Take back what was said of it
    #[arg(long)]
    pub forget: bool,
}

/// `ringfence permissions`.
#[derive(Debug, Args)]
pub struct PermissionsArgs {
    /// The preset to set: `auto`, `read-only`, `read-only-ci`, `careful` or `full-access`
    #[arg(value_name = "PRESET")]
    pub preset: Option<String>,
    /// Set the preset for all projects instead of this one
    #[arg(long, requires = "preset")]
    pub everywhere: bool,
    /// Take back the preset that was set for this project
    #[arg(long, conflicts_with = "preset")]
    pub forget: bool,
    /// Withdraw the grant ID of a session
    #[arg(long, value_name = "ID", conflicts_with_all = ["preset", "forget"])]
    pub withdraw: Option<String>,
    /// Settings to show.
    #[command(flatten)]
    pub shared: Shared,
}
