//! The workers of one broker: one to begin with, which every start waits for, and more that stand by once there is a call to
//! answer.

use super::relief::Relief;
use super::serve;
use super::shared::Shared;
use crate::linux::quiet;
use crate::sys::peek;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Workers of one broker: calls are answered side by side where one worker is held up, and what may wait is handed on.
const WORKERS: usize = 3;
const NAME: &str = "ringfence-broker";
/// How long a worker that waits for callers is left to notice that they are all gone.
const PATIENCE: Duration = Duration::from_micros(200);

/// A worker that waits for something to work on. It is in the Landlock domain of the thread that made it.
pub(super) struct First {
    orders: Sender<Arc<Shared>>,
    handle: JoinHandle<()>,
    thread: u32,
}

impl First {
    pub(super) fn hire() -> io::Result<Self> {
        let (orders, order) = mpsc::channel::<Arc<Shared>>();
        let (ready, able) = mpsc::channel();
        let handle = quiet::thread(NAME, move || {
            let _ = ready.send(serve::become_worker().map(|()| peek::gettid()));
            drop(ready);
            // Without an order, there is nobody to work for.
            if let Ok(shared) = order.recv() {
                let alive = shared.crew.alive();
                serve::work(&shared);
                drop(alive);
            }
        })?;
        let thread = able.recv().map_err(|_| io::Error::other("the broker's worker ended"))??;
        Ok(Self { orders, handle, thread })
    }

    /// Sets it to work.
    pub(super) fn start(self, shared: &Arc<Shared>) {
        let mut hired = shared.crew.hired();
        hired.members.push(Member { handle: self.handle, thread: Arc::new(AtomicU32::new(self.thread)) });
        // It can't be gone: it waits for this.
        let _ = self.orders.send(Arc::clone(shared));
    }
}

/// Who works for one broker.
pub(super) struct Crew {
    hired: Mutex<Hired>,
    /// Who of them answers.
    pub(super) relief: Relief,
    /// Closed when the last worker has ended.
    ended: Mutex<Receiver<()>>,
}

struct Hired {
    members: Vec<Member>,
    /// What every worker holds while it works; gone once nobody is hired any more.
    alive: Option<Sender<()>>,
}

struct Member {
    handle: JoinHandle<()>,
    /// 0 until it can be interrupted.
    thread: Arc<AtomicU32>,
}

impl Member {
    /// Makes it see that the broker ends, whatever it waits for.
    fn rouse(&self) {
        self.handle.thread().unpark();
        let thread = self.thread.load(Ordering::Acquire);
        if thread != 0 && !self.handle.is_finished() {
            let _ = peek::interrupt(thread);
        }
    }
}

impl Default for Crew {
    fn default() -> Self {
        let (alive, ended) = mpsc::channel();
        let hired = Hired { members: Vec::new(), alive: Some(alive) };
        Self { hired: Mutex::new(hired), relief: Relief::default(), ended: Mutex::new(ended) }
    }
}

impl Crew {
    fn hired(&self) -> MutexGuard<'_, Hired> {
        self.hired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Option<Sender<()>> {
        self.hired().alive.clone()
    }

    /// Hires one more to stand by. Only a worker calls it, so that the new one is in the same Landlock domain.
    ///
    /// That none can be had is no failure: one worker answers everything, only more slowly.
    pub(super) fn grow(shared: &Arc<Shared>) {
        let mut hired = shared.crew.hired();
        let (Some(alive), false) = (hired.alive.clone(), hired.members.len() >= WORKERS) else { return };
        let theirs = Arc::clone(shared);
        let thread = Arc::new(AtomicU32::new(0));
        let name = Arc::clone(&thread);
        let made = quiet::thread(NAME, move || {
            let able = serve::become_worker();
            name.store(peek::gettid(), Ordering::Release);
            if able.is_ok() {
                serve::stand_by(&theirs);
            }
            drop(alive);
        });
        if let Ok(handle) = made {
            hired.members.push(Member { handle, thread });
        }
    }

    /// Waits until all have ended, after [`Shared::ending`] was set.
    pub(super) fn dismiss(&self) {
        self.hired().alive = None;
        loop {
            // Kernels before 6.11 leave a worker waiting for callers that are all gone.
            self.hired().members.iter().for_each(Member::rouse);
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
        let members = std::mem::take(&mut self.hired().members);
        for member in members {
            let _ = member.handle.join();
        }
    }
}
