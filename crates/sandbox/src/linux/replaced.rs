//! What lies under a mount while the command runs, and was replaced by a program outside: the kernel takes the mount away
//! with what it was on, so nothing covers what took its place. Held it can't be; it is said.

use crate::enforced::{Enforced, StepResult};
use crate::plan::{Act, Plan};
use ringfence_model::facts::FileKind;
use ringfence_model::{AbsPath, Tier};
use rustix::fs::lstat;

/// A path that a mount is on.
#[derive(Debug)]
pub(super) struct Covered {
    /// Index of its step in the plan.
    step: usize,
    path: AbsPath,
    /// Which file it was.
    was: (u64, u64),
}

/// Those of `plan`. What it says of single files the broker holds, by their names.
pub(super) fn remember(plan: &Plan) -> Vec<Covered> {
    if !matches!(plan.tier, Tier::Namespaces | Tier::Bwrap) {
        return Vec::new();
    }
    let covered = plan.steps.iter().enumerate().filter_map(|(step, wish)| match &wish.act {
        Act::ReadOnlyPath { path, found: FileKind::Directory, .. } | Act::Mask { path } => {
            Some(Covered { step, was: identity(path)?, path: path.clone() })
        }
        _ => None,
    });
    covered.collect()
}

/// Marks the steps of those that are others now.
pub(super) fn mark(covered: &[Covered], plan: &Plan, enforced: &mut [Enforced]) {
    for one in covered.iter().filter(|one| identity(&one.path).is_some_and(|now| now != one.was)) {
        let masked = plan.steps.get(one.step).is_some_and(|step| matches!(step.act, Act::Mask { .. }));
        let could = if masked { "could be read" } else { "could be changed" };
        if let Some(found) = enforced.get_mut(one.step) {
            let path = one.path.display();
            let how =
                format!("`{path}` was replaced from outside while the command ran; what is there now {could} by it");
            let remedy = match masked {
                true => "deny a pattern (`/**/NAME`): what has a name that matches is never opened",
                false => "look at it before you use it; `linux.backend = \"landlock\"` holds it all the same",
            };
            found.result = StepResult::Weakened { how, remedy: remedy.to_owned() };
        }
    }
}

fn identity(path: &AbsPath) -> Option<(u64, u64)> {
    #[allow(clippy::unnecessary_cast)]
    lstat(path.as_path()).ok().map(|stat| (stat.st_dev as u64, stat.st_ino as u64))
}
