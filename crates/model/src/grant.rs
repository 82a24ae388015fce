//! Grants: what a yes leaves behind. A grant is input to the next decision, never a jump to execution.

use crate::action::{Identity, Placement};
use crate::os_text::OsText;
use crate::path::AbsPath;
use serde::{Deserialize, Serialize};

/// One answer that allows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its identifier.
    pub id: String,
    /// What it covers.
    pub scope: Scope,
    /// What it gives.
    pub gives: Placement,
    /// How long.
    pub lasts: Lasts,
    /// Who gave it: `user`, `program`, `inbox`.
    pub by: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// From when it doesn't count any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What was shown when it was given.
    #[serde(default)]
    pub shown: Vec<String>,
}

/// What a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "scope")]
pub enum Scope {
    /// Exactly this act, as it was shown: same words, directory, environment, program.
    Exact {
        /// What it was bound to.
        identity: Identity,
    },
    /// This command in this directory, started from the same file.
    Command {
        /// Program and arguments.
        argv: Vec<OsText>,
        /// The directory.
        cwd: AbsPath,
        /// The program, by name and file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<(AbsPath, crate::facts::FileId)>,
    },
    /// Every command that begins so.
    Prefix {
        /// The words.
        prefix: Vec<OsText>,
    },
    /// Connections to this host.
    Host {
        /// The host, canonical.
        host: String,
        /// The port.
        port: u16,
    },
    /// Changes to files below this path.
    Path {
        /// The path.
        path: AbsPath,
    },
    /// This tool of this server, whatever the arguments.
    Tool {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
}

/// How long a grant counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lasts {
    /// For one act.
    Once,
    /// For this session.
    Session,
    /// As a rule, from now on.
    Always,
}

impl Grant {
    /// Whether it counts at `now`, in seconds since 1970, in `session`.
    #[must_use]
    pub fn counts(&self, now: u64, session: Option<&str>) -> bool {
        let in_time = self.expires.is_none_or(|expires| now < expires) && self.at <= now.saturating_add(60);
        in_time && (self.session.is_none() || self.session.as_deref() == session)
    }
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// Yes, this once.
    Once,
    /// Yes, as offered.
    Offer {
        /// Position in the question's offers.
        offer: usize,
    },
    /// No.
    No {
        /// What the agent is told to do instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        say: Option<String>,
    },
    /// No, and the run ends.
    Abort,
}
