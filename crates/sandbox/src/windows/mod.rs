//! Enforcing a plan on Windows: the steps walked, the command started in what they made, everything undone afterwards.
//! Walked step by step under Wine, which doesn't act on all of them, and not yet run on Windows itself.

pub(crate) mod sid;
pub(crate) mod words;

#[cfg(windows)]
mod enforce;
#[cfg(windows)]
mod program;
#[cfg(windows)]
pub(crate) mod trial;

#[cfg(windows)]
pub use enforce::Sandbox;
