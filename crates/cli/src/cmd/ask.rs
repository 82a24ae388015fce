//! Who is asked: a person at the terminal, a program that was named for it, or a front end over a channel of its own.

use crate::args::Shared;
use crate::args::decide::Answers;
use crate::out::Failure;
use ringfence::Approver;
use ringfence::audit::{Nowhere, Sink};
use ringfence_config::Overrides;
use ringfence_model::{Origin, Settings};
use std::sync::Arc;

/// The flags as settings, so that requirements hold for them as for every other way to choose who answers.
pub fn set(answers: &Answers, flags: &mut Overrides) {
    if let Some(program) = &answers.approve_with {
        let words: Vec<String> = program.split_whitespace().map(str::to_owned).collect();
        flags.approve_with(&words);
    }
    if answers.approve_over.is_some() {
        flags.approve_over();
    }
}

/// Whether questions go out over our own standard streams, so that nothing else may be written there.
#[must_use]
pub fn takes_stdio(answers: &Answers) -> bool {
    answers.approve_over.as_deref() == Some("stdio")
}

/// Whether questions are for a person: no program asked to be in charge, and the user's own settings count.
#[must_use]
pub fn is_person(answers: &Answers, shared: &Shared) -> bool {
    answers.approve_with.is_none() && answers.approve_over.is_none() && !shared.json && !shared.ignore_user_config
}

/// The front end at the other end of the channel that was named.
pub fn front_end(answers: &Answers, settings: &Settings) -> Result<Option<Arc<dyn Approver>>, Failure> {
    let Some(channel) = answers.approve_over.as_deref() else { return Ok(None) };
    front_end_at(channel, settings).map(Some)
}

#[cfg(target_os = "linux")]
fn front_end_at(channel: &str, settings: &Settings) -> Result<Arc<dyn Approver>, Failure> {
    use ringfence::approver::JsonApprover;
    use std::os::fd::AsFd;

    let refused = || {
        Failure::new(format!("`{}` is no channel", ringfence_model::text::escape(channel)))
            .origin(Origin::flag("--approve-over"))
            .hint("use a descriptor that this process was started with (`3`), two of them (`3,4`), or `stdio`")
    };
    let open = |number: &str| {
        let number = number.parse::<u16>().ok().filter(|number| *number > 2).ok_or_else(refused)?;
        ringfence_sandbox::inherited(number).map_err(|error| refused().cause(format!("descriptor {number}: {error}")))
    };
    let standard =
        |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map_err(|error| refused().cause(error.to_string()));
    let (answers, requests) = match channel.split_once(',') {
        _ if channel == "stdio" => (standard(&std::io::stdin())?, standard(&std::io::stdout())?),
        None => (open(channel)?, open(channel)?),
        Some((answers, requests)) => (open(answers)?, open(requests)?),
    };
    Ok(Arc::new(JsonApprover::over(answers, requests, settings.approvals.timeout.value.0)))
}

#[cfg(not(target_os = "linux"))]
fn front_end_at(_: &str, _: &Settings) -> Result<Arc<dyn Approver>, Failure> {
    Err(Failure::new("channels for approvals aren't part of this system's build")
        .origin(Origin::flag("--approve-over")))
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
