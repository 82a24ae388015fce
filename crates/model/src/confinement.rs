//! Confinement: the portable wish, in absolute terms, each entry with its origin.
//!
//! It says what a command may do, not how a kernel holds it. Collections are sorted so that the same wish has the same
//! bytes.

use crate::facts::{FileId, FileKind};
use crate::glob::PathGlob;
use crate::limits::Limits;
use crate::mode::{AbsentHold, Backend, GitAccess, SandboxMode};
use crate::origin::{Origin, Sourced};
use crate::os_text::OsText;
use crate::path::AbsPath;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a command may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The mode this came from; `DangerFullAccess` means no confinement by the kernel.
    pub mode: Sourced<SandboxMode>,
    /// Directory the command starts in.
    pub cwd: AbsPath,
    /// Directories it may write under, outermost first, none inside another.
    pub roots: Vec<WritableRoot>,
    /// Read-only islands inside the roots.
    pub protected: Vec<Protected>,
    /// What can be read.
    pub reads: Reads,
    /// `/tmp`.
    pub tmp: Sourced<Tmp>,
    /// Network.
    pub network: Sourced<NetworkWish>,
    /// In tiers without an own network: loopback of the host may be used freely.
    pub allow_local_binding: Sourced<bool>,
    /// Unix sockets made outside that may be reached.
    pub unix_sockets: UnixSockets,
    /// What git may write inside its directories.
    pub git: Sourced<GitAccess>,
    /// Git directories of the roots with what may be written in each, when `git` is `commit`.
    pub git_dirs: Vec<GitDir>,
    /// The environment of the command, complete, sorted by name.
    pub environment: Vec<EnvVar>,
    /// Names that were dropped from the environment, with the reason.
    pub environment_dropped: Vec<(OsText, Origin)>,
    /// What the run may use up.
    pub limits: Limits,
    /// Background processes go on after the command, and the run lasts as long as they do.
    pub keep_background: Sourced<bool>,
    /// Which Linux tier.
    pub backend: Sourced<Backend>,
    /// How absent protected names are held.
    pub absent_protected: Sourced<AbsentHold>,
}

/// A directory a command may write under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WritableRoot {
    /// Resolved.
    pub path: AbsPath,
    /// Identity seen when it was resolved: what is opened later must be the same.
    pub id: FileId,
    /// Where it was set.
    pub origin: Origin,
}

/// A path inside a root that stays read-only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Protected {
    /// The path.
    pub path: AbsPath,
    /// What is there now; none: it must not come into being.
    pub found: Option<FileKind>,
    /// Why it is protected, from the table or the setting.
    pub reason: Cow<'static, str>,
    /// Where it was set.
    pub origin: Origin,
}

/// A Git directory in which some names are writable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GitDir {
    /// The directory (of the worktree, or the common one).
    pub path: AbsPath,
    /// Whether it is the common directory, a linked worktree's own, or both.
    pub role: GitRole,
}

/// What a Git directory is to its worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GitRole {
    /// An ordinary repository: both in one.
    Main,
    /// Shared by linked worktrees.
    Common,
    /// `worktrees/NAME` of a linked worktree.
    Worktree,
}

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Everything but `denied`, or only platform directories, roots and `also`.
    pub base: Sourced<ReadBase>,
    /// Further readable paths when restricted.
    pub also: Vec<Sourced<AbsPath>>,
    /// Paths and globs that can't be read; wins.
    pub denied: Vec<DeniedRead>,
}

/// What reads start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBase {
    /// Only what is named.
    Minimal,
    /// Everything.
    Everything,
}

/// A path or glob that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeniedRead {
    /// What.
    pub pattern: PathPattern,
    /// Where it was set.
    pub origin: Origin,
}

/// An exact path (with everything below it) or a glob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathPattern {
    /// Exactly this path, and what is below it.
    Path(AbsPath),
    /// Every path that matches, and what is below it.
    Glob(PathGlob),
}

/// What `/tmp` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tmp {
    /// The host's; writable only if it is a root.
    Shared,
    /// Own, empty, writable, gone afterwards.
    Private,
}

/// What leaves the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum NetworkWish {
    /// Nothing; loopback works inside.
    Off,
    /// Only through the proxy, whose listeners are on these ports of 127.0.0.1.
    Proxy {
        /// HTTP.
        http_port: u16,
        /// SOCKS5; 0 if it isn't offered.
        socks_port: u16,
        /// Programs that ignore proxy variables are caught too.
        transparent: bool,
        /// Where those ports are.
        #[serde(default)]
        listeners: ProxyListeners,
    },
    /// Everything.
    On,
}

/// Whose loopback the proxy listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyListeners {
    /// That of the sandbox's own network: the listeners are made there with it.
    #[default]
    Inside,
    /// The machine's, which the sandbox shares: the proxy listens there already, and lets in the connections that the
    /// broker makes for this run.
    Host,
}

/// Unix sockets made outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnixSockets {
    /// Only these; an empty list means none.
    Only(Vec<Sourced<AbsPath>>),
    /// Every one.
    Everything,
}

/// A variable of the command's environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EnvVar {
    /// Its name.
    pub name: OsText,
    /// Its value. Printing it is the business of `redact`-aware code only.
    pub value: OsText,
    /// Where it was set: inherited, `set`, a flag, Ringfence.
    pub origin: Origin,
}
