//! Does this process run under Ringfence? An agent must not approve its own requests, change rules or switch presets.
//!
//! Inside a sandbox the sandbox itself is what stops it: Ringfence's home is read-only, the inbox can't be reached. This
//! module is for the other half: a command that was allowed to run outside, and a clear refusal instead of an error from
//! deep down. What it goes by, strongest first:
//!
//! 1. an ancestor is Ringfence: the same program file as ours, or a process by its name, which the program gives itself
//!    whatever its file is called. Process 1 of a sandbox is Ringfence too, so this also holds inside one, where the
//!    variables below could have been removed;
//! 2. the capability file that only a sandbox has is mounted where its variable says;
//! 3. the variables that Ringfence sets inside. Their absence proves nothing; nobody sets them by accident.
//!
//! A process that left its ancestors (a daemon that a command started outside left behind) isn't recognised by the first,
//! and can remove the third. That is the limit of running something outside the sandbox at all: it can then do what the
//! person can do.

use std::fmt;

/// Why a process counts as running under Ringfence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// This ancestor is Ringfence.
    Ancestor {
        /// Its process id.
        pid: u32,
    },
    /// A variable that Ringfence sets inside.
    Variable {
        /// Its name.
        name: &'static str,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ancestor { pid } => write!(f, "its ancestor, process {pid}, is Ringfence"),
            Self::Variable { name } => write!(f, "the variable `{name}` is set"),
        }
    }
}

/// What only a person's own process may do was tried by one that runs under Ringfence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} isn't possible from a process that runs under Ringfence ({evidence}); do it in your own terminal")]
pub struct SelfApproval {
    /// What was tried.
    pub what: String,
    /// How it is known.
    pub evidence: Evidence,
}

/// Variables that are only set under Ringfence.
const VARIABLES: &[&str] =
    &["RINGFENCE_SANDBOX", "RINGFENCE_SANDBOX_NETWORK", "RINGFENCE_CAPABILITIES", "RINGFENCE_RUN"];

/// Refuses `what` to a process that runs under Ringfence.
pub fn refuse(what: &str) -> Result<(), SelfApproval> {
    match evidence() {
        Some(evidence) => Err(SelfApproval { what: what.to_owned(), evidence }),
        None => Ok(()),
    }
}

/// Whether this process runs under Ringfence, and how that is known.
#[must_use]
pub fn evidence() -> Option<Evidence> {
    ancestor().or_else(|| {
        let set = VARIABLES.iter().find(|name| std::env::var_os(name).is_some());
        set.map(|name| Evidence::Variable { name })
    })
}

/// Whether another process runs under Ringfence; one that can't be looked at counts as such. Its own being Ringfence is no
/// evidence: somebody's `ringfence approvals` is.
#[cfg(target_os = "linux")]
#[must_use]
pub fn evidence_of(pid: u32) -> Option<Evidence> {
    let Some(parent) = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parent) else {
        return Some(Evidence::Ancestor { pid });
    };
    ancestor_from(parent)
}

#[cfg(target_os = "linux")]
fn ancestor() -> Option<Evidence> {
    ancestor_from(parent(&std::fs::read_to_string("/proc/self/stat").ok()?)?)
}

/// The first that is Ringfence, of a process and its ancestors.
#[cfg(target_os = "linux")]
fn ancestor_from(mut pid: u32) -> Option<Evidence> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    let own = fs::metadata("/proc/self/exe").ok().map(|meta| (meta.dev(), meta.ino()));
    // A chain longer than this is no honest one; whoever made it is refused.
    for _ in 0..4096 {
        if pid == 0 {
            return None;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let exe = fs::metadata(format!("/proc/{pid}/exe")).ok().map(|meta| (meta.dev(), meta.ino()));
        let same_file = exe.is_some() && exe == own && is_ringfence();
        // A supervisor can't be looked into, so its program file may not show; its name does.
        if same_file || name(&stat) == Some("ringfence") {
            return Some(Evidence::Ancestor { pid });
        }
        pid = parent(&stat)?;
    }
    Some(Evidence::Ancestor { pid })
}

#[cfg(not(target_os = "linux"))]
fn ancestor() -> Option<Evidence> {
    None
}

/// Whether we are the `ringfence` program rather than one that embeds the library: an agent may well start itself.
#[cfg(target_os = "linux")]
fn is_ringfence() -> bool {
    std::fs::read_to_string("/proc/self/comm").is_ok_and(|name| name.trim_end() == "ringfence")
}

/// The parent in a line of `/proc/PID/stat`. The name in brackets may hold anything, brackets too.
#[cfg(any(target_os = "linux", test))]
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(any(target_os = "linux", test))]
fn name(stat: &str) -> Option<&str> {
    let (before, _) = stat.rsplit_once(") ")?;
    Some(before.split_once('(')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ap_04_a_name_in_the_process_table_can_hold_anything() {
        let stat = "42 (a) R 7 (x) S 41 42 42 0 -1";
        assert_eq!(parent(stat), Some(41));
        assert_eq!(name(stat), Some("a) R 7 (x"));
        assert_eq!(name("42 (ringfence) S 1 42"), Some("ringfence"));
        assert_eq!(parent("garbage"), None);
    }
}
