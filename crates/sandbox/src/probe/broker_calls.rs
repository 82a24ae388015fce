//! Calls that the supervisor makes on behalf of the command: a container's filter may hide any of them.

use super::remedy::{Need, advise};
use super::surroundings::Surroundings;
use super::{Finding, tried};
use crate::sys::trial::{self, Attempt};

pub(super) fn probe(around: &Surroundings) -> Vec<Finding> {
    /// Name, trial, source, what it serves.
    type Row = (&'static str, fn() -> Attempt, &'static str, &'static str);
    const CALLS: &[Row] = &[
        ("pidfd-getfd", trial::pidfd_getfd, "pidfd_getfd()", "the broker: connecting the command's socket"),
        ("process-vm-readv", trial::process_vm_readv, "process_vm_readv()", "the broker: copying paths and addresses"),
        ("openat2", trial::openat2, "openat2(RESOLVE_IN_ROOT)", "the broker: resolving in the command's view"),
        ("socket-diagnostics", trial::sock_diag, "socket(NETLINK_SOCK_DIAG)", "the broker: whose socket a path is"),
    ];
    CALLS
        .iter()
        .map(|(name, call, source, serves)| {
            let result = tried(call, |_, errno| advise(Need::BrokerCall, errno, around));
            Finding::new(name, result, source, serves)
        })
        .collect()
}
