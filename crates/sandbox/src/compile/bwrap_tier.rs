//! The bwrap tier: the plan of the namespaces tier, in a user namespace that the host's `bwrap` makes, for hosts where only
//! it may.

use super::common::{step, unmet};
use super::{Unenforceable, linux};
use crate::host::HostFacts;
use crate::plan::{Act, IdMap, Insistence, Plan, Promise};
use ringfence_model::{Confinement, OsText, Tier};

/// What `bwrap` is told. The program inside only waits until its standard input ends, with the supervisor.
pub const ARGUMENTS: &[&str] = &[
    "--unshare-user",
    "--die-with-parent",
    "--ro-bind",
    "/",
    "/",
    "--info-fd",
    "1",
    "--",
    "/bin/sh",
    "-c",
    "read wait",
];
/// `kind` of the step that names it.
pub const STEP: &str = "bwrap-arguments";

/// Makes the plan of the bwrap tier.
pub(super) fn plan(wish: &Confinement, host: &HostFacts) -> Result<Plan, Unenforceable> {
    let refused = |why: &str, remedy: &str| Unenforceable {
        unmet: vec![unmet(None, "the `bwrap` tier", why, remedy, &wish.backend.origin)],
    };
    let Some(bwrap) = &host.bwrap else {
        return Err(refused("no `bwrap` that only root can change was found", "install the `bubblewrap` package"));
    };
    if bwrap.setuid && host.uid != Some(0) {
        return Err(refused(
            "a set-user-id `bwrap` makes no user namespace that could be entered",
            "`chmod u-s` it, if this kernel lets users make namespaces",
        ));
    }
    let mut plan = linux::namespaces(wish, host)?;
    plan.tier = Tier::Bwrap;
    for step in &mut plan.steps {
        match &mut step.act {
            // It maps the present user and group alone.
            Act::Namespaces { identity, .. } => *identity = IdMap::Own,
            Act::CapabilityFile { content, .. } => *content = super::capabilities::file(wish, Tier::Bwrap),
            _ => {}
        }
    }
    for var in &mut plan.environment {
        if var.name.as_str() == Some("RINGFENCE_SANDBOX") {
            var.value = OsText::new(Tier::Bwrap.name());
        }
    }
    let mut lines = vec![OsText::new(bwrap.path.as_os_str())];
    lines.extend(ARGUMENTS.iter().map(|&argument| OsText::new(argument)));
    let act = Act::Native { kind: STEP.to_owned(), lines };
    let native = step(act, Promise::Processes, Insistence::Must, &wish.backend.origin, "its user namespace is entered");
    plan.steps.insert(0, native);
    Ok(plan)
}
