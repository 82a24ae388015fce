//! Who is asked: a person at the terminal, or a program that was named for it.

use crate::args::decide::DecideArgs;
use crate::out::Failure;
use crate::start::Ready;
use ringfence::Approver;
use ringfence::audit::{Nowhere, Sink};
use ringfence_model::{Origin, Sourced};
use std::sync::Arc;

/// The approver that the flags name, else a person at the terminal; none: nobody but whom settings name.
pub fn approver(args: &DecideArgs, ready: &Ready) -> Result<Option<Arc<dyn Approver>>, Failure> {
    let Some(program) = &args.approve_with else { return Ok(terminal()) };
    let words: Vec<String> = program.split_whitespace().map(str::to_owned).collect();
    let words = Sourced::new(words, Origin::flag("--approve-with"));
    let reviewer = ringfence::session::reviewer(&words, &ready.resolved.settings, &ready.start, &ready.facts)
        .map_err(|error| super::session::open_failure(&error))?;
    Ok(Some(Arc::new(reviewer)))
}

/// The person at the controlling terminal, if this process is in its foreground.
#[must_use]
pub fn terminal() -> Option<Arc<dyn Approver>> {
    #[cfg(unix)]
    {
        use ringfence::prompt::{ControllingTty, TerminalApprover};
        ControllingTty::open().map(|tty| Arc::new(TerminalApprover::new(tty)) as Arc<dyn Approver>)
    }
    #[cfg(not(unix))]
    {
        None
    }
}

/// For what only looks: nothing is written.
#[must_use]
pub fn no_journal() -> Arc<dyn Sink> {
    Arc::new(Nowhere)
}
