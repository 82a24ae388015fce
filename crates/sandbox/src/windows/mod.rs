//! Enforcing a plan on Windows: the steps walked, the command started in what they made, everything undone afterwards.
//! Type-checked for Windows, and not yet run there.

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
