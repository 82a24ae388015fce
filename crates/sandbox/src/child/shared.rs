//! What supervisor and the processes inside share while a sandbox is made: words, phases, and the records prepared for
//! them beforehand.

use super::streams::Reopen;
use crate::linux::leftovers::Leftovers;
use crate::linux::ops::{Program, Slot};
use crate::linux::systems::Early;
use crate::sys::processors::Processors;
use crate::sys::{process, signal};
use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering::SeqCst};

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
    /// What the proxy serves inside comes with this message: [`crate::run::Inlet`].
    pub(crate) const PROXY_SOCKET: u32 = 7;
    /// A standard stream that was opened anew comes with this message: which.
    pub(crate) const STREAM: u32 = 10;
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
pub(super) mod done {
    pub(crate) const NO: u32 = 0;
    pub(crate) const YES: u32 = 1;
    pub(crate) const FAILED: u32 = 2;
    pub(crate) const JOINED: u32 = 3;
}

/// One resource limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rlimit {
    pub resource: process::Resource,
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
    /// Those of them that process 1 opens anew.
    pub reopen: Vec<Reopen>,
    pub limits: Vec<Rlimit>,
    pub mask: signal::Mask,
    /// A process group of its own, and the terminal whose foreground it takes.
    pub own_group: bool,
    pub foreground: Option<i32>,
    /// Privileges are dropped, Landlock and the filter applied.
    pub confine: bool,
    pub ruleset: Option<Ruleset>,
    pub filter: std::sync::Arc<[libc::sock_filter]>,
    pub listener: bool,
}

/// Where the command's Landlock ruleset is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ruleset {
    /// Process 1 made it.
    Made(Slot),
    /// It was among the descriptors that process 1 began with.
    Given(i32),
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
    /// The interface through which everything leaves, if there is one.
    pub interface: Option<Slot>,
    /// Processes inside go on after the command.
    pub keep_background: bool,
    /// The command's process may be started, and has its filter, before everything around it is in place.
    pub command_early: bool,
}

/// What supervisor, process 1, helper and command share while the sandbox is made.
#[derive(Debug)]
pub(crate) struct Shared {
    /// This end of the pair belongs to process 1.
    pub socket: AtomicI32,
    /// The supervisor: readable when it has ended.
    pub supervisor: AtomicI32,
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
    /// Process 1 makes file systems while it waits for its work.
    pub makes_early: bool,
    /// The supervisor's processors, and so the command's, where what is made here is told to begin on another than its maker's.
    pub processors: Option<Processors>,
    pub early: Early,
    /// Objects of System V that process 1 removes before it ends; none where a namespace takes them along.
    pub leftovers: Option<std::sync::Arc<Leftovers>>,

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
    /// The file mode mask that the supervisor had, which is the command's.
    pub umask: AtomicU32,
    /// Said to the command when everything around it is in place.
    pub ready: AtomicU32,
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
            supervisor: AtomicI32::new(supervisor),
            helper_namespaces: helper,
            helper_stack,
            command_stack,
            own_pids: namespaces & libc::CLONE_NEWPID != 0,
            enter: -1,
            enter_namespaces: 0,
            adopts: false,
            spares: false,
            makes_early: false,
            processors: None,
            early: Early::new(),
            leftovers: None,
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
            umask: AtomicU32::new(0o22),
            ready: AtomicU32::new(done::NO),
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

    pub(super) fn work(&self) -> &Work {
        // SAFETY: only asked for after `phase::WORK`, when the pointer is to a value that the supervisor keeps until
        // this process has ended.
        unsafe { &*self.work.load(SeqCst) }
    }

    /// This process takes all processors it may use.
    pub(super) fn take_processors(&self) {
        if let Some(processors) = &self.processors {
            let _ = processors.give_to(0);
        }
    }

    /// Has a process or thread that was just started begin on another processor than this one, until it takes all.
    pub(crate) fn send_elsewhere(&self, pid: i32) {
        if let Some(elsewhere) = self.processors.as_ref().and_then(Processors::but_this_one) {
            let _ = elsewhere.give_to(pid);
        }
    }

    pub(super) fn launch(&self) -> &Launch {
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
