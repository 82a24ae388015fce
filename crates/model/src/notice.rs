//! What a person is told once, besides the result: ignored keys, fall-backs, weakened protections.

use crate::origin::Origin;
use serde::{Deserialize, Serialize};

/// One remark, never an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable code, documented in the reference: `unknown-key`, `project-key-ignored`, ….
    pub code: String,
    /// A lower-case sentence without full stop.
    pub text: String,
    /// Where it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
