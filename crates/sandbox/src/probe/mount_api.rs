//! The new mount calls (`open_tree`, `mount_setattr`, `move_mount`; Linux 5.12), with which a tree is made read-only at
//! once and mounted from a descriptor.

use super::namespaces::{Maps, private_tmpfs};
use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::trial;

pub(super) fn probe(around: &Surroundings) -> Finding {
    let maps = Maps::for_us();
    let result = tried(
        || {
            maps.enter()?;
            private_tmpfs()?;
            trial::clone_tree(c"/tmp")
        },
        |_, errno| advise(Need::Namespaces, errno, around),
    );
    let source = "open_tree(OPEN_TREE_CLONE), mount_setattr(MOUNT_ATTR_RDONLY), move_mount()";
    Finding::new("mount-api", result, source, "the namespaces tier")
}
