//! Islands: what stays read-only inside the writable roots, what is writable again inside those, and the chains of
//! directories above them that must not be renamed.

use super::common::step;
use crate::plan::{Act, Insistence, Promise, Step};
use ringfence_model::confinement::{GitRole, PathPattern, Protected};
use ringfence_model::facts::FileKind;
use ringfence_model::mode::GitAccess;
use ringfence_model::{AbsPath, Confinement, Origin};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What happens to one path below a root.
enum Island<'a> {
    Pin(&'a Origin, Insistence),
    ReadOnly(&'a Protected, FileKind),
    ReadOnlyIfThere(&'a Origin, &'static str),
}

/// Names that stay read-only inside a Git directory whose other names a commit may write. Programs are run, or other
/// directories believed, because of what they say.
const GIT_READ_ONLY: &[(&str, &str)] = &[
    ("config", "git runs programs that it names"),
    ("config.worktree", "git runs programs that it names"),
    ("hooks", "git runs them outside the sandbox"),
    ("info/attributes", "filters are chosen by it"),
    ("info/grafts", "history is shown as it says"),
    ("modules", "configuration and hooks of submodules"),
    ("objects/info/alternates", "objects are taken from where it says"),
    ("description", "read by hooks"),
];

/// Further names in a linked worktree's own Git directory.
const GIT_WORKTREE_READ_ONLY: &[(&str, &str)] = &[
    ("commondir", "configuration is taken from where it says"),
    ("gitdir", "it says which directory this belongs to"),
];

/// Adds the steps, outer paths before inner ones.
pub(super) fn islands(wish: &Confinement, steps: &mut Vec<Step>) {
    let commit = wish.git.value == GitAccess::Commit;
    let mut map: BTreeMap<AbsPath, Island<'_>> = BTreeMap::new();
    for protected in &wish.protected {
        let committable = commit && wish.git_dirs.iter().any(|git| git.path == protected.path);
        match protected.found {
            Some(kind) if kind != FileKind::Symlink && !committable => {
                chain(wish, &protected.path, &protected.origin, Insistence::Must, &mut map);
                map.insert(protected.path.clone(), Island::ReadOnly(protected, kind));
            }
            // A link can't be mounted on: its name is the broker's, and what it leads to is an entry of its own.
            Some(_) => chain(wish, &protected.path, &protected.origin, Insistence::Must, &mut map),
            None => chain(wish, &protected.path, &protected.origin, Insistence::Should, &mut map),
        }
    }
    if commit {
        git_islands(wish, &mut map);
    }
    for denied in &wish.reads.denied {
        if let PathPattern::Path(path) = &denied.pattern {
            chain(wish, path, &denied.origin, Insistence::Should, &mut map);
        }
    }
    let mut read_only: Vec<AbsPath> = Vec::new();
    for (path, island) in map {
        // What lies in something read-only can't be renamed or written anyway.
        if read_only.iter().any(|outer| path.is_within(outer)) {
            continue;
        }
        let next = match island {
            Island::Pin(origin, insistence) => step(
                Act::Pin { path },
                Promise::ProtectedPaths,
                insistence,
                origin,
                "EBUSY for renaming or removing it",
            ),
            Island::ReadOnly(protected, found) => {
                read_only.push(path.clone());
                step(
                    Act::ReadOnlyPath { path, found, reason: protected.reason.clone() },
                    Promise::ProtectedPaths,
                    Insistence::Must,
                    &protected.origin,
                    "EROFS",
                )
            }
            Island::ReadOnlyIfThere(origin, reason) => {
                read_only.push(path.clone());
                step(
                    Act::ReadOnlyPath { path, found: FileKind::Other, reason: Cow::Borrowed(reason) },
                    Promise::ProtectedPaths,
                    Insistence::Should,
                    origin,
                    "EROFS",
                )
            }
        };
        steps.push(next);
    }
}

fn git_islands<'a>(wish: &'a Confinement, map: &mut BTreeMap<AbsPath, Island<'a>>) {
    for git in &wish.git_dirs {
        if !wish.roots.iter().any(|root| git.path.is_within(&root.path)) {
            continue;
        }
        chain(wish, &git.path, &wish.git.origin, Insistence::Must, map);
        map.entry(git.path.clone()).or_insert(Island::Pin(&wish.git.origin, Insistence::Must));
        let further = if git.role == GitRole::Worktree { GIT_WORKTREE_READ_ONLY } else { &[] };
        for (name, reason) in GIT_READ_ONLY.iter().chain(further) {
            if let Ok(path) = git.path.join(name) {
                chain(wish, &path, &wish.git.origin, Insistence::Should, map);
                map.entry(path).or_insert(Island::ReadOnlyIfThere(&wish.git.origin, reason));
            }
        }
    }
}

/// Every directory strictly between the root that holds `path` and `path` itself.
fn chain<'a>(
    wish: &Confinement,
    path: &AbsPath,
    origin: &'a Origin,
    insistence: Insistence,
    map: &mut BTreeMap<AbsPath, Island<'a>>,
) {
    let Some(root) = wish.roots.iter().find(|root| path.is_within(&root.path)) else { return };
    let mut above = path.parent();
    while let Some(directory) = above {
        if directory == root.path || !directory.is_within(&root.path) {
            break;
        }
        above = directory.parent();
        match map.get_mut(&directory) {
            Some(Island::Pin(_, known)) if insistence == Insistence::Must => *known = Insistence::Must,
            Some(_) => {}
            None => {
                map.insert(directory, Island::Pin(origin, insistence));
            }
        }
    }
}
