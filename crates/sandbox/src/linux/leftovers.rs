//! Objects of System V that don't go by themselves when the last process that uses them does: semaphores and queues. They
//! are written down where process 1 sees them too, which removes them if the supervisor can't any more.

use crate::sys::ipc::{self, Kind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Room for all that one sandbox may have of both kinds.
const PLACES: usize = 1024;

/// The list. Only atomics: process 1 shares our memory.
#[derive(Debug)]
pub(crate) struct Leftovers([AtomicU64; PLACES]);

impl Default for Leftovers {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }
}

/// An object as one word that isn't 0.
fn word(kind: Kind, id: i32) -> u64 {
    let kind = match kind {
        Kind::Memory => 1,
        Kind::Semaphores => 2,
        Kind::Queue => 3,
    };
    kind << 32 | u64::from(id.cast_unsigned())
}

fn object(word: u64) -> Option<(Kind, i32)> {
    let kind = match word >> 32 {
        1 => Kind::Memory,
        2 => Kind::Semaphores,
        3 => Kind::Queue,
        _ => return None,
    };
    Some((kind, (word as u32).cast_signed()))
}

impl Leftovers {
    /// Writes one down; false if there is no room.
    pub(crate) fn add(&self, kind: Kind, id: i32) -> bool {
        let free = |place: &AtomicU64| place.compare_exchange(0, word(kind, id), SeqCst, SeqCst).is_ok();
        self.0.iter().any(free)
    }

    /// Strikes one out; false if it isn't there.
    pub(crate) fn take(&self, kind: Kind, id: i32) -> bool {
        let known = |place: &AtomicU64| place.compare_exchange(word(kind, id), 0, SeqCst, SeqCst).is_ok();
        self.0.iter().any(known)
    }

    /// Removes all that are there. Whoever strikes one out removes it, so that nobody does twice.
    pub(crate) fn remove_all(&self) {
        for place in &self.0 {
            if place.load(SeqCst) == 0 {
                continue;
            }
            if let Some((kind, id)) = object(place.swap(0, SeqCst)) {
                let _ = ipc::remove(kind, id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_and_not_struck_out_is_removed() {
        let list = Leftovers::default();
        let made = [Kind::Semaphores, Kind::Queue].map(|kind| (kind, ipc::get(kind, ipc::PRIVATE, 1, 0o600).unwrap()));
        assert!(made.iter().all(|(kind, id)| list.add(*kind, *id)));
        let spared = ipc::get(Kind::Queue, ipc::PRIVATE, 0, 0o600).unwrap();
        assert!(list.add(Kind::Queue, spared) && list.take(Kind::Queue, spared) && !list.take(Kind::Queue, spared));
        list.remove_all();
        assert!(made.iter().all(|(kind, id)| ipc::state(*kind, *id).is_err()));
        assert!(ipc::state(Kind::Queue, spared).is_ok());
        ipc::remove(Kind::Queue, spared).unwrap();
    }

    #[test]
    fn there_is_an_end_to_the_list() {
        let list = Leftovers::default();
        assert!((0..1024).all(|id| list.add(Kind::Semaphores, id)));
        assert!(!list.add(Kind::Semaphores, 1024));
        assert!(list.take(Kind::Semaphores, 512) && list.add(Kind::Queue, i32::MAX));
    }
}
