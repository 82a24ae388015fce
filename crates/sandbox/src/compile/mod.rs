//! Compiles a wish and the facts of a host into a plan. Pure: no files, clock, environment or system calls, so that
//! every plan for every system can be made and compared anywhere.

#![forbid(unsafe_code)]

use crate::host::{HostFacts, System, Tried};
use crate::plan::{Brokered, Plan, Promise};
use ringfence_model::confinement::{NetworkWish, ProxyListeners};
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

/// How a control group is had for a run: from the system's service manager.
pub const CGROUP_REMEDY: &str = "systemd-run --user --scope -p Delegate=yes ringfence …";

/// Makes the plan for `wish` on `host`. The same input gives the same bytes.
pub fn compile(wish: &Confinement, host: &HostFacts, options: &Options) -> Result<Plan, Unenforceable> {
    let tier = common::tier(wish, host, options)?;
    let unbuilt = unbuilt(wish, host, tier);
    if !unbuilt.is_empty() {
        return Err(Unenforceable { unmet: unbuilt });
    }
    match tier {
        Tier::Unconfined => Ok(common::unconfined(wish, host)),
        Tier::Namespaces => linux::namespaces(wish, host).and_then(|plan| with_broker(plan, host)),
        Tier::Bwrap => bwrap_tier::plan(wish, host).and_then(|plan| with_broker(plan, host)),
        Tier::Seatbelt => macos::seatbelt(wish, host),
        Tier::Landlock => landlock_tier::plan(wish, host),
        Tier::Windows => windows::unelevated(wish, host),
    }
}

/// Refuses a plan that leaves something to the broker on a host where none can be had: inside a program that is one.
fn with_broker(plan: Plan, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let failure = host.linux.as_ref().and_then(|linux| match &linux.notification {
        Tried::Fails { why, remedy } => Some((why, remedy.clone().unwrap_or_default())),
        _ => None,
    });
    let Some((why, remedy)) = failure else { return Ok(plan) };
    let mut unmet: Vec<Unmet> = Vec::new();
    // A mount holds what is there already.
    for (step, wish) in
        plan.brokered().filter(|(_, wish)| !matches!(wish, Brokered::ProtectedName { present: true, .. }))
    {
        // One of each promise stands for the others.
        if unmet.iter().any(|known| known.promise == Some(step.promise)) {
            continue;
        }
        unmet.push(common::unmet(
            step.promise,
            format!("`{}` ({})", step.promise, print::brokered(wish)),
            format!("only the broker holds it, and none can be had: {why}"),
            remedy.clone(),
            &step.origin,
        ));
    }
    if unmet.is_empty() { Ok(plan) } else { Err(Unenforceable { unmet }) }
}

/// Settings that would have no effect: an error, since whoever set them relies on them.
fn unbuilt(wish: &Confinement, host: &HostFacts, tier: Tier) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    if let Some(limit) = wish.limits.output.as_ref().filter(|_| host.system != System::Linux) {
        unmet.push(common::unmet(
            Promise::Limits,
            "the limit on output",
            "what a command prints isn't counted on this system",
            "remove `limits.output`",
            &limit.origin,
        ));
    }
    // What ignores the proxy's variables is caught by an interface, which needs a network of the sandbox's own.
    if let NetworkWish::Proxy { transparent: true, .. } = wish.network.value
        && !matches!(tier, Tier::Namespaces | Tier::Bwrap)
    {
        unmet.push(common::unmet(
            Promise::NetworkProxy,
            "`network.transparent`",
            format!("the `{tier}` tier gives the sandbox no network of its own to catch connections in"),
            "remove `network.transparent`, or use the `namespaces` or `bwrap` tier",
            &wish.network.origin,
        ));
    }
    // A network of the sandbox's own has a loopback of its own, where nobody would answer.
    if let NetworkWish::Proxy { listeners: ProxyListeners::Host, .. } = wish.network.value
        && matches!(tier, Tier::Namespaces | Tier::Bwrap)
    {
        unmet.push(common::unmet(
            Promise::NetworkProxy,
            "a proxy on the machine's own loopback",
            format!("in the `{tier}` tier the sandbox has a loopback of its own"),
            "have the proxy's listeners made inside, or use the `landlock` tier",
            &wish.network.origin,
        ));
    }
    unmet
}
