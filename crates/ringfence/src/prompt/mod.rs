//! The question on a terminal: what is shown, how keys are read, and the terminal itself.
//!
//! Showing and reading keys are pure; the terminal stands behind [`Tty`], so that both are tested without one. What an
//! agent says is escaped and stands behind a bar that only we draw, so it can't look like ours.

mod keys;
mod render;
mod terminal;
#[cfg(unix)]
mod tty;

pub use keys::{Key, Keys, Read};
pub use render::{Look, list, question, trust};
pub use terminal::{Said, Taken, TerminalApprover, Tty};
#[cfg(unix)]
pub use tty::ControllingTty;
