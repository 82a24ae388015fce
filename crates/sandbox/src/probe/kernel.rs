//! The kernel's release: whether it is new enough for anything to hold.

use super::Finding;
use super::surroundings::Surroundings;
use crate::host::Tried;

pub(super) fn probe(around: &Surroundings) -> Finding {
    let source = "/proc/sys/kernel/osrelease";
    let serves = "every tier needs Linux 5.14 or later";
    let tried = if !around.procfs {
        Tried::Fails { why: "/proc is not mounted".into(), remedy: Some("mount -t proc proc /proc   (as root)".into()) }
    } else if around.kernel < (5, 14) {
        Tried::Fails {
            why: format!("Linux {}.{} lacks calls that every tier needs", around.kernel.0, around.kernel.1),
            remedy: Some("use Linux 5.14 or later".into()),
        }
    } else {
        Tried::Works
    };
    Finding::new("kernel", tried, source, serves).detail(around.release.clone())
}
