//! Prepares: from the plan's paths to operations on descriptors. Every path is opened once, inside, without following
//! links, and compared with what the plan expects; from there on only descriptors count.

use crate::enforced::StartError;
use crate::linux::ops::{DEVICES, From, Lenience, Op, Operation, Program, Slot};
use crate::linux::systems;
use crate::plan::{Act, Insistence, Plan, Step};
use crate::sys::mount::Attributes;
use ringfence_model::AbsPath;
use ringfence_model::facts::FileId;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicI32;

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NO_SETUID: u64 = libc::MOUNT_ATTR_NOSUID;

/// What enforcement needs besides the operations.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What makes the tree: once per sandbox.
    pub tree: Vec<Operation>,
    /// What belongs to the processes of one command: its `/proc`, its ruleset.
    pub each: Vec<Operation>,
    /// Going into the network that is made meanwhile: as late as possible.
    pub network: Vec<Operation>,
    pub slots: usize,
    pub ruleset: Option<Slot>,
}

impl Prepared {
    /// Everything, for one command alone.
    pub(crate) fn whole(self) -> (Program, Option<Slot>) {
        let operations = self.tree.into_iter().chain(self.each).chain(self.network).collect();
        (Program { operations, slots: slots(self.slots, &[]) }, self.ruleset)
    }
}

/// Slots, of which the first have been filled already.
pub(crate) fn slots(count: usize, filled: &[i32]) -> Vec<AtomicI32> {
    (0..count).map(|index| AtomicI32::new(filled.get(index).copied().unwrap_or(-1))).collect()
}

/// Turns the steps of a plan into operations. The command's own terminal, if it has one, becomes `/dev/console`, that
/// programs find a name for it.
pub(crate) fn prepare(plan: &Plan, terminal: Option<CString>) -> Result<Prepared, StartError> {
    let masks = plan.steps.iter().any(|step| match &step.act {
        Act::Mask { .. } => true,
        Act::OwnProc { masked, .. } => !masked.is_empty(),
        _ => false,
    });
    let mut builder = Builder { terminal, masks, ..Builder::default() };
    // What will be writable is copied before everything becomes read-only, since read-only copies could, inside an outer
    // user namespace, not be made writable again.
    let tree = plan.steps.iter().position(|step| step.act == Act::ReadOnlyTree);
    builder.network_devices(plan);
    builder.whole_tree(plan, tree)?;
    for (index, step) in plan.steps.iter().enumerate() {
        builder.step(plan, index, step)?;
    }
    Ok(Prepared {
        tree: builder.operations,
        each: builder.each,
        network: builder.network,
        slots: builder.slots,
        ruleset: builder.ruleset,
    })
}

/// A writable root whose mounts were copied: the copy, and what it goes onto.
#[derive(Debug)]
struct Root {
    path: AbsPath,
    tree: Slot,
    at: Option<Slot>,
}

/// A directory that became private: what it holds is made below this descriptor.
#[derive(Debug)]
struct Own {
    path: AbsPath,
    tree: Slot,
}

#[derive(Debug, Default)]
struct Builder {
    operations: Vec<Operation>,
    slots: usize,
    roots: Vec<Root>,
    own: Vec<Own>,
    /// Descriptors of pinned and re-bound paths, innermost last.
    inner: Vec<(AbsPath, Slot)>,
    /// The file system of what masks are made of, and a file and a directory in it.
    covers: Option<(Slot, [Slot; 2])>,
    /// The plan has masks.
    masks: bool,
    ruleset: Option<Slot>,
    each: Vec<Operation>,
    network: Vec<Operation>,
    /// The host's directory of network devices, opened before it is covered.
    devices: Option<Slot>,
    per_command: bool,
    terminal: Option<CString>,
    step: u32,
    lenience: Option<Lenience>,
}

impl Builder {
    fn slot(&mut self) -> Slot {
        self.slots += 1;
        Slot(self.slots - 1)
    }

    fn push(&mut self, op: Op) {
        let lenience = self.lenience.unwrap_or(Lenience::Fatal);
        let operation = Operation { op, step: self.step, lenience };
        if self.per_command { self.each.push(operation) } else { self.operations.push(operation) }
    }

    fn at_step(&mut self, index: usize, lenience: Lenience) {
        self.step = u32::try_from(index).unwrap_or(u32::MAX - 1);
        self.lenience = Some(lenience);
    }

    fn open(&mut self, path: &AbsPath, expect: Option<FileId>) -> Result<Slot, StartError> {
        // What lies in a private directory is looked for below that; what lies in a root, below the root.
        let inner = self.inner.iter().rev().map(|(at, slot)| (at, *slot));
        let roots = self.roots.iter().rev().map(|root| (&root.path, root.tree));
        let own = self.own.iter().rev().map(|own| (&own.path, own.tree));
        let above = inner.chain(roots).chain(own).find_map(|(at, slot)| Some((slot, path.below(at)?.to_path_buf())));
        let to = self.slot();
        let op = match above {
            Some((slot, rest)) if !rest.as_os_str().is_empty() => {
                Op::Open { to, from: From::Slot(slot), path: c_string(rest.as_os_str().as_bytes())?, expect }
            }
            Some((slot, _)) => return Ok(slot),
            None => Op::Open { to, from: From::Root, path: c_path(path)?, expect },
        };
        self.push(op);
        Ok(to)
    }

    fn network_devices(&mut self, plan: &Plan) {
        let Some(index) = plan.steps.iter().position(|step| step.act == Act::Transparent) else { return };
        self.at_step(index, Lenience::Fatal);
        let to = self.slot();
        self.push(Op::Open { to, from: From::Root, path: DEVICES.to_owned(), expect: None });
        self.devices = Some(to);
    }

    fn whole_tree(&mut self, plan: &Plan, read_only: Option<usize>) -> Result<(), StartError> {
        // Neither has mounts of its own.
        if matches!(plan.tier, ringfence_model::Tier::Unconfined | ringfence_model::Tier::Landlock) {
            return Ok(());
        }
        let root = self.slot();
        self.at_step(read_only.unwrap_or(0), Lenience::Fatal);
        self.push(Op::Open { to: root, from: From::Root, path: c_string(b"/")?, expect: None });
        let attributes = Attributes { set: NO_SETUID, clear: 0, propagation: libc::MS_PRIVATE };
        self.push(Op::SetAttributes { at: root, recursive: true, attributes });
        for (index, step) in plan.steps.iter().enumerate() {
            let Act::WritableRoot { path, id } = &step.act else { continue };
            self.at_step(index, Lenience::Fatal);
            if path == &AbsPath::root() {
                self.roots.push(Root { path: path.clone(), tree: root, at: None });
                continue;
            }
            let (at, tree) = (self.slot(), self.slot());
            self.push(Op::Open { to: at, from: From::Root, path: c_path(path)?, expect: Some(*id) });
            self.push(Op::CloneTree { from: at, to: tree, recursive: true });
            self.roots.push(Root { path: path.clone(), tree, at: Some(at) });
        }
        if let Some(index) = read_only {
            self.at_step(index, Lenience::Fatal);
            let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
            self.push(Op::SetAttributes { at: root, recursive: true, attributes });
        }
        Ok(())
    }

    fn step(&mut self, plan: &Plan, index: usize, step: &Step) -> Result<(), StartError> {
        let should = step.insistence == Insistence::Should;
        self.at_step(index, if should { Lenience::Reported } else { Lenience::Fatal });
        self.per_command = matches!(step.act, Act::OwnProc { .. } | Act::Landlock { .. } | Act::LandlockRule { .. });
        match &step.act {
            Act::OwnDirectory { path, keep, writable } => {
                if should {
                    self.lenience = Some(Lenience::MissingIsFine);
                }
                self.own_directory(path, keep, *writable)?;
            }
            Act::WritableRoot { path, .. } => self.attach_root(path)?,
            Act::Pin { path } => {
                if should {
                    self.lenience = Some(Lenience::MissingIsFine);
                }
                self.rebind(path, Attributes::default())?;
            }
            Act::ReadOnlyPath { path, .. } => {
                if should {
                    self.lenience = Some(Lenience::MissingIsFine);
                }
                self.rebind(path, Attributes { set: READ_ONLY, ..Attributes::default() })?;
            }
            Act::Mask { path } => self.mask(path)?,
            Act::OwnDev { nodes } => self.own_dev(nodes)?,
            Act::OwnProc { read_only, masked } => self.own_proc(read_only, masked)?,
            Act::Loopback => {
                self.network.push(Operation { op: Op::JoinNetwork, step: self.step, lenience: Lenience::Fatal });
            }
            Act::Transparent => {
                let to = self.slot();
                let devices = self.devices.unwrap_or(to);
                let op = Op::MakeInterface { devices, to };
                self.network.push(Operation { op, step: self.step, lenience: Lenience::Fatal });
            }
            Act::CapabilityFile { path, content } => self.capability_file(path, content)?,
            // Without mounts, made before process 1 is, with the wider rules around them: `linux::domain`.
            Act::Landlock { .. } | Act::LandlockRule { .. } if plan.tier == ringfence_model::Tier::Landlock => {}
            Act::Landlock { files, network, scopes, .. } => {
                let to = self.slot();
                let files = names::files(files)?;
                self.push(Op::LandlockCreate {
                    to,
                    files,
                    network: names::network(network)?,
                    scopes: names::scopes(scopes)?,
                });
                self.ruleset = Some(to);
            }
            Act::LandlockRule { path, rights } => {
                if should {
                    self.lenience = Some(Lenience::MissingIsFine);
                }
                self.landlock_rule(path, names::files(rights)?)?;
            }
            // Held elsewhere: by the way processes are made, by the supervisor, or by the broker.
            Act::Namespaces { .. }
            | Act::ReadOnlyTree
            | Act::WritablePath { .. }
            | Act::ProxyListener { .. }
            | Act::LandlockSiblings { .. }
            | Act::LandlockSockets { .. }
            | Act::Seccomp { .. }
            | Act::DropPrivileges
            | Act::CloseDescriptors
            | Act::Group { .. }
            | Act::Environment { .. }
            | Act::Limit { .. }
            | Act::ControlGroup { .. }
            | Act::Broker(_)
            | Act::DieWithSupervisor
            | Act::KillLeftovers
            | Act::Native { .. } => {}
        }
        Ok(())
    }

    /// A new empty file system on a directory, and what stays in it.
    fn own_directory(&mut self, path: &AbsPath, keep: &[AbsPath], writable: bool) -> Result<(), StartError> {
        let at = self.open(path, None)?;
        let lenience = self.lenience;
        // What stays is copied before it is covered.
        let mut kept = Vec::new();
        for inner in keep {
            let (from, tree) = (self.slot(), self.slot());
            self.push(Op::KeepTree { path: c_path(inner)?, from, to: tree });
            kept.push((inner, from, tree));
        }
        let tree = self.slot();
        let system = if writable { &systems::OPEN } else { &systems::CLOSED };
        self.push(Op::NewFileSystem { to: tree, system });
        // Before anything is mounted in it: kernels before 6.15 mount nothing on what isn't part of the tree yet.
        self.push(Op::Attach { tree, at });
        for (inner, from, copy) in kept {
            if let Some(rest) = inner.below(path) {
                self.push(Op::PlaceKept { dir: tree, path: steps_to(rest)?, from, tree: copy });
            }
        }
        self.own.push(Own { path: path.clone(), tree });
        self.lenience = lenience;
        Ok(())
    }

    fn attach_root(&mut self, path: &AbsPath) -> Result<(), StartError> {
        let Some(root) = self.roots.iter().find(|root| &root.path == path) else { return Ok(()) };
        let (tree, Some(at)) = (root.tree, root.at) else { return Ok(()) };
        let own = self.own.iter().rev().find_map(|own| Some((own.tree, path.below(&own.path)?.to_path_buf())));
        match own {
            Some((dir, rest)) if !rest.as_os_str().is_empty() => {
                self.push(Op::PlaceKept { dir, path: steps_to(&rest)?, from: at, tree });
            }
            // A root that is itself private: the private one is writable already.
            Some(_) => {}
            None => self.push(Op::Attach { tree, at }),
        }
        Ok(())
    }

    /// Binds a path onto itself, with other attributes.
    fn rebind(&mut self, path: &AbsPath, attributes: Attributes) -> Result<(), StartError> {
        let at = self.open(path, None)?;
        let tree = self.slot();
        self.push(Op::CloneTree { from: at, to: tree, recursive: true });
        if attributes != Attributes::default() {
            self.push(Op::SetAttributes { at: tree, recursive: true, attributes });
        }
        self.push(Op::Attach { tree, at });
        self.inner.push((path.clone(), tree));
        Ok(())
    }

    fn mask(&mut self, path: &AbsPath) -> Result<(), StartError> {
        let (_, [file, directory]) = self.covers()?;
        self.lenience = Some(Lenience::MissingIsFine);
        let at = self.open(path, None)?;
        self.push(Op::Cover { at, file, directory });
        Ok(())
    }

    /// The unreadable file and directory that masks are made of; made once.
    fn covers(&mut self) -> Result<(Slot, [Slot; 2]), StartError> {
        if let Some(covers) = self.covers {
            return Ok(covers);
        }
        let per_command = std::mem::replace(&mut self.per_command, false);
        let tree = self.slot();
        self.push(Op::NewFileSystem { to: tree, system: &systems::COVERS });
        self.push(Op::MakeFile { dir: tree, path: c_string(b"file")?, mode: 0, content: Vec::new() });
        self.push(Op::MakeDirectory { dir: tree, path: c_string(b"directory")?, mode: 0 });
        let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
        self.push(Op::SetAttributes { at: tree, recursive: false, attributes });
        let (file, directory) = (self.slot(), self.slot());
        let from = From::Slot(tree);
        self.push(Op::Open { to: file, from, path: c_string(b"file")?, expect: None });
        self.push(Op::Open { to: directory, from, path: c_string(b"directory")?, expect: None });
        self.per_command = per_command;
        self.covers = Some((tree, [file, directory]));
        Ok((tree, [file, directory]))
    }

    fn own_dev(&mut self, nodes: &[String]) -> Result<(), StartError> {
        let dev = c_string(b"/dev")?;
        let (at, tree) = (self.slot(), self.slot());
        self.push(Op::Open { to: at, from: From::Root, path: dev, expect: None });
        self.push(Op::NewFileSystem { to: tree, system: &systems::DEVICES });
        let console = self.terminal.take().map(|path| {
            let (from, copy) = (self.slot(), self.slot());
            self.push(Op::KeepTree { path, from, to: copy });
            (from, copy)
        });
        // Before anything is mounted in it, as above. What it covers is reached through its descriptor.
        self.push(Op::Attach { tree, at });
        for node in nodes {
            // That the copy is read-only doesn't matter: writing to a device isn't writing to its file system.
            let path = c_string(node.as_bytes())?;
            self.push(Op::BindNode { from: at, dir: tree, path });
        }
        if let Some((from, copy)) = console {
            self.push(Op::PlaceKept { dir: tree, path: vec![c_string(b"console")?], from, tree: copy });
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            let (path, target) = (c_string(name.as_bytes())?, c_string(target.as_bytes())?);
            self.push(Op::MakeLink { dir: tree, path, target });
        }
        for (name, system) in [("pts", &systems::TERMINALS), ("shm", &systems::SHARED_MEMORY)] {
            let path = c_string(name.as_bytes())?;
            let inner = self.slot();
            self.push(Op::NewFileSystem { to: inner, system });
            self.push(Op::MakeDirectory { dir: tree, path: path.clone(), mode: 0o755 });
            if name == "shm" && self.masks {
                // Kernels before 6.15 copy nothing from what isn't part of the tree either. Below this, nobody sees it.
                let (covers, _) = self.covers()?;
                self.push(Op::AttachBelow { tree: covers, dir: tree, path: path.clone() });
            }
            self.push(Op::AttachBelow { tree: inner, dir: tree, path });
        }
        let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
        self.push(Op::SetAttributes { at: tree, recursive: false, attributes });
        self.own.push(Own { path: abs("/dev")?, tree });
        Ok(())
    }

    fn own_proc(&mut self, read_only: &[AbsPath], masked: &[AbsPath]) -> Result<(), StartError> {
        let (at, tree) = (self.slot(), self.slot());
        self.push(Op::Open { to: at, from: From::Root, path: c_string(b"/proc")?, expect: None });
        self.push(Op::NewFileSystem { to: tree, system: &systems::PROCESSES });
        self.push(Op::Attach { tree, at });
        self.own.push(Own { path: abs("/proc")?, tree });
        let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
        for path in read_only {
            let Some(name) = path.file_name() else { continue };
            self.push(Op::Rebind { dir: tree, path: c_string(name.as_bytes())?, attributes });
        }
        if masked.is_empty() {
            return Ok(());
        }
        let (_, [file, directory]) = self.covers()?;
        for path in masked {
            let Some(name) = path.file_name() else { continue };
            self.push(Op::CoverBelow { dir: tree, path: c_string(name.as_bytes())?, file, directory });
        }
        Ok(())
    }

    fn capability_file(&mut self, path: &AbsPath, content: &str) -> Result<(), StartError> {
        let Some((tree, rest)) = self.own.iter().find_map(|own| Some((own.tree, path.below(&own.path)?.to_path_buf())))
        else {
            return Ok(());
        };
        if let Some(parent) = rest.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let path = c_string(parent.as_os_str().as_bytes())?;
            self.push(Op::MakeDirectory { dir: tree, path, mode: 0o755 });
        }
        let path = c_string(rest.as_os_str().as_bytes())?;
        self.push(Op::MakeFile { dir: tree, path, mode: 0o444, content: content.as_bytes().to_vec() });
        let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
        self.push(Op::SetAttributes { at: tree, recursive: false, attributes });
        Ok(())
    }

    fn landlock_rule(&mut self, path: &AbsPath, rights: u64) -> Result<(), StartError> {
        let Some(ruleset) = self.ruleset else { return Ok(()) };
        let own = self.own.iter().find(|own| &own.path == path).map(|own| own.tree);
        let root = self.roots.iter().find(|root| &root.path == path).map(|root| root.tree);
        let at = match own.or(root) {
            Some(at) => at,
            None => self.open(path, None)?,
        };
        self.push(Op::LandlockRule { ruleset, at, rights });
        Ok(())
    }
}

fn abs(path: &str) -> Result<AbsPath, StartError> {
    AbsPath::new(path).map_err(|error| StartError::Foreign { why: error.to_string() })
}

/// The directories on the way to a path, each with its prefix, and the path itself last.
fn steps_to(path: &std::path::Path) -> Result<Vec<CString>, StartError> {
    let mut all: Vec<&std::path::Path> = path.ancestors().filter(|part| !part.as_os_str().is_empty()).collect();
    all.reverse();
    all.into_iter().map(|part| c_string(part.as_os_str().as_bytes())).collect()
}

pub(crate) fn c_path(path: &AbsPath) -> Result<CString, StartError> {
    c_string(path.as_path().as_os_str().as_bytes())
}

/// A string without NUL, as the kernel takes it.
pub(crate) fn c_string(bytes: &[u8]) -> Result<CString, StartError> {
    CString::new(bytes).map_err(|_| StartError::Foreign {
        why: format!("`{}` contains a NUL byte", ringfence_model::text::escape_bytes(bytes)),
    })
}

/// Kernel numbers of Landlock's rights by name.
pub(crate) mod names {
    use super::StartError;

    const FILES: &[&str] = &[
        "EXECUTE",
        "WRITE_FILE",
        "READ_FILE",
        "READ_DIR",
        "REMOVE_DIR",
        "REMOVE_FILE",
        "MAKE_CHAR",
        "MAKE_DIR",
        "MAKE_REG",
        "MAKE_SOCK",
        "MAKE_FIFO",
        "MAKE_BLOCK",
        "MAKE_SYM",
        "REFER",
        "TRUNCATE",
        "IOCTL_DEV",
        crate::compile::landlock::RESOLVE_UNIX,
    ];
    const NETWORK: &[&str] = &["BIND_TCP", "CONNECT_TCP", "BIND_UDP", "CONNECT_SEND_UDP"];
    const SCOPES: &[&str] = &["ABSTRACT_UNIX_SOCKET", "SIGNAL"];

    fn bits(table: &[&str], names: &[impl AsRef<str>]) -> Result<u64, StartError> {
        names.iter().map(AsRef::as_ref).try_fold(0, |bits, name| {
            let place = table.iter().position(|known| *known == name);
            let place = place.ok_or_else(|| StartError::Foreign { why: format!("unknown Landlock right `{name}`") })?;
            Ok(bits | 1 << place)
        })
    }

    pub(crate) fn files(names: &[impl AsRef<str>]) -> Result<u64, StartError> {
        bits(FILES, names)
    }

    pub(crate) fn network(names: &[String]) -> Result<u64, StartError> {
        bits(NETWORK, names)
    }

    pub(crate) fn scopes(names: &[String]) -> Result<u64, StartError> {
        bits(SCOPES, names)
    }
}
