//! The report of one run, as `--report` and `--json` print it.

use crate::denial::Denial;
use crate::mode::Tier;
use crate::origin::Origin;
use crate::os_text::OsText;
use crate::path::AbsPath;
use serde::{Deserialize, Serialize};

/// `schema` of a report document.
pub const SCHEMA: &str = "ringfence.dev/v1/report";

/// How one run went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The command as given.
    pub command: Vec<OsText>,
    /// The directory it ran in.
    pub cwd: AbsPath,
    /// `run`, `refuse`, `ask-refused`, `not-started`.
    pub verdict: String,
    /// Why, in order.
    pub reasons: Vec<Reason>,
    /// Digest of the plan that was enforced.
    pub plan_id: String,
    /// What held it.
    pub tier: Option<Tier>,
    /// How the command ended; none if it never ran.
    pub exit: Option<Exit>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// What was refused meanwhile.
    pub denials: Vec<Denial>,
    /// Promises that were not, or not fully, held.
    pub not_held: Vec<NotHeld>,
    /// Grants that were used.
    pub grants_used: Vec<String>,
}

/// One reason of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable code, documented in the reference.
    pub kind: String,
    /// A lower-case fragment without full stop.
    pub text: String,
    /// Where it comes from.
    pub source: Origin,
    /// Settings or grants that would change the verdict; empty: nothing would.
    pub would_change: Vec<String>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// It died of this signal.
    Signal(i32),
    /// The time limit ended it.
    Timeout,
    /// Another limit ended it.
    Limit(LimitKind),
}

/// Which limit ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// Memory.
    Memory,
    /// Number of processes.
    Processes,
    /// Open descriptors.
    OpenFiles,
    /// Size of a file.
    FileSize,
    /// Processor time.
    CpuTime,
    /// Output.
    Output,
}

impl LimitKind {
    /// What was limited, in words, and the setting.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory => ("memory", "limits.memory"),
            Self::Processes => ("processes", "limits.processes"),
            Self::OpenFiles => ("open files", "limits.open_files"),
            Self::FileSize => ("file size", "limits.file_size"),
            Self::CpuTime => ("processor time", "limits.cpu_time"),
            Self::Output => ("output", "limits.output"),
        }
    }
}

impl Exit {
    /// The exit status Ringfence itself ends with.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal(signal) => u8::try_from(128 + (signal & 0x7f)).unwrap_or(u8::MAX),
            Self::Timeout => status::TIMEOUT,
            // SIGKILL, SIGXCPU and SIGXFSZ are what the kernel or the supervisor ends such a run with.
            Self::Limit(LimitKind::CpuTime) => 128 + 24,
            Self::Limit(LimitKind::FileSize) => 128 + 25,
            Self::Limit(_) => 128 + 9,
        }
    }
}

/// Exit statuses of Ringfence's own.
pub mod status {
    /// The time limit ended the command.
    pub const TIMEOUT: u8 = 124;
    /// Ringfence failed or refused to start.
    pub const FAILED: u8 = 125;
    /// Denied by policy, or not executable.
    pub const DENIED: u8 = 126;
    /// Not found.
    pub const NOT_FOUND: u8 = 127;
}

/// A promise that this host doesn't, or doesn't fully, hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotHeld {
    /// The promise, by its name in the security reference.
    pub promise: String,
    /// True: held in a weaker way; false: not at all.
    pub weakened: bool,
    /// Why, on this host.
    pub why: String,
    /// What would change it.
    pub remedy: String,
}
