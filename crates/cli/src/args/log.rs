//! `log`: reading the journal.

use clap::Args;

/// `ringfence log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Only what was denied or refused
    #[arg(long)]
    pub denied: bool,
    /// Only decisions about connections
    #[arg(long)]
    pub network: bool,
    /// Only this session
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// The last COUNT events; 0: all
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    pub last: usize,
    /// Go on with what is written from now on
    #[arg(long, short = 'f', conflicts_with = "verify")]
    pub follow: bool,
    /// Check that nothing was changed, removed or inserted; exit status 1 if something was
    #[arg(long, conflicts_with_all = ["denied", "network", "session", "json"])]
    pub verify: bool,
    /// The events as they stand, one JSON document per line
    #[arg(long)]
    pub json: bool,
}
