//! Plan: a wish made exact for one host, as ordered steps, each with what, for whom, how insistent, what proves it.
//!
//! A plan is a plain value: it can be printed, compared, stored and sent. It knows nothing of descriptors or processes;
//! `prepare` turns it into those.

use ringfence_model::confinement::EnvVar;
use ringfence_model::facts::{FileId, FileKind};
use ringfence_model::limits::Limits;
use ringfence_model::{AbsPath, Origin, OsText, SandboxMode, Tier};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

use crate::host::System;

/// `schema` of a plan document.
pub const SCHEMA: &str = "ringfence.dev/v1/plan";

/// What will be done, in this order, to hold a confinement on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What holds it.
    pub tier: Tier,
    /// The operating system it was compiled for.
    pub system: System,
    /// Processor architecture, as in `std::env::consts::ARCH`.
    pub arch: String,
    /// The mode the wish came from.
    pub mode: SandboxMode,
    /// Where the mode was set.
    pub mode_origin: Origin,
    /// Directory the command starts in.
    pub cwd: AbsPath,
    /// The steps.
    pub steps: Vec<Step>,
    /// The environment of the command, complete, sorted by name.
    pub environment: Vec<EnvVar>,
    /// Names that were dropped from the environment, with the reason.
    pub environment_dropped: Vec<(OsText, Origin)>,
    /// What the run may use up.
    pub limits: Limits,
    /// Background processes go on after the command, and the run lasts as long as they do.
    pub keep_background: bool,
    /// Calls of which only the kernel would know that it refused them go through the broker too, so that every refusal can
    /// be explained. They cost more then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_refusal: bool,
    /// Promises that are known beforehand not to be, or not fully, held.
    pub not_held: Vec<Shortfall>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
    /// The promise it serves.
    pub promise: Promise,
    /// What happens if it can't be done.
    pub insistence: Insistence,
    /// The setting it came from.
    pub origin: Origin,
    /// What shows that it holds: the errno or observation an attacker gets.
    pub proof: String,
}

/// How insistent a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Insistence {
    /// If it isn't held, the command doesn't start.
    Must,
    /// If it isn't held, the report says so and the command runs.
    Should,
}

/// A promise of the security reference. Its name is what `prove`, `status` and reports print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Writes land only in the writable roots.
    WriteOutside,
    /// Protected paths inside the roots stay as they are.
    ProtectedPaths,
    /// What can't be read stays unread.
    DenyRead,
    /// No packet leaves.
    NetworkOff,
    /// Network only through the proxy.
    NetworkProxy,
    /// Loopback works inside.
    Loopback,
    /// Unix sockets made outside are unreachable.
    UnixSockets,
    /// Shared memory, queues and abstract sockets are the sandbox's own.
    Ipc,
    /// Processes outside are not seen, signalled or traced.
    Processes,
    /// Nothing outlives the command.
    DiesWithCommand,
    /// Nothing outlives Ringfence.
    DiesWithParent,
    /// The devices are the harmless ones.
    Devices,
    /// Settings of the host's kernel can't be changed.
    HostSettings,
    /// No privilege is left, none can be gained.
    Privilege,
    /// No set-user-id file can be left behind.
    NoSetuid,
    /// The part of the kernel that can be reached is the ordinary one.
    KernelSurface,
    /// The terminal can't be made to type commands.
    Terminal,
    /// Keyrings are unreachable.
    Keyring,
    /// Only the descriptors of the plan are inherited.
    InheritedDescriptors,
    /// The environment is the plan's.
    Environment,
    /// `/tmp` is the run's own.
    PrivateTmp,
    /// Limits are held.
    Limits,
    /// Programs inside can tell where they are.
    Work,
}

impl Promise {
    /// Every promise, with its name.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("write-outside", Self::WriteOutside),
        ("protected-paths", Self::ProtectedPaths),
        ("deny-read", Self::DenyRead),
        ("network-off", Self::NetworkOff),
        ("network-proxy", Self::NetworkProxy),
        ("loopback", Self::Loopback),
        ("unix-sockets", Self::UnixSockets),
        ("ipc", Self::Ipc),
        ("processes", Self::Processes),
        ("dies-with-command", Self::DiesWithCommand),
        ("dies-with-parent", Self::DiesWithParent),
        ("devices", Self::Devices),
        ("host-settings", Self::HostSettings),
        ("privilege", Self::Privilege),
        ("no-setuid", Self::NoSetuid),
        ("kernel-surface", Self::KernelSurface),
        ("terminal", Self::Terminal),
        ("keyring", Self::Keyring),
        ("inherited-descriptors", Self::InheritedDescriptors),
        ("environment", Self::Environment),
        ("private-tmp", Self::PrivateTmp),
        ("limits", Self::Limits),
        ("work", Self::Work),
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, promise)| *promise == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A promise that is known, before anything is done, not to be or not fully held here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shortfall {
    /// The promise.
    pub promise: Promise,
    /// True: held in a weaker way; false: not at all.
    pub weakened: bool,
    /// What exactly isn't held.
    pub what: String,
    /// Why, on this host.
    pub why: String,
    /// What would change it.
    pub remedy: String,
    /// The setting that asked for it.
    pub origin: Origin,
}

/// Something a step does. The names are those of the printed plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
#[non_exhaustive]
pub enum Act {
    /// New namespaces.
    Namespaces {
        /// Which.
        kinds: Vec<Namespace>,
        /// Users and groups keep their numbers.
        identity: IdMap,
    },
    /// Every mount becomes read-only, without set-user-id, cut off from the host's later changes.
    ReadOnlyTree,
    /// A directory becomes writable again.
    WritableRoot {
        /// The directory.
        path: AbsPath,
        /// Its identity.
        id: FileId,
    },
    /// A directory is bound onto itself, so that it can't be renamed or replaced.
    Pin {
        /// The directory.
        path: AbsPath,
    },
    /// A path inside a root stays read-only.
    ReadOnlyPath {
        /// The path.
        path: AbsPath,
        /// What was there when the wish was made.
        found: FileKind,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// A path inside a read-only one is writable after all (`git = "commit"`).
    WritablePath {
        /// The path.
        path: AbsPath,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// A path can't be read, nor anything below it.
    Mask {
        /// The path.
        path: AbsPath,
    },
    /// An own `/proc`, with the parts that change the host read-only or masked.
    OwnProc {
        /// Read-only inside.
        read_only: Vec<AbsPath>,
        /// Masked.
        masked: Vec<AbsPath>,
    },
    /// A minimal `/dev`.
    OwnDev {
        /// Device nodes of the host that are there.
        nodes: Vec<String>,
    },
    /// A directory becomes private: empty but for what is listed.
    OwnDirectory {
        /// The directory.
        path: AbsPath,
        /// Files and directories of the host that stay there, read-only, if they exist.
        keep: Vec<AbsPath>,
        /// Whether the command may write there.
        writable: bool,
    },
    /// The capability file that tells programs inside what they may do.
    CapabilityFile {
        /// Where it is.
        path: AbsPath,
        /// Its content.
        content: String,
    },
    /// The loopback interface is raised.
    Loopback,
    /// A listening socket on loopback inside, which the supervisor gets and gives to the proxy.
    ProxyListener {
        /// Its port.
        port: u16,
    },
    /// An interface through which everything leaves that isn't loopback, and what belongs to it: the supervisor gets it
    /// and gives it to the proxy.
    Transparent,
    /// Landlock: rights below a path.
    LandlockRule {
        /// The path.
        path: AbsPath,
        /// Rights, by their kernel names without the prefix, sorted.
        rights: Vec<String>,
    },
    /// Landlock: rights below every entry of a path, but for those listed and what is above them.
    LandlockSiblings {
        /// The path.
        path: AbsPath,
        /// What is left out.
        except: Vec<AbsPath>,
        /// Rights, by their kernel names without the prefix, sorted.
        rights: Vec<String>,
    },
    /// Landlock: unix sockets made outside its domain can't be reached by their path, but for those listed. Those made
    /// inside can. The ruleset handles the right that holds this, and a rule of its own grants each that is listed.
    LandlockSockets {
        /// Those that may be reached.
        allowed: Vec<AbsPath>,
    },
    /// Landlock: every right of this ABI is handled, so what no rule grants is refused.
    Landlock {
        /// ABI version it was compiled for.
        abi: u32,
        /// Handled rights on files.
        files: Vec<String>,
        /// Handled rights on the network.
        network: Vec<String>,
        /// Scopes.
        scopes: Vec<String>,
    },
    /// A seccomp profile.
    Seccomp {
        /// Its name.
        profile: SeccompProfile,
        /// The architecture whose table is used; every other ABI is closed.
        arch: String,
    },
    /// Every capability is dropped and none can be gained.
    DropPrivileges,
    /// Only standard input, output and error, and what the plan lists, are inherited.
    CloseDescriptors,
    /// The command runs in a process group and terminal set-up of its own.
    Group {
        /// How.
        kind: GroupKind,
    },
    /// The environment is exactly the plan's.
    Environment {
        /// Number of variables.
        variables: usize,
    },
    /// A limit.
    Limit {
        /// Which, and how much.
        limit: Limit,
    },
    /// A control group of its own, which counts all processes together.
    ControlGroup {
        /// The group it is made in.
        parent: AbsPath,
        /// Bytes of memory.
        #[serde(skip_serializing_if = "Option::is_none")]
        memory: Option<u64>,
        /// Processes and threads.
        #[serde(skip_serializing_if = "Option::is_none")]
        processes: Option<u64>,
    },
    /// What the broker holds.
    Broker(Brokered),
    /// Everything inside ends when the supervisor ends.
    DieWithSupervisor,
    /// Everything inside ends when the command ends.
    KillLeftovers,
    /// A set-up of a tier that another module compiles, as text or arguments: Seatbelt, bwrap, Windows.
    Native {
        /// What it is: `seatbelt-profile`, `seatbelt-parameters`, `bwrap-arguments`, `windows-token`, `windows-job`,
        /// `windows-desktop`, `windows-access`.
        kind: String,
        /// Its lines or arguments.
        lines: Vec<OsText>,
    },
}

/// A kind of Linux namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// Users.
    User,
    /// Mounts.
    Mount,
    /// Processes.
    Pid,
    /// IPC.
    Ipc,
    /// Network.
    Net,
    /// Host name.
    Uts,
    /// Control groups.
    Cgroup,
}

/// How users and groups are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdMap {
    /// Only the present user and group, to themselves.
    Own,
    /// All, to themselves, where the host allows it; else only the present ones.
    All,
}

/// How the command relates to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupKind {
    /// The process group of the supervisor: signals to the group can't leave, since Landlock scopes them.
    Shared,
    /// A group of its own, put into the foreground if the supervisor's was.
    Own,
}

/// A named seccomp profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompProfile {
    /// With network off: internet sockets work, since the network is the sandbox's own.
    Offline,
    /// With network on.
    Online,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Bytes of memory: of the whole tree in a control group, else per process.
    Memory(u64),
    /// Processes and threads.
    Processes(u64),
    /// Open descriptors per process.
    OpenFiles(u64),
    /// Bytes per file.
    FileSize(u64),
    /// Milliseconds of processor time per process.
    CpuTime(u64),
    /// Milliseconds by the clock.
    WallClock(u64),
    /// Bytes of output.
    Output(u64),
}

/// Something the broker holds: the supervisor decides on system calls that it is notified of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "brokered")]
#[non_exhaustive]
pub enum Brokered {
    /// A protected name: whether or not it exists, it can't be created, replaced, renamed or removed.
    ProtectedName {
        /// The path.
        path: AbsPath,
        /// Whether it was there when the wish was made.
        present: bool,
        /// Why it is protected.
        reason: Cow<'static, str>,
    },
    /// A protected name that doesn't exist: what takes it is moved aside as soon as that is noticed.
    WatchedName {
        /// The path.
        path: AbsPath,
        /// Why it is protected.
        reason: Cow<'static, str>,
    },
    /// Files outside the roots keep mode, owner, times and attributes (tiers without mounts).
    Metadata,
    /// Unix sockets made outside can't be connected to, but for those listed.
    UnixSockets {
        /// Those that may be.
        allowed: Vec<AbsPath>,
    },
    /// The kernel holds unix sockets. The broker looks at connections to say which was refused and what would allow it, and
    /// makes those to listed sockets that were made anew since the start.
    RefusedSockets {
        /// Those that may be reached.
        allowed: Vec<AbsPath>,
    },
    /// Paths that match can't be opened.
    DenyReadGlob {
        /// The glob.
        glob: ringfence_model::glob::PathGlob,
    },
    /// An exact path that can't be opened, also where a mask couldn't be put on it because it didn't exist.
    DenyReadPath {
        /// The path.
        path: AbsPath,
    },
    /// A path inside a root is read-only (tiers without mounts).
    ReadOnlyPath {
        /// The path.
        path: AbsPath,
    },
    /// A directory that can't be renamed or removed (tiers without mounts).
    Pin {
        /// The path.
        path: AbsPath,
    },
    /// What may be written inside a Git directory (`git = "commit"`).
    GitCommit {
        /// The directory.
        path: AbsPath,
        /// Its role.
        role: ringfence_model::confinement::GitRole,
    },
    /// Loopback towards ports that the sandbox itself has bound (tiers without an own network).
    Loopback {
        /// Every port of loopback may be reached.
        every_port: bool,
        /// Ports outside that may be reached: the proxy's.
        ports: Vec<u16>,
    },
    /// So many processes and threads at a time, where no control group counts them.
    Processes {
        /// How many.
        most: u64,
    },
}

impl Plan {
    /// Digest of the plan: the same plan has the same, another plan another.
    #[must_use]
    pub fn id(&self) -> String {
        use sha2::{Digest, Sha256};
        // A plan always serialises: every key of it is a string and every value plain.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let digest = Sha256::digest(&bytes);
        let mut text = String::with_capacity(39);
        text.push_str("plan-");
        for byte in digest.iter().take(16) {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    /// The limits.
    pub fn limits(&self) -> impl Iterator<Item = Limit> {
        self.steps.iter().filter_map(|step| if let Act::Limit { limit } = step.act { Some(limit) } else { None })
    }

    /// The wishes that are left to the broker.
    pub fn brokered(&self) -> impl Iterator<Item = (&Step, &Brokered)> {
        self.steps.iter().filter_map(|step| match &step.act {
            Act::Broker(wish) => Some((step, wish)),
            _ => None,
        })
    }
}
