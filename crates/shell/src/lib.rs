//! What a command line is: shell grammar, wrappers, and what each program's options can do.
//!
//! Pure: nothing here reads a file, the environment or the clock, and nothing is ever started. What the judgement needs
//! of the world comes in as values (such as [`ClassifyFacts`]).

#![forbid(unsafe_code)]

pub mod class;
pub mod command;
mod danger;
pub mod git;
mod grammar;
mod names;
pub mod reading;
pub mod safety;
mod script;
pub mod wrappers;

pub use class::{Class, ClassifyFacts, Finding, Neutralised, Platform, ReadingClass, classify, classify_reading};
pub use command::{Joined, SimpleCommand, Span};
pub use reading::{Opaque, OpaqueReason, Reading, ShellKind, ShellUse, read};
