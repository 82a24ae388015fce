//! What the broker holds, as a value: part of the plan, made by `compile`. Pure.

use super::trap::Traps;
use ringfence_model::confinement::{DeniedRead, Protected, UnixSockets, WritableRoot};
use ringfence_model::origin::Sourced;
use ringfence_model::{AbsPath, Origin};
use serde::{Deserialize, Serialize};

/// Who holds writing outside the roots and inside protected paths that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// Mounts do; the broker holds what they can't: names that don't exist, files that the host replaces.
    Names,
    /// The broker does, with Landlock behind it.
    Everything,
}

/// A directory in which only some names may come into being or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlyNames {
    /// The directory.
    pub dir: AbsPath,
    /// Names, with `*` and `?`; everything below an allowed directory is allowed too, unless another rule forbids it.
    pub names: Vec<String>,
    /// Why.
    pub reason: String,
    /// Where it was set.
    pub origin: Origin,
}

/// What the broker of one sandbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerPlan {
    /// Which calls it is asked about.
    pub traps: Traps,
    /// Who holds the rest.
    pub holds: Holds,
    /// Directories that may be written under.
    pub roots: Vec<WritableRoot>,
    /// Further files that may be opened for writing: devices, the caller's own entries under `/proc`.
    pub also_writable: Vec<AbsPath>,
    /// Islands in the roots.
    pub protected: Vec<Protected>,
    /// Directories with a list of what may change.
    pub only: Vec<OnlyNames>,
    /// Globs (and in the landlock tier paths) that can't be read.
    pub denied: Vec<DeniedRead>,
    /// Unix sockets made outside that may be reached.
    pub unix: UnixSockets,
    /// Internet sockets: without a network namespace, only loopback ports that were bound inside.
    pub loopback: Option<Loopback>,
}

/// The internet, as far as the broker allows it where there is no network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loopback {
    /// Every loopback port may be reached, not only those bound inside.
    pub every_port: Sourced<bool>,
    /// Loopback ports outside that may be reached: the proxy's.
    pub ports: Vec<u16>,
}
