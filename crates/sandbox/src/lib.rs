//! Wish → plan → kernel: the only crate that confines.
//!
//! [`host::HostFacts`] says what this machine offers, found by trying. A plan is compiled from a
//! [`ringfence_model::Confinement`] and those facts, as a pure value; the enforcer of the running system walks it.

#[cfg(target_os = "linux")]
pub mod attack;
pub mod host;
pub mod probe;
#[cfg(unix)]
mod sys;
