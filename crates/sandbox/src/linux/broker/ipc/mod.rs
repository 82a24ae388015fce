//! Shared memory, semaphores and queues of System V where there is no IPC namespace.
//!
//! What these calls are about stands in registers: a key or a number. So the broker gives out objects of its own making,
//! and lets calls go on that name one by its number; to all others it says that there is no such object. It makes them
//! without a name in the kernel and keeps the keys itself (`table`): a key of the host's means nothing inside, nor one of
//! ours outside.
//!
//! They go with the sandbox. Memory is marked for removal as soon as it is made, and is there as long as somebody has it
//! attached: the supervisor has, until it is removed inside. Semaphores and
//! queues can't be held so: they are removed by the broker when it ends, and by process 1 if the supervisor was killed.

mod table;

use super::caller::errno;
use super::reply::{Job, Reply};
use super::rules::Refusal;
use super::underway;
use crate::linux::leftovers::Leftovers;
use crate::sys::ipc::{self, Attached, Kind, PRIVATE, State};
use crate::sys::{self, peek};
use ringfence_model::{DenialKind, Origin};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::{Control, Get, Object, Table};

/// What the kernel takes of memory for one semaphore: a line of the processor's cache.
const SEMAPHORE: u64 = 64;
/// What a queue may hold, unless an administrator has raised it.
const QUEUE: u64 = 16 << 10;
/// Memory in huge pages; of a group of users or an administrator.
const HUGE: i32 = libc::SHM_HUGETLB;
/// The mode, and that nothing is set aside for it.
const PASSED_ON: i32 = 0o777 | libc::SHM_NORESERVE;
/// The calls that are let go.
const LET_GO: [i64; 8] = [
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
];
const OWNER_READS: i32 = 0o400;
/// Marked for removal (`SHM_DEST`).
const MARKED: u32 = 0o1000;

/// What a call does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpcCall {
    /// `shmget`, `semget`, `msgget`: size in bytes, or how many semaphores.
    Get { kind: Kind, key: i32, size: usize, flags: i32 },
    /// Whatever else names one by its number.
    Use { kind: Kind, id: i32 },
    /// `shmctl`, `semctl`, `msgctl`, with what a pointer is expected in.
    Control { kind: Kind, id: i32, command: i32, argument: u64 },
}

/// The objects of one sandbox.
#[derive(Debug)]
pub struct Ipc {
    table: Mutex<Table<Option<Attached>>>,
    leftovers: Arc<Leftovers>,
}

impl Ipc {
    /// None yet. All together may have `most` bytes; what doesn't go by itself is written down in `leftovers`.
    #[must_use]
    pub fn new(most: Option<u64>, leftovers: Arc<Leftovers>) -> Self {
        Self { table: Mutex::new(Table::new(most.unwrap_or(u64::MAX))), leftovers }
    }

    fn table(&self) -> MutexGuard<'_, Table<Option<Attached>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes all of them.
    pub fn end(&self) {
        let mut table = self.table();
        // Memory goes with what keeps it.
        table.drain().for_each(drop);
        self.leftovers.remove_all();
    }

    /// Makes an object, and keeps it.
    fn make(&self, kind: Kind, size: usize, flags: i32) -> Result<(i32, Option<Attached>), sys::Errno> {
        let mode = flags & 0o777;
        if kind != Kind::Memory {
            let id = ipc::get(kind, PRIVATE, size, mode)?;
            if self.leftovers.add(kind, id) {
                return Ok((id, None));
            }
            let _ = ipc::remove(kind, id);
            return Err(sys::Errno(libc::ENOSPC));
        }
        let id = ipc::get(kind, PRIVATE, size, (flags & PASSED_ON) | OWNER_READS)?;
        let attached = Attached::new(id);
        ipc::remove(kind, id)?;
        let attached = attached?;
        if mode & OWNER_READS == 0 {
            ipc::set_mode(kind, id, mode.cast_unsigned())?;
        }
        Ok((id, Some(attached)))
    }

    /// Removes an object that was made inside.
    fn remove(&self, table: &mut Table<Option<Attached>>, kind: Kind, id: i32) -> Option<Result<(), sys::Errno>> {
        if kind == Kind::Memory {
            // Whoever has it attached goes on having it, and others can until then.
            return table.mark(kind, id).map(|_| Ok(()));
        }
        table.remove(kind, id)?;
        Some(if self.leftovers.take(kind, id) { ipc::remove(kind, id) } else { Ok(()) })
    }
}

impl Ipc {
    /// Forgets one that isn't there any more.
    fn forget(&self, table: &mut Table<Option<Attached>>, kind: Kind, id: i32) {
        table.remove(kind, id);
        self.leftovers.take(kind, id);
    }
}

/// Answers one of these calls.
pub(super) fn answer(job: &Job<'_, '_>, call: IpcCall) -> Reply {
    // Without a table of its own, it is the kernel that separates, and nobody asks.
    let Some(ipc) = &job.shared.ipc else { return Reply::Fail(Errno::NOSYS) };
    match call {
        IpcCall::Get { kind, key, size, flags } => get(job, ipc, kind, key, size, flags),
        IpcCall::Use { kind, id } => go_on(job, ipc, kind, id),
        IpcCall::Control { kind, id, command, argument } => match table::control(kind, command) {
            Control::Use => go_on(job, ipc, kind, id),
            Control::Tell => tell(job, ipc, id, argument),
            Control::Remove => {
                let removed = ipc.remove(&mut ipc.table(), kind, id);
                match removed {
                    Some(done) => done.map_err(kernel).into(),
                    None => unknown(job, kind, id),
                }
            }
            Control::Others => refuse(job, kind, Errno::PERM, "list", b"those of the host"),
            Control::Unknown => Reply::Fail(Errno::INVAL),
        },
    }
}

fn get(job: &Job<'_, '_>, ipc: &Ipc, kind: Kind, key: i32, size: usize, flags: i32) -> Reply {
    if kind == Kind::Memory && flags & HUGE != 0 {
        return Reply::Fail(Errno::PERM);
    }
    let Ok(maker) = job.caller.status().map(|status| status.process) else { return Reply::Fail(Errno::SRCH) };
    if !job.caller.alive() {
        return Reply::Later;
    }
    let mut table = ipc.table();
    if let Get::Have(id) = table.find(kind, key, size, flags)
        && state_of_ours(kind, id).is_err_and(is_gone)
    {
        // Somebody outside has removed it.
        ipc.forget(&mut table, kind, id);
    }
    match table.find(kind, key, size, flags) {
        Get::Fail(Errno::NOENT) => {
            drop(table);
            if is_there(ipc::get(kind, key, 0, 0)) {
                return refuse(job, kind, Errno::NOENT, "find", format!("key {key:#x}").as_bytes());
            }
            Reply::Fail(Errno::NOENT)
        }
        Get::Fail(errno) => Reply::Fail(errno),
        Get::Have(id) => match state_of_ours(kind, id) {
            Ok(state) if table::owner_may(state.mode(), flags) => Reply::Value(id.into()),
            Err(Errno::ACCESS) if flags & 0o777 == 0 => Reply::Value(id.into()),
            Ok(_) => Reply::Fail(Errno::ACCESS),
            Err(errno) => Reply::Fail(errno),
        },
        Get::Make => {
            let bytes = match kind {
                Kind::Memory => size as u64,
                Kind::Semaphores => (size as u64).saturating_mul(SEMAPHORE),
                Kind::Queue => QUEUE,
            };
            table.forget_gone(|kind, id| state_of_ours(kind, id).is_err_and(is_gone));
            let proc = job.shared.proc.as_fd();
            if let Err(errno) = table.make_room(kind, bytes, |thread, _, id| is_over(proc, thread, id)) {
                return Reply::Fail(errno);
            }
            match ipc.make(kind, size, flags) {
                Ok((id, keep)) => {
                    table.add(kind, id, Object { key, size, bytes, maker, keep, marked: false });
                    Reply::Value(id.into())
                }
                Err(errno) => Reply::Fail(kernel(errno)),
            }
        }
    }
}

/// Lets the kernel perform a call on one of ours.
fn go_on(job: &Job<'_, '_>, ipc: &Ipc, kind: Kind, id: i32) -> Reply {
    let mut table = ipc.table();
    if table.get(kind, id).is_none() {
        drop(table);
        return unknown(job, kind, id);
    }
    if let Err(errno) = state_of_ours(kind, id)
        && is_gone(errno)
    {
        ipc.forget(&mut table, kind, id);
        return Reply::Fail(errno);
    }
    let proc = job.shared.proc.as_fd();
    // Written down before it goes on, so that whoever removes the object knows of it.
    table.let_go(job.caller.thread, kind, id, |thread, _, id| is_over(proc, thread, id));
    Reply::GoOn
}

/// `IPC_STAT` of memory: as if it weren't us who keep it.
fn tell(job: &Job<'_, '_>, ipc: &Ipc, id: i32, address: u64) -> Reply {
    let told = {
        let table = ipc.table();
        let Some(object) = table.get(Kind::Memory, id) else {
            drop(table);
            return unknown(job, Kind::Memory, id);
        };
        state_of_ours(Kind::Memory, id).map(|mut state| {
            let last = if state.last() == std::process::id() { 0 } else { state.last() };
            let attached = state.attached().saturating_sub(u64::from(object.keep.is_some()));
            let mode = if object.marked { state.mode() } else { state.mode() & !MARKED };
            state.say(object.key, mode, object.maker, last, attached);
            state.bytes()
        })
    };
    if !job.caller.alive() {
        return Reply::Later;
    }
    let written = told.and_then(|bytes| {
        let bytes = bytes.get(..ipc::MEMORY_STATE).unwrap_or_default();
        peek::process_vm_writev(job.caller.thread, address, bytes).map_err(|error| errno(&error))
    });
    written.into()
}

/// What the kernel says of one of ours; that it isn't there any more if the number is a stranger's by now. Of memory the kernel
/// remembers which process made it, and that is this one.
fn state_of_ours(kind: Kind, id: i32) -> Result<State, Errno> {
    let state = ipc::state(kind, id).map_err(kernel)?;
    let ours = state.key() == PRIVATE
        && state.creator() == rustix::process::geteuid().as_raw()
        && (kind != Kind::Memory || state.maker() == std::process::id());
    if ours { Ok(state) } else { Err(Errno::IDRM) }
}

/// Whether a thread has come out of the call on this number that it was let go on with.
fn is_over(proc: BorrowedFd<'_>, thread: u32, id: i32) -> bool {
    underway::is_past(proc, thread, &LET_GO, |argument| argument == id.cast_unsigned())
}

fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::IDRM)
}

/// The answer about a number that isn't of an object made inside: the same whether or not there is one outside. If there is,
/// that is a refusal, for the record.
fn unknown(job: &Job<'_, '_>, kind: Kind, id: i32) -> Reply {
    if is_there(ipc::state(kind, id)) {
        return refuse(job, kind, Errno::INVAL, "use", format!("number {id}").as_bytes());
    }
    Reply::Fail(Errno::INVAL)
}

fn is_there<T>(asked: Result<T, sys::Errno>) -> bool {
    match asked {
        Ok(_) => true,
        Err(errno) => errno.is(libc::EACCES),
    }
}

fn refuse(job: &Job<'_, '_>, kind: Kind, errno: Errno, deed: &str, target: &[u8]) -> Reply {
    let refusal = Refusal {
        errno,
        kind: DenialKind::Process,
        rule: "ipc-outside",
        origin: Origin::builtin("shared memory, semaphores and queues of the host are left alone"),
        allow_with: Vec::new(),
    };
    let what = match kind {
        Kind::Memory => "shared memory",
        Kind::Semaphores => "semaphores",
        Kind::Queue => "message queues",
    };
    job.refuse(refusal, &format!("{deed} {what}"), target)
}

fn kernel(errno: sys::Errno) -> Errno {
    Errno::from_raw_os_error(errno.0)
}
