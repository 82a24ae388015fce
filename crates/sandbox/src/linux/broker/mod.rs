//! The broker: decides on system calls it is notified of, and performs them itself.
//!
//! A command's filter (`trap`) stops calls that mounts and Landlock can't judge. A worker (`serve`) copies what the call
//! points to (`caller`), finds the directory it means as the caller would (`walk`), judges the name (`rules`), performs the
//! call on the descriptors it judged (`open`, `names`, `meta`, `socket`), and answers. It never tells the kernel to go on
//! with memory the caller can change, unless the kernel's own rules hold whatever that memory says.
//!
//! Workers have no capabilities, and reach files by way of the caller's own root and directories, so its mounts bind them.
//! Where Landlock stands in for mounts, the workers are inside the same Landlock domain as the caller: they must be started
//! by the thread that entered it, since a thread in another domain couldn't look into the caller.

mod call;
mod caller;
mod exec;
mod factory;
mod fold;
mod inside;
mod meta;
mod names;
mod net;
mod open;
mod place;
pub mod plan;
mod process;
mod record;
mod reply;
mod rules;
mod send;
mod serve;
mod shared;
mod socket;
mod terminal;
pub mod trap;
mod wait;
mod walk;

use crate::sys::{notify, peek};
pub use factory::Factory;
use plan::BrokerPlan;
use ringfence_model::Denial;
use rules::Rules;
use shared::Shared;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Workers of one broker: calls of many threads are answered side by side, and what may wait is handed on.
const WORKERS: usize = 3;

/// A broker at work.
pub struct Broker {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    threads: Vec<u32>,
}

/// A broker whose rules are open, but which has no listener yet.
pub struct Prepared {
    rules: Rules,
    proc: OwnedFd,
    proc_device: u64,
}

impl Prepared {
    /// Opens what the rules of `plan` are about.
    pub fn open(plan: BrokerPlan) -> io::Result<Self> {
        let rules = Rules::open(plan)?;
        let (proc, proc_device) = caller::own_proc()?;
        Ok(Self { rules, proc, proc_device })
    }

    /// Starts answering on `listener`. Workers inherit the Landlock domain of the calling thread.
    pub fn start(self, listener: OwnedFd) -> io::Result<Broker> {
        // Halves the cost where the kernel has it; nothing depends on it.
        let _ = notify::set_sync_wake_up(listener.as_fd());
        let shared = Arc::new(Shared {
            listener,
            proc: self.proc,
            proc_device: self.proc_device,
            rules: self.rules,
            record: record::Record::default(),
            inside: inside::Inside::default(),
            launched: false.into(),
            umask_generation: 0.into(),
            waiting: 0.into(),
            ending: false.into(),
        });
        let mut broker = Broker { shared, workers: Vec::new(), threads: Vec::new() };
        let (ready, started) = mpsc::channel();
        for _ in 0..WORKERS {
            let (shared, ready) = (Arc::clone(&broker.shared), ready.clone());
            let worker = std::thread::Builder::new().name("ringfence-broker".to_owned()).stack_size(256 << 10).spawn(
                move || {
                    let able = serve::become_worker();
                    let works = able.is_ok();
                    let _ = ready.send(able.map(|()| peek::gettid()));
                    drop(ready);
                    if works {
                        serve::work(&shared);
                    }
                },
            )?;
            broker.workers.push(worker);
        }
        drop(ready);
        for outcome in started {
            broker.threads.push(outcome?);
        }
        Ok(broker)
    }
}

impl Broker {
    /// What was refused so far.
    #[must_use]
    pub fn denials(&self) -> Vec<Denial> {
        self.shared.record.denials()
    }

    /// How many further refusals weren't kept.
    #[must_use]
    pub fn further_denials(&self) -> u64 {
        self.shared.record.more()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        // Kernels before 6.11 leave a worker waiting for callers that are all gone.
        while self.workers.iter().any(|worker| !worker.is_finished()) {
            for (worker, thread) in self.workers.iter().zip(&self.threads) {
                if !worker.is_finished() {
                    let _ = peek::interrupt(*thread);
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests;
