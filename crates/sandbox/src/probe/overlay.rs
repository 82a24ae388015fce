//! overlayfs in a user namespace: for trees that are thrown away after a run.

use super::namespaces::{Maps, private_tmpfs};
use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::trial;

pub(super) fn probe(around: &Surroundings) -> Finding {
    let maps = Maps::for_us();
    let options = c"lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w,userxattr";
    let result = tried(
        || {
            maps.enter()?;
            private_tmpfs()?;
            for directory in [c"/tmp/l", c"/tmp/u", c"/tmp/w", c"/tmp/m"] {
                trial::mkdir("mkdir()", directory)?;
            }
            trial::mount("mount(overlay)", c"overlay", c"/tmp/m", Some(c"overlay"), 0, Some(options))
        },
        |call, errno| {
            if call.starts_with("mount(overlay") {
                return Some("Linux 5.11 or later with CONFIG_OVERLAY_FS: `sudo modprobe overlay`".into());
            }
            advise(Need::Namespaces, errno, around)
        },
    );
    Finding::new("overlayfs", result, "mount(overlay, userxattr)", "nothing that is promised: trees thrown away later")
}
