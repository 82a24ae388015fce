//! Enforcing a plan on macOS: `sandbox-exec` with the plan's profile, in a process group of its own.
//! Type-checked for macOS, and not yet run there.

pub(crate) mod words;

#[cfg(target_os = "macos")]
mod enforce;
#[cfg(target_os = "macos")]
mod terminal;

#[cfg(target_os = "macos")]
pub use enforce::Sandbox;
