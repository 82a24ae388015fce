//! What the broker holds, as a value: part of the plan, made by `compile`. Pure.

use super::trap::Traps;
use crate::plan::{Act, Brokered, Limit, Namespace, Plan, Promise, Step};
use ringfence_model::confinement::{DeniedRead, GitRole, PathPattern, Protected, UnixSockets, WritableRoot};
use ringfence_model::facts::FileKind;
use ringfence_model::glob::name_matches;
use ringfence_model::origin::Sourced;
use ringfence_model::{AbsPath, Origin, Tier};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Who holds writing outside the roots and inside protected paths that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// Mounts do; the broker holds what they can't: names that don't exist, files that the host replaces.
    Names,
    /// The broker does, with Landlock behind it.
    Everything,
}

/// Who keeps unix sockets made outside from being reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sockets {
    /// The broker judges each connection, and there are no datagram sockets.
    #[default]
    Judged,
    /// The kernel does, whoever connects or sends in whatever way. The broker's judgement explains.
    Kernel,
}

/// A directory in which only some names may come into being or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlyNames {
    /// The directory.
    pub dir: AbsPath,
    /// Names, with `*` and `?`; everything below an allowed directory is allowed too, unless another rule forbids it.
    pub names: Vec<String>,
    /// Directories that are made inside may be there too, with whatever is below them.
    #[serde(default)]
    pub or_made_inside: bool,
    /// Why.
    pub reason: String,
    /// Where it was set.
    pub origin: Origin,
}

/// What the broker of one sandbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerPlan {
    /// The user's home, which can't be made writable by name as a whole.
    pub home: Option<AbsPath>,
    /// Directory the command starts in.
    pub cwd: AbsPath,
    /// Which calls it is asked about.
    pub traps: Traps,
    /// Who holds the rest.
    pub holds: Holds,
    /// The command can make nothing itself, since its Landlock rules let it, and may open all that is there without asking.
    /// So an open that the broker lets go on is one of these, whatever its path says by then.
    #[serde(default)]
    pub only_opens: bool,
    /// Where it was set that nothing else may be written.
    pub outside: Origin,
    /// Directories that may be written under.
    pub roots: Vec<WritableRoot>,
    /// Further files that may be opened for writing: devices, the caller's own entries under `/proc`.
    pub also_writable: Vec<AbsPath>,
    /// Islands in the roots.
    pub protected: Vec<Protected>,
    /// Protected names that don't exist, whose being made is only noticed and undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<Protected>,
    /// Further directories that keep their names. A mount on a directory holds that only for those in the same mount
    /// namespace, which the broker isn't.
    pub pinned: Vec<AbsPath>,
    /// Directories with a list of what may change.
    pub only: Vec<OnlyNames>,
    /// Globs (and in the landlock tier paths) that can't be read.
    pub denied: Vec<DeniedRead>,
    /// Unix sockets made outside that may be reached.
    pub unix: UnixSockets,
    /// Who holds that.
    #[serde(default)]
    pub sockets: Sockets,
    /// The network is the host's, and with it the names of abstract unix sockets.
    #[serde(default)]
    pub shares_network: bool,
    /// Internet sockets: without a network namespace, only loopback ports that were bound inside.
    pub loopback: Option<Loopback>,
    /// Processes and threads at a time, with where that was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Sourced<u64>>,
    /// Bytes of shared memory, semaphores and queues that no namespace separates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// The internet, as far as the broker allows it where there is no network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loopback {
    /// Every loopback port may be reached, not only those bound inside.
    pub every_port: Sourced<bool>,
    /// Loopback ports outside that may be reached: the proxy's.
    pub ports: Vec<u16>,
}

/// Names that a commit may write at the top of a Git directory; with their lock files.
const GIT_TOP: &[&str] = &[
    "objects",
    "refs",
    "logs",
    "index",
    "index.stash.*",
    "HEAD",
    "ORIG_HEAD",
    "FETCH_HEAD",
    "MERGE_*",
    "REBASE_*",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_*",
    "AUTO_MERGE",
    "SQUASH_MSG",
    "rebase-*",
    "sequencer",
    "COMMIT_EDITMSG",
    "packed-refs*",
    "shallow*",
    "info",
    "worktrees",
    "gc.pid*",
    "sharedindex.*",
    "next-index-*",
    "*.lock",
    "addp-hunk-edit.diff",
    "TAG_EDITMSG",
    "NOTES_*",
];
/// Lock files of what may not be written: without them git can't replace it.
const GIT_LOCKS_REFUSED: &[&str] = &["config.lock", "config.worktree.lock"];
const GIT_INFO: &[&str] = &["exclude", "exclude.lock", "refs*", "sparse-checkout", "sparse-checkout.lock"];

/// Whether a commit may write this path below a Git directory; what belongs to other worktrees is none of its business.
pub(super) fn commit_writes(below: &[u8]) -> bool {
    let matches = |names: &[&str], name: &[u8]| names.iter().any(|pattern| name_matches(pattern.as_bytes(), name));
    let mut parts = below.split(|byte| *byte == b'/');
    let first = parts.next().unwrap_or_default();
    let inside = first != b"info" || parts.next().is_none_or(|second| matches(GIT_INFO, second));
    first != b"worktrees" && matches(GIT_TOP, first) && !matches(GIT_LOCKS_REFUSED, first) && inside
}

/// Whether the command's Landlock rules let it make no file anywhere.
fn makes_no_files(plan: &Plan) -> bool {
    let has = |rights: &[String]| rights.iter().any(|right| right == "MAKE_REG");
    let handled = plan.steps.iter().any(|step| matches!(&step.act, Act::Landlock { files, .. } if has(files)));
    let granted = plan.steps.iter().any(|step| match &step.act {
        Act::LandlockRule { rights, .. } | Act::LandlockSiblings { rights, .. } => has(rights),
        _ => false,
    });
    handled && !granted
}

impl BrokerPlan {
    /// What the broker holds of `plan`; none if nothing is left to it.
    #[must_use]
    pub fn of(plan: &Plan) -> Option<Self> {
        plan.brokered().next()?;
        let holds = if plan.tier == Tier::Landlock { Holds::Everything } else { Holds::Names };
        let mut outside = plan.steps.iter().filter(|step| step.promise == Promise::WriteOutside);
        let outside = outside.find(|step| !matches!(step.act, Act::WritableRoot { .. }));
        let mut broker = Self {
            traps: Traps::default(),
            holds,
            only_opens: false,
            outside: outside
                .map_or_else(|| Origin::builtin("writes only in writable roots"), |step| step.origin.clone()),
            roots: Vec::new(),
            also_writable: Vec::new(),
            protected: Vec::new(),
            watched: Vec::new(),
            pinned: Vec::new(),
            only: Vec::new(),
            denied: Vec::new(),
            unix: UnixSockets::Everything,
            sockets: Sockets::Judged,
            shares_network: true,
            loopback: None,
            processes: None,
            memory: plan.limits().find_map(|limit| match limit {
                Limit::Memory(bytes) => Some(bytes),
                _ => None,
            }),
            cwd: plan.cwd.clone(),
            home: plan
                .environment
                .iter()
                .find(|var| var.name.as_str() == Some("HOME"))
                .and_then(|var| AbsPath::new(var.value.as_os_str()).ok()),
        };
        let mut single_files = false;
        for step in &plan.steps {
            match &step.act {
                Act::WritableRoot { path, id } => {
                    broker.roots.push(WritableRoot { path: path.clone(), id: *id, origin: step.origin.clone() });
                }
                Act::Namespaces { kinds, .. } => broker.shares_network = !kinds.contains(&Namespace::Net),
                Act::ReadOnlyPath { found, .. } => single_files |= *found != FileKind::Directory,
                Act::LandlockRule { path, rights } if rights.iter().any(|right| right == "WRITE_FILE") => {
                    broker.also_writable.push(path.clone());
                }
                Act::Pin { path } | Act::Mask { path } => broker.pinned.push(path.clone()),
                Act::Broker(wish) => broker.add(step, wish),
                _ => {}
            }
        }
        broker.traps.names |= !broker.protected.is_empty() || !broker.only.is_empty() || !broker.denied.is_empty();
        // A mount on a single file goes when the host replaces the file.
        broker.traps.writes |= (single_files && broker.watched.is_empty()) || !broker.only.is_empty();
        // A read-only mount lets FIFOs be written into; without Landlock nobody else stops that.
        broker.traps.writes |= !plan.steps.iter().any(|step| matches!(step.act, Act::Landlock { .. }));
        broker.traps.removals |= !broker.only.is_empty();
        if holds == Holds::Everything || plan.every_refusal {
            broker.traps.names = true;
            broker.traps.writes = true;
            broker.traps.removals = true;
            broker.traps.metadata = true;
        }
        if holds == Holds::Everything {
            broker.traps.processes = true;
            broker.traps.ipc = true;
            broker.traps.datagrams |= broker.loopback.is_some();
        }
        // What mounts refuse is explained by who is asked about names; a watch is had for not being asked.
        broker.traps.names |= broker.traps.connects && broker.watched.is_empty();
        let asks_for_opens = broker.traps.writes || broker.traps.reads;
        broker.only_opens = holds == Holds::Names && !asks_for_opens && makes_no_files(plan);
        Some(broker)
    }

    fn add(&mut self, step: &Step, wish: &Brokered) {
        let mut protect = |path: &AbsPath, found: Option<FileKind>, reason: Cow<'static, str>| {
            if !self.protected.iter().any(|known| known.path == *path) {
                self.protected.push(Protected { path: path.clone(), found, reason, origin: step.origin.clone() });
            }
        };
        match wish {
            Brokered::ProtectedName { path, present, reason } => {
                protect(path, present.then_some(FileKind::Other), reason.clone());
            }
            Brokered::WatchedName { path, reason } => {
                let (path, reason, origin) = (path.clone(), reason.clone(), step.origin.clone());
                self.watched.push(Protected { path, found: None, reason, origin });
            }
            Brokered::ReadOnlyPath { path } => protect(path, Some(FileKind::Other), Cow::Borrowed("read-only")),
            Brokered::Pin { path } => self.pinned.push(path.clone()),
            // Who holds everything is asked about metadata in any case.
            Brokered::Metadata => {}
            Brokered::UnixSockets { allowed } => {
                self.traps.unix_datagrams = true;
                self.sockets(allowed, step);
            }
            Brokered::RefusedSockets { allowed } => {
                self.sockets = Sockets::Kernel;
                self.sockets(allowed, step);
            }
            Brokered::DenyReadGlob { glob } => {
                self.traps.reads = true;
                self.deny(PathPattern::Glob(glob.clone()), step);
            }
            Brokered::DenyReadPath { path } => {
                self.traps.reads |= self.holds == Holds::Everything;
                self.deny(PathPattern::Path(path.clone()), step);
            }
            Brokered::GitCommit { path, role } => self.git(path, *role, step),
            Brokered::Processes { most } => {
                self.traps.forks = true;
                self.processes = Some(Sourced::new(*most, step.origin.clone()));
            }
            Brokered::Loopback { every_port, ports } => {
                let every_port = Sourced::new(*every_port, step.origin.clone());
                self.loopback = Some(Loopback { every_port, ports: ports.clone() });
            }
        }
    }

    fn sockets(&mut self, allowed: &[AbsPath], step: &Step) {
        self.traps.connects = true;
        let listed = allowed.iter().map(|path| Sourced::new(path.clone(), step.origin.clone())).collect();
        self.unix = UnixSockets::Only(listed);
    }

    /// Has every open asked about: a mask on a path holds for one spelling of it.
    pub(super) fn ask_for_reads(&mut self) {
        self.traps.reads = true;
        self.only_opens = false;
    }

    /// Exact paths that can't be read, where a mask alone holds that.
    pub(super) fn masked_alone(&self) -> impl Iterator<Item = &AbsPath> {
        let all = self.denied.iter().filter(|_| !self.traps.reads);
        all.filter_map(|denied| if let PathPattern::Path(path) = &denied.pattern { Some(path) } else { None })
    }

    /// Whether a connection can be left to the kernel, whatever the caller's memory says by then.
    pub(super) fn may_go_on(&self) -> bool {
        self.sockets == Sockets::Kernel && self.loopback.is_none()
    }

    fn deny(&mut self, pattern: PathPattern, step: &Step) {
        self.denied.push(DeniedRead { pattern, origin: step.origin.clone() });
    }

    fn git(&mut self, dir: &AbsPath, role: GitRole, step: &Step) {
        // Its names are judged one by one; that the directory itself stays where it is, is held as for any root.
        self.protected.retain(|held| held.path != *dir);
        self.pinned.push(dir.clone());
        let only = |dir: AbsPath, names: &[&str], or_made_inside: bool| OnlyNames {
            dir,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            or_made_inside,
            reason: "git runs programs, or believes other directories, because of the rest".to_owned(),
            origin: step.origin.clone(),
        };
        self.only.push(only(dir.clone(), GIT_TOP, false));
        if let Ok(info) = dir.join("info") {
            self.only.push(only(info, GIT_INFO, false));
        }
        // Other worktrees believe what is in their directories there: which configuration and hooks are theirs, and whose
        // they are.
        let own = (role == GitRole::Worktree).then(|| dir.parent().zip(dir.file_name())).flatten();
        let worktrees = match &own {
            Some((all, _)) => Some(all.clone()),
            None => dir.join("worktrees").ok(),
        };
        if let Some(all) = worktrees {
            let at = self.only.iter().position(|known| known.dir == all).unwrap_or(self.only.len());
            if at == self.only.len() {
                self.only.push(only(all, &[], true));
            }
            if let (Some(known), Some(name)) = (self.only.get_mut(at), own.and_then(|(_, name)| name.to_str())) {
                known.names.push(name.to_owned());
            }
        }
        let mut held = vec!["objects/info/alternates"];
        held.extend(GIT_LOCKS_REFUSED);
        if role == GitRole::Worktree {
            held.extend(["commondir", "gitdir", "config.worktree"]);
        }
        for name in held {
            let Ok(path) = dir.join(name) else { continue };
            self.protected.push(Protected {
                path,
                found: None,
                reason: Cow::Borrowed("git believes it"),
                origin: step.origin.clone(),
            });
        }
    }
}
