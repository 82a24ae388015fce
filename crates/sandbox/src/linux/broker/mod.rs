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

mod accept;
mod call;
mod caller;
mod exec;
mod factory;
mod fold;
mod forks;
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

/// Workers that wait for a listener.
pub struct Enlisted {
    prepared: Prepared,
    orders: Vec<mpsc::Sender<Arc<Shared>>>,
    workers: Vec<JoinHandle<()>>,
    threads: Vec<u32>,
}

impl Prepared {
    /// Opens what the rules of `plan` are about.
    pub fn open(plan: BrokerPlan) -> io::Result<Self> {
        let rules = Rules::open(plan)?;
        let (proc, proc_device) = caller::own_proc()?;
        Ok(Self { rules, proc, proc_device })
    }

    /// Makes the workers, which inherit the Landlock domain of the calling thread.
    pub fn enlist(self) -> io::Result<Enlisted> {
        // What the supervisor is sent is its own to pass on: a worker that didn't block it would be taken down by it, and
        // the whole process with it.
        let mask = crate::sys::signal::set_mask(crate::sys::signal::ALL);
        let enlisted = self.hire();
        crate::sys::signal::set_mask(mask);
        enlisted
    }

    fn hire(self) -> io::Result<Enlisted> {
        let mut enlisted = Enlisted { prepared: self, orders: Vec::new(), workers: Vec::new(), threads: Vec::new() };
        let (ready, started) = mpsc::channel();
        for _ in 0..WORKERS {
            let (order, orders) = mpsc::channel::<Arc<Shared>>();
            let ready = ready.clone();
            let act = move || {
                let able = serve::become_worker();
                let works = able.is_ok();
                let _ = ready.send(able.map(|()| peek::gettid()));
                drop(ready);
                // Without an order, there is nobody to work for.
                if works && let Ok(shared) = orders.recv() {
                    serve::work(&shared);
                }
            };
            let name = "ringfence-broker".to_owned();
            enlisted.workers.push(std::thread::Builder::new().name(name).stack_size(256 << 10).spawn(act)?);
            enlisted.orders.push(order);
        }
        drop(ready);
        for outcome in started {
            enlisted.threads.push(outcome?);
        }
        Ok(enlisted)
    }
}

impl Enlisted {
    /// Starts answering on `listener`.
    ///
    /// `first` is process 1 of the sandbox, below which all others are.
    pub fn start(self, listener: OwnedFd, first: u32) -> io::Result<Broker> {
        // Halves the cost where the kernel has it; nothing depends on it.
        let _ = notify::set_sync_wake_up(listener.as_fd());
        let forks = self.prepared.rules.plan.processes.clone().map(|most| forks::Forks::new(first, most));
        let shared = Arc::new(Shared {
            listener,
            proc: self.prepared.proc,
            proc_device: self.prepared.proc_device,
            rules: self.prepared.rules,
            record: record::Record::default(),
            inside: inside::Inside::default(),
            forks,
            secret: secret()?,
            launched: false.into(),
            umask_generation: 0.into(),
            waiting: 0.into(),
            ending: false.into(),
        });
        for order in &self.orders {
            let _ = order.send(Arc::clone(&shared));
        }
        Ok(Broker { shared, workers: self.workers, threads: self.threads })
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

/// Sixteen bytes that nobody foresees.
fn secret() -> io::Result<[u8; 16]> {
    let mut secret = [0; 16];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests;
