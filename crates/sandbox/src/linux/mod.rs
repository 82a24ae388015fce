//! Linux: walks the plan, makes the sandbox, runs commands in it. It decides nothing; what it does is in the plan.

mod ahead;
pub mod broker;
mod domain;
pub mod filter;
mod given;
pub(crate) mod leftovers;
pub(crate) mod lend;
mod limits;
pub(crate) mod ops;
pub(crate) mod perform;
mod prepared;
mod quiet;
mod replaced;
pub mod seam;
mod spawn;
mod supervise;
pub(crate) mod systems;
mod terminal;

pub use ahead::Ahead;
pub use limits::raise_descriptors;
pub use prepared::Prepared;
pub use spawn::Sandbox;
pub use supervise::{Killer, Running, settle};
