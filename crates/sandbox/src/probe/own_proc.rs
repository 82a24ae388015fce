//! A fresh `/proc` for the sandbox's own processes. The kernel refuses it where an outer container masks parts of the
//! `/proc` that is there.

use super::namespaces::{Maps, private_tmpfs};
use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::trial;

pub(super) fn probe(around: &Surroundings) -> Finding {
    const CALL: &str = "mount(proc)";
    let maps = Maps::for_us();
    let result = tried(
        || {
            maps.enter()?;
            private_tmpfs()?;
            trial::unshare("unshare(CLONE_NEWPID)", libc::CLONE_NEWPID)?;
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            trial::in_grandchild(|| trial::mount(CALL, c"proc", c"/proc", Some(c"proc"), flags, None), CALL)
        },
        |call, errno| advise(if call == CALL { Need::Proc } else { Need::Namespaces }, errno, around),
    );
    Finding::new("own-proc", result, CALL, "processes outside can't be seen")
}
