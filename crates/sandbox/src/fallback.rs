//! What is tried next where a tier turns out not to hold: a start takes much for granted that only trying shows.

use crate::compile::{Options, Unenforceable, compile};
use crate::plan::Plan;
use crate::probe;
use ringfence_model::confinement::{NetworkWish, ProxyListeners};
use ringfence_model::{Confinement, Tier};

/// Whether the proxy, if there is one, must listen on the machine's own loopback for this plan, since the sandbox has none of
/// its own, and doesn't yet.
#[must_use]
pub fn needs_shared_proxy(wish: &Confinement, plan: &Plan) -> bool {
    plan.tier == Tier::Landlock
        && matches!(wish.network.value, NetworkWish::Proxy { listeners: ProxyListeners::Inside, .. })
}

/// Plans of the tiers after `tried` that pass their self-test here, most capable first. Where there is none, the error says
/// of every tier why it isn't had, if the self-tests know.
pub fn after(wish: &Confinement, tried: Tier) -> Result<Vec<Plan>, Unenforceable> {
    let mut facts = probe::survey().facts;
    if let Some(known) = &mut facts.linux {
        known.cgroup = probe::cgroup_for(wish);
    }
    let own_network = matches!(wish.network.value, NetworkWish::Proxy { listeners: ProxyListeners::Inside, .. });
    let weaker = facts.tiers().into_iter().filter(|tier| {
        // Nobody would answer there: the caller has the proxy listen on the machine first, and asks again.
        rank(*tier) > rank(tried) && !(own_network && *tier == Tier::Landlock)
    });
    let mut plans = Vec::new();
    let mut refused = None;
    for tier in weaker {
        match compile(wish, &facts, &Options { tier: Some(tier) }) {
            Ok(plan) => plans.push(plan),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if plans.is_empty() => Err(error),
        // Without any tier the compiler itself names what each lacks.
        None if plans.is_empty() => compile(wish, &facts, &Options::default()).map(|_| Vec::new()),
        _ => Ok(plans),
    }
}

fn rank(tier: Tier) -> u8 {
    match tier {
        Tier::Namespaces => 0,
        Tier::Bwrap => 1,
        _ => 2,
    }
}
