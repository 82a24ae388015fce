//! Seccomp user notification, the broker's way of being asked: a listener, handing back a descriptor in one step
//! (Linux 5.14), and the wake-up that saves a scheduling round (Linux 6.6).

use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::trial::{self, Listener};

pub(super) fn probe(around: &Surroundings) -> (Finding, Finding) {
    const CALL: &str = "seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)";
    let fix = |_: &str, errno: i32| advise(Need::Seccomp, errno, around);
    let listener = || {
        trial::no_new_privs()?;
        trial::seccomp(CALL, Listener::New)
    };
    let notification = tried(|| listener().and_then(trial::addfd_send), fix);
    let wake = tried(
        || listener().and_then(trial::sync_wake),
        |_, _| Some("Linux 6.6 or later has it; only speed depends on it".into()),
    );
    let source = "seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER), ioctl(SECCOMP_IOCTL_NOTIF_ADDFD)";
    let serves = "the broker: absent protected names, unix sockets, deny-read globs; the landlock tier";
    let first = Finding::new("notification", notification, source, serves);
    let source = "ioctl(SECCOMP_IOCTL_NOTIF_SET_FLAGS)";
    (first, Finding::new("notification-wake", wake, source, "speed of brokered calls"))
}
