//! Compiles a wish and the facts of a host into a plan. Pure: no files, clock, environment or system calls, so that
//! every plan for every system can be made and compared anywhere.

#![forbid(unsafe_code)]

use crate::host::HostFacts;
use crate::plan::{Plan, Promise};
use ringfence_model::confinement::NetworkWish;
use ringfence_model::{Confinement, Origin, Tier};
use serde::{Deserialize, Serialize};
use std::fmt;

pub mod bwrap_tier;
mod capabilities;
mod common;
pub mod landlock;
mod landlock_tier;
mod linux;
mod macos;
mod paths;
pub mod print;
pub mod windows;

/// What the caller decides beyond the wish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The tier to use; none: the most capable that the wish and the host allow.
    pub tier: Option<Tier>,
}

/// The musts that this host can't hold, each with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unenforceable {
    /// All of them.
    pub unmet: Vec<Unmet>,
}

/// One must that can't be held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmet {
    /// The promise; none when no tier works at all.
    pub promise: Option<Promise>,
    /// What can't be held.
    pub what: String,
    /// Why, on this host.
    pub why: String,
    /// What would change it; may be empty.
    pub remedy: String,
    /// The setting that asked for it.
    pub origin: Origin,
}

impl fmt::Display for Unenforceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, unmet) in self.unmet.iter().enumerate() {
            let comma = if index == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {} ({})", unmet.what, unmet.why, unmet.origin)?;
        }
        Ok(())
    }
}

impl std::error::Error for Unenforceable {}

/// Makes the plan for `wish` on `host`. The same input gives the same bytes.
pub fn compile(wish: &Confinement, host: &HostFacts, options: &Options) -> Result<Plan, Unenforceable> {
    let tier = common::tier(wish, host, options)?;
    let unbuilt = unbuilt(wish);
    if !unbuilt.is_empty() {
        return Err(Unenforceable { unmet: unbuilt });
    }
    match tier {
        Tier::Unconfined => Ok(common::unconfined(wish, host)),
        Tier::Namespaces => linux::namespaces(wish, host),
        Tier::Bwrap => bwrap_tier::plan(wish, host),
        Tier::Seatbelt => macos::seatbelt(wish, host),
        Tier::Landlock => landlock_tier::plan(wish, host),
        Tier::Windows => windows::unelevated(wish, host),
    }
}

/// Settings that would have no effect: an error, since whoever set them relies on them.
fn unbuilt(wish: &Confinement) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    if let Some(limit) = &wish.limits.output {
        unmet.push(Unmet {
            promise: Some(Promise::Limits),
            what: "the limit on output".to_owned(),
            why: "what a command prints isn't counted in this version".to_owned(),
            remedy: "remove `limits.output`".to_owned(),
            origin: limit.origin.clone(),
        });
    }
    if let NetworkWish::Proxy { transparent: true, .. } = wish.network.value {
        unmet.push(Unmet {
            promise: Some(Promise::NetworkProxy),
            what: "`network.transparent`".to_owned(),
            why: "in this version programs that ignore the proxy's variables have no network".to_owned(),
            remedy: "remove `network.transparent`".to_owned(),
            origin: wish.network.origin.clone(),
        });
    }
    unmet
}
