//! Documents: one JSON value, on standard output for what runs nothing.

use super::Failure;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints one document and a line end.
pub fn print(document: &impl Serialize) -> Result<ExitCode, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::from_error(&error))?;
    text_out(&text);
    Ok(ExitCode::SUCCESS)
}

/// Prints text and a line end to standard output; a reader that went away is no failure, and anything else is kept for
/// [`unwritten`].
pub fn text_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    if let Err(error) = written {
        GONE.store(true, Ordering::Relaxed);
        // Windows has two numbers for a pipe that nobody reads; one of them has no kind.
        const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
        let unread = cfg!(windows) && error.raw_os_error() == Some(ERROR_PIPE_NOT_CONNECTED);
        if error.kind() != ErrorKind::BrokenPipe && !unread {
            let _ = UNWRITTEN.set(error.to_string());
        }
    }
}

/// Whether nothing more can be printed: for what would go on printing without an end.
#[must_use]
pub fn gone() -> bool {
    GONE.load(Ordering::Relaxed)
}

static GONE: AtomicBool = AtomicBool::new(false);

static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// What kept something from being printed: a full disk, say.
#[must_use]
pub fn unwritten() -> Option<Failure> {
    UNWRITTEN.get().map(|why| Failure::new("standard output can't be written").cause(why.clone()))
}
