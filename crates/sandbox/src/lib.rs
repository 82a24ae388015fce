//! Wish → plan → kernel: the only crate that confines.
//!
//! [`host::HostFacts`] says what this machine offers, found by trying. [`compile::compile`] makes a [`plan::Plan`] from
//! a [`ringfence_model::Confinement`] and those facts, as a pure value. [`Sandbox`] enforces it on the running system
//! and runs commands in it; [`enforced::Enforced`] says, per step, whether it held.

#[cfg(target_os = "linux")]
pub mod attack;
#[cfg(target_os = "linux")]
mod child;
pub mod compile;
pub mod enforced;
pub mod fallback;
pub mod host;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg_attr(not(target_os = "macos"), allow(dead_code))]
mod macos;
pub mod plan;
#[cfg(target_os = "linux")]
mod prepare;
pub mod probe;
pub mod run;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "macos")]
#[path = "sys/macos.rs"]
mod sys;
#[cfg(windows)]
#[path = "sys/windows/mod.rs"]
mod sys;
#[cfg(any(windows, test))]
#[cfg_attr(not(windows), allow(dead_code))]
mod windows;

pub use compile::{Options, Unenforceable, compile};
pub use enforced::{Enforced, StartError, StepResult};
#[cfg(target_os = "linux")]
pub use linux::{Ahead, Killer, Prepared, Running, Sandbox, raise_descriptors, settle};
#[cfg(target_os = "macos")]
pub use macos::Sandbox;
pub use plan::{Act, Plan, Step};
#[cfg(target_os = "linux")]
pub use run::inherited;
pub use run::{Command, Inlet, Outcome, Signals, Stdio};
#[cfg(windows)]
pub use windows::Sandbox;

/// Gives this process a name in the table of processes, whatever its file is called (`PR_SET_NAME`: at most 15 bytes). For its
/// first thread.
#[cfg(target_os = "linux")]
pub fn take_name(name: &std::ffi::CStr) {
    let _ = rustix::thread::set_name(name);
}

/// Owner and access list of an opened file in text form (SDDL): what whoever reads files that constrain judges by.
#[cfg(windows)]
pub fn security_descriptor(file: &std::fs::File) -> std::io::Result<String> {
    sys::descriptor::of(file)
}
