//! Between `clone` and `execve`: process 1 of the sandbox, and the command before it is the command.
//!
//! These processes share the supervisor's memory (a copy of it would cost more than all of the confinement). So the
//! rules here: no allocation, no locks, no thread-local storage (no `errno`: `sys` enters the kernel itself), no
//! unwinding, and of shared memory only atomics are written. All they need was prepared in [`Shared`] beforehand.

use crate::linux::ops::{Lenience, Op, Program, Slot};
use crate::linux::perform::{perform, slot};
use crate::sys::{Errno, fs, process, security, signal, socket};
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering::SeqCst};

/// How long one sleep on a futex lasts before everything is looked at again.
const SLICE_MS: i64 = 1000;

/// Words that process 1 sends, each a pair of 32-bit numbers.
pub(crate) mod word {
    /// The command runs.
    pub(crate) const STARTED: u32 = 1;
    /// An operation failed: its index; the errno is in the shared record.
    pub(crate) const FAILED: u32 = 2;
    /// The program couldn't be executed: errno.
    pub(crate) const NOT_EXECUTED: u32 = 3;
    /// The command stopped: signal.
    pub(crate) const STOPPED: u32 = 4;
    /// The command ended: wait status. Everything else inside has ended too, unless background work goes on.
    pub(crate) const ENDED: u32 = 5;
    /// A listener of seccomp notifications comes with this message.
    pub(crate) const LISTENER: u32 = 6;
    /// A listening socket inside comes with this message: port.
    pub(crate) const PROXY_SOCKET: u32 = 7;
    /// To process 1: pass this signal on.
    pub(crate) const SIGNAL: u32 = 16;
    /// To process 1: end everything now.
    pub(crate) const KILL: u32 = 17;
    /// To the keeper of a prepared sandbox: start a command; its streams and its end of a pair come with it.
    pub(crate) const SPAWN: u32 = 18;
    /// Of the keeper: everything is prepared.
    pub(crate) const READY: u32 = 8;
    /// Of the keeper: process 1 of a command was started (its process id), or wasn't (0).
    pub(crate) const SPAWNED: u32 = 9;
}

/// Phases of starting, in [`Shared::phase`]: each means that the earlier ones are over.
pub(crate) mod phase {
    /// Identities aren't mapped yet.
    pub(crate) const NEW: u32 = 0;
    /// Identities are mapped.
    pub(crate) const MAPPED: u32 = 1;
    /// [`super::Shared::work`] is there.
    pub(crate) const WORK: u32 = 2;
    /// [`super::Shared::launch`] is there.
    pub(crate) const LAUNCH: u32 = 3;
    /// The supervisor gave up.
    pub(crate) const ABANDONED: u32 = 9;
}

/// States of what a helper does meanwhile.
mod done {
    pub(super) const NO: u32 = 0;
    pub(super) const YES: u32 = 1;
    pub(super) const FAILED: u32 = 2;
}

/// One resource limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rlimit {
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// How the command is started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Files to try, in order.
    pub candidates: Vec<CString>,
    /// Arguments, and behind them the pointers to them with a null at the end.
    #[expect(dead_code, reason = "owns what the pointers point at")]
    pub argv: Vec<CString>,
    pub argv_pointers: Vec<*const c_char>,
    /// The arguments for a shell, if the file turns out to be a script without a first line that says so: two places
    /// are kept free in front.
    pub script_pointers: Vec<AtomicPointer>,
    #[expect(dead_code, reason = "owns what the pointers point at")]
    pub envp: Vec<CString>,
    pub envp_pointers: Vec<*const c_char>,
    pub cwd: CString,
    /// What becomes 0, 1, 2: each its own number or above 2.
    pub stdio: [AtomicI32; 3],
    pub limits: Vec<Rlimit>,
    pub mask: signal::Mask,
    pub umask: u32,
    /// A process group of its own, and the terminal whose foreground it takes.
    pub own_group: bool,
    pub foreground: Option<i32>,
    /// Privileges are dropped, Landlock and the filter applied.
    pub confine: bool,
    pub ruleset: Option<Slot>,
    pub filter: std::sync::Arc<[libc::sock_filter]>,
    pub listener: bool,
}

/// A pointer that one process writes and the same one reads.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicPointer(pub AtomicPtr<c_char>);

/// What is to be done inside before the command.
#[derive(Debug)]
pub(crate) struct Work {
    pub program: Program,
    /// Per step of the plan: errno of a lenient failure.
    pub step_errno: Vec<AtomicI32>,
    /// Ports on loopback to listen on for the proxy.
    pub proxy_ports: Vec<u16>,
    /// Processes inside go on after the command.
    pub keep_background: bool,
}

/// What supervisor, process 1, helper and command share while the sandbox is made.
#[derive(Debug)]
pub(crate) struct Shared {
    /// This end of the pair belongs to process 1.
    pub socket: AtomicI32,
    /// The supervisor: readable when it has ended.
    pub supervisor: i32,
    /// Flags of the namespaces that the helper makes; 0: no helper.
    pub helper_namespaces: i32,
    /// Upper ends of the stacks of helper and command.
    pub helper_stack: usize,
    pub command_stack: usize,
    /// Process 1 is in a process namespace of its own.
    pub own_pids: bool,
    /// A user namespace to enter first, and the namespaces to make inside it; −1: they are made with this process.
    pub enter: i32,
    pub enter_namespaces: i32,
    /// Without one, process 1 adopts what the command leaves behind, so as to end it.
    pub adopts: bool,
    /// What the command leaves behind goes on all the same when it has ended by itself.
    pub spares: bool,

    /// Given when [`phase::WORK`] is reached.
    pub work: AtomicPtr<Work>,
    /// Given when [`phase::LAUNCH`] is reached.
    pub launch: AtomicPtr<Launch>,
    /// A keeper's next command.
    pub request: AtomicPtr<Shared>,
    /// Where a keeper's next process 1 has its stack.
    pub request_stack: AtomicUsize,

    pub phase: AtomicU32,
    pub failed_operation: AtomicU32,
    pub failed_errno: AtomicI32,
    pub network: AtomicU32,
    pub network_fd: AtomicI32,
    pub command_tid: AtomicU32,
    pub exec_errno: AtomicI32,
    pub exec_stage: AtomicU32,
    pub listener_fd: AtomicI32,
}

impl Shared {
    /// Nothing given, nothing done yet.
    pub(crate) fn new(socket: i32, supervisor: i32, namespaces: i32, stacks: [usize; 2]) -> Self {
        let helper = namespaces & libc::CLONE_NEWNET;
        let [helper_stack, command_stack] = stacks;
        Self {
            socket: AtomicI32::new(socket),
            supervisor,
            helper_namespaces: helper,
            helper_stack,
            command_stack,
            own_pids: namespaces & libc::CLONE_NEWPID != 0,
            enter: -1,
            enter_namespaces: 0,
            adopts: false,
            spares: false,
            work: AtomicPtr::new(std::ptr::null_mut()),
            launch: AtomicPtr::new(std::ptr::null_mut()),
            request: AtomicPtr::new(std::ptr::null_mut()),
            request_stack: AtomicUsize::new(0),
            phase: AtomicU32::new(phase::NEW),
            failed_operation: AtomicU32::new(0),
            failed_errno: AtomicI32::new(0),
            network: AtomicU32::new(0),
            network_fd: AtomicI32::new(-1),
            command_tid: AtomicU32::new(0),
            exec_errno: AtomicI32::new(0),
            exec_stage: AtomicU32::new(stage::NONE),
            listener_fd: AtomicI32::new(-1),
        }
    }

    /// Goes to the next phase and wakes whoever waits for it.
    pub(crate) fn reach(&self, phase: u32) {
        self.phase.store(phase, SeqCst);
        process::futex_wake(&self.phase);
    }

    /// A record whose work and launch are given already.
    pub(crate) fn complete(supervisor: i32, stack_top: usize, work: &Work, launch: &Launch) -> Self {
        let shared = Self::new(-1, supervisor, libc::CLONE_NEWPID, [0, stack_top]);
        shared.work.store(std::ptr::from_ref(work).cast_mut(), SeqCst);
        shared.launch.store(std::ptr::from_ref(launch).cast_mut(), SeqCst);
        shared.phase.store(phase::LAUNCH, SeqCst);
        shared
    }

    fn work(&self) -> &Work {
        // SAFETY: only asked for after `phase::WORK`, when the pointer is to a value that the supervisor keeps until
        // this process has ended.
        unsafe { &*self.work.load(SeqCst) }
    }

    fn launch(&self) -> &Launch {
        // SAFETY: as for `work`, after `phase::LAUNCH`.
        unsafe { &*self.launch.load(SeqCst) }
    }
}

// SAFETY: the pointers in `Launch` point into its own strings, which nobody changes after it was made; everything that
// is written meanwhile is atomic.
unsafe impl Send for Launch {}
// SAFETY: as above.
unsafe impl Sync for Launch {}

/// Where the command's own set-up failed, in [`Shared::exec_stage`].
pub(crate) mod stage {
    pub(crate) const NONE: u32 = 0;
    pub(crate) const GROUP: u32 = 1;
    pub(crate) const DIRECTORY: u32 = 2;
    pub(crate) const LIMITS: u32 = 3;
    pub(crate) const STREAMS: u32 = 4;
    pub(crate) const PRIVILEGES: u32 = 5;
    pub(crate) const LANDLOCK: u32 = 6;
    pub(crate) const SECCOMP: u32 = 7;
    pub(crate) const EXEC: u32 = 8;
}

/// Entry of process 1.
extern "C" fn first_process(argument: *mut c_void) -> i32 {
    // SAFETY: the supervisor passes a `Shared` that it keeps until this process has ended.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    prepare(shared);
    send_proxy_sockets(shared);
    run(shared)
}

/// Entry of the keeper of a prepared sandbox: it holds the namespaces and starts a process 1 per command.
extern "C" fn keeper(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    prepare(shared);
    send_proxy_sockets(shared);
    say(shared, word::READY, 0, None);
    keep(shared)
}

/// Entry of process 1 of a command in a prepared sandbox: what is left are the mounts that belong to its processes.
extern "C" fn next_process(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let umask = process::umask(0);
    walk(shared);
    process::umask(umask);
    run(shared)
}

/// Starts process 1, or a keeper, with these namespaces.
pub(crate) fn start(shared: &Shared, keep: bool, stack_top: usize, flags: i32, pidfd: &mut i32) -> Result<i32, Errno> {
    // SAFETY: the caller keeps stack and record until the process has ended, and it keeps to the rules above.
    unsafe {
        process::clone(
            if keep { keeper } else { first_process },
            stack_top as *mut c_void,
            flags,
            std::ptr::from_ref(shared).cast_mut().cast(),
            pidfd,
            std::ptr::null(),
        )
    }
}

/// Waits until the supervisor has come so far.
fn wait_for(shared: &Shared, wanted: u32) {
    loop {
        let phase = shared.phase.load(SeqCst);
        if phase == phase::ABANDONED {
            process::exit(1);
        }
        if phase >= wanted {
            return;
        }
        let _ = process::futex_wait(&shared.phase, phase, SLICE_MS);
        if supervisor_gone(shared) {
            process::exit(1);
        }
    }
}

/// Everything up to the command's own set-up.
fn prepare(shared: &Shared) {
    // The supervisor blocked every signal before; the default action for SIGCHLD is needed to see children end.
    signal::set_default(libc::SIGCHLD);
    // Before there is a second thread: the kernel moves only processes with one.
    let entered = enter(shared);
    let helper = entered.and_then(|()| start_helper(shared));
    let umask = process::umask(0);
    wait_for(shared, phase::WORK);
    if let Err(errno) = helper {
        fail(shared, u32::MAX, errno);
    }
    if shared.adopts
        && let Err(errno) = security::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
    {
        fail(shared, u32::MAX, errno);
    }
    walk(shared);
    process::umask(umask);
}

fn enter(shared: &Shared) -> Result<(), Errno> {
    if shared.enter < 0 {
        return Ok(());
    }
    process::setns(shared.enter, libc::CLONE_NEWUSER)?;
    process::unshare(shared.enter_namespaces)
}

fn run(shared: &Shared) -> i32 {
    wait_for(shared, phase::LAUNCH);
    let command = start_command(shared);
    // From here on only the socket, the supervisor's descriptor and the children matter.
    if shared.launch().confine {
        let _ = security::drop_capabilities();
    }
    watch(shared, command)
}

/// What a keeper does: one process 1 per request.
fn keep(shared: &Shared) -> i32 {
    loop {
        let mut fds = [shared.supervisor, shared.socket.load(SeqCst)].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let _ = fs::poll(&mut fds, -1);
        let [supervisor, request] = fds;
        if supervisor.revents != 0 {
            process::exit(0);
        }
        if request.revents == 0 {
            continue;
        }
        let mut bytes = [0u8; 8];
        let received = socket::receive_many(shared.socket.load(SeqCst), &mut bytes, 0);
        let Ok((8, descriptors)) = received else { process::exit(0) };
        // SAFETY: the supervisor put a record there before it asked, and keeps it until that process has ended.
        let Some(next) = (unsafe { shared.request.load(SeqCst).cast_const().as_ref() }) else { continue };
        let [socket, streams @ ..] = descriptors;
        next.socket.store(socket, SeqCst);
        for (place, fd) in next.launch().stdio.iter().zip(streams) {
            place.store(fd, SeqCst);
        }
        let flags = libc::CLONE_VM | libc::CLONE_PARENT | libc::CLONE_NEWPID | libc::CLONE_NEWNS;
        // SAFETY: stack and record belong to the new process alone and are kept until it has ended.
        let started = unsafe {
            process::clone(
                next_process,
                shared.request_stack.load(SeqCst) as *mut c_void,
                flags,
                std::ptr::from_ref(next).cast_mut().cast(),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        };
        for fd in descriptors {
            fs::close(fd);
        }
        say(shared, word::SPAWNED, started.unwrap_or(0) as u32, None);
    }
}

/// Reports a failed operation and ends.
fn fail(shared: &Shared, operation: u32, errno: Errno) -> ! {
    shared.failed_operation.store(operation, SeqCst);
    shared.failed_errno.store(errno.0, SeqCst);
    say(shared, word::FAILED, operation, None);
    process::exit(1)
}

fn say(shared: &Shared, kind: u32, value: u32, descriptor: Option<i32>) {
    let mut bytes = [0u8; 8];
    let (first, second) = bytes.split_at_mut(4);
    first.copy_from_slice(&kind.to_ne_bytes());
    second.copy_from_slice(&value.to_ne_bytes());
    let _ = socket::send(shared.socket.load(SeqCst), &bytes, descriptor.as_slice());
}

fn supervisor_gone(shared: &Shared) -> bool {
    let mut fds = [libc::pollfd { fd: shared.supervisor, events: libc::POLLIN, revents: 0 }];
    matches!(fs::poll(&mut fds, 0), Ok(ready) if ready > 0)
}

/// Carries out every operation.
fn walk(shared: &Shared) {
    let mut skipping = u32::MAX;
    for (index, operation) in shared.work().program.operations.iter().enumerate() {
        if operation.step == skipping && skipping != u32::MAX {
            continue;
        }
        let performed = match &operation.op {
            Op::JoinNetwork => join_network(shared),
            op => perform(&shared.work().program, op),
        };
        if let Err(errno) = performed {
            let missing = errno.is(libc::ENOENT) || errno.is(libc::ENOTDIR) || errno.is(libc::ELOOP);
            match operation.lenience {
                Lenience::MissingIsFine if missing => skipping = operation.step,
                Lenience::Reported => {
                    if let Some(slot) = shared.work().step_errno.get(operation.step as usize) {
                        slot.store(errno.0, SeqCst);
                    }
                    skipping = operation.step;
                }
                Lenience::Fatal | Lenience::MissingIsFine => fail(shared, index as u32, errno),
            }
        }
    }
}

/// Starts the thread that makes the dear namespaces while this one mounts.
fn start_helper(shared: &Shared) -> Result<(), Errno> {
    if shared.helper_namespaces == 0 {
        return Ok(());
    }
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    // SAFETY: the helper's stack is a mapping of the supervisor's that outlives it, and `helper` keeps the rules above.
    unsafe {
        process::clone(
            helper,
            shared.helper_stack as *mut c_void,
            flags,
            std::ptr::from_ref(shared).cast_mut().cast(),
            std::ptr::null_mut(),
            std::ptr::null(),
        )
    }
    .map(drop)
}

extern "C" fn helper(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let made = process::unshare(shared.helper_namespaces)
        .and_then(|()| socket::raise_loopback())
        .and_then(|()| fs::openat(fs::CWD, c"/proc/thread-self/ns/net", libc::O_RDONLY, 0));
    match made {
        Ok(fd) => {
            shared.network_fd.store(fd, SeqCst);
            shared.network.store(done::YES, SeqCst);
        }
        Err(errno) => {
            shared.network_fd.store(errno.0, SeqCst);
            shared.network.store(done::FAILED, SeqCst);
        }
    }
    process::futex_wake(&shared.network);
    process::exit_thread()
}

fn join_network(shared: &Shared) -> Result<(), Errno> {
    while shared.network.load(SeqCst) == done::NO {
        let _ = process::futex_wait(&shared.network, done::NO, SLICE_MS);
    }
    let fd = shared.network_fd.load(SeqCst);
    if shared.network.load(SeqCst) == done::FAILED {
        return Err(Errno(fd));
    }
    let joined = process::setns(fd, libc::CLONE_NEWNET);
    fs::close(fd);
    joined
}

fn send_proxy_sockets(shared: &Shared) {
    for port in &shared.work().proxy_ports {
        match socket::listen_loopback(*port) {
            Ok(fd) => {
                say(shared, word::PROXY_SOCKET, u32::from(*port), Some(fd));
                fs::close(fd);
            }
            Err(errno) => fail(shared, u32::MAX, errno),
        }
    }
}

/// Starts the command and waits until it has executed its program; its process id here.
fn start_command(shared: &Shared) -> i32 {
    if supervisor_gone(shared) {
        process::exit(1);
    }
    // Descriptors are shared until `execve`, which gives the command a copy: the listener of the filter appears in
    // this process's table by itself.
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    shared.command_tid.store(1, SeqCst);
    // SAFETY: the stack outlives the command's set-up, since the supervisor waits for word of it; `command` keeps the
    // rules above.
    let started = unsafe {
        process::clone(
            command,
            shared.command_stack as *mut c_void,
            flags,
            std::ptr::from_ref(shared).cast_mut().cast(),
            std::ptr::null_mut(),
            &raw const shared.command_tid,
        )
    };
    let pid = match started {
        Ok(pid) => pid,
        Err(errno) => fail(shared, u32::MAX, errno),
    };
    if shared.launch().listener {
        while shared.listener_fd.load(SeqCst) == -1 && shared.command_tid.load(SeqCst) != 0 {
            let _ = process::futex_wait_signed(&shared.listener_fd, -1, 100);
        }
        let listener = shared.listener_fd.load(SeqCst);
        if listener >= 0 {
            say(shared, word::LISTENER, 0, Some(listener));
        }
    }
    while shared.command_tid.load(SeqCst) == 1 {
        let _ = process::futex_wait(&shared.command_tid, 1, SLICE_MS);
    }
    let errno = shared.exec_errno.load(SeqCst);
    if errno != 0 {
        say(shared, word::NOT_EXECUTED, errno as u32, None);
        process::exit(1);
    }
    say(shared, word::STARTED, 0, None);
    pid
}

extern "C" fn command(argument: *mut c_void) -> i32 {
    // SAFETY: as for process 1.
    let shared = unsafe { &*argument.cast_const().cast::<Shared>() };
    let (stage, errno) = become_command(shared);
    shared.exec_stage.store(stage, SeqCst);
    shared.exec_errno.store(errno.0, SeqCst);
    process::exit(127)
}

/// Everything the command does before it is the command; returns only if something failed.
fn become_command(shared: &Shared) -> (u32, Errno) {
    let launch = shared.launch();
    if let Err(errno) = confine(shared) {
        return errno;
    }
    signal::set_default(libc::SIGPIPE);
    signal::set_mask(launch.mask);
    let mut last = Errno(libc::ENOENT);
    for candidate in &launch.candidates {
        // SAFETY: both arrays were made with a null at the end and point into strings of `launch`.
        let errno = unsafe { process::execve(candidate, launch.argv_pointers.as_ptr(), launch.envp_pointers.as_ptr()) };
        match errno.0 {
            // As `execvp(3)` does it: go on searching, but remember that something was there.
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT => {}
            libc::EACCES => last = errno,
            libc::ENOEXEC => {
                last = errno;
                if let Some(second) = launch.script_pointers.get(1) {
                    second.0.store(candidate.as_ptr().cast_mut(), SeqCst);
                    // SAFETY: as above; `AtomicPointer` has the layout of a pointer, and nobody else uses this array.
                    last = unsafe {
                        process::execve(
                            c"/bin/sh",
                            launch.script_pointers.as_ptr().cast::<*const c_char>(),
                            launch.envp_pointers.as_ptr(),
                        )
                    };
                }
                break;
            }
            _ => {
                last = errno;
                break;
            }
        }
    }
    (stage::EXEC, last)
}

fn confine(shared: &Shared) -> Result<(), (u32, Errno)> {
    let launch = shared.launch();
    let at = |stage: u32| move |errno: Errno| (stage, errno);
    if launch.own_group {
        process::setpgid(0, 0).map_err(at(stage::GROUP))?;
        if let Some(terminal) = launch.foreground {
            let group = process::getpgrp();
            signal::set_foreground(terminal, group).map_err(at(stage::GROUP))?;
        }
    }
    process::umask(launch.umask);
    fs::chdir(&launch.cwd).map_err(at(stage::DIRECTORY))?;
    for (number, from) in launch.stdio.iter().enumerate() {
        fs::dup_to(from.load(SeqCst), number as i32).map_err(at(stage::STREAMS))?;
    }
    const MARK: u32 = libc::CLOSE_RANGE_CLOEXEC;
    fs::close_range(3, u32::MAX, MARK).map_err(at(stage::STREAMS))?;
    // Limits come last: what is set up needs descriptors and memory of its own.
    let limit = || {
        launch
            .limits
            .iter()
            .try_for_each(|limit| process::setrlimit(limit.resource, limit.soft, limit.hard).map_err(at(stage::LIMITS)))
    };
    if !launch.confine {
        return limit();
    }
    security::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(at(stage::PRIVILEGES))?;
    // Root gets no capabilities back by executing a program, whatever its file says, and that can't be changed again.
    const NO_ROOT: usize = 0b1110_1111;
    let _ = security::prctl(libc::PR_SET_SECUREBITS, NO_ROOT);
    if let Some(ruleset) = launch.ruleset {
        security::landlock_restrict(slot(&shared.work().program, ruleset)).map_err(at(stage::LANDLOCK))?;
    }
    security::drop_capabilities().map_err(at(stage::PRIVILEGES))?;
    let installed =
        if launch.listener { security::seccomp_listener(&launch.filter) } else { security::seccomp(&launch.filter, 0) };
    match installed {
        Ok(listener) if launch.listener => {
            shared.listener_fd.store(listener, SeqCst);
            process::futex_wake_signed(&shared.listener_fd);
        }
        Ok(_) => {}
        Err(errno) => return Err((stage::SECCOMP, errno)),
    }
    limit()
}

/// What process 1 does while the command runs: reap, pass signals on, end with the supervisor.
fn watch(shared: &Shared, command: i32) -> i32 {
    let Ok(children) = signal::signalfd(signal::only(libc::SIGCHLD)) else { process::exit(1) };
    // Nothing of the command's stays open here: whoever reads its output must see it end.
    let socket = shared.socket.load(SeqCst);
    keep_only([socket, shared.supervisor, children]);
    let mut running = true;
    loop {
        let mut fds =
            [shared.supervisor, socket, children].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // The command may have ended before the descriptor was there.
        running = reap(shared, command, running);
        let _ = fs::poll(&mut fds, -1);
        let [supervisor, message, child] = fds;
        if supervisor.revents != 0 {
            leave(shared, 1);
        }
        if child.revents != 0 {
            let mut drain = [0u8; 128];
            let _ = fs::read(children, &mut drain);
        }
        if message.revents != 0 && !listen(shared, command, running) {
            leave(shared, 1);
        }
    }
}

/// Closes every descriptor but these.
fn keep_only(mut keep: [i32; 3]) {
    keep.sort_unstable();
    let mut first: u32 = 0;
    for fd in keep {
        let fd = fd as u32;
        if fd > first {
            let _ = fs::close_range(first, fd - 1, 0);
        }
        first = fd.saturating_add(1);
    }
    let _ = fs::close_range(first, u32::MAX, 0);
}

/// Reaps what has ended; false once the command has.
fn reap(shared: &Shared, command: i32, mut running: bool) -> bool {
    loop {
        let Ok((pid, status)) = process::wait(-1, libc::WNOHANG | libc::WUNTRACED) else {
            if !running {
                process::exit(0);
            }
            return running;
        };
        if pid == 0 {
            return running;
        }
        if pid != command {
            continue;
        }
        if libc::WIFSTOPPED(status) {
            say(shared, word::STOPPED, libc::WSTOPSIG(status) as u32, None);
            continue;
        }
        running = false;
        if shared.work().keep_background {
            say(shared, word::ENDED, status as u32, None);
            continue;
        }
        if shared.own_pids {
            end_everything();
        } else if shared.adopts && !shared.spares {
            end_adopted();
        }
        say(shared, word::ENDED, status as u32, None);
        process::exit(0);
    }
}

/// Kills and reaps everything in this process namespace.
fn end_everything() {
    loop {
        let _ = process::kill(-1, libc::SIGKILL);
        // Whoever was about to be made while the signal went round is caught by the next one.
        match process::wait(-1, 0) {
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Ends, and with it everything inside: a process namespace does that by itself.
fn leave(shared: &Shared, status: i32) -> ! {
    if shared.adopts {
        end_adopted();
    }
    process::exit(status)
}

/// Kills and reaps every child of this process, until there is none: what a child leaves behind becomes a child.
fn end_adopted() {
    loop {
        let mut text = [0u8; 4096];
        let Ok(list) = fs::openat(fs::CWD, c"/proc/thread-self/children", libc::O_RDONLY | libc::O_CLOEXEC, 0) else {
            return;
        };
        let count = fs::read(list, &mut text).unwrap_or(0);
        fs::close(list);
        let mut pid: i32 = 0;
        // A number that the buffer cuts off is left for the next round.
        for byte in text.get(..count).unwrap_or(&[]) {
            if byte.is_ascii_digit() {
                pid = pid.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
            } else {
                if pid > 1 {
                    let _ = process::kill(pid, libc::SIGKILL);
                }
                pid = 0;
            }
        }
        if process::wait(-1, 0).is_err() {
            return;
        }
    }
}

/// One message of the supervisor; false if it is gone or wants everything to end.
fn listen(shared: &Shared, command: i32, running: bool) -> bool {
    let mut bytes = [0u8; 8];
    let Ok((8, _)) = socket::receive(shared.socket.load(SeqCst), &mut bytes, libc::MSG_DONTWAIT) else { return false };
    let [a, b, c, d, e, f, g, h] = bytes;
    let (kind, value) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
    match kind {
        word::SIGNAL if running => {
            let _ = process::kill(command, value as i32);
            true
        }
        word::KILL => false,
        _ => true,
    }
}

/// What a failed stage of the command's own set-up was about.
pub(crate) fn stage_name(stage: u32) -> &'static str {
    match stage {
        stage::GROUP => "give the command its process group",
        stage::DIRECTORY => "enter the working directory",
        stage::LIMITS => "set a resource limit",
        stage::STREAMS => "connect the standard streams",
        stage::PRIVILEGES => "drop privileges",
        stage::LANDLOCK => "apply the Landlock ruleset",
        stage::SECCOMP => "install the seccomp filter",
        _ => "execute the program",
    }
}

/// The C string of an argument, for the array of pointers.
pub(crate) fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|text| text.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// A static C string as the shell's name.
pub(crate) const SHELL: &CStr = c"sh";
