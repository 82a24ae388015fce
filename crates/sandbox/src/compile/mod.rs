//! Compiles a wish and the facts of a host into a plan. Pure: no files, clock, environment or system calls, so that
//! every plan for every system can be made and compared anywhere.

#![forbid(unsafe_code)]

use crate::host::{HostFacts, System, Tried};
use crate::plan::{Act, Brokered, Insistence, Plan, Promise, Shortfall};
use ringfence_model::confinement::{NetworkWish, ProxyListeners};
use ringfence_model::facts::FileKind;
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
        Tier::Unconfined => match host.system {
            System::Linux => Ok(common::unconfined(wish, host)),
            System::Macos => macos::unconfined(wish, host),
            System::Windows => windows::unconfined(wish, host),
        },
        Tier::Namespaces => linux::namespaces(wish, host).and_then(|plan| with_broker(plan, host)),
        Tier::Bwrap => bwrap_tier::plan(wish, host).and_then(|plan| with_broker(plan, host)),
        Tier::Seatbelt => macos::seatbelt(wish, host),
        Tier::Landlock => landlock_tier::plan(wish, host),
        Tier::Windows => windows::unelevated(wish, host),
    }
}

/// What becomes of a plan on a host where no broker can be had: inside a program that is one. It is refused if something is
/// left to the broker alone. What mounts or the kernel hold as well needs none, and what would have been better with one is
/// said.
fn with_broker(mut plan: Plan, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let failure = host.linux.as_ref().and_then(|linux| match &linux.notification {
        Tried::Fails { why, remedy } => Some((why, remedy.clone().unwrap_or_default())),
        _ => None,
    });
    let Some((why, remedy)) = failure else { return Ok(plan) };
    let mut unmet: Vec<Unmet> = Vec::new();
    let mut weaker: Vec<Shortfall> = Vec::new();
    for (step, wish) in plan.brokered().filter(|(_, wish)| !is_mounted(&plan, wish)) {
        if step.insistence == Insistence::Should {
            let (promise, what) = match wish {
                // The kernel holds the promise: nobody explains a refusal, that is all.
                Brokered::RefusedSockets { allowed } if allowed.is_empty() => continue,
                Brokered::RefusedSockets { .. } => {
                    (Promise::Work, "listed sockets that are made anew during the run can't be reached".to_owned())
                }
                _ => (step.promise, format!("what the broker adds ({})", print::brokered(wish))),
            };
            let (why, remedy) = (format!("no broker can be had: {why}"), remedy.clone());
            // Nobody else so much as looks at a watched name.
            let weakened = !matches!(wish, Brokered::WatchedName { .. });
            weaker.push(Shortfall { promise, weakened, what, why, remedy, origin: step.origin.clone() });
            continue;
        }
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
    if !unmet.is_empty() {
        return Err(Unenforceable { unmet });
    }
    let is_file = |act: &Act| matches!(act, Act::ReadOnlyPath { found, .. } if *found != FileKind::Directory);
    if let Some(step) = plan.steps.iter().find(|step| is_file(&step.act)) {
        weaker.push(Shortfall {
            promise: step.promise,
            weakened: true,
            what: "protected files that somebody outside replaces during the run".to_owned(),
            why: format!("a mount goes with the file it is on, and no broker can be had: {why}"),
            remedy: remedy.clone(),
            origin: step.origin.clone(),
        });
    }
    plan.steps.retain(|step| !matches!(step.act, Act::Broker(_)));
    plan.not_held.extend(weaker);
    Ok(plan)
}

/// Whether a mount holds what is left to the broker too. There is none on a link.
fn is_mounted(plan: &Plan, wish: &Brokered) -> bool {
    let Brokered::ProtectedName { path, present: true, .. } = wish else { return false };
    plan.steps.iter().any(|step| matches!(&step.act, Act::ReadOnlyPath { path: held, .. } if path.is_within(held)))
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
