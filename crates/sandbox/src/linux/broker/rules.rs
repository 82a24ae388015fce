//! The judgement over names: may this name in this directory come into being, change or go?
//!
//! Directories are compared by identity, so other mounts, links and renamed parents make no difference; names as the file
//! system compares them. A name that no rule is about costs one look into a table.

use super::denied::Denied;
use super::fold::{fold, fold_path, is_short_form};
use super::lists::Lists;
use super::place::{Place, file_id};
use super::plan::{self, BrokerPlan, Holds};
use ringfence_model::confinement::{DeniedRead, Protected, WritableRoot};
use ringfence_model::facts::FileId;
use ringfence_model::text::{escape_bytes, shell_word};
use ringfence_model::{DenialKind, Origin};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A refusal: what the caller gets, and what is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the call fails with.
    pub errno: Errno,
    /// Kind of denial.
    pub kind: DenialKind,
    /// Name of the rule.
    pub rule: &'static str,
    /// Where the rule was set.
    pub origin: Origin,
    /// Smallest grants that would allow it.
    pub allow_with: Vec<String>,
}

/// What a grant begins with that would make everything of somebody writable.
pub(super) const BROAD_ROOTS: &str = "-c dangerously_allow_broad_roots=true";

/// What is done with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A file, device or FIFO comes into being.
    Make,
    /// A directory does.
    MakeDir,
    /// A symbolic link does.
    Symlink,
    /// Something that exists gets this further name.
    Link,
    /// Something is renamed to this.
    Arrive,
    /// Something is renamed away from this.
    Leave,
    /// It is removed.
    Remove,
    /// What it names is written to.
    Write,
}

/// A protected path as names below a root.
struct Held {
    root: usize,
    names: Vec<CString>,
    /// Index into the plan's list.
    protected: usize,
    /// It is a listed socket: the index is one into that list.
    socket: bool,
}

/// `protected` as names below each root that it lies in.
fn held_below(roots: &[WritableRoot], protected: &Protected, index: usize) -> Vec<Held> {
    let below = roots.iter().enumerate().filter_map(|(root, opened)| {
        let rest = protected.path.below(&opened.path)?;
        let names: Vec<CString> = rest.iter().filter_map(|name| CString::new(name.as_bytes()).ok()).collect();
        (!names.is_empty()).then_some(Held { root, names, protected: index, socket: false })
    });
    below.collect()
}

struct Root {
    dir: OwnedFd,
    path: Vec<u8>,
}

/// What the kernel adds to the path of what was removed.
const REMOVED: &[u8] = b" (deleted)";

/// Shared memory of POSIX.
const SHARED_MEMORY: &[u8] = b"/dev/shm";

/// The rules of one sandbox, with its roots open.
pub struct Rules {
    /// As compiled.
    pub plan: BrokerPlan,
    roots: Vec<Root>,
    held: Vec<Held>,
    watched: Vec<Held>,
    /// Folded name → protected paths it occurs in, and at which depth.
    names: HashMap<Vec<u8>, Vec<(usize, usize)>>,
    /// Directories that must keep their name: roots, and what lies between a root and an outer one.
    pinned: Vec<(FileId, Vec<u8>)>,
    pinned_names: Vec<Vec<u8>>,
    lists: Lists,
    /// Unix sockets made outside that may be reached.
    listed: Vec<Protected>,
    denied: Denied,
    order: RwLock<()>,
    /// Protected paths as a file system that folds names compares them.
    folded: OnceLock<Vec<Vec<u8>>>,
}

/// What may be done with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may be done.
    Go,
    /// It fails as the kernel would have it fail: the name is there already.
    Exists,
    /// The same: there is nothing to rename or remove.
    Missing,
}

/// Held from judging a change of names until it is done, so that what was judged is what is done: calls about names that a
/// rule is about exclude all others, calls about other names only those.
#[allow(dead_code)]
pub enum Order<'rules> {
    /// With others.
    Shared(RwLockReadGuard<'rules, ()>),
    /// Alone.
    Sole(RwLockWriteGuard<'rules, ()>),
}

impl Rules {
    /// Opens the roots of `plan`.
    pub fn open(plan: BrokerPlan) -> io::Result<Self> {
        let mut rules = Self {
            roots: Vec::new(),
            held: Vec::new(),
            watched: Vec::new(),
            names: HashMap::new(),
            pinned: Vec::new(),
            pinned_names: Vec::new(),
            lists: Lists::open(&plan.only),
            listed: super::listed::resolve(&plan.unix),
            denied: Denied::new(plan.denied.clone()),
            order: RwLock::new(()),
            folded: OnceLock::new(),
            plan,
        };
        for root in &rules.plan.roots {
            let dir = open_dir(root.path.as_path())?;
            let id = file_id(&rustix::fs::fstat(&dir)?);
            if id != root.id {
                return Err(io::Error::other(format!("{} is not the directory it was", root.path.display())));
            }
            rules.roots.push(Root { dir, path: root.path.as_path().as_os_str().as_bytes().to_vec() });
        }
        rules.pin()?;
        for index in 0..rules.plan.protected.len() {
            rules.hold(index);
        }
        for index in 0..rules.listed.len() {
            let Some(listed) = rules.listed.get(index) else { continue };
            let below = held_below(&rules.plan.roots, listed, index).into_iter();
            let below = below.map(|held| Held { socket: true, ..held }).collect();
            rules.hold_names(below);
        }
        for (index, watched) in rules.plan.watched.iter().enumerate() {
            rules.watched.extend(held_below(&rules.plan.roots, watched, index).into_iter().next());
        }
        Ok(rules)
    }

    fn pin(&mut self) -> io::Result<()> {
        let inner: Vec<_> = self.plan.roots.iter().map(|root| root.path.clone()).collect();
        let existing = self.plan.protected.iter().filter(|held| held.found.is_some()).map(|held| held.path.clone());
        let mut below: Vec<_> = existing.filter_map(|path| path.parent()).collect();
        below.extend(inner);
        below.extend(self.plan.pinned.iter().cloned());
        for path in below {
            let mut at = Some(path);
            while let Some(dir) = at {
                let within = self.plan.roots.iter().any(|root| dir.is_within(&root.path));
                if !within {
                    break;
                }
                if let (Some(name), Ok(found)) = (dir.file_name(), open_any(dir.as_path())) {
                    let entry = (file_id(&rustix::fs::fstat(&found)?), name.as_bytes().to_vec());
                    let folded = fold(&entry.1);
                    if !self.pinned.contains(&entry) {
                        self.pinned.push(entry);
                    }
                    if !self.pinned_names.contains(&folded) {
                        self.pinned_names.push(folded);
                    }
                }
                at = dir.parent();
            }
        }
        Ok(())
    }

    fn hold(&mut self, index: usize) {
        let Some(protected) = self.plan.protected.get(index) else { return };
        let below = held_below(&self.plan.roots, protected, index);
        self.hold_names(below);
    }

    fn hold_names(&mut self, below: Vec<Held>) {
        for held in below {
            for (depth, name) in held.names.iter().enumerate() {
                self.names.entry(fold(name.as_bytes())).or_default().push((self.held.len(), depth));
            }
            self.held.push(held);
        }
    }

    /// Paths that are watched, with the root each lies in and its names below that.
    pub(super) fn watches(&self) -> impl Iterator<Item = (BorrowedFd<'_>, &[CString], &Protected)> {
        self.watched.iter().filter_map(|held| {
            let root = self.roots.get(held.root)?;
            Some((root.dir.as_fd(), held.names.as_slice(), self.plan.watched.get(held.protected)?))
        })
    }

    /// Whether any rule is about a name like this one.
    #[must_use]
    pub fn concerns(&self, name: &[u8]) -> bool {
        if !self.plan.only.is_empty() {
            return true;
        }
        let folded = fold(name);
        self.names.contains_key(&folded)
            || self.pinned_names.contains(&folded)
            || (name.contains(&b'~') && self.held.iter().any(|held| short(name, held)))
    }

    /// Waits for its turn to change names.
    pub fn order(&self, concerned: bool) -> Order<'_> {
        if concerned {
            Order::Sole(self.order.write().unwrap_or_else(PoisonError::into_inner))
        } else {
            Order::Shared(self.order.read().unwrap_or_else(PoisonError::into_inner))
        }
    }

    /// Judges `deed` on `name` in `parent`. `source` is what arrives, for [`Deed::Arrive`] and [`Deed::Link`].
    pub fn judge(
        &self,
        parent: &Place,
        name: &[u8],
        deed: Deed,
        source: Option<(&Place, &[u8])>,
    ) -> Result<Answer, Refusal> {
        if self.concerns(name) {
            let answer = self.judge_concerned(parent, name, deed, source)?;
            if answer == Answer::Exists {
                return Ok(answer);
            }
        }
        match self.plan.holds {
            Holds::Everything => match self.outside(parent, name) {
                Some(refusal) => vain(parent, name, deed, refusal),
                None => Ok(Answer::Go),
            },
            Holds::Names => Ok(Answer::Go),
        }
    }

    fn judge_concerned(
        &self,
        parent: &Place,
        name: &[u8],
        deed: Deed,
        source: Option<(&Place, &[u8])>,
    ) -> Result<Answer, Refusal> {
        let Ok(parent_id) = parent.id() else { return Ok(Answer::Go) };
        if matches!(deed, Deed::Leave | Deed::Arrive | Deed::Remove) {
            self.judge_pinned(parent, name)?;
        }
        self.lists.judge(&self.plan.only, parent, name, deed, source)?;
        let folded = fold(name);
        let exact = self.names.get(&folded).map(Vec::as_slice).unwrap_or_default();
        let shortened: Vec<(usize, usize)> = if name.contains(&b'~') && parent.folds_names() {
            self.held
                .iter()
                .enumerate()
                .filter_map(|(at, held)| short_depth(name, held).map(|depth| (at, depth)))
                .collect()
        } else {
            Vec::new()
        };
        for (at, depth) in exact.iter().chain(&shortened) {
            let Some(held) = self.held.get(*at) else { continue };
            let same = held.names.get(*depth).is_some_and(|wanted| wanted.as_bytes() == name);
            if !same && !parent.folds_names() {
                continue;
            }
            if self.chain_id(held, *depth) != Some(parent_id) {
                continue;
            }
            let list = if held.socket { &self.listed } else { &self.plan.protected };
            let Some(protected) = list.get(held.protected) else { continue };
            if depth + 1 == held.names.len() {
                if held.socket && super::listed::may(deed) {
                    continue;
                }
                let there = statat(parent.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW).is_ok();
                let makes = matches!(deed, Deed::Make | Deed::MakeDir | Deed::Symlink | Deed::Link);
                if makes && there {
                    return Ok(Answer::Exists);
                }
                if matches!(deed, Deed::Leave | Deed::Remove) && !there {
                    continue;
                }
                return Err(protected_path(protected));
            }
            self.judge_chain(held, *depth, deed, source).map_err(|()| protected_path(protected))?;
        }
        Ok(Answer::Go)
    }

    /// Unix sockets made outside that may be reached.
    pub(super) fn listed(&self) -> &[Protected] {
        &self.listed
    }

    /// The listed socket of this name.
    pub(super) fn listed_at(&self, parent: &Place, name: &[u8]) -> Option<&Protected> {
        let id = parent.id().ok()?;
        let all = self.held.iter().filter(|held| held.socket);
        let mut same = all.filter(|held| held.names.last().is_some_and(|last| fold(last.as_bytes()) == fold(name)));
        let held = same.find(|held| self.chain_id(held, held.names.len() - 1) == Some(id))?;
        self.listed.get(held.protected)
    }

    /// The directory at `depth` of a protected path: where its name number `depth` would be.
    fn chain_id(&self, held: &Held, depth: usize) -> Option<FileId> {
        let root = self.roots.get(held.root)?;
        if depth == 0 {
            return rustix::fs::fstat(&root.dir).ok().map(|stat| file_id(&stat));
        }
        let path = join(held.names.get(..depth)?);
        statat(&root.dir, OsStr::from_bytes(&path), AtFlags::empty()).ok().map(|stat| file_id(&stat))
    }

    /// A name above a protected one: it may be made, but not stand for a tree that was prepared elsewhere.
    fn judge_chain(&self, held: &Held, depth: usize, deed: Deed, source: Option<(&Place, &[u8])>) -> Result<(), ()> {
        match deed {
            Deed::Make | Deed::MakeDir | Deed::Write | Deed::Remove => Ok(()),
            Deed::Symlink => Err(()),
            Deed::Leave => {
                let Some(root) = self.roots.get(held.root) else { return Err(()) };
                let whole = join(&held.names);
                let there = statat(&root.dir, OsStr::from_bytes(&whole), AtFlags::SYMLINK_NOFOLLOW).is_ok();
                if there { Err(()) } else { Ok(()) }
            }
            Deed::Link | Deed::Arrive => {
                let Some((dir, name)) = source else { return Err(()) };
                let Ok(stat) = statat(dir.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) else {
                    return Ok(());
                };
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Symlink => Err(()),
                    FileType::Directory => {
                        let mut path = name.to_vec();
                        for below in held.names.get(depth + 1..).unwrap_or_default() {
                            path.push(b'/');
                            path.extend_from_slice(below.as_bytes());
                            match statat(dir.fd(), OsStr::from_bytes(&path), AtFlags::SYMLINK_NOFOLLOW) {
                                Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {}
                                Ok(_) => return Err(()),
                                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
                                Err(_) => return Err(()),
                            }
                        }
                        Err(())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn judge_pinned(&self, parent: &Place, name: &[u8]) -> Result<(), Refusal> {
        if !self.pinned_names.contains(&fold(name)) {
            return Ok(());
        }
        let Ok(stat) = statat(parent.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        let id = file_id(&stat);
        if !self.pinned.iter().any(|(pinned, _)| *pinned == id) {
            return Ok(());
        }
        Err(Refusal {
            errno: Errno::BUSY,
            kind: DenialKind::ProtectedPath,
            rule: "pinned-directory",
            origin: Origin::builtin("writable roots and what is above protected paths keep their names"),
            allow_with: Vec::new(),
        })
    }

    /// Where mounts don't: holds writing to the roots, and out of their islands, by the path the kernel gives for the
    /// directory. Nothing inside can make that path lie: the islands and all above them keep their names.
    fn outside(&self, parent: &Place, name: &[u8]) -> Option<Refusal> {
        let Ok(dir) = parent.path() else { return Some(self.outside_roots(b"?")) };
        let mut path = dir.to_vec();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        // What lists say of it was judged with what is done to it.
        self.outside_lists(&path, || parent.folds_names())
    }

    /// Why what is reached by a descriptor, and not by a name, must not be written or get a further name: `path` is what the
    /// kernel gives for it.
    #[must_use]
    pub fn forbids_nameless(&self, path: &[u8]) -> Option<Refusal> {
        match self.plan.holds {
            // Pipes and the like have no path, and are no files of anybody's.
            _ if path.first() != Some(&b'/') => None,
            Holds::Everything => self.outside_path(path, || false),
            Holds::Names => self.unlisted(path),
        }
    }

    /// Why mounts let nobody write `path`, where they hold that: the kernel said no, and this says for whose sake.
    #[must_use]
    pub fn held_by_mounts(&self, path: &[u8], folds: impl FnOnce() -> bool) -> Option<Refusal> {
        let refusal = self.outside_path(path, folds).filter(|_| self.plan.holds == Holds::Names)?;
        Some(Refusal { errno: Errno::ROFS, ..refusal })
    }

    /// As [`Self::outside`], for a whole path. Whether names are folded there is asked only if it makes a difference.
    pub fn outside_path(&self, path: &[u8], folds: impl FnOnce() -> bool) -> Option<Refusal> {
        self.unlisted(path).or_else(|| self.outside_lists(path, folds))
    }

    fn outside_lists(&self, path: &[u8], folds: impl FnOnce() -> bool) -> Option<Refusal> {
        if let Some(protected) = self.island(path, folds) {
            return Some(Refusal { allow_with: vec![grant(protected, path)], ..protected_path(protected) });
        }
        if let Some(refusal) = self.masked(path) {
            return Some(refusal);
        }
        if self.is_shared_memory(path) {
            return None;
        }
        if self.roots.iter().any(|root| is_below(path, &root.path)) {
            return None;
        }
        let also = |at: &ringfence_model::AbsPath| is_below(path, at.as_path().as_os_str().as_bytes());
        if self.plan.also_writable.iter().any(also) {
            return None;
        }
        Some(self.outside_roots(path))
    }

    fn outside_roots(&self, path: &[u8]) -> Refusal {
        let dir = path.iter().rposition(|byte| *byte == b'/').and_then(|end| path.get(..end.max(1)));
        let add = dir.map(|dir| {
            let shown = shell_word(&escape_bytes(dir));
            // What is refused as a writable root is no grant to name.
            let home = self.plan.home.as_ref().map(|home| home.as_path().as_os_str().as_bytes());
            match dir == b"/" || home.is_some_and(|home| is_below(home, dir)) {
                true => format!("{BROAD_ROOTS} --add-dir {shown}"),
                false => format!("--add-dir {shown}"),
            }
        });
        let cwd = self.plan.cwd.as_path().as_os_str().as_bytes();
        // Without any root, the mode is what is in the way.
        let grant = match (self.plan.roots.is_empty(), add) {
            (true, _) if is_below(path, cwd) => Some("--sandbox workspace-write".to_owned()),
            (true, Some(add)) => Some(format!("--sandbox workspace-write {add}")),
            (_, add) => add,
        };
        Refusal {
            errno: Errno::ACCESS,
            kind: DenialKind::FsWrite,
            rule: "outside-roots",
            origin: self.plan.outside.clone(),
            allow_with: grant.into_iter().collect(),
        }
    }

    /// Whether this is a directory of files that everybody shares, of which only those made inside may be written.
    #[must_use]
    pub fn is_shared_memory(&self, path: &[u8]) -> bool {
        self.plan.holds == Holds::Everything && is_below(path, SHARED_MEMORY) && path.len() > SHARED_MEMORY.len()
    }

    /// The refusal of shared memory that was made outside.
    #[must_use]
    pub fn foreign_memory(&self) -> Refusal {
        Refusal {
            errno: Errno::ACCESS,
            kind: DenialKind::FsWrite,
            rule: "shared-memory-outside",
            origin: Origin::builtin("shared memory of the host is left alone"),
            allow_with: Vec::new(),
        }
    }

    /// Whether a list of what may change in a directory leaves this path out.
    pub fn unlisted(&self, path: &[u8]) -> Option<Refusal> {
        self.lists.judge_path(&self.plan.only, path)
    }

    /// Remembers a directory that was just made, where that makes a difference. The order is still held.
    pub fn made_dir(&self, parent: &Place, name: &[u8]) {
        if !self.plan.only.is_empty() {
            self.lists.remember(&self.plan.only, parent, name);
        }
    }

    /// The protected path that `path` lies in.
    fn island(&self, path: &[u8], folds: impl FnOnce() -> bool) -> Option<&Protected> {
        let bytes = |protected: &Protected| protected.path.as_path().as_os_str().as_bytes().to_vec();
        let held = |protected: &&Protected| is_below(path, protected.path.as_path().as_os_str().as_bytes());
        let protected = &self.plan.protected;
        protected.iter().find(held).or_else(|| {
            let all = self.folded.get_or_init(|| protected.iter().map(|held| fold_path(&bytes(held))).collect());
            let given = fold_path(path);
            let alike = protected.iter().zip(all).find(|(_, held)| is_below(&given, held));
            alike.filter(|_| folds()).map(|(protected, _)| protected)
        })
    }

    /// Whether a file is a protected one by another way than was judged: it has several names, or came by a link of `/proc`
    /// whose path nobody judged.
    pub fn is_protected_elsewhere(&self, stat: &Stat, judged: bool) -> Option<Refusal> {
        let asked = (stat.st_nlink > 1 || !judged) && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        asked.then(|| self.is_protected_file(file_id(stat))).flatten()
    }

    /// Whether this file, which has several names, is a protected one under another. Looked up when it is asked, which is
    /// rare, rather than at every start.
    pub fn is_protected_file(&self, id: FileId) -> Option<Refusal> {
        self.plan.protected.iter().find_map(|protected| {
            let path = protected.path.as_path();
            let stat = rustix::fs::stat(path).ok()?;
            if file_id(&stat) != id {
                return None;
            }
            self.island(path.as_os_str().as_bytes(), || false).map(protected_path)
        })
    }

    /// Directory the command starts in.
    #[must_use]
    pub fn cwd(&self) -> &std::path::Path {
        self.plan.cwd.as_path()
    }

    /// Whether `path` is an exact one that can't be read, or below it: with mounts it would be covered, and so left as it is.
    fn masked(&self, path: &[u8]) -> Option<Refusal> {
        self.denied.masking(path).map(deny_read)
    }

    /// Whether `path`, as the kernel gives it for what is open, can't be read. What was removed is still what it was.
    pub fn denied_read(&self, path: &[u8]) -> Option<Refusal> {
        let before = || self.denied.covering(path.strip_suffix(REMOVED)?);
        self.denied.covering(path).or_else(before).map(deny_read)
    }

    /// Where mounts don't hold it: whether the mode, owner, times or attributes of what is at `path` must stay, though it may
    /// be written to: a device of everybody's.
    pub fn keeps_metadata(&self, path: &[u8]) -> Option<Refusal> {
        let lies_in_root = || self.roots.iter().any(|root| is_below(path, &root.path));
        let also = |at: &ringfence_model::AbsPath| is_below(path, at.as_path().as_os_str().as_bytes());
        let keeps = self.plan.holds == Holds::Everything && self.plan.also_writable.iter().any(also) && !lies_in_root();
        keeps.then(|| self.outside_roots(path))
    }

    /// Whether something below `from` would stop being denied if `from` were called `to`.
    pub fn frees_denied(&self, from: &[u8], to: &[u8]) -> Option<Refusal> {
        self.denied.freed(from, to).map(deny_read)
    }
}

/// What would have come to nothing anyway is no refusal: making what is there, renaming or removing what isn't. Programs
/// rely on how it fails (`mkdir -p`, removing a file that may be left over), as where mounts hold the rest.
fn vain(parent: &Place, name: &[u8], deed: Deed, refusal: Refusal) -> Result<Answer, Refusal> {
    if refusal.kind == DenialKind::FsRead {
        return Err(refusal);
    }
    let there = statat(parent.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
    match deed {
        Deed::Make | Deed::MakeDir | Deed::Symlink | Deed::Link if there.is_ok() => Ok(Answer::Exists),
        Deed::Leave | Deed::Remove if matches!(there, Err(Errno::NOENT)) => Ok(Answer::Missing),
        _ => Err(refusal),
    }
}

fn deny_read(denied: &DeniedRead) -> Refusal {
    Refusal {
        errno: Errno::ACCESS,
        kind: DenialKind::FsRead,
        rule: "deny-read",
        origin: denied.origin.clone(),
        allow_with: Vec::new(),
    }
}

fn short(name: &[u8], held: &Held) -> bool {
    short_depth(name, held).is_some()
}

fn short_depth(name: &[u8], held: &Held) -> Option<usize> {
    held.names.iter().position(|wanted| is_short_form(name, wanted.as_bytes()))
}

/// The refusal of whatever would change a protected path.
pub(super) fn protected_path(protected: &Protected) -> Refusal {
    Refusal {
        errno: Errno::ACCESS,
        kind: DenialKind::ProtectedPath,
        rule: "protected-path",
        origin: protected.origin.clone(),
        allow_with: vec![grant(protected, b"")],
    }
}

/// The smallest grant that would let `path`, in a protected one, be written.
fn grant(protected: &Protected, path: &[u8]) -> String {
    let held = protected.path.as_path();
    let below = path.strip_prefix(held.as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    if held.file_name() == Some(OsStr::new(".git")) && below.is_some_and(plan::commit_writes) {
        return "-c 'git=\"commit\"'".to_owned();
    }
    format!("-c {}", shell_word(&format!("unprotected_paths=[\"{}\"]", protected.path.display())))
}

pub(super) fn open_any(path: &Path) -> io::Result<OwnedFd> {
    Ok(open_any_at(rustix::fs::CWD, path.as_os_str())?)
}

/// What `name` in `dir` is, whatever it is: a link itself.
pub(super) fn open_any_at(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

pub(super) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(rustix::fs::CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn join(names: &[CString]) -> Vec<u8> {
    names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>().join(&b'/')
}

/// Whether `path` is `dir` or below it, by component.
#[must_use]
pub fn is_below(path: &[u8], dir: &[u8]) -> bool {
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}
