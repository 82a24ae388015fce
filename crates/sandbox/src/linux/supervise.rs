//! Supervises: waits for the command, passes signals on, keeps the terminal, serves the broker, keeps the clock.

use super::given::{self, Given};
use super::limits::Watch;
use super::limits::group::Group;
use super::replaced::{self, Covered};
use super::seam::{Broker, BrokerFactory, BrokerStart};
use super::spawn::{Memory, Started, Streams, adopts, owned, supervisor};
use super::terminal::Terminal;
use crate::child::{self, Shared, Work, word};
use crate::enforced::{Enforced, StartError, StepResult};
use crate::plan::{Act, GroupKind, Limit, Plan};
use crate::run::{Command, Inlet, Outcome, Pipes, Signals};
use crate::sys::{fs, process, signal, socket};
use ringfence_model::Tier;
use ringfence_model::report::Exit;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a command that ran out of time may take to end by itself.
const GRACE: Duration = Duration::from_millis(300);

/// Signals that are passed on. Stop signals of the terminal reach the command by themselves; whether it stops is its
/// own decision, and the supervisor follows.
const FORWARDED: &[i32] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGWINCH,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
];

/// Those of them that end nobody.
const SPARING: &[i32] = &[libc::SIGWINCH, libc::SIGCONT, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// What a start leaves in hand.
pub(super) struct Parts<'p> {
    pub plan: &'p Plan,
    pub started: Started,
    pub broker: Option<Box<dyn BrokerFactory>>,
    pub began: Instant,
    /// What was done before, in a prepared sandbox.
    pub before: Option<&'p Work>,
    pub group: Option<Group>,
}

/// Memory that a first process may still use while it ends.
struct Ending {
    pidfd: OwnedFd,
    _memory: Memory,
}

/// First processes whose end nobody waited for. Their memory is given back when they are gone.
static ENDING: Mutex<Vec<Ending>> = Mutex::new(Vec::new());

/// What process 1 had to say.
enum Message {
    /// The command ended with this wait status.
    Ended(i32),
    Other,
    None,
}

/// A command that runs.
pub struct Running<'p> {
    plan: &'p Plan,
    memory: Option<Memory>,
    pid: i32,
    pidfd: OwnedFd,
    socket: OwnedFd,
    broker: Option<Box<dyn Broker>>,
    enforced: Vec<Enforced>,
    pipes: Pipes,
    given: Vec<Given>,
    covered: Vec<Covered>,
    inlets: Vec<(Inlet, OwnedFd)>,
    signals: Option<OwnedFd>,
    terminal: Option<Terminal>,
    mask: signal::Mask,
    began: Instant,
    limits: Watch,
}

/// Waits for the first processes of sandboxes whose commands have ended; they end at once. A program that ends after its last
/// command calls it: whoever inherits its children, in containers often a program that waits for none but its own, would
/// otherwise keep each as a zombie. One that goes on needn't: the next command's end does the same.
pub fn settle() {
    let ending = std::mem::take(&mut *ENDING.lock().unwrap_or_else(PoisonError::into_inner));
    for first in &ending {
        super::spawn::await_end(&first.pidfd);
    }
}

/// Ends a command and everything inside with it. After that command's own end it does nothing.
#[derive(Debug)]
pub struct Killer {
    pidfd: OwnedFd,
    /// To process 1, where it has to end the others itself before it ends.
    socket: Option<OwnedFd>,
}

impl Killer {
    /// Ends it, now.
    pub fn kill(&self) {
        if let Some(socket) = &self.socket {
            say(socket, word::KILL, 0);
            return;
        }
        let _ = process::pidfd_send_signal(self.pidfd.as_raw_fd(), libc::SIGKILL);
    }
}

impl std::fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl<'p> Running<'p> {
    /// Waits until the command runs, or until it is clear why it can't.
    pub(super) fn started(
        parts: Parts<'p>,
        streams: Streams,
        command: Command,
        terminal: Option<Terminal>,
    ) -> Result<Self, StartError> {
        let Parts { plan, started, broker, began, before, group } = parts;
        let Streams { theirs, pipes, relay, uncounted, given, .. } = streams;
        drop(theirs);
        let Started { memory, pid, pidfd, socket, mask } = started;
        let mut running = Self {
            plan,
            memory: Some(memory),
            pid,
            pidfd,
            socket,
            broker: None,
            enforced: Vec::new(),
            pipes,
            given,
            covered: replaced::remember(plan),
            inlets: Vec::new(),
            signals: None,
            terminal,
            mask,
            began,
            limits: Watch::new(plan, group, relay),
        };
        running.enforced = running.results(broker.as_deref(), uncounted);
        running.await_start(&command, broker)?;
        running.look_at_lenient(before);
        if command.signals == Signals::Forward {
            let wanted = FORWARDED.iter().fold(0, |mask, signal| mask | signal::only(*signal));
            let signals = signal::signalfd(wanted).map_err(|errno| supervisor("watch signals", errno))?;
            running.signals = Some(owned(signals));
            signal::set_mask(mask | wanted);
        }
        Ok(running)
    }

    fn await_start(
        &mut self,
        command: &Command,
        mut factory: Option<Box<dyn BrokerFactory>>,
    ) -> Result<(), StartError> {
        loop {
            let mut bytes = [0u8; 8];
            let mut fds = [
                libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: self.broker_descriptor(), events: libc::POLLIN, revents: 0 },
            ];
            let _ = fs::poll(&mut fds, -1);
            let [message, ended, notified] = fds;
            if notified.revents != 0 {
                self.serve();
            }
            if message.revents & libc::POLLIN != 0 {
                let received = socket::receive(self.socket.as_raw_fd(), &mut bytes, libc::MSG_DONTWAIT);
                let Ok((8, descriptor)) = received else {
                    if ended.revents != 0 {
                        return Err(early_end());
                    }
                    continue;
                };
                let descriptor = descriptor.map(owned);
                let (kind, value) = pair(bytes);
                match (kind, descriptor) {
                    (word::STARTED, _) => {
                        let what = "limit the command's control group".to_owned();
                        let begun = self.limits.begun(self.pid);
                        return begun.map_err(|cause| StartError::Supervisor { what, cause });
                    }
                    (word::FAILED, _) => return Err(self.failed(value)),
                    (word::NOT_EXECUTED, _) => return Err(self.not_executed(command)),
                    (word::PROXY_SOCKET, Some(fd)) => {
                        self.inlets.extend(Inlet::from_word(value).map(|inlet| (inlet, fd)));
                    }
                    (word::STREAM, Some(fd)) => given::keep(&mut self.given, value, fd),
                    (word::LISTENER, Some(listener)) => {
                        let Some(factory) = factory.take() else { continue };
                        let start = BrokerStart {
                            listener,
                            first_process: self.pidfd.as_fd(),
                            first_pid: self.pid,
                            plan: self.plan,
                            voucher: command.voucher.clone(),
                            leftovers: self.memory.as_ref().and_then(|memory| memory.shared.leftovers.clone()),
                        };
                        let broker = factory
                            .start(start)
                            .map_err(|cause| StartError::Supervisor { what: "start the broker".to_owned(), cause })?;
                        self.broker = Some(broker);
                    }
                    _ => {}
                }
            } else if ended.revents != 0 {
                return Err(early_end());
            }
        }
    }

    fn failed(&self, operation: u32) -> StartError {
        let Some(Memory { shared, work: Some(work), .. }) = &self.memory else {
            return supervisor("start the sandbox", crate::sys::Errno(libc::EIO));
        };
        failure(self.plan, shared, work, operation)
    }

    fn not_executed(&self, command: &Command) -> StartError {
        let (errno, stage) = match &self.memory {
            Some(Memory { shared, .. }) => (shared.exec_errno.load(SeqCst), shared.exec_stage.load(SeqCst)),
            None => (libc::EIO, child::stage::NONE),
        };
        let cause = io::Error::from_raw_os_error(errno);
        let program = command.argv.first().map(|program| program.display()).unwrap_or_default();
        if stage != child::stage::EXEC {
            return StartError::Tier {
                tier: self.plan.tier,
                what: child::stage_name(stage).to_owned(),
                remedy: String::new(),
                cause,
            };
        }
        match errno {
            libc::ENOENT | libc::ENOTDIR => StartError::NotFound { program, cause },
            _ => StartError::NotExecutable { program, cause },
        }
    }

    /// What is known of each step before anything is done.
    fn results(&self, broker: Option<&dyn BrokerFactory>, uncounted: bool) -> Vec<Enforced> {
        self.plan
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let result = match (&step.act, broker) {
                    (Act::Broker(wish), Some(broker)) => broker.holds(wish),
                    (Act::Broker(_), None) => StepResult::Absent {
                        why: "no broker takes part in this run".to_owned(),
                        remedy: "run it with the broker".to_owned(),
                    },
                    (Act::Limit { limit: Limit::Output(_) }, _) if uncounted => StepResult::Weakened {
                        how: "what goes to a terminal isn't counted".to_owned(),
                        remedy: "send output to a pipe or file".to_owned(),
                    },
                    _ => StepResult::Held,
                };
                Enforced::of(index, step, result)
            })
            .collect()
    }

    /// Steps that failed and may.
    fn look_at_lenient(&mut self, before: Option<&Work>) {
        let own = self.memory.as_ref().and_then(|memory| memory.work.as_deref());
        for work in own.into_iter().chain(before) {
            let steps = self.plan.steps.iter().zip(&work.step_errno);
            for (enforced, (step, errno)) in self.enforced.iter_mut().zip(steps) {
                let errno = errno.load(SeqCst);
                if errno == 0 {
                    continue;
                }
                let why = io::Error::from_raw_os_error(errno).to_string();
                enforced.result = if matches!(step.act, Act::OwnProc { .. }) {
                    StepResult::Weakened {
                        how: format!(
                            "no `/proc` of its own ({why}): processes outside are listed, though nothing of them can be \
                             read, signalled or traced"
                        ),
                        remedy: "let the outer container leave `/proc` unmasked".to_owned(),
                    }
                } else {
                    StepResult::Absent { why, remedy: "run `ringfence doctor`".to_owned() }
                };
            }
        }
    }

    /// What became of each step.
    #[must_use]
    pub fn enforced(&self) -> &[Enforced] {
        &self.enforced
    }

    /// Our ends of the command's pipes.
    pub fn pipes(&mut self) -> &mut Pipes {
        &mut self.pipes
    }

    /// What was made inside for the proxy to serve.
    pub fn inlets(&mut self) -> Vec<(Inlet, OwnedFd)> {
        std::mem::take(&mut self.inlets)
    }

    /// What was made for it before, for the proxy to serve.
    pub(super) fn add_inlets(&mut self, made: Vec<(Inlet, OwnedFd)>) {
        self.inlets.extend(made);
    }

    /// Sends the command a signal.
    pub fn signal(&self, signal: i32) {
        say(&self.socket, word::SIGNAL, signal as u32);
    }

    /// Ends the command and everything inside, now.
    pub fn kill(&self) {
        if self.adopts() {
            say(&self.socket, word::KILL, 0);
            return;
        }
        let _ = process::pidfd_send_signal(self.pidfd.as_raw_fd(), libc::SIGKILL);
    }

    /// Whether process 1 ends the others: there is no process namespace that would.
    fn adopts(&self) -> bool {
        adopts(self.plan.tier)
    }

    /// A handle that can end the command from another thread, also while one waits for it.
    pub fn killer(&self) -> std::io::Result<Killer> {
        let socket = if self.adopts() { Some(self.socket.try_clone()?) } else { None };
        self.pidfd.try_clone().map(|pidfd| Killer { pidfd, socket })
    }

    /// Waits until the command has ended and, where its background processes may go on, until the last of them has. Only who
    /// waits holds the limits on time and on the memory of all processes together: output that is piped is read by another
    /// thread meanwhile.
    pub fn wait(mut self) -> Outcome {
        let limit = self.plan.limits().find_map(|limit| match limit {
            Limit::WallClock(milliseconds) => Some(Duration::from_millis(milliseconds)),
            _ => None,
        });
        let mut deadline = limit.map(|limit| self.began + limit);
        let mut timed_out = false;
        // How the command ended, while others go on.
        let mut before: Option<i32> = None;
        let exit = loop {
            let wake = deadline.into_iter().chain(self.limits.deadline()).min();
            let left = wake.map_or(-1, |deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                i64::try_from(left.as_millis()).unwrap_or(i64::MAX).saturating_add(1)
            });
            let mut fds = [
                libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: self.broker_descriptor(), events: libc::POLLIN, revents: 0 },
                libc::pollfd {
                    fd: self.signals.as_ref().map_or(-1, AsRawFd::as_raw_fd),
                    events: libc::POLLIN,
                    revents: 0,
                },
                libc::pollfd { fd: self.limits.descriptor(), events: libc::POLLIN, revents: 0 },
            ];
            let _ = fs::poll(&mut fds, left);
            let [message, ended, notified, signalled, _] = fds;
            if notified.revents != 0 {
                self.serve();
            }
            // What would end us ends those that go on: there is no command any more to pass it on to.
            if signalled.revents != 0 && self.pass_signals() && before.is_some() {
                self.kill();
            }
            match self.message(message.revents) {
                Message::Ended(status) if self.plan.keep_background => before = Some(status),
                Message::Ended(status) => break status,
                Message::Other => {}
                // Nobody is left inside, or process 1 was killed, and with it everything inside.
                Message::None if ended.revents != 0 => break before.unwrap_or(libc::SIGKILL),
                Message::None => {}
            }
            if self.limits.exceeded(self.pid) {
                self.kill();
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                if timed_out {
                    self.kill();
                    deadline = None;
                } else {
                    timed_out = true;
                    self.signal(libc::SIGTERM);
                    self.signal(libc::SIGCONT);
                    deadline = Some(Instant::now() + GRACE);
                }
            }
        };
        self.pass_rest();
        given::carry_back(&self.given);
        replaced::mark(&self.covered, self.plan, &mut self.enforced);
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        let mut denials = self.broker.take().map(|broker| broker.finish()).unwrap_or_default();
        denials.extend(self.limits.denials(self.plan));
        Outcome {
            exit: if timed_out { Exit::Timeout } else { self.limits.verdict(self.plan, exit) },
            tier: self.plan.tier,
            enforced: std::mem::take(&mut self.enforced),
            denials,
            duration: self.began.elapsed(),
        }
    }

    /// Waits until all output has been passed on, or whoever should read it is given up: by a signal that would end us, or
    /// because background work, which goes on, may print for ever.
    fn pass_rest(&mut self) {
        let goes_on = self.plan.keep_background || self.plan.tier == Tier::Unconfined;
        let patience = if goes_on { GRACE } else { Duration::MAX };
        let until = Instant::now().checked_add(patience);
        while self.limits.relays() {
            let left = until.map_or(-1, |until| {
                i64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i64::MAX)
            });
            let signals = self.signals.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            let output = self.limits.descriptor();
            // It may have ended since it was asked, or not be waited for by its descriptor: then it is asked again soon.
            let soon = if left < 0 { 10 } else { left.min(10) };
            let mut fds = [output, signals].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
            let _ = fs::poll(&mut fds, if output < 0 { soon } else { left });
            let [ended, signalled] = fds;
            let ends = signalled.revents != 0 && self.pass_signals();
            if ended.revents == 0 && (left == 0 || ends) {
                self.limits.abandon_output();
            }
        }
    }

    fn broker_descriptor(&self) -> i32 {
        self.broker.as_ref().and_then(|broker| broker.descriptor()).map_or(-1, |fd| fd.as_raw_fd())
    }

    fn serve(&mut self) {
        if let Some(broker) = &mut self.broker
            && broker.serve().is_err()
        {
            // A broker that can't go on must not let the command go on without it.
            self.kill();
            self.broker = None;
        }
    }

    /// One message of process 1.
    fn message(&mut self, ready: i16) -> Message {
        if ready & libc::POLLIN == 0 {
            return Message::None;
        }
        let mut bytes = [0u8; 8];
        let Ok((8, _)) = socket::receive(self.socket.as_raw_fd(), &mut bytes, libc::MSG_DONTWAIT) else {
            return Message::None;
        };
        match pair(bytes) {
            (word::ENDED, status) => Message::Ended(status as i32),
            (word::STOPPED, signal) => {
                self.stopped(signal as i32);
                Message::Other
            }
            _ => Message::Other,
        }
    }

    /// The command has stopped: so does the supervisor, that the shell sees it; continued, it continues the command.
    fn stopped(&self, _signal: i32) {
        if self.signals.is_none() {
            return;
        }
        let own_group = self.plan.steps.iter().any(|step| step.act == Act::Group { kind: GroupKind::Own });
        let holder = self.terminal.as_ref().filter(|_| own_group).and_then(Terminal::holder);
        let _ = process::kill(process::getpid(), libc::SIGSTOP);
        if let (Some(terminal), Some(group)) = (&self.terminal, holder) {
            terminal.give_to(group);
        }
        self.signal(libc::SIGCONT);
    }

    /// Signals that came meanwhile. What the terminal sent to the whole group has reached the command already, unless
    /// it has a group of its own.
    /// True if one of them is such that it would have ended us.
    fn pass_signals(&self) -> bool {
        let mut ends = false;
        let Some(fd) = &self.signals else { return ends };
        let mut info = [0u8; 128];
        while let Ok(128) = fs::read(fd.as_raw_fd(), &mut info) {
            let number =
                |at: usize| info.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
            let (signal, code) = (number(0), number(8));
            ends |= !SPARING.contains(&signal);
            const KERNEL: i32 = 0x80;
            if code != KERNEL || signal == libc::SIGWINCH {
                self.signal(signal);
            }
        }
        ends
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        if self.signals.is_some() {
            signal::set_mask(self.mask);
        }
        let Some(memory) = self.memory.take() else { return };
        self.kill();
        match (self.pidfd.try_clone(), ENDING.lock()) {
            (Ok(pidfd), Ok(mut ending)) => {
                ending.retain(|old| !process::reap(old.pidfd.as_raw_fd()));
                ending.push(Ending { pidfd, _memory: memory });
            }
            // Without a descriptor nobody could tell when the memory is free.
            _ => std::mem::forget(memory),
        }
    }
}

fn early_end() -> StartError {
    let cause = io::Error::other("process 1 of the sandbox ended before the command started");
    StartError::Supervisor { what: "start the sandbox".to_owned(), cause }
}

/// Why process 1, or the keeper, gave up.
pub(super) fn failure(plan: &Plan, shared: &Shared, work: &Work, operation: u32) -> StartError {
    let errno = crate::sys::Errno(shared.failed_errno.load(SeqCst));
    let operation = work.program.operations.get(operation as usize);
    let step = operation.and_then(|operation| plan.steps.get(operation.step as usize));
    match (operation, step) {
        (Some(operation), Some(step)) => StartError::Step {
            step: Box::new(step.clone()),
            what: operation.op.describe(),
            remedy: operation.op.remedy(errno).to_owned(),
            cause: errno.into(),
        },
        _ => StartError::Tier {
            tier: plan.tier,
            what: "start a process inside".to_owned(),
            remedy: "run `ringfence doctor`".to_owned(),
            cause: errno.into(),
        },
    }
}

pub(super) fn say(socket: &OwnedFd, kind: u32, value: u32) {
    let mut bytes = [0u8; 8];
    let (first, second) = bytes.split_at_mut(4);
    first.copy_from_slice(&kind.to_ne_bytes());
    second.copy_from_slice(&value.to_ne_bytes());
    let _ = socket::send(socket.as_raw_fd(), &bytes, &[]);
}

pub(super) fn pair(bytes: [u8; 8]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]))
}
