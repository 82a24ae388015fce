//! Descriptors of this process: what serves a sandbox may need many more than one command does.

use crate::child::Rlimit;
use crate::sys::process;
use std::sync::OnceLock;

/// Soft and hard limit that this process was started with, once it has raised its own.
static STARTED_WITH: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises this process's own limit on open descriptors to `wanted`, or as far as it may, and says what it is now. Commands
/// that are run afterwards get the limits that this process was started with: programs count on a small one (`select`).
#[must_use]
pub fn raise_descriptors(wanted: u64) -> u64 {
    let Ok((soft, hard)) = process::getrlimit(libc::RLIMIT_NOFILE) else { return 0 };
    let raised = wanted.min(hard);
    if raised <= soft {
        return soft;
    }
    let _ = STARTED_WITH.set((soft, hard));
    match process::setrlimit(libc::RLIMIT_NOFILE, raised, hard) {
        Ok(()) => raised,
        Err(_) => soft,
    }
}

/// The limits that commands get back, if this process has raised its own.
pub(super) fn started_with() -> Option<Rlimit> {
    let (soft, hard) = STARTED_WITH.get()?;
    Some(Rlimit { resource: libc::RLIMIT_NOFILE, soft: *soft, hard: *hard })
}
