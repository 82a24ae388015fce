//! `ringfence approvals`: a person waits in a terminal of their own for the questions of runs that have none.

use crate::out::{Failure, Paint};
use crate::start;
use ringfence::approver::inbox::{self, BindError, Desk, Served};
use ringfence::prompt::{ControllingTty, TerminalApprover};
use std::process::ExitCode;

/// Shows one question after the other, until it is interrupted.
pub fn main() -> Result<ExitCode, Failure> {
    ringfence::under::refuse("answering questions").map_err(|error| Failure::from_error(&error))?;
    let tty = ControllingTty::open().ok_or_else(|| {
        Failure::new("there is no terminal to ask at").hint("start it in a terminal of your own, in the foreground")
    })?;
    let person = TerminalApprover::new(tty);
    let socket = inbox::place(std::env::var_os("XDG_RUNTIME_DIR").as_deref(), &start::home()?);
    let desk = Desk::bind(&socket).map_err(|error| {
        let failure = Failure::from_error(&error);
        match error {
            BindError::Taken { .. } => failure.hint("answer there, or end it first"),
            _ => failure,
        }
    })?;
    let paint = Paint::stderr();
    eprintln!("ringfence: waiting for questions (Ctrl-C ends it)");
    loop {
        match desk
            .serve(&person)
            .map_err(|error| Failure::new("no further question can be taken").cause(error.to_string()))?
        {
            Served::Answered => eprintln!("{}", paint.faint("ringfence: answered; waiting for the next question")),
            Served::TooLate => {
                eprintln!("ringfence: that question is over, and nothing was approved")
            }
            Served::Nothing { why } => {
                eprintln!("ringfence: a question was left aside: {}", ringfence_model::text::escape(&why));
            }
        }
    }
}
