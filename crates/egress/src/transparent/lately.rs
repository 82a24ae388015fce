//! What was refused a moment ago. A name has an address of either kind, and a program that isn't let in by one tries the
//! other at once: that is the same wish, which isn't judged, recorded or asked about twice.

use crate::host::{Host, Target};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// For so long after a refusal the other kind of address is the same wish.
const SAME: Duration = Duration::from_secs(1);
/// Refusals remembered.
const MAX: usize = 1024;

/// Refusals, with the kind of address and the time of each.
#[derive(Debug, Default)]
pub(super) struct Lately(HashMap<Target, (bool, Instant)>);

impl Lately {
    /// Remembers a refusal. An address has no second kind; and where both were tried at once, nothing is left to come.
    pub(super) fn note(&mut self, target: Target, is_v6: bool, now: Instant) {
        if self.take(&target, is_v6, now) {
            return;
        }
        if self.0.len() >= MAX {
            self.0.retain(|_, (_, at)| now.duration_since(*at) < SAME);
        }
        if matches!(target.host, Host::Name(_)) && self.0.len() < MAX {
            self.0.insert(target, (is_v6, now));
        }
    }

    /// Whether this is the second half of a wish that was refused. A third is a new wish.
    pub(super) fn take(&mut self, target: &Target, is_v6: bool, now: Instant) -> bool {
        let Some((known, at)) = self.0.get(target).copied() else { return false };
        let is_same = known != is_v6 && now.duration_since(at) < SAME;
        if is_same {
            self.0.remove(target);
        }
        is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_kind_of_address_is_refused_once_and_a_new_wish_is_judged() {
        let (mut lately, now) = (Lately::default(), Instant::now());
        let target = Target::parse("a.test:443", None).unwrap();
        assert!(!lately.take(&target, true, now));
        lately.note(target.clone(), true, now);
        assert!(!lately.take(&target, true, now), "the same kind again is a new wish");
        assert!(!lately.take(&Target::parse("a.test:80", None).unwrap(), false, now));
        assert!(lately.take(&target, false, now + SAME / 2));
        assert!(!lately.take(&target, false, now + SAME / 2));
        lately.note(target.clone(), false, now);
        assert!(!lately.take(&target, true, now + SAME));
        lately.note(target.clone(), true, now);
        assert!(!lately.take(&target, false, now) && !lately.take(&target, true, now), "both were refused");
        lately.note(Target::parse("192.0.2.1:80", None).unwrap(), false, now);
        assert_eq!(lately.0.len(), 0);
        for index in 0..MAX * 2 {
            lately.note(Target::parse(&format!("n{index}.test:80"), None).unwrap(), false, now);
        }
        assert_eq!(lately.0.len(), MAX);
    }
}
