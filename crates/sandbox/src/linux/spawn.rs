//! Starts: from a plan and a command to process 1 of the sandbox.

use super::ahead::{Ahead, Dumpable};
use super::filter;
use super::given::Given;
use super::limits::{
    group::Group,
    relay::{Relay, Way},
};
use super::prepared::Prepared;
use super::seam::BrokerFactory;
use super::supervise::{Parts, Running};
use super::terminal::Terminal;
use crate::child::{self, AtomicPointer, Launch, Maps, Ruleset, Shared, Work, phase};
use crate::enforced::StartError;
use crate::plan::{Act, GroupKind, IdMap, Namespace, Plan};
use crate::prepare::{self, c_path, c_string};
use crate::run::{Command, Pipes, Signals, Stdio};
use crate::sys::memory::Region;
use crate::sys::{Errno, fs, process, signal, socket};
use ringfence_model::Tier;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Stack of each process that shares our memory. They call little and nothing deep.
pub(super) const STACK: usize = 64 << 10;

/// Whether process 1 adopts what the command leaves behind and ends it: there is no process namespace that would.
pub(super) fn adopts(tier: Tier) -> bool {
    matches!(tier, Tier::Landlock | Tier::Unconfined)
}

/// Runs commands under a plan.
#[derive(Debug)]
pub struct Sandbox {
    plan: Plan,
    /// Where the namespaces are another's work, they are made once, and kept.
    lent: OnceLock<Box<Prepared>>,
}

impl Sandbox {
    /// A sandbox for this plan. Nothing is done yet.
    pub fn new(plan: Plan) -> Result<Self, StartError> {
        if plan.system != crate::host::System::Linux || plan.arch != std::env::consts::ARCH {
            let why = format!("it is for {:?} on {}", plan.system, plan.arch);
            return Err(StartError::Foreign { why });
        }
        if !matches!(plan.tier, Tier::Namespaces | Tier::Bwrap | Tier::Landlock | Tier::Unconfined) {
            return Err(StartError::Foreign { why: format!("the `{}` tier is enforced elsewhere", plan.tier) });
        }
        Ok(Self { plan, lent: OnceLock::new() })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan, when no more commands are to be run under it.
    #[must_use]
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// Makes the sandbox and starts a command in it. Returns when the command runs. Without a broker of the caller's, what
    /// the plan leaves to one is held by our own.
    pub fn spawn(&self, command: Command, broker: Option<Box<dyn BrokerFactory>>) -> Result<Running<'_>, StartError> {
        self.spawn_ahead(None, command, broker)
    }

    /// As [`Sandbox::spawn`], with namespaces that are being made already.
    pub fn spawn_ahead(
        &self,
        ahead: Option<Ahead>,
        command: Command,
        broker: Option<Box<dyn BrokerFactory>>,
    ) -> Result<Running<'_>, StartError> {
        if self.plan.tier == Tier::Bwrap {
            let lent = self.lent()?;
            let mut running = lent.spawn(command, broker)?;
            // What the proxy serves was made with the namespaces.
            running.add_inlets(lent.inlets());
            return Ok(running);
        }
        let began = Instant::now();
        let mut broker = match broker {
            Some(broker) => Some(broker),
            None => self.broker()?,
        };
        let terminal = (command.signals == Signals::Forward).then(Terminal::remember).flatten();
        let prepared = prepare::prepare(&self.plan, terminal.as_ref().and_then(Terminal::path))?;
        let streams = Streams::open(&command, &self.plan)?;
        let group = self.group()?;
        let (program, ruleset) = prepared.whole();
        let mut ruleset = ruleset.map(Ruleset::Made);
        let given;
        let ahead = ahead.filter(|ahead| ahead.fits(&self.plan, &streams));
        let mut first = match ahead.and_then(Ahead::finish) {
            Some(first) => first,
            None if self.plan.tier == Tier::Landlock => {
                let plan = &self.plan;
                let first;
                (first, given) = super::domain::within(plan, broker.as_deref_mut(), || First::start(plan, false))?;
                ruleset = Some(Ruleset::Given(given.as_raw_fd()));
                first
            }
            None => First::start(&self.plan, false)?,
        };
        let command_early = self.plan.tier == Tier::Namespaces && group.is_none();
        first.give_work(Work { command_early, ..self.work(program) });
        // The filter is made while process 1 mounts, and somebody to answer it while the command is set up.
        let filter = self.filter(broker.as_deref())?;
        let listener = broker.is_some();
        let launch = self.launch(&command, &streams, ruleset, terminal.as_ref(), first.mask(), filter, listener)?;
        if let (Some(group), Some(started)) = (&group, first.started()) {
            group.place(started.pid).map_err(|cause| self.ungrouped(cause))?;
        }
        first.give_launch(launch);
        let Some(started) = first.take() else { return Err(supervisor("start", Errno(libc::EIO))) };
        let parts = Parts { plan: &self.plan, started, broker, began, before: None, group };
        Running::started(parts, streams, command, terminal)
    }

    /// The control group of one run; none if the plan has none.
    pub(super) fn group(&self) -> Result<Option<Group>, StartError> {
        Group::of(&self.plan).map_err(|cause| self.ungrouped(cause))
    }

    pub(super) fn ungrouped(&self, cause: io::Error) -> StartError {
        let step = self.plan.steps.iter().find(|step| matches!(step.act, Act::ControlGroup { .. }));
        let what = "make its control group".to_owned();
        let Some(step) = step else { return StartError::Supervisor { what, cause } };
        let remedy = crate::compile::CGROUP_REMEDY.to_owned();
        StartError::Step { step: Box::new(step.clone()), what, remedy, cause }
    }

    /// Makes the sandbox without a command: what is returned runs many, each in processes of its own.
    pub fn prepare(self) -> Result<Prepared, StartError> {
        Prepared::new(self)
    }

    fn lent(&self) -> Result<&Prepared, StartError> {
        if let Some(lent) = self.lent.get() {
            return Ok(lent);
        }
        let made = Prepared::new(Self::new(self.plan.clone())?)?;
        Ok(self.lent.get_or_init(|| Box::new(made)))
    }

    /// The broker of what the plan leaves to one; none if it leaves nothing.
    pub(super) fn broker(&self) -> Result<Option<Box<dyn BrokerFactory>>, StartError> {
        let made = super::broker::Factory::new(&self.plan);
        let made = made.map_err(|cause| StartError::Supervisor { what: "prepare the broker".to_owned(), cause })?;
        Ok(made.map(|factory| Box::new(factory) as Box<dyn BrokerFactory>))
    }

    pub(super) fn work(&self, program: super::ops::Program) -> Work {
        let interface = program.operations.iter().find_map(|operation| match operation.op {
            super::ops::Op::MakeInterface { to, .. } => Some(to),
            _ => None,
        });
        let ports =
            |step: &crate::plan::Step| if let Act::ProxyListener { port } = step.act { Some(port) } else { None };
        Work {
            step_errno: self.plan.steps.iter().map(|_| AtomicI32::new(0)).collect(),
            program,
            proxy_ports: self.plan.steps.iter().filter_map(ports).collect(),
            interface,
            keep_background: self.plan.keep_background,
            command_early: false,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one caller each for a fresh and a prepared sandbox; all of it differs"
    )]
    pub(super) fn launch(
        &self,
        command: &Command,
        streams: &Streams,
        ruleset: Option<Ruleset>,
        terminal: Option<&Terminal>,
        mask: signal::Mask,
        filter: Arc<[libc::sock_filter]>,
        listener: bool,
    ) -> Result<Launch, StartError> {
        let plan = &self.plan;
        let confine = plan.tier != Tier::Unconfined;
        let argv = command.argv.iter().map(|argument| c_string(argument.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let Some(program) = argv.first() else {
            return Err(StartError::Foreign { why: "the command has no program".to_owned() });
        };
        let envp = plan
            .environment
            .iter()
            .map(|var| c_string(&[var.name.as_bytes(), b"=", var.value.as_bytes()].concat()))
            .collect::<Result<Vec<_>, _>>()?;
        let candidates = candidates(plan, program)?;
        let own_group = plan.steps.iter().any(|step| step.act == Act::Group { kind: GroupKind::Own });
        // `sh FILE ARGUMENT…`; the file's place is filled when it is known.
        let mut script: Vec<AtomicPointer> = Vec::with_capacity(argv.len() + 2);
        script.push(AtomicPointer(AtomicPtr::new(child::SHELL.as_ptr().cast_mut())));
        script.push(AtomicPointer(AtomicPtr::new(std::ptr::null_mut())));
        script.extend(argv.iter().skip(1).map(|text| AtomicPointer(AtomicPtr::new(text.as_ptr().cast_mut()))));
        script.push(AtomicPointer(AtomicPtr::new(std::ptr::null_mut())));
        Ok(Launch {
            candidates,
            argv_pointers: child::pointers(&argv),
            argv,
            script_pointers: script,
            envp_pointers: child::pointers(&envp),
            envp,
            cwd: c_path(&plan.cwd)?,
            stdio: streams.numbers.map(AtomicI32::new),
            reopen: streams.given.iter().map(|given| given.reopen.clone()).collect(),
            limits: super::limits::rlimits(plan),
            mask,
            own_group,
            foreground: terminal.filter(|_| own_group).and_then(Terminal::foreground),
            confine,
            ruleset,
            filter,
            listener: confine && listener,
        })
    }

    /// The filter of the plan, with the broker's rows; empty without confinement.
    pub(super) fn filter(&self, broker: Option<&dyn BrokerFactory>) -> Result<Arc<[libc::sock_filter]>, StartError> {
        if self.plan.tier == Tier::Unconfined {
            return Ok(Arc::new([]));
        }
        let mut rows = broker.map(BrokerFactory::rows_before).unwrap_or_default();
        let mut arch = None;
        for step in &self.plan.steps {
            if let Act::Seccomp { profile, arch: name } = &step.act {
                rows.extend(filter::base(*profile));
                arch = filter::Arch::from_name(name);
            }
        }
        rows.extend(broker.map(BrokerFactory::rows).unwrap_or_default());
        let arch = arch.ok_or_else(|| StartError::Foreign { why: "no filter for this processor".to_owned() })?;
        filter::program(arch, &rows).map(Arc::from).map_err(|error| StartError::Foreign { why: error.to_string() })
    }
}

/// Flags of the namespaces of a plan.
pub(super) fn namespaces(plan: &Plan) -> i32 {
    let kinds = plan.steps.iter().find_map(|step| match &step.act {
        Act::Namespaces { kinds, .. } => Some(kinds),
        _ => None,
    });
    kinds.map_or(0, |kinds| {
        kinds.iter().fold(0, |flags, kind| {
            flags
                | match kind {
                    Namespace::User => libc::CLONE_NEWUSER,
                    Namespace::Mount => libc::CLONE_NEWNS,
                    Namespace::Pid => libc::CLONE_NEWPID,
                    Namespace::Ipc => libc::CLONE_NEWIPC,
                    Namespace::Net => libc::CLONE_NEWNET,
                    Namespace::Uts => libc::CLONE_NEWUTS,
                    Namespace::Cgroup => libc::CLONE_NEWCGROUP,
                }
        })
    })
}

/// Memory that process 1 and the command use until they are gone, or are what they will be.
#[derive(Debug)]
pub(super) struct Memory {
    pub shared: Box<Shared>,
    #[expect(dead_code, reason = "owns what the processes stand on")]
    pub stacks: Region,
    pub work: Option<Box<Work>>,
    pub launch: Option<Box<Launch>>,
}

/// What a process that holds the namespaces is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Process 1 of a command whose plan is known.
    First,
    /// It starts a process 1 per command.
    Keeper,
}

/// A first process, or a keeper, with all it uses.
#[derive(Debug)]
pub(super) struct Started {
    pub memory: Memory,
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub socket: OwnedFd,
    /// The supervisor's signal mask, which is the command's.
    pub mask: signal::Mask,
}

/// A first process that isn't in anybody's care yet: it ends with this value.
#[derive(Debug)]
pub(super) struct First(Option<Started>);

impl Drop for First {
    fn drop(&mut self) {
        if let Some(started) = self.0.take() {
            started.memory.shared.reach(phase::ABANDONED);
            end(&started.pidfd);
        }
    }
}

impl First {
    pub(super) fn start(plan: &Plan, keep: bool) -> Result<Self, StartError> {
        let identity = plan.steps.iter().find_map(|step| match &step.act {
            Act::Namespaces { identity, .. } => Some(*identity),
            _ => None,
        });
        let mut flags = namespaces(plan);
        if keep {
            flags &= !libc::CLONE_NEWPID;
        }
        let lent = if plan.tier == Tier::Bwrap { Some(super::lend::user_namespace(plan)?) } else { None };
        let role = if keep { Role::Keeper } else { Role::First };
        Self::with(flags, identity.unwrap_or(IdMap::Own), plan.tier, role, lent)
    }

    fn with(
        namespaces: i32,
        identity: IdMap,
        tier: Tier,
        role: Role,
        lent: Option<OwnedFd>,
    ) -> Result<Self, StartError> {
        let [ours, theirs] = socket::pair().map_err(|errno| supervisor("make a socket pair", errno))?;
        let (ours, theirs) = (owned(ours), owned(theirs));
        let own = process::pidfd_open(process::getpid()).map_err(|errno| supervisor("open myself", errno))?;
        let own = owned(own);
        let stacks = Region::new(3 * STACK).map_err(|errno| supervisor("make stacks", errno))?;
        let tops = [stacks.address(2 * STACK), stacks.address(3 * STACK)];
        let mut shared = Box::new(Shared::new(theirs.as_raw_fd(), own.as_raw_fd(), namespaces, tops));
        shared.adopts = adopts(tier);
        shared.leftovers = (tier == Tier::Landlock).then(Arc::default);
        shared.spares = tier == Tier::Unconfined;
        let mut now = namespaces & !shared.helper_namespaces;
        if let Some(lent) = &lent {
            shared.enter = lent.as_raw_fd();
            shared.enter_namespaces = now & !libc::CLONE_NEWUSER;
            now = 0;
        }
        let dumpable = Dumpable::begin();
        let mask = signal::set_mask(signal::ALL);
        let mut pidfd = -1;
        let flags = libc::CLONE_VM | libc::CLONE_PIDFD | now;
        let started = child::start(&shared, role == Role::Keeper, stacks.address(STACK), flags, &mut pidfd);
        signal::set_mask(mask);
        let refused = |what: &str, cause: io::Error| StartError::Tier {
            tier,
            what: what.to_owned(),
            remedy: cause.raw_os_error().map(|number| remedy(Errno(number))).unwrap_or_default(),
            cause,
        };
        let pid = started.map_err(|errno| refused("make the namespaces (`clone`)", errno.into()))?;
        let pidfd = owned(pidfd);
        let memory = Memory { shared, stacks, work: None, launch: None };
        let first = Self(Some(Started { memory, pid, pidfd, socket: ours, mask }));
        let maps = Maps::of_ours(identity == IdMap::All);
        let mapped = if now & libc::CLONE_NEWUSER == 0 { Ok(()) } else { maps.write(pid) };
        drop(dumpable);
        mapped.map_err(|errno| refused("map users and groups (`uid_map`)", errno.into()))?;
        if let Some(started) = &first.0 {
            started.memory.shared.reach(phase::MAPPED);
        }
        Ok(first)
    }

    pub(super) fn of(started: Started) -> Self {
        Self(Some(started))
    }

    fn mask(&self) -> signal::Mask {
        self.0.as_ref().map_or(0, |started| started.mask)
    }

    pub(super) fn give_work(&mut self, work: Work) {
        let Some(Started { memory, pid, .. }) = &mut self.0 else { return };
        let work = memory.work.insert(Box::new(work));
        memory.shared.work.store(std::ptr::from_ref(&**work).cast_mut(), SeqCst);
        // We go on meanwhile. Woken here, it would go on in our stead.
        memory.shared.send_elsewhere(*pid);
        memory.shared.reach(phase::WORK);
    }

    fn give_launch(&mut self, launch: Launch) {
        let Some(Started { memory, .. }) = &mut self.0 else { return };
        let launch = memory.launch.insert(Box::new(launch));
        memory.shared.launch.store(std::ptr::from_ref(&**launch).cast_mut(), SeqCst);
        memory.shared.reach(phase::LAUNCH);
    }

    pub(super) fn started(&self) -> Option<&Started> {
        self.0.as_ref()
    }

    /// Takes it into care.
    pub(super) fn take(&mut self) -> Option<Started> {
        self.0.take()
    }
}

/// Ends a process of ours and waits until it is gone.
pub(super) fn end(pidfd: &OwnedFd) {
    let _ = process::pidfd_send_signal(pidfd.as_raw_fd(), libc::SIGKILL);
    await_end(pidfd);
}

/// Waits until a process of ours is gone.
pub(super) fn await_end(pidfd: &OwnedFd) {
    while !process::reap(pidfd.as_raw_fd()) {
        let mut fds = [libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let _ = fs::poll(&mut fds, 1000);
    }
}

fn remedy(errno: Errno) -> String {
    match errno.0 {
        libc::EPERM | libc::EACCES => "allow user namespaces for this user (`ringfence doctor` names the setting)",
        libc::ENOSPC => "raise `user.max_user_namespaces` and its kin (`sysctl`)",
        libc::EAGAIN | libc::ENOMEM => "free memory or processes",
        _ => "run `ringfence doctor`",
    }
    .to_owned()
}

pub(super) fn owned(fd: i32) -> OwnedFd {
    crate::sys::own(fd)
}

pub(super) fn supervisor(what: &str, errno: Errno) -> StartError {
    StartError::Supervisor { what: what.to_owned(), cause: errno.into() }
}

/// The command's streams: what it gets, and our ends of pipes.
#[derive(Debug)]
pub(super) struct Streams {
    pub numbers: [i32; 3],
    pub theirs: Vec<OwnedFd>,
    pub pipes: Pipes,
    /// What passes output on, if that is counted.
    pub relay: Option<Relay>,
    /// Some output goes to a terminal, past the count.
    pub uncounted: bool,
    /// Files that are opened anew inside.
    pub given: Vec<Given>,
}

impl Streams {
    /// Opens them. With a limit on output, what isn't a terminal is passed on by the supervisor.
    pub(super) fn open(command: &Command, plan: &Plan) -> Result<Self, StartError> {
        let mut streams = Self::plain(command)?;
        if let Some(most) = super::limits::output(plan) {
            streams
                .count(most)
                .map_err(|cause| StartError::Supervisor { what: "pass the command's output on".to_owned(), cause })?;
        }
        streams.given = super::given::of(plan.tier, &streams.numbers);
        Ok(streams)
    }

    /// Puts pipes of our own between the command and where its output goes.
    fn count(&mut self, most: u64) -> io::Result<()> {
        let mut ways = Vec::new();
        let mut same: Option<((u64, u64), i32)> = None;
        for number in [1, 2] {
            let Some(place) = self.numbers.get_mut(number) else { continue };
            let to = owned(fs::dup_above(*place, 3)?);
            if io::IsTerminal::is_terminal(&to) {
                self.uncounted = true;
                continue;
            }
            let stat = fs::fstat(to.as_raw_fd())?;
            let identity = (stat.st_dev, stat.st_ino);
            // Two streams into one file keep their order only in one pipe.
            if let Some((known, writer)) = same
                && known == identity
            {
                *place = writer;
                continue;
            }
            let (from, writer) = io::pipe()?;
            let writer = owned(fs::dup_above(writer.as_raw_fd(), 3)?);
            // Whoever reads a pipe of the caller's sees it end when the relay does.
            self.theirs.retain(|theirs| theirs.as_raw_fd() != *place);
            *place = writer.as_raw_fd();
            same = Some((identity, *place));
            self.theirs.push(writer);
            ways.push(Way { from: File::from(OwnedFd::from(from)), to: File::from(to) });
        }
        if !ways.is_empty() {
            // Now, while nothing runs that it would leave behind if it failed.
            self.relay = Some(Relay::start(ways, most)?);
        }
        Ok(())
    }

    fn plain(command: &Command) -> Result<Self, StartError> {
        let mut streams = Self {
            numbers: [0, 1, 2],
            theirs: Vec::new(),
            pipes: Pipes::default(),
            relay: None,
            uncounted: false,
            given: Vec::new(),
        };
        let all = [&command.stdin, &command.stdout, &command.stderr];
        for (number, stream) in all.into_iter().enumerate() {
            let failed = |cause| StartError::Supervisor { what: "open the command's streams".to_owned(), cause };
            let fd = match stream {
                Stdio::Inherit => continue,
                Stdio::Null => OwnedFd::from(File::options().read(true).write(true).open("/dev/null").map_err(failed)?),
                Stdio::Piped => {
                    let (reader, writer) = io::pipe().map_err(failed)?;
                    let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
                    if number == 0 {
                        streams.pipes.stdin = Some(File::from(writer));
                        reader
                    } else {
                        let file = Some(File::from(reader));
                        if number == 1 {
                            streams.pipes.stdout = file
                        } else {
                            streams.pipes.stderr = file
                        }
                        writer
                    }
                }
                Stdio::Descriptor(fd) => fd.try_clone().map_err(failed)?,
            };
            // Above the standard ones, so that putting one in its place doesn't close another.
            let fd = owned(fs::dup_above(fd.as_raw_fd(), 3).map_err(|errno| failed(errno.into()))?);
            if let Some(place) = streams.numbers.get_mut(number) {
                *place = fd.as_raw_fd();
            }
            streams.theirs.push(fd);
        }
        Ok(streams)
    }
}

/// Files to try for a program, as a shell would.
fn candidates(plan: &Plan, program: &CString) -> Result<Vec<CString>, StartError> {
    let name = program.as_bytes();
    if name.contains(&b'/') {
        return Ok(vec![program.clone()]);
    }
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let path = plan.environment.iter().find(|var| var.name.as_str() == Some("PATH"));
    let path = path.map_or(&b"/usr/local/bin:/usr/bin:/bin"[..], |var| var.value.as_bytes());
    path.split(|byte| *byte == b':')
        .map(|directory| match directory {
            b"" => c_string(&[b"./", name].concat()),
            directory => c_string(&[directory, b"/", name].concat()),
        })
        .collect()
}
