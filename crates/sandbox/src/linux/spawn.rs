//! Starts: from a plan and a command to process 1 of the sandbox.

use super::filter;
use super::seam::BrokerFactory;
use super::supervise::{Parts, Running};
use super::terminal::Terminal;
use crate::child::{self, AtomicPointer, Launch, Rlimit, Shared, phase};
use crate::enforced::StartError;
use crate::plan::{Act, GroupKind, IdMap, Limit, Namespace, Plan};
use crate::prepare::{self, c_path, c_string};
use crate::run::{Command, Pipes, Signals, Stdio};
use crate::sys::memory::Region;
use crate::sys::{Errno, fs, process, security, signal, socket};
use ringfence_model::Tier;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering::SeqCst};
use std::time::Instant;

/// Stack of each process that shares our memory. They call little and nothing deep.
const STACK: usize = 64 << 10;

/// Runs commands under a plan.
#[derive(Debug)]
pub struct Sandbox {
    plan: Plan,
}

impl Sandbox {
    /// A sandbox for this plan. Nothing is done yet.
    pub fn new(plan: Plan) -> Result<Self, StartError> {
        if plan.system != crate::host::System::Linux || plan.arch != std::env::consts::ARCH {
            let why = format!("it is for {:?} on {}", plan.system, plan.arch);
            return Err(StartError::Foreign { why });
        }
        if !matches!(plan.tier, Tier::Namespaces | Tier::Landlock | Tier::Unconfined) {
            return Err(StartError::Foreign { why: format!("the `{}` tier is enforced elsewhere", plan.tier) });
        }
        Ok(Self { plan })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes the sandbox and starts a command in it. Returns when the command runs. Without a broker of the caller's, what
    /// the plan leaves to one is held by our own.
    pub fn spawn(&self, command: Command, broker: Option<Box<dyn BrokerFactory>>) -> Result<Running<'_>, StartError> {
        let began = Instant::now();
        let broker = match broker {
            Some(broker) => Some(broker),
            None => self.broker()?,
        };
        let mut broker = broker;
        let prepared = prepare::prepare(&self.plan)?;
        let streams = Streams::open(&command)?;
        let terminal = (command.signals == Signals::Forward).then(Terminal::remember).flatten();
        let mask = signal::set_mask(signal::ALL);
        let make = |broker: Option<&dyn BrokerFactory>| {
            let launch = self.launch(&command, &streams, prepared.ruleset, terminal.as_ref(), mask, broker)?;
            let [ours, theirs] = socket::pair().map_err(|errno| supervisor("make a socket pair", errno))?;
            let (ours, theirs) = (owned(ours), owned(theirs));
            let own = process::pidfd_open(process::getpid()).map_err(|errno| supervisor("open myself", errno))?;
            let own = owned(own);
            let stacks = Region::new(3 * STACK).map_err(|errno| supervisor("make stacks", errno))?;
            let shared = Box::new(self.shared(prepared.program, launch, &theirs, &own, &stacks));
            let (pid, pidfd) = self.first_process(&shared, &stacks)?;
            Ok(Parts { plan: &self.plan, shared, stacks, pid, pidfd, socket: ours, began })
        };
        let result = if self.plan.tier == Tier::Landlock {
            super::domain::within(&self.plan, broker.as_deref_mut(), make)
        } else {
            make(broker.as_deref())
        };
        let parts = match result {
            Ok(parts) => parts,
            Err(error) => {
                signal::set_mask(mask);
                return Err(error);
            }
        };
        drop(streams.theirs);
        Running::started(parts, broker, streams.pipes, command, terminal, mask)
    }

    fn broker(&self) -> Result<Option<Box<dyn BrokerFactory>>, StartError> {
        let made = super::broker::Factory::new(&self.plan);
        let made = made.map_err(|cause| StartError::Supervisor { what: "prepare the broker".to_owned(), cause })?;
        Ok(made.map(|factory| Box::new(factory) as Box<dyn BrokerFactory>))
    }

    fn launch(
        &self,
        command: &Command,
        streams: &Streams,
        ruleset: Option<super::ops::Slot>,
        terminal: Option<&Terminal>,
        mask: signal::Mask,
        broker: Option<&dyn BrokerFactory>,
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
        let mut filter = Vec::new();
        if confine {
            filter = self.filter(broker)?;
        }
        // `sh FILE ARGUMENT…`; the file's place is filled when it is known.
        let mut script: Vec<AtomicPointer> = Vec::with_capacity(argv.len() + 2);
        script.push(AtomicPointer(AtomicPtr::new(child::SHELL.as_ptr().cast_mut())));
        script.push(AtomicPointer(AtomicPtr::new(std::ptr::null_mut())));
        script.extend(argv.iter().skip(1).map(|text| AtomicPointer(AtomicPtr::new(text.as_ptr().cast_mut()))));
        script.push(AtomicPointer(AtomicPtr::new(std::ptr::null_mut())));
        let umask = process::umask(0o77);
        process::umask(umask);
        Ok(Launch {
            candidates,
            argv_pointers: child::pointers(&argv),
            argv,
            script_pointers: script,
            envp_pointers: child::pointers(&envp),
            envp,
            cwd: c_path(&plan.cwd)?,
            stdio: streams.numbers,
            limits: limits(plan),
            mask,
            umask,
            own_group,
            foreground: terminal.filter(|_| own_group).and_then(Terminal::foreground),
            confine,
            ruleset,
            filter,
            listener: confine && broker.is_some(),
        })
    }

    fn filter(&self, broker: Option<&dyn BrokerFactory>) -> Result<Vec<libc::sock_filter>, StartError> {
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
        filter::program(arch, &rows).map_err(|error| StartError::Foreign { why: error.to_string() })
    }

    fn shared(
        &self,
        program: super::ops::Program,
        launch: Launch,
        theirs: &OwnedFd,
        own: &OwnedFd,
        stacks: &Region,
    ) -> Shared {
        let proxy_ports: Vec<u16> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| if let Act::ProxyListener { port } = step.act { Some(port) } else { None })
            .collect();
        let namespaces = self.namespaces();
        let helper = namespaces & libc::CLONE_NEWNET;
        Shared {
            step_errno: self.plan.steps.iter().map(|_| AtomicI32::new(0)).collect(),
            program,
            launch,
            socket: theirs.as_raw_fd(),
            supervisor: own.as_raw_fd(),
            helper_namespaces: helper,
            proxy_sockets: proxy_ports.iter().map(|_| AtomicI32::new(-1)).collect(),
            proxy_ports,
            helper_stack: stacks.address(2 * STACK),
            command_stack: stacks.address(3 * STACK),
            keep_background: self.plan.keep_background,
            own_pids: namespaces & libc::CLONE_NEWPID != 0,
            adopts: self.plan.tier == Tier::Landlock,
            phase: AtomicU32::new(phase::NEW),
            failed_operation: AtomicU32::new(0),
            failed_errno: AtomicI32::new(0),
            network: AtomicU32::new(0),
            network_fd: AtomicI32::new(-1),
            command_tid: AtomicU32::new(0),
            exec_errno: AtomicI32::new(0),
            exec_stage: AtomicU32::new(child::stage::NONE),
            listener_fd: AtomicI32::new(-1),
        }
    }

    fn namespaces(&self) -> i32 {
        self.plan
            .steps
            .iter()
            .find_map(|step| if let Act::Namespaces { kinds, .. } = &step.act { Some(kinds) } else { None })
            .map_or(0, |kinds| {
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

    /// Starts process 1 and maps its identities.
    fn first_process(&self, shared: &Shared, stacks: &Region) -> Result<(i32, OwnedFd), StartError> {
        let namespaces = self.namespaces() & !shared.helper_namespaces;
        let flags = libc::CLONE_VM | libc::CLONE_PIDFD | namespaces;
        // The files through which identities are mapped belong to root while this process isn't dumpable. Afterwards
        // nothing of the same user may look into it, nor into process 1, which shares its memory.
        dumpable(true);
        let mut pidfd = -1;
        let pid = child::start(shared, stacks.address(STACK), flags, &mut pidfd).map_err(|errno| StartError::Tier {
            tier: self.plan.tier,
            what: "make the namespaces (`clone`)".to_owned(),
            remedy: remedy(errno),
            cause: errno.into(),
        })?;
        let pidfd = owned(pidfd);
        let mapped = if namespaces & libc::CLONE_NEWUSER == 0 { Ok(()) } else { self.map_identities(pid) };
        dumpable(false);
        let next = if mapped.is_ok() { phase::MAPPED } else { phase::ABANDONED };
        shared.phase.store(next, SeqCst);
        process::futex_wake(&shared.phase);
        if let Err(cause) = mapped {
            while !process::reap(pidfd.as_raw_fd()) {
                let mut fds = [libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
                let _ = fs::poll(&mut fds, 1000);
            }
            return Err(StartError::Tier {
                tier: self.plan.tier,
                what: "map users and groups (`uid_map`)".to_owned(),
                remedy: cause.raw_os_error().map(|number| remedy(Errno(number))).unwrap_or_default(),
                cause,
            });
        }
        Ok((pid, pidfd))
    }

    fn map_identities(&self, pid: i32) -> io::Result<()> {
        let all = self.plan.steps.iter().any(|step| matches!(&step.act, Act::Namespaces { identity: IdMap::All, .. }));
        let write = |name: &str, text: &str| {
            let path = CString::new(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let fd = owned(fs::openat(fs::CWD, &path, libc::O_WRONLY, 0)?);
            fs::write(fd.as_raw_fd(), text.as_bytes()).map(drop).map_err(io::Error::from)
        };
        if all && write("uid_map", "0 0 4294967295\n").is_ok() {
            return write("gid_map", "0 0 4294967295\n");
        }
        let (uid, gid) = process::identity();
        write("setgroups", "deny\n")?;
        write("uid_map", &format!("{uid} {uid} 1\n"))?;
        write("gid_map", &format!("{gid} {gid} 1\n"))
    }
}

fn dumpable(yes: bool) {
    let _ = security::prctl(libc::PR_SET_DUMPABLE, usize::from(yes));
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
struct Streams {
    numbers: [i32; 3],
    theirs: Vec<OwnedFd>,
    pipes: Pipes,
}

impl Streams {
    fn open(command: &Command) -> Result<Self, StartError> {
        let mut streams = Self { numbers: [0, 1, 2], theirs: Vec::new(), pipes: Pipes::default() };
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

fn limits(plan: &Plan) -> Vec<Rlimit> {
    let mut out = Vec::new();
    for step in &plan.steps {
        let Act::Limit { limit } = &step.act else { continue };
        let same = |resource: u32, value: u64| Rlimit { resource, soft: value, hard: value };
        let next = match *limit {
            Limit::Memory(bytes) => same(libc::RLIMIT_AS as u32, bytes),
            Limit::Processes(count) => same(libc::RLIMIT_NPROC as u32, count),
            Limit::OpenFiles(count) => same(libc::RLIMIT_NOFILE as u32, count),
            Limit::FileSize(bytes) => same(libc::RLIMIT_FSIZE as u32, bytes),
            Limit::CpuTime(milliseconds) => {
                let seconds = milliseconds.div_ceil(1000).max(1);
                Rlimit { resource: libc::RLIMIT_CPU as u32, soft: seconds, hard: seconds + 1 }
            }
            Limit::WallClock(_) | Limit::Output(_) => continue,
        };
        // A limit of the host that is lower already stays.
        let (soft, hard) = process::getrlimit(next.resource).unwrap_or((u64::MAX, u64::MAX));
        out.push(Rlimit { resource: next.resource, soft: next.soft.min(soft).min(hard), hard: next.hard.min(hard) });
    }
    out
}
