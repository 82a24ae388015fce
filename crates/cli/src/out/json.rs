//! Documents: one JSON value, on standard output for what runs nothing.

use super::Failure;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Prints one document and a line end.
pub fn print(document: &impl Serialize) -> Result<ExitCode, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::from_error(&error))?;
    text_out(&text);
    Ok(ExitCode::SUCCESS)
}

/// Prints text and a line end to standard output; a reader that went away is no failure.
pub fn text_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}
