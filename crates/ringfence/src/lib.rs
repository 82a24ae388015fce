//! The Ringfence library: gather settings and facts, decide, authorize, perform, record.
//!
//! A [`Session`] is what an agent, editor or tool embeds: it is given [`Action`]s, says what policy makes of them
//! ([`Session::decide`]), has somebody asked where policy wants that ([`Session::authorize`]), and runs what may run in
//! the sandbox ([`Session::perform`]). Every step is recorded. The core is synchronous.
//!
//! ```no_run
//! use ringfence::{Opening, Session};
//! use ringfence::action::{Action, Exec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::open(Opening::default())?;
//! let action = session.exec(["cargo", "test"]);
//! let authorization = session.authorize(action)?;
//! let report = session.perform(authorization)?;
//! println!("{:?}", report.exit);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod always;
pub mod apply;
pub mod approver;
#[cfg(feature = "async")]
pub mod background;
pub mod facts;
pub mod grants;
#[cfg(all(feature = "egress", unix))]
pub mod network;
pub mod prompt;
pub mod session;
pub mod under;

pub use approver::{Approver, Asked};
pub use ringfence_audit as audit;
pub use ringfence_config as config;
pub use ringfence_model as model;
pub use ringfence_model::{Action, Confinement, Decision, Denial, Grant, Report, Settings, Verdict, action, verdict};
pub use ringfence_policy as policy;
pub use ringfence_rules as rules;
pub use session::{
    Authorization, AuthorizeError, Cancel, Flow, OpenError, Opening, PerformError, RunError, Session, Streams,
    leftovers, record_denials,
};

/// Waits for the last processes of commands that have ended, which takes microseconds. A program that ends after its last
/// command calls it, so that whoever inherits its children isn't left to wait for them; one that goes on needn't.
pub fn settle() {
    #[cfg(target_os = "linux")]
    ringfence_sandbox::settle();
}

/// This machine, as settings are gathered from it: with what tells on Windows who may change a file that constrains.
#[must_use]
pub const fn machine() -> ringfence_config::Machine {
    #[cfg(windows)]
    let descriptor: Option<ringfence_config::gather::Descriptor> = Some(ringfence_sandbox::security_descriptor);
    #[cfg(not(windows))]
    let descriptor = None;
    ringfence_config::Machine::with_descriptor(descriptor)
}
