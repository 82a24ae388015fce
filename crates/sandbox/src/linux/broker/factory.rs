//! The broker's end of the seam to the supervisor.

use super::plan::{BrokerPlan, Holds};
use super::{Enlisted, Prepared, trap};
use crate::enforced::StepResult;
use crate::linux::filter::Row;
use crate::linux::seam::{Broker, BrokerFactory, BrokerStart};
use crate::plan::{Act, Brokered, Plan};
use ringfence_model::{AbsPath, Denial};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

/// A broker for one run.
pub struct Factory {
    stage: Stage,
    traps: trap::Traps,
    holds: Holds,
    masked: Vec<AbsPath>,
}

/// How far the broker is.
enum Stage {
    Prepared(Prepared),
    Enlisted(Enlisted),
    /// Making its workers failed.
    Lost,
}

impl std::fmt::Debug for Factory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factory").field("traps", &self.traps).finish_non_exhaustive()
    }
}

impl Factory {
    /// The broker of `plan`, with what its rules are about opened; none if nothing is left to it.
    pub fn new(plan: &Plan) -> io::Result<Option<Self>> {
        let Some(mut wishes) = BrokerPlan::of(plan) else { return Ok(None) };
        // The other spellings of a masked file are other entries of its directory, where names are folded.
        if wishes.masked_alone().any(|path| super::place::folds_above(path.as_path().as_os_str().as_bytes())) {
            wishes.ask_for_reads();
        }
        let masked = plan
            .steps
            .iter()
            .filter_map(|step| if let Act::Mask { path } = &step.act { Some(path.clone()) } else { None })
            .collect();
        let (traps, holds) = (wishes.traps, wishes.holds);
        Ok(Some(Self { stage: Stage::Prepared(Prepared::open(wishes)?), traps, holds, masked }))
    }
}

impl Factory {
    /// The same for another command of the same sandbox, as long as this one hasn't begun.
    pub fn again(&self) -> io::Result<Self> {
        let Stage::Prepared(prepared) = &self.stage else { return Err(io::Error::other("the broker has begun")) };
        let stage = Stage::Prepared(prepared.again()?);
        Ok(Self { stage, traps: self.traps, holds: self.holds, masked: self.masked.clone() })
    }
}

impl BrokerFactory for Factory {
    fn rows_before(&self) -> Vec<Row> {
        if self.holds == Holds::Everything { trap::without_namespaces(self.traps.datagrams) } else { Vec::new() }
    }

    fn rows(&self) -> Vec<Row> {
        trap::rows(self.traps)
    }

    fn holds(&self, wish: &Brokered) -> StepResult {
        match wish {
            // Opens are only looked at when there is a glob: that is dear.
            Brokered::DenyReadPath { path }
                if self.holds == Holds::Names && !self.traps.reads && !self.masked.contains(path) =>
            {
                StepResult::Weakened {
                    how: format!("{} does not exist; what appears there during this run can be read", path.display()),
                    remedy: "create it, or deny it by a glob".to_owned(),
                }
            }
            _ => StepResult::Held,
        }
    }

    fn enlist(&mut self) -> io::Result<()> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Lost) {
            Stage::Prepared(prepared) => Stage::Enlisted(prepared.enlist()?),
            other => other,
        };
        Ok(())
    }

    fn start(mut self: Box<Self>, start: BrokerStart<'_>) -> io::Result<Box<dyn Broker>> {
        if matches!(self.stage, Stage::Prepared(_)) {
            self.enlist()?;
        }
        match self.stage {
            Stage::Enlisted(enlisted) => Ok(Box::new(enlisted.start(
                start.listener,
                start.first_pid.cast_unsigned(),
                start.voucher,
                start.leftovers,
            )?)),
            _ => Err(io::Error::other("the broker has no workers")),
        }
    }
}

impl Broker for super::Broker {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn serve(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Vec<Denial> {
        self.end_watch();
        self.denials()
    }
}
