//! Between `clone` and `execve`: process 1 of the sandbox, and the command before it is the command.
//!
//! These processes share the supervisor's memory (a copy of it would cost more than all of the confinement). So the
//! rules here: no allocation, no locks, no thread-local storage (no `errno`: `sys` enters the kernel itself), no
//! unwinding, and of shared memory only atomics are written. All they need was prepared in [`Shared`] beforehand.

mod command;
mod first;
mod maker;
mod shared;
mod streams;
mod talk;
mod watch;

pub(crate) use first::start;
pub(crate) use maker::{Making, Maps, make_beside};
pub(crate) use shared::{
    AtomicPointer, Launch, Rlimit, Ruleset, SHELL, Shared, Work, phase, pointers, stage, stage_name, word,
};
pub(crate) use streams::Reopen;

/// How long one sleep on a futex lasts before everything is looked at again.
const SLICE_MS: i64 = 1000;
