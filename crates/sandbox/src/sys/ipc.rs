//! Objects of System V: shared memory, semaphores, queues of messages.

use super::raw::{Result, call, word};

/// What kind of object. The numbers of one kind mean nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Shared memory.
    Memory,
    /// A set of semaphores.
    Semaphores,
    /// A queue of messages.
    Queue,
}

/// `IPC_PRIVATE`: of no name.
pub(crate) const PRIVATE: i32 = 0;

/// Bytes that are enough for what the kernel says of any kind.
const STATE: usize = 16;

/// What the kernel says of an object (`IPC_STAT`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct State([u64; STATE]);

/// Length of `struct shmid64_ds`, which is the same on every processor we know.
pub(crate) const MEMORY_STATE: usize = 112;
/// Where its fields are.
const ATTACHED: usize = 11;
const MAKER_AND_LAST: usize = 10;

impl State {
    /// Halves of word `index`.
    fn halves(&self, index: usize) -> [u32; 2] {
        let word = self.0.get(index).copied().unwrap_or(0).to_ne_bytes();
        let [a, b, c, d, e, f, g, h] = word;
        [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
    }

    fn set_halves(&mut self, index: usize, [first, second]: [u32; 2]) {
        let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
        if let Some(word) = self.0.get_mut(index) {
            *word = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        }
    }

    /// Its key.
    pub(crate) fn key(&self) -> i32 {
        self.halves(0)[0].cast_signed()
    }

    /// The user that made it.
    pub(crate) fn creator(&self) -> u32 {
        self.halves(1)[1]
    }

    /// Who may what with it, as with files; and further bits.
    pub(crate) fn mode(&self) -> u32 {
        self.halves(2)[1]
    }

    /// Of shared memory: how many have it attached.
    pub(crate) fn attached(&self) -> u64 {
        self.0.get(ATTACHED).copied().unwrap_or(0)
    }

    /// Of shared memory: the process that made it.
    pub(crate) fn maker(&self) -> u32 {
        self.halves(MAKER_AND_LAST)[0]
    }

    /// Of shared memory: the process that attached or detached it last.
    pub(crate) fn last(&self) -> u32 {
        self.halves(MAKER_AND_LAST)[1]
    }

    /// Changes what it says: key, mode, makers, who came last, and how many have it attached.
    pub(crate) fn say(&mut self, key: i32, mode: u32, maker: u32, last: u32, attached: u64) {
        let [_, owner] = self.halves(0);
        self.set_halves(0, [key.cast_unsigned(), owner]);
        let [group, _] = self.halves(2);
        self.set_halves(2, [group, mode]);
        self.set_halves(MAKER_AND_LAST, [maker, last]);
        if let Some(count) = self.0.get_mut(ATTACHED) {
            *count = attached;
        }
    }

    /// As bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

/// `shmget(2)`, `semget(2)`, `msgget(2)`: `size` is in bytes, or how many semaphores.
pub(crate) fn get(kind: Kind, key: i32, size: usize, flags: i32) -> Result<i32> {
    let (number, args) = match kind {
        Kind::Memory => (libc::SYS_shmget, [word(key), size, word(flags), 0, 0, 0]),
        Kind::Semaphores => (libc::SYS_semget, [word(key), size, word(flags), 0, 0, 0]),
        Kind::Queue => (libc::SYS_msgget, [word(key), word(flags), 0, 0, 0, 0]),
    };
    // SAFETY: integers only.
    unsafe { call(number, args) }.map(|id| id as i32)
}

fn control(kind: Kind, id: i32, command: i32, argument: usize) -> Result<usize> {
    let (number, args) = match kind {
        Kind::Memory => (libc::SYS_shmctl, [word(id), word(command), argument, 0, 0, 0]),
        Kind::Semaphores => (libc::SYS_semctl, [word(id), 0, word(command), argument, 0, 0]),
        Kind::Queue => (libc::SYS_msgctl, [word(id), word(command), argument, 0, 0, 0]),
    };
    // SAFETY: callers give an argument that fits the command: nothing, or a `State`, which is longer than what any kind has.
    unsafe { call(number, args) }
}

/// `IPC_STAT`.
pub(crate) fn state(kind: Kind, id: i32) -> Result<State> {
    let mut state = State([0; STATE]);
    control(kind, id, libc::IPC_STAT, &raw mut state as usize)?;
    Ok(state)
}

/// `IPC_SET` of the mode: the owner stays.
pub(crate) fn set_mode(kind: Kind, id: i32, mode: u32) -> Result<()> {
    let mut state = state(kind, id)?;
    let [group, _] = state.halves(2);
    state.set_halves(2, [group, mode]);
    control(kind, id, libc::IPC_SET, &raw mut state as usize).map(drop)
}

/// `IPC_RMID`. What is attached goes when nobody has it attached any more.
pub(crate) fn remove(kind: Kind, id: i32) -> Result<()> {
    control(kind, id, libc::IPC_RMID, 0).map(drop)
}

/// Shared memory attached to this process, which keeps it there. Nothing is read from it
/// or written to it, so it takes no memory here.
#[derive(Debug)]
pub(crate) struct Attached(usize);

impl Attached {
    /// `shmat(2)`, for reading.
    pub(crate) fn new(id: i32) -> Result<Self> {
        // SAFETY: the kernel maps it where nothing is.
        unsafe { call(libc::SYS_shmat, [word(id), 0, word(libc::SHM_RDONLY), 0, 0, 0]) }.map(Self)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: this value alone knows the mapping, and nothing ever refers into it.
        let _ = unsafe { call(libc::SYS_shmdt, [self.0, 0, 0, 0, 0, 0]) };
    }
}
