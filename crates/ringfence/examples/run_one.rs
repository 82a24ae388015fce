//! Runs one command as an agent's command is run: decided, asked about at the terminal if policy wants that, confined,
//! reported.
//!
//! ```text
//! cargo run --example run_one -- cargo --version
//! ```

use ringfence::prompt::{ControllingTty, TerminalApprover};
use ringfence::{Approver, Opening, Session};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("not run: {error}");
            ExitCode::from(126)
        }
    }
}

fn run() -> Result<u8, Box<dyn std::error::Error>> {
    let approver = ControllingTty::open().map(|tty| Arc::new(TerminalApprover::new(tty)) as Arc<dyn Approver>);
    let session = Session::open(Opening { approver, ..Opening::default() })?;
    for notice in session.notices() {
        eprintln!("note: {}", notice.text);
    }
    let action = session.exec(std::env::args_os().skip(1));
    let authorization = session.authorize(action)?;
    let report = session.perform(authorization)?;
    ringfence::settle();
    for denial in &report.denials {
        eprintln!("the sandbox refused {} on {}", denial.operation, denial.target.display());
    }
    Ok(report.exit.map_or(125, |exit| exit.status()))
}
