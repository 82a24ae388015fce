//! Resource limits of one run.

use crate::origin::Sourced;
use crate::units::{ByteSize, Span};
use serde::{Deserialize, Serialize};

/// What a run may use up; `None` is no limit of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory of the whole process tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Sourced<ByteSize>>,
    /// Number of processes and threads at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Sourced<u64>>,
    /// Open descriptors per process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<Sourced<u64>>,
    /// Size of any one file written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Sourced<ByteSize>>,
    /// Processor time per process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<Sourced<Span>>,
    /// Time by the clock; exceeding it is exit 124.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<Sourced<Span>>,
    /// Bytes written to stdout and stderr together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Sourced<ByteSize>>,
}
