//! Seccomp filters: which system calls exist inside.

use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::trial::{self, Listener};

pub(super) fn probe(around: &Surroundings) -> Finding {
    const CALL: &str = "seccomp(SECCOMP_SET_MODE_FILTER)";
    let result = tried(
        || {
            trial::no_new_privs()?;
            trial::seccomp(CALL, Listener::None).map(drop)
        },
        |_, errno| advise(Need::Seccomp, errno, around),
    );
    Finding::new("seccomp", result, CALL, "every tier")
}
