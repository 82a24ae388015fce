//! The Ringfence library: gather settings and facts, decide, authorize, perform, record.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod facts;

pub use ringfence_model as model;
pub use ringfence_policy as policy;
