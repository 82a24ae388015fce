//! Events to sinks: redaction, journal, rotation, verification.
//!
//! Every event goes through [`redact::Redactor`] before it is written or handed on; there is no second way out. The
//! journal is JSON Lines in a directory that no sandbox can reach, each line holding the hash of the one before.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod journal;
mod line;
pub mod reader;
pub mod redact;
pub mod verify;

pub use journal::{Journal, JournalError, Limits};
pub use reader::{Entry, Filter};
pub use redact::Redactor;
pub use verify::{Break, Verified, verify};

use ringfence_model::Event;

/// Whoever takes events. A sink never stops an action: what it can't take it reports, and the run goes on.
pub trait Sink: Send + Sync {
    /// Takes events, in order.
    fn record(&self, events: &[Event]) -> Result<(), JournalError>;
}

/// A sink that keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn record(&self, _: &[Event]) -> Result<(), JournalError> {
        Ok(())
    }
}
