//! The seam between the supervisor and the broker: what the broker adds to the filter, what it is given when the filter
//! is in force, and when it is served.

use super::filter::Row;
use super::leftovers::Leftovers;
use crate::enforced::StepResult;
use crate::plan::{Brokered, Plan};
use ringfence_model::{Denial, Voucher};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Makes the broker of one run.
pub trait BrokerFactory: Send {
    /// Rows that are asked before the base profile's: what the broker handles itself.
    fn rows_before(&self) -> Vec<Row> {
        Vec::new()
    }

    /// Rows that are asked after the base profile's.
    fn rows(&self) -> Vec<Row>;

    /// Whether, and how, this broker will hold a wish.
    fn holds(&self, wish: &Brokered) -> StepResult;

    /// Called while the command is being set up, so that little has to be waited for when it runs. Where a Landlock domain
    /// stands in for mounts, before that on the thread that has entered it: threads that this one makes are in the domain
    /// too.
    fn enlist(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Begins to serve. The command may already be waiting for an answer.
    fn start(self: Box<Self>, start: BrokerStart<'_>) -> io::Result<Box<dyn Broker>>;
}

/// What a broker is given.
#[derive(Debug)]
pub struct BrokerStart<'a> {
    /// The listener of the command's filter.
    pub listener: OwnedFd,
    /// Process 1 of the sandbox, whose mounts and network are the sandbox's.
    pub first_process: BorrowedFd<'a>,
    /// Its process id, as the supervisor sees it.
    pub first_pid: i32,
    /// The plan that is enforced.
    pub plan: &'a Plan,
    /// What connections to a proxy on the machine's loopback begin with.
    pub voucher: Option<Voucher>,
    /// Where objects are written down that don't go with the processes that use them; none where a namespace takes them
    /// along.
    pub(in crate::linux) leftovers: Option<Arc<Leftovers>>,
}

/// A broker at work.
pub trait Broker {
    /// What the supervisor waits on for it; none if the broker has a thread of its own.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Called when the descriptor is readable: serves what is there.
    fn serve(&mut self) -> io::Result<()>;

    /// Called when the command has ended: what was refused.
    fn finish(self: Box<Self>) -> Vec<Denial>;
}
