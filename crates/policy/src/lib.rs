//! The decision and nothing but the decision: pure functions over plain values.
//!
//! [`decide()`] turns settings, rules, grants, facts and an action into a verdict with its reasons; [`confine()`] turns
//! settings and facts into what a command may do. Nothing here looks at a
//! file, a clock, an environment or a process: what the world is like comes in as
//! [`ringfence_model::WorldFacts`], gathered by the `ringfence` library.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod confine;
pub mod decide;
pub mod destructive;
pub mod environment;
pub mod explain;
pub mod presets;
pub mod protected;
pub mod roots;
pub mod scopes;
pub mod table;

pub use confine::{ConfineError, Request, confine};
pub use decide::{ActFacts, decide, inquire};
pub use explain::{Explanation, explain};
