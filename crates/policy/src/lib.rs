//! The decision and nothing but the decision: pure functions over plain values.
//!
//! [`confine()`] turns settings and facts into a confinement. Nothing here looks at a
//! file, a clock, an environment or a process: what the world is like comes in as
//! [`ringfence_model::WorldFacts`], gathered by the `ringfence` library.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod confine;
pub mod environment;
pub mod protected;
pub mod roots;

pub use confine::{ConfineError, Request, confine};
