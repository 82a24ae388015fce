//! A denial: what the sandbox refused, on what evidence, and the smallest grant that would allow it.

use crate::origin::Origin;
use crate::text::Untrusted;
use serde::{Deserialize, Serialize};

/// One refused operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Identifier for `ringfence why`, unique within the journal.
    pub id: String,
    /// The kind of operation.
    pub kind: DenialKind,
    /// What it was aimed at: a path, `host:port`, a process, a system call.
    pub target: Untrusted,
    /// The operation: `open for writing`, `connect`, `rename`.
    pub operation: String,
    /// The rule that refused: `protected-path`, `outside-roots`, `network-off`, ….
    pub rule: String,
    /// Where that rule was set.
    pub origin: Origin,
    /// How it is known.
    pub evidence: Evidence,
    /// Smallest grants that would allow it, as a person would type them; empty: nothing would.
    pub allow_with: Vec<String>,
    /// Somebody was asked about it and said no, so that nobody need be asked again.
    #[serde(skip)]
    pub answered: bool,
}

/// Kinds of denials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialKind {
    /// Writing, creating, removing outside the writable roots.
    FsWrite,
    /// Reading what is denied.
    FsRead,
    /// Writing to a protected path.
    ProtectedPath,
    /// Leaving the machine, or a forbidden host.
    Network,
    /// A unix socket made outside.
    UnixSocket,
    /// A process outside.
    Process,
    /// A system call that isn't available inside.
    Syscall,
    /// A limit.
    Limit,
}

/// How a denial is known, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The broker's own record.
    Broker,
    /// The kernel's audit record.
    KernelAudit,
    /// The proxy's decision.
    Proxy,
    /// An errno seen on a path or address that the plan denies.
    Trace,
    /// Read off the command's own output.
    Guess,
}
