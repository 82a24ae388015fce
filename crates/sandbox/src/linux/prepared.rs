//! A prepared sandbox: namespaces, mounts and network made once, and processes of its own for each command.
//!
//! A keeper process holds the namespaces. It is outside of every process namespace made for a command, so nothing inside
//! can see it. Commands share the network and the temporary directories of the sandbox, and nothing else.

use super::ops::{Operation, Program};
use super::seam::BrokerFactory;
use super::spawn::{First, Memory, STACK, Sandbox, Started, Streams, end, owned, supervisor};
use super::supervise::{Parts, Running, failure, pair};
use super::terminal::Terminal;
use crate::child::{Ruleset, Shared, phase, word};
use crate::enforced::StartError;
use crate::plan::Plan;
use crate::prepare::{self, slots};
use crate::run::{Command, Inlet, Signals};
use crate::sys::memory::Region;
use crate::sys::{Errno, fs, process, signal, socket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// A sandbox that is made, for many commands. They have the umask of the moment it was made.
#[derive(Debug)]
pub struct Prepared {
    sandbox: Sandbox,
    /// None where there are no namespaces to keep: then each command is started anew.
    keeper: Option<Started>,
    /// One request at a time.
    turn: Mutex<()>,
    each: Arc<[Operation]>,
    ruleset: Option<super::ops::Slot>,
    /// Descriptors of the keeper that the operations of each command use.
    filled: Vec<i32>,
    filter: OnceLock<Arc<[libc::sock_filter]>>,
    /// Our own broker, as it is before it begins; none if nothing is left to it.
    broker: OnceLock<Option<super::broker::Factory>>,
    inlets: Mutex<Vec<(Inlet, OwnedFd)>>,
}

impl Prepared {
    pub(super) fn new(sandbox: Sandbox) -> Result<Self, StartError> {
        let prepare::Prepared { tree, each, network, slots: count, ruleset } = prepare::prepare(sandbox.plan(), None)?;
        if sandbox.plan().tier == ringfence_model::Tier::Landlock {
            return Ok(Self {
                sandbox,
                keeper: None,
                turn: Mutex::new(()),
                each: each.into(),
                ruleset,
                filled: Vec::new(),
                filter: OnceLock::new(),
                broker: OnceLock::new(),
                inlets: Mutex::default(),
            });
        }
        let mut first = First::start(sandbox.plan(), true)?;
        let operations = tree.into_iter().chain(network).collect();
        first.give_work(sandbox.work(Program { operations, slots: slots(count, &[]) }));
        let lost = || supervisor("prepare the sandbox", Errno(libc::EIO));
        let inlets = Mutex::new(first.await_ready(sandbox.plan())?);
        let keeper = first.take().ok_or_else(lost)?;
        let filled = match &keeper.memory.work {
            Some(work) => work.program.slots.iter().map(|slot| slot.load(SeqCst)).collect(),
            None => Vec::new(),
        };
        let each = each.into();
        let turn = Mutex::new(());
        let (filter, broker) = (OnceLock::new(), OnceLock::new());
        Ok(Self { sandbox, keeper: Some(keeper), turn, each, ruleset, filled, filter, broker, inlets })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.sandbox.plan()
    }

    /// What was made inside for the proxy to serve. It is given once.
    pub fn inlets(&self) -> Vec<(Inlet, OwnedFd)> {
        self.inlets.lock().map(|mut sockets| std::mem::take(&mut *sockets)).unwrap_or_default()
    }

    /// Starts a command. Returns when it runs.
    pub fn spawn(&self, command: Command, broker: Option<Box<dyn BrokerFactory>>) -> Result<Running<'_>, StartError> {
        let began = Instant::now();
        let Some(keeper) = &self.keeper else { return self.sandbox.spawn(command, broker) };
        let streams = Streams::open(&command, self.plan())?;
        let group = self.sandbox.group()?;
        let terminal = (command.signals == Signals::Forward).then(Terminal::remember).flatten();
        let (broker, filter) = match broker {
            Some(broker) => {
                let filter = self.sandbox.filter(Some(broker.as_ref()))?;
                (Some(broker), filter)
            }
            // Our own broker adds the same rows every time.
            None => {
                let broker = self.broker()?;
                let filter = match self.filter.get() {
                    Some(known) => Arc::clone(known),
                    None => {
                        let made = self.sandbox.filter(broker.as_deref())?;
                        Arc::clone(self.filter.get_or_init(|| made))
                    }
                };
                (broker, filter)
            }
        };
        let mask = signal::mask();
        let launch = Box::new(self.sandbox.launch(
            &command,
            &streams,
            self.ruleset.map(Ruleset::Made),
            terminal.as_ref(),
            mask,
            filter,
            broker.is_some(),
        )?);
        let slots = slots(self.filled.len(), &self.filled);
        let mut work = Box::new(self.sandbox.work(Program { operations: Arc::clone(&self.each), slots }));
        work.proxy_ports.clear();
        let stacks = Region::new(2 * STACK).map_err(|errno| supervisor("make stacks", errno))?;
        let watched = keeper.memory.shared.supervisor.load(SeqCst);
        let shared = Box::new(Shared::complete(watched, stacks.address(2 * STACK), &work, &launch));
        if group.is_some() {
            // It waits until it is in its group.
            shared.phase.store(phase::WORK, SeqCst);
        }
        let [ours, theirs] = socket::pair().map_err(|errno| supervisor("make a socket pair", errno))?;
        let (ours, theirs) = (owned(ours), owned(theirs));
        let (pid, pidfd) = self.request(&shared, stacks.address(STACK), &theirs, streams.numbers)?;
        let memory = Memory { shared, stacks, work: Some(work), launch: Some(launch) };
        let started = Started { memory, pid, pidfd, socket: ours, mask };
        drop(theirs);
        let before = keeper.memory.work.as_deref();
        if let Some(group) = &group {
            if let Err(cause) = group.place(started.pid) {
                started.memory.shared.reach(phase::ABANDONED);
                end(&started.pidfd);
                return Err(self.sandbox.ungrouped(cause));
            }
            started.memory.shared.reach(phase::LAUNCH);
        }
        let parts = Parts { plan: self.plan(), started, broker, began, before, group };
        Running::started(parts, streams, command, terminal)
    }

    /// Our own broker of one command. What its rules are about is looked up once for all of them.
    fn broker(&self) -> Result<Option<Box<dyn BrokerFactory>>, StartError> {
        let failed = |cause| StartError::Supervisor { what: "prepare the broker".to_owned(), cause };
        let first = match self.broker.get() {
            Some(known) => known,
            None => {
                let made = super::broker::Factory::new(self.plan()).map_err(failed)?;
                self.broker.get_or_init(|| made)
            }
        };
        match first {
            Some(first) => Ok(Some(Box::new(first.again().map_err(failed)?))),
            None => Ok(None),
        }
    }

    /// Has the keeper start a process 1.
    fn request(
        &self,
        shared: &Shared,
        stack: usize,
        theirs: &OwnedFd,
        streams: [i32; 3],
    ) -> Result<(i32, OwnedFd), StartError> {
        let failed = |errno: Errno| supervisor("start a process in the prepared sandbox", errno);
        let _turn = self.turn.lock().map_err(|_| failed(Errno(libc::EDEADLK)))?;
        let Some(started) = &self.keeper else { return Err(failed(Errno(libc::ESRCH))) };
        let keeper = &started.memory.shared;
        keeper.request.store(std::ptr::from_ref(shared).cast_mut(), SeqCst);
        keeper.request_stack.store(stack, SeqCst);
        let [stdin, stdout, stderr] = streams;
        let mut bytes = [0u8; 8];
        bytes[..4].copy_from_slice(&word::SPAWN.to_ne_bytes());
        let socket = started.socket.as_raw_fd();
        socket::send(socket, &bytes, &[theirs.as_raw_fd(), stdin, stdout, stderr]).map_err(failed)?;
        loop {
            // A keeper that is gone closes its end, which makes this return nothing.
            let (count, _) = socket::receive(socket, &mut bytes, 0).map_err(failed)?;
            if count != bytes.len() {
                return Err(failed(Errno(libc::EPIPE)));
            }
            match pair(bytes) {
                (word::SPAWNED, 0) => return Err(failed(Errno(libc::EAGAIN))),
                (word::SPAWNED, pid) => {
                    let pid = pid as i32;
                    return process::pidfd_open(pid).map(|fd| (pid, owned(fd))).map_err(failed);
                }
                _ => {}
            }
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            end(&keeper.pidfd);
        }
    }
}

impl First {
    /// Waits until a keeper has made everything; its sockets for the proxy.
    fn await_ready(&mut self, plan: &Plan) -> Result<Vec<(Inlet, OwnedFd)>, StartError> {
        let lost = || supervisor("prepare the sandbox", Errno(libc::EPIPE));
        let Some(Started { memory, pidfd, socket, .. }) = self.started() else { return Err(lost()) };
        let mut inlets = Vec::new();
        loop {
            let mut fds =
                [socket.as_raw_fd(), pidfd.as_raw_fd()].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
            let _ = fs::poll(&mut fds, -1);
            let [message, ended] = fds;
            let mut bytes = [0u8; 8];
            let received = if message.revents & libc::POLLIN == 0 {
                Ok((0, None))
            } else {
                socket::receive(socket.as_raw_fd(), &mut bytes, libc::MSG_DONTWAIT)
            };
            let Ok((8, descriptor)) = received else {
                if ended.revents != 0 {
                    return Err(lost());
                }
                continue;
            };
            match (pair(bytes), descriptor.map(owned)) {
                ((word::READY, _), _) => return Ok(inlets),
                ((word::FAILED, operation), _) => {
                    let Some(work) = &memory.work else { return Err(lost()) };
                    return Err(failure(plan, &memory.shared, work, operation));
                }
                ((word::PROXY_SOCKET, value), Some(fd)) => {
                    inlets.extend(Inlet::from_word(value).map(|inlet| (inlet, fd)));
                }
                _ => {}
            }
        }
    }
}
