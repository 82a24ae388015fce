//! The flags every deciding and showing command shares.

use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Settings of one start, given as flags. They stand above every file but managed ones.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Shared {
    /// What the command can do: `read-only`, `workspace-write` or `danger-full-access`
    #[arg(long, short = 's', value_name = "MODE", conflicts_with = "yolo")]
    pub sandbox: Option<String>,
    /// When a person is asked: `untrusted`, `on-request` or `never`
    #[arg(long, short = 'a', value_name = "POLICY", conflicts_with = "yolo")]
    pub ask_for_approval: Option<String>,
    /// Short for `--sandbox workspace-write --ask-for-approval on-request`
    #[arg(long, conflicts_with = "yolo")]
    pub full_auto: bool,
    /// No sandbox and no approvals; for use inside something that already isolates
    #[arg(long = "dangerously-bypass-approvals-and-sandbox", visible_alias = "yolo")]
    pub yolo: bool,
    /// Work in DIR instead of the current directory
    #[arg(long = "cd", short = 'C', value_name = "DIR")]
    pub cd: Option<PathBuf>,
    /// A further directory the command may write in; may be given again
    #[arg(long, value_name = "DIR")]
    pub add_dir: Vec<PathBuf>,
    /// Take the settings of `[profiles.NAME]` or `NAME.config.toml`
    #[arg(long, short = 'p', value_name = "NAME")]
    pub profile: Option<String>,
    /// Take the permission profile NAME, e.g. `:workspace`
    #[arg(long, value_name = "NAME")]
    pub permissions: Option<String>,
    /// Set one key, e.g. `-c sandbox_workspace_write.network_access=true`; may be given again
    #[arg(long = "config", short = 'c', value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Network: `off`, `on`, or `proxy` for the configured hosts only
    #[arg(long, value_name = "STATE", value_parser = ["on", "off", "proxy"])]
    pub network: Option<String>,
    /// Live web search, where an agent asks Ringfence for one
    #[arg(long)]
    pub search: bool,
    /// Treat unknown keys in settings as errors
    #[arg(long)]
    pub strict_config: bool,
    /// Leave out the user's own settings
    #[arg(long)]
    pub ignore_user_config: bool,
    /// One JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

impl Shared {
    /// The same flags as arguments again, without `--json`: for a program that starts itself under the same settings.
    #[must_use]
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut pair = |flag: &str, value: OsString| args.extend([flag.into(), value]);
        self.sandbox.iter().for_each(|mode| pair("--sandbox", mode.into()));
        self.ask_for_approval.iter().for_each(|policy| pair("--ask-for-approval", policy.into()));
        self.cd.iter().for_each(|dir| pair("--cd", dir.into()));
        self.add_dir.iter().for_each(|dir| pair("--add-dir", dir.into()));
        self.profile.iter().for_each(|name| pair("--profile", name.into()));
        self.permissions.iter().for_each(|name| pair("--permissions", name.into()));
        self.config.iter().for_each(|text| pair("--config", text.into()));
        self.network.iter().for_each(|state| pair("--network", state.into()));
        let switches = [
            (self.full_auto, "--full-auto"),
            (self.yolo, "--dangerously-bypass-approvals-and-sandbox"),
            (self.search, "--search"),
            (self.strict_config, "--strict-config"),
            (self.ignore_user_config, "--ignore-user-config"),
        ];
        args.extend(switches.iter().filter(|(on, _)| *on).map(|(_, flag)| OsString::from(flag)));
        args
    }
}
