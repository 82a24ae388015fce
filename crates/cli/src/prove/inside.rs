//! The inside half of `prove`: one forbidden or honest act, tried in a process of its own in the sandbox.
//!
//! What it says about itself only names the errno; whether the act got through is judged outside.

use super::acts::{Act, find};
use super::inputs::Inputs;
use crate::args::AttackArgs;
use crate::out::{Failure, json};
use std::process::ExitCode;

/// What the inside half prints: `refused 13`, `done`, or `broke TEXT`.
pub const REFUSED: &str = "refused";
/// The act went to its end.
pub const DONE: &str = "done";

/// `ringfence __attack NAME KEY VALUE…`.
pub fn main(args: &AttackArgs) -> Result<ExitCode, Failure> {
    let mut words = args.act.iter();
    let name = words.next().and_then(|name| name.to_str()).unwrap_or_default();
    if name == "wait" {
        return Ok(super::victim::wait());
    }
    let Some(Act { inside, .. }) = find(name) else {
        return Err(Failure::new(format!("there is no act `{}`", ringfence_model::text::escape(name))));
    };
    let inputs = Inputs::from_args(words)?;
    match inside(&inputs) {
        Ok(()) => json::text_out(DONE),
        Err(error) => match error.raw_os_error() {
            Some(errno) => json::text_out(&format!("{REFUSED} {errno}")),
            None => json::text_out(&format!("{REFUSED} 0 {}", ringfence_model::text::escape(&error.to_string()))),
        },
    }
    Ok(ExitCode::SUCCESS)
}
