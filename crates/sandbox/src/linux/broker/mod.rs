//! The broker: decides on system calls it is notified of, and performs them itself.
//!
//! A command's filter (`trap`) stops calls that mounts and Landlock can't judge. A worker (`serve`) copies what the call
//! points to (`caller`), finds the directory it means as the caller would (`walk`), judges the name (`rules`), performs the
//! call on the descriptors it judged (`open`, `names`, `meta`, `socket`), and answers. It never tells the kernel to go on
//! with memory the caller can change, unless the kernel's own rules hold whatever that memory says: as for opens by a
//! command whose Landlock rules let it make nothing. One worker waits for calls, others stand by (`relief`).
//!
//! Workers have no capabilities, and reach files by way of the caller's own root and directories, so its mounts bind them.
//! Where Landlock stands in for mounts, the workers are inside the same Landlock domain as the caller: they must be started
//! by the thread that entered it, since a thread in another domain couldn't look into the caller.

mod accept;
mod call;
mod caller;
mod crew;
mod denied;
mod exec;
mod factory;
mod fold;
mod forks;
mod inside;
mod ipc;
mod listed;
mod lists;
mod meta;
mod names;
mod net;
mod open;
mod place;
pub mod plan;
mod process;
mod procfs;
mod record;
mod relief;
mod reply;
mod rules;
mod send;
mod serve;
mod shared;
mod socket;
mod sockname;
mod tables;
mod terminal;
pub mod trap;
mod umask;
mod underway;
mod vouch;
mod wait;
mod walk;
mod watch;

use super::leftovers::Leftovers;
use crate::sys::notify;
pub use factory::Factory;
use plan::BrokerPlan;
use ringfence_model::{Denial, Voucher};
use rules::Rules;
use shared::Shared;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A broker at work.
pub struct Broker {
    shared: Arc<Shared>,
    watch: Option<watch::Watch>,
}

/// A broker whose rules are open, but which has no listener yet.
pub struct Prepared {
    /// Of all commands of one sandbox: what one of them changes, another is judged by.
    rules: Arc<Rules>,
    proc: OwnedFd,
    descriptors: OwnedFd,
    proc_device: u64,
}

/// A broker that only waits for a listener.
pub struct Enlisted {
    prepared: Prepared,
    worker: crew::First,
}

impl Prepared {
    /// Opens what the rules of `plan` are about.
    pub fn open(plan: BrokerPlan) -> io::Result<Self> {
        let rules = Arc::new(Rules::open(plan)?);
        let (proc, descriptors, proc_device) = caller::own_proc()?;
        Ok(Self { rules, proc, descriptors, proc_device })
    }

    /// The same for another command of the same sandbox.
    pub fn again(&self) -> io::Result<Self> {
        let (proc, descriptors) = (self.proc.try_clone()?, self.descriptors.try_clone()?);
        Ok(Self { rules: Arc::clone(&self.rules), proc, descriptors, proc_device: self.proc_device })
    }

    /// Makes the first worker. It, and those that it hires, are in the Landlock domain of the calling thread.
    pub fn enlist(self) -> io::Result<Enlisted> {
        Ok(Enlisted { worker: crew::First::hire()?, prepared: self })
    }
}

impl Enlisted {
    /// Starts answering on `listener`.
    ///
    /// `first` is process 1 of the sandbox, below which all others are; `voucher` is what its connections to a proxy on the
    /// machine's loopback begin with.
    /// `leftovers` is where objects of System V are written down, where there is no namespace for them.
    pub(in crate::linux) fn start(
        self,
        listener: OwnedFd,
        first: u32,
        voucher: Option<Voucher>,
        leftovers: Option<Arc<Leftovers>>,
    ) -> io::Result<Broker> {
        // Halves the cost where the kernel has it; nothing depends on it.
        let _ = notify::set_sync_wake_up(listener.as_fd());
        let forks = self.prepared.rules.plan.processes.clone().map(|most| forks::Forks::new(first, most));
        let plan = &self.prepared.rules.plan;
        let ipc = leftovers.filter(|_| plan.traps.ipc).map(|leftovers| ipc::Ipc::new(plan.memory, leftovers));
        let shared = Arc::new(Shared {
            listener,
            first,
            proc: self.prepared.proc,
            descriptors: self.prepared.descriptors,
            proc_device: self.prepared.proc_device,
            rules: self.prepared.rules,
            record: record::Record::default(),
            inside: inside::Inside::default(),
            sockets: sockname::Names::default(),
            forks,
            ipc,
            voucher: voucher.map(Arc::new),
            secret: secret()?,
            launched: false.into(),
            umasks: umask::Umasks::default(),
            waiting: 0.into(),
            ending: false.into(),
            crew: crew::Crew::default(),
        });
        let watch = watch::Watch::start(&shared)?;
        self.worker.start(&shared);
        Ok(Broker { shared, watch })
    }
}

impl Broker {
    /// What was refused so far.
    #[must_use]
    pub fn denials(&self) -> Vec<Denial> {
        self.shared.record.denials()
    }

    /// Takes the last look at what is only watched.
    fn end_watch(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.finish();
        }
    }

    /// How many further refusals weren't kept.
    #[must_use]
    pub fn further_denials(&self) -> u64 {
        self.shared.record.more()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end_watch();
        self.shared.ending.store(true, Ordering::Release);
        self.shared.crew.dismiss();
        if let Some(ipc) = &self.shared.ipc {
            ipc.end();
        }
    }
}

/// Sixteen bytes that nobody foresees.
fn secret() -> io::Result<[u8; 16]> {
    let mut secret = [0; 16];
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
    Ok(secret)
}

#[cfg(test)]
mod tests;
