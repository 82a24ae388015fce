//! What the broker refused, kept for the report: bounded, the same thing once.

use super::rules::Refusal;
use ringfence_model::text::{Untrusted, escape_bytes};
use ringfence_model::{Denial, Evidence};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// As many different denials as are kept; further ones are only counted.
const KEPT: usize = 256;

/// The denials of one run.
#[derive(Debug, Default)]
pub struct Record {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    denials: Vec<Denial>,
    more: u64,
}

impl Record {
    /// Adds a refusal of `operation` on `target`.
    pub fn add(&self, refusal: Refusal, operation: &str, target: &[u8]) {
        let target = match std::str::from_utf8(target) {
            Ok(text) => Untrusted::new(text),
            Err(_) => Untrusted::new(escape_bytes(target)),
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inner
            .denials
            .iter()
            .any(|denial| denial.rule == refusal.rule && denial.operation == operation && denial.target == target);
        if known || inner.denials.len() >= KEPT {
            inner.more = inner.more.saturating_add(u64::from(!known));
            return;
        }
        let number = inner.denials.len() + 1;
        inner.denials.push(Denial {
            id: format!("b{:x}-{number}", now()),
            kind: refusal.kind,
            target,
            operation: operation.to_owned(),
            rule: refusal.rule.to_owned(),
            origin: refusal.origin,
            evidence: Evidence::Broker,
            allow_with: refusal.allow_with,
            answered: false,
        });
    }

    /// What was refused so far.
    #[must_use]
    pub fn denials(&self) -> Vec<Denial> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).denials.clone()
    }

    /// How many further ones there were.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).more
    }
}

/// Microseconds since the epoch: makes ids unique within a journal together with the number.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfence_model::{DenialKind, Origin};
    use rustix::io::Errno;

    fn refusal() -> Refusal {
        Refusal {
            errno: Errno::ACCESS,
            kind: DenialKind::ProtectedPath,
            rule: "protected-path",
            origin: Origin::builtin("test"),
            allow_with: Vec::new(),
        }
    }

    #[test]
    fn a_flood_of_refusals_takes_bounded_memory_and_repeats_count_once() {
        let record = Record::default();
        for round in 0..3 {
            for number in 0..1000 {
                record.add(refusal(), "create", format!("/w/{number}").as_bytes());
            }
            assert_eq!(record.denials().len(), KEPT, "{round}");
        }
        let mut ids: Vec<String> = record.denials().into_iter().map(|denial| denial.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), KEPT);
        assert!(record.more() > 0);
    }
}
