//! Which objects of System V were made inside, what they are called there, and which calls on them have been let go. Pure.
//!
//! The kernel gives a number again only after many others: it counts up a part of it each time it comes round. So a call
//! that was let go on a number can only meet a stranger's object if it hasn't begun when tens of thousands of others were
//! made, and this table is asked before each is made.

use crate::sys::ipc::{Kind, PRIVATE};
use rustix::io::Errno;
use std::collections::HashMap;

/// As many objects of one kind as a sandbox may have. A host lets all together have 4096 pieces of shared memory.
const MOST: usize = 512;
/// As many objects as may be made before calls are asked about that were let go on one which is gone since.
///
/// A number comes round after 65,536 turns through 64 places or more, of which a third or more are free (Linux 5.2 and later;
/// with `ipcmni_extend` 128 turns through 4096).
const TURN: u32 = 1 << 15;

/// An object made inside.
#[derive(Debug)]
pub(super) struct Object<T> {
    /// What it is called inside; [`PRIVATE`] if nothing.
    pub key: i32,
    /// Bytes, or how many semaphores.
    pub size: usize,
    /// How many bytes it can come to have.
    pub bytes: u64,
    /// Whoever made it.
    pub maker: u32,
    /// What keeps it.
    pub keep: T,
    /// It goes when nobody has it attached any more. Until then it is reached by its number, as the kernel has it.
    pub marked: bool,
}

/// What is to be done about `*get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Get {
    /// There is none of this key: make one.
    Make,
    /// It is this one, if the caller may have it.
    Have(i32),
    /// It fails.
    Fail(Errno),
}

/// The objects of one sandbox.
#[derive(Debug)]
pub(super) struct Table<T> {
    objects: HashMap<(Kind, i32), Object<T>>,
    keys: HashMap<(Kind, i32), i32>,
    /// Bytes that all may come to have.
    most_bytes: u64,
    /// The last call of each thread that was let go.
    let_go: HashMap<u32, (Kind, i32)>,
    /// At so many, those that are over are dropped.
    sweep_at: usize,
    /// Objects made since all calls on objects that are gone were known to be over.
    made: u32,
}

impl<T: Default> Table<T> {
    /// Empty. All objects together may have `most_bytes`.
    pub(super) fn new(most_bytes: u64) -> Self {
        let (objects, keys, let_go) = Default::default();
        Self { objects, keys, most_bytes, let_go, sweep_at: MOST, made: 0 }
    }

    /// What `*get` of `key` is to do.
    pub(super) fn find(&self, kind: Kind, key: i32, size: usize, flags: i32) -> Get {
        if key == PRIVATE {
            return Get::Make;
        }
        let found = self.keys.get(&(kind, key)).and_then(|id| Some((*id, self.objects.get(&(kind, *id))?)));
        let asks = |flag: i32| flags & flag != 0;
        match found {
            None if asks(libc::IPC_CREAT) => Get::Make,
            None => Get::Fail(Errno::NOENT),
            Some(_) if asks(libc::IPC_CREAT) && asks(libc::IPC_EXCL) => Get::Fail(Errno::EXIST),
            Some((_, object)) if size > object.size => Get::Fail(Errno::INVAL),
            Some((id, _)) => Get::Have(id),
        }
    }

    /// Whether one more may be made. `is_over` says whether a thread has come out of the call that was let go.
    pub(super) fn make_room(
        &mut self,
        kind: Kind,
        bytes: u64,
        is_over: impl Fn(u32, Kind, i32) -> bool,
    ) -> Result<(), Errno> {
        let have: u64 = self.objects.values().map(|object| object.bytes).fold(0, u64::saturating_add);
        if have.saturating_add(bytes) > self.most_bytes {
            return Err(Errno::NOMEM);
        }
        if self.objects.keys().filter(|(known, _)| *known == kind).count() >= MOST {
            return Err(Errno::NOSPC);
        }
        if self.made >= TURN {
            let objects = &self.objects;
            let stays = |object: (Kind, i32)| objects.get(&object).is_some_and(|object| !object.marked);
            self.let_go.retain(|thread, (kind, id)| stays((*kind, *id)) || !is_over(*thread, *kind, *id));
            if self.let_go.values().any(|object| !stays(*object)) {
                return Err(Errno::NOSPC);
            }
            self.made = 0;
        }
        Ok(())
    }

    /// Adds one that was made.
    pub(super) fn add(&mut self, kind: Kind, id: i32, object: Object<T>) {
        self.made = self.made.saturating_add(1);
        if object.key != PRIVATE {
            self.keys.insert((kind, object.key), id);
        }
        self.objects.insert((kind, id), object);
    }

    /// The object of this number.
    pub(super) fn get(&self, kind: Kind, id: i32) -> Option<&Object<T>> {
        self.objects.get(&(kind, id))
    }

    /// Its key is free, nothing of ours keeps it any more, and it is reached by its number until it is gone.
    pub(super) fn mark(&mut self, kind: Kind, id: i32) -> Option<T> {
        let object = self.objects.get_mut(&(kind, id))?;
        let (key, keep) = (std::mem::replace(&mut object.key, PRIVATE), std::mem::take(&mut object.keep));
        object.marked = true;
        if self.keys.get(&(kind, key)) == Some(&id) {
            self.keys.remove(&(kind, key));
        }
        Some(keep)
    }

    /// Forgets those that were marked and are gone.
    pub(super) fn forget_gone(&mut self, is_gone: impl Fn(Kind, i32) -> bool) {
        self.objects.retain(|(kind, id), object| !object.marked || !is_gone(*kind, *id));
    }

    /// Takes it out: its key is free, and calls on its number fail from now on.
    pub(super) fn remove(&mut self, kind: Kind, id: i32) -> Option<Object<T>> {
        let object = self.objects.remove(&(kind, id))?;
        if self.keys.get(&(kind, object.key)) == Some(&id) {
            self.keys.remove(&(kind, object.key));
        }
        Some(object)
    }

    /// Remembers that a call of `thread` on this object is let go; false if there is no such object.
    pub(super) fn let_go(
        &mut self,
        thread: u32,
        kind: Kind,
        id: i32,
        is_over: impl Fn(u32, Kind, i32) -> bool,
    ) -> bool {
        if !self.objects.contains_key(&(kind, id)) {
            return false;
        }
        if self.let_go.len() >= self.sweep_at {
            self.let_go.retain(|thread, (kind, id)| !is_over(*thread, *kind, *id));
            // Those that are left wait in the kernel, as many as there are threads.
            self.sweep_at = MOST.max(self.let_go.len().saturating_mul(2));
        }
        // Whatever this thread called before is over: it calls again.
        self.let_go.insert(thread, (kind, id));
        true
    }

    /// All of them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Kind, i32, Object<T>)> + '_ {
        self.keys.clear();
        self.objects.drain().map(|((kind, id), object)| (kind, id, object))
    }
}

/// Whether the owner of something with this mode may have it as these flags ask (the kernel's own rule).
pub(super) fn owner_may(mode: u32, flags: i32) -> bool {
    let flags = flags.cast_unsigned();
    let asked = (flags >> 6) | (flags >> 3) | flags;
    asked & !(mode >> 6) & 0o7 == 0
}

/// What a `*ctl` command is to be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// The kernel's doing: it reads or changes this object alone.
    Use,
    /// What the kernel says, with what we did to it taken back.
    Tell,
    /// It goes.
    Remove,
    /// It would tell of everybody's objects.
    Others,
    /// There is no such command.
    Unknown,
}

/// Sorts the commands of one kind.
pub(super) fn control(kind: Kind, command: i32) -> Control {
    const INFO: i32 = 3;
    match (kind, command) {
        (_, libc::IPC_RMID) => Control::Remove,
        (Kind::Memory, libc::IPC_STAT) => Control::Tell,
        (_, libc::IPC_STAT | libc::IPC_SET) => Control::Use,
        // `SHM_LOCK`, `SHM_UNLOCK`; values and counts of semaphores.
        (Kind::Memory, 11 | 12) | (Kind::Semaphores, 11..=17) => Control::Use,
        // By place in the kernel's table instead of by number, and totals.
        (_, INFO) | (Kind::Memory, 13..=15) | (Kind::Semaphores, 18..=20) | (Kind::Queue, 11..=13) => Control::Others,
        _ => Control::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const CREATE: i32 = libc::IPC_CREAT;
    const ALONE: i32 = libc::IPC_CREAT | libc::IPC_EXCL;

    fn object(key: i32, size: usize) -> Object<()> {
        Object { key, size, bytes: size as u64, maker: 1, keep: (), marked: false }
    }

    fn table() -> Table<()> {
        Table::new(1 << 20)
    }

    #[test]
    fn a_key_means_what_was_made_inside_and_nothing_else() {
        let mut table = table();
        let find = |table: &Table<()>, size, flags| table.find(Kind::Memory, 7, size, flags);
        assert_eq!(find(&table, 0, 0), Get::Fail(Errno::NOENT));
        assert_eq!(find(&table, 9, ALONE), Get::Make);
        table.add(Kind::Memory, 3, object(7, 100));
        assert_eq!(find(&table, 0, 0), Get::Have(3));
        assert_eq!(find(&table, 100, CREATE), Get::Have(3));
        assert_eq!(find(&table, 101, CREATE), Get::Fail(Errno::INVAL));
        assert_eq!(find(&table, 9, ALONE), Get::Fail(Errno::EXIST));
        assert_eq!(table.find(Kind::Memory, PRIVATE, 9, 0), Get::Make);
        assert_eq!(table.find(Kind::Queue, 7, 0, 0), Get::Fail(Errno::NOENT), "each kind has keys of its own");
        assert!(table.remove(Kind::Memory, 3).is_some());
        assert_eq!(find(&table, 0, 0), Get::Fail(Errno::NOENT));
        assert!(!table.let_go(1, Kind::Memory, 3, |_, _, _| true), "what was removed is not reached by its number");
    }

    #[test]
    fn what_is_marked_has_no_key_and_is_reached_by_its_number_until_it_is_gone() {
        let mut table = table();
        table.add(Kind::Memory, 3, object(7, 100));
        assert!(table.mark(Kind::Memory, 3).is_some() && table.mark(Kind::Memory, 4).is_none());
        assert_eq!(table.find(Kind::Memory, 7, 0, 0), Get::Fail(Errno::NOENT));
        table.add(Kind::Memory, 4, object(7, 100));
        assert!(table.mark(Kind::Memory, 3).is_some(), "a second time is fine");
        assert_eq!(table.find(Kind::Memory, 7, 0, 0), Get::Have(4));
        assert!(table.let_go(1, Kind::Memory, 3, |_, _, _| true));
        table.forget_gone(|_, id| id == 4);
        assert!(table.let_go(1, Kind::Memory, 3, |_, _, _| true));
        table.forget_gone(|_, _| true);
        assert!(!table.let_go(1, Kind::Memory, 3, |_, _, _| true));
        assert_eq!(table.find(Kind::Memory, 7, 0, 0), Get::Have(4));
    }

    #[test]
    fn there_is_an_end_to_how_many_and_how_much() {
        let mut table = table();
        let room = |table: &mut Table<()>, bytes| table.make_room(Kind::Memory, bytes, |_, _, _| true);
        assert_eq!(room(&mut table, (1 << 20) + 1), Err(Errno::NOMEM));
        table.add(Kind::Queue, 1, object(0, 1 << 19));
        assert_eq!(room(&mut table, 1 << 19), Ok(()));
        assert_eq!(room(&mut table, (1 << 19) + 1), Err(Errno::NOMEM));
        table.remove(Kind::Queue, 1);
        (0..512).for_each(|id| table.add(Kind::Memory, id, object(0, 1)));
        assert_eq!(room(&mut table, 1), Err(Errno::NOSPC));
        assert_eq!(table.make_room(Kind::Queue, 1, |_, _, _| true), Ok(()));
    }

    #[test]
    fn numbers_do_not_come_round_under_a_call_that_has_not_begun() {
        let removed = |table: &mut Table<()>| assert!(table.remove(Kind::Semaphores, 1).is_some());
        let marked = |table: &mut Table<()>| assert!(table.mark(Kind::Semaphores, 1).is_some());
        comes_not_round(&removed);
        comes_not_round(&marked);
    }

    fn comes_not_round(end: &dyn Fn(&mut Table<()>)) {
        let mut table = table();
        table.add(Kind::Semaphores, 1, object(0, 1));
        assert!(table.let_go(40, Kind::Semaphores, 1, |_, _, _| false));
        end(&mut table);
        let mut make = |is_over: bool| {
            let room = table.make_room(Kind::Semaphores, 1, |thread, kind, id| {
                assert_eq!((thread, kind, id), (40, Kind::Semaphores, 1));
                is_over
            });
            if room.is_ok() {
                table.add(Kind::Semaphores, 2, object(0, 1));
                table.remove(Kind::Semaphores, 2);
            }
            room
        };
        let made = (0..100_000).take_while(|_| make(false).is_ok()).count();
        assert!(made > 30_000 && made < 65_536, "{made}");
        assert_eq!(make(false), Err(Errno::NOSPC));
        assert_eq!(make(true), Ok(()));
        assert!((0..100_000).all(|_| make(false).is_ok()), "nothing waits any more");
    }

    #[test]
    fn what_is_remembered_of_calls_is_bounded_by_those_that_wait() {
        let mut table = table();
        table.add(Kind::Queue, 1, object(0, 1));
        for thread in 0..100_000 {
            assert!(table.let_go(thread, Kind::Queue, 1, |thread, _, _| thread % 1000 != 0));
            assert!(table.let_go.len() <= MOST + 100);
        }
    }

    #[test]
    fn nothing_that_tells_of_others_is_let_through() {
        for kind in [Kind::Memory, Kind::Semaphores, Kind::Queue] {
            assert_eq!(control(kind, 3), Control::Others);
            for unknown in [-1, 4, 10, 21, 0x100, 0x102, i32::MAX] {
                assert!(matches!(control(kind, unknown), Control::Unknown), "{kind:?} {unknown}");
            }
        }
        let others = [(Kind::Memory, [13, 14, 15]), (Kind::Semaphores, [18, 19, 20]), (Kind::Queue, [11, 12, 13])];
        for (kind, commands) in others {
            assert!(commands.iter().all(|command| control(kind, *command) == Control::Others));
        }
    }

    #[test]
    fn owners_have_what_the_mode_gives_them() {
        assert!(owner_may(0o600, 0o600) && owner_may(0o600, 0o666) && owner_may(0o600, 0) && owner_may(0o400, 0o400));
        assert!(!owner_may(0o400, 0o600) && !owner_may(0o066, 0o040));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Get(i32, i32),
        Remove(i32),
        Use(i32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..6i32, prop_oneof![Just(0), Just(CREATE), Just(ALONE)]).prop_map(|(key, flags)| Step::Get(key, flags)),
            (0..40i32).prop_map(Step::Remove),
            (0..40i32).prop_map(Step::Use),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        /// Whatever is asked for, a number is only reached while it is one that was made inside and not removed, and a key
        /// means the one object that was made under it last.
        #[test]
        fn only_what_was_made_inside_is_reached(steps in steps()) {
            let mut table = table();
            let mut alive = HashSet::new();
            let mut names: HashMap<i32, i32> = HashMap::new();
            let mut next = 10;
            for step in steps {
                match step {
                    Step::Get(key, flags) => match table.find(Kind::Memory, key, 1, flags) {
                        Get::Make => {
                            prop_assert!(key == 0 || (flags & CREATE != 0 && !names.contains_key(&key)));
                            table.add(Kind::Memory, next, object(key, 1));
                            alive.insert(next);
                            if key != 0 {
                                names.insert(key, next);
                            }
                            next += 1;
                        }
                        Get::Have(id) => prop_assert_eq!(Some(&id), names.get(&key)),
                        Get::Fail(Errno::NOENT) => prop_assert!(!names.contains_key(&key)),
                        Get::Fail(errno) => {
                            prop_assert_eq!(errno, Errno::EXIST);
                            prop_assert!(names.contains_key(&key));
                        }
                    },
                    Step::Remove(id) => {
                        prop_assert_eq!(table.remove(Kind::Memory, id).is_some(), alive.remove(&id));
                        names.retain(|_, named| *named != id);
                    }
                    Step::Use(id) => {
                        prop_assert_eq!(table.let_go(1, Kind::Memory, id, |_, _, _| true), alive.contains(&id));
                    }
                }
            }
            prop_assert_eq!(table.drain().count(), alive.len());
        }
    }
}
