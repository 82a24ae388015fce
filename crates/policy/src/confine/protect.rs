//! The read-only islands inside the roots: names of the table as found on disk, Git directories behind pointers, targets
//! of links, and Ringfence's own files.

use super::ConfineError;
use super::mounts;
use super::writable::own_files;
use crate::protected::{self, ProtectedName};
use ringfence_model::confinement::{Protected, WritableRoot};
use ringfence_model::facts::{FileKind, GitFacts, NameFacts, RootFacts};
use ringfence_model::{AbsPath, Origin, Settings, WorldFacts};
use std::borrow::Cow;
use std::path::Path;

const GIT_BEHIND: &str = "the Git directory behind a `.git` entry: git runs hooks and configured programs from it";
const GIT_ENTRY: &str = "names a submodule's Git directory, whose hooks git runs";
const LINK_TARGET: &str = "what a protected link leads to";
const OWN: &str = "Ringfence's own settings, rules, grants and journal";

/// Every protected path that lies in one of `roots`, nested roots included.
pub(super) fn protected(
    settings: &Settings,
    facts: &WorldFacts,
    roots: &[(WritableRoot, &RootFacts)],
) -> Vec<Protected> {
    let mut all = Vec::new();
    for (root, found) in roots {
        let names = protected::names_under(&root.path, facts.home.as_ref(), settings);
        for fact in &found.names {
            // A fact about a directory on the way to a name (a link there) shares the name's reason.
            let fact_path = Path::new(fact.name.as_os_str());
            let Some(name) = names
                .iter()
                .find(|name| name.name == fact.name)
                .or_else(|| names.iter().find(|name| Path::new(name.name.as_os_str()).starts_with(fact_path)))
            else {
                continue;
            };
            let Ok(path) = root.path.join(fact_path) else { continue };
            if !is_below_protected(fact_path, &found.names, &names) {
                all.push(entry(path, fact.found, name.reason.clone(), name.origin.clone()));
            }
            if let Some(target) = &fact.target {
                all.push(entry(target.path.clone(), target.found, Cow::Borrowed(LINK_TARGET), name.origin.clone()));
            }
        }
        let git_name = names.iter().find(|name| name.name.as_str() == Some(".git"));
        if let Some(git_name) = git_name {
            for git in &found.git {
                all.extend(behind_git(git, &git_name.origin));
                // What git's configuration already has it run is an order to a program outside, whoever wrote it there.
                for (key, target) in &git.configured {
                    if !protected::path_is_taken_off(&root.path, &target.path, settings) {
                        let origin = Origin::host(format!("git's `{key}`"));
                        let reason = Cow::Owned(format!("git's `{key}` leads here"));
                        all.push(entry(target.path.clone(), target.found, reason, origin));
                    }
                }
            }
        }
    }
    for (_, own) in own_files(facts) {
        all.push(entry(own, Some(FileKind::Directory), Cow::Borrowed(OWN), Origin::builtin("Ringfence's own files")));
    }
    let elsewhere: Vec<Protected> = all.iter().flat_map(|entry| seen_elsewhere(facts, entry)).collect();
    all.extend(elsewhere);
    all.retain(|entry| roots.iter().any(|(root, _)| entry.path.is_within(&root.path)));
    all.sort();
    all.dedup_by(|later, earlier| later.path == earlier.path);
    all
}

/// The same, by the other names that it has through further mounts.
fn seen_elsewhere(facts: &WorldFacts, entry: &Protected) -> Vec<Protected> {
    let seen = mounts::elsewhere(&facts.mounts, &entry.path);
    if seen.is_empty() {
        return Vec::new();
    }
    let reason: Cow<'static, str> = match entry.reason {
        Cow::Borrowed(OWN) => Cow::Borrowed(OWN),
        _ => Cow::Owned(format!("{} is mounted here: {}", entry.path.display(), entry.reason)),
    };
    seen.into_iter().map(|path| Protected { path, reason: reason.clone(), ..entry.clone() }).collect()
}

/// Whether a directory above `name`, no link, is protected itself, so that nothing is left to say of `name` but what it
/// leads to.
fn is_below_protected(name: &Path, found: &[NameFacts], names: &[ProtectedName]) -> bool {
    // Compared as text, not as paths: this runs for every name of every root at every start.
    name.ancestors().skip(1).map(Path::as_os_str).any(|above| {
        let kind = || found.iter().find(|fact| fact.name.as_os_str() == above).map(|fact| fact.found);
        names.iter().any(|name| name.name.as_os_str() == above)
            && matches!(kind(), Some(None | Some(FileKind::Directory)))
    })
}

fn behind_git(git: &GitFacts, origin: &Origin) -> [Protected; 3] {
    let behind = |dir: &AbsPath| {
        let found = (!git.missing.contains(dir)).then_some(FileKind::Directory);
        entry(dir.clone(), found, Cow::Borrowed(GIT_BEHIND), origin.clone())
    };
    [
        entry(git.entry.clone(), Some(git.entry_kind), Cow::Borrowed(GIT_ENTRY), origin.clone()),
        behind(&git.git_dir),
        behind(&git.common_dir),
    ]
}

fn entry(path: AbsPath, found: Option<FileKind>, reason: Cow<'static, str>, origin: Origin) -> Protected {
    Protected { path, found, reason, origin }
}

/// Takes away protections that a grant names outright. What a requirement protects, and Ringfence's own files, stay.
pub(super) fn lift_granted(
    protected: &mut Vec<Protected>,
    roots: &[(WritableRoot, &RootFacts)],
    granted: &[&AbsPath],
) -> Result<(), ConfineError> {
    let granted: Vec<&AbsPath> = roots
        .iter()
        .filter(|(_, found)| granted.contains(&&found.requested.value))
        .map(|(root, _)| &root.path)
        .collect();
    let stays = |entry: &Protected| entry.origin.layer().is_requirement() || entry.reason == OWN;
    // Naming a protected path lifts it; naming a directory above only adds what is unprotected there.
    protected.retain(|entry| stays(entry) || !granted.iter().any(|path| **path == entry.path));
    for path in granted {
        if let Some(over) = protected.iter().find(|entry| path.is_within(&entry.path)) {
            return Err(ConfineError::GrantInsideProtected {
                path: path.clone(),
                protected: over.path.clone(),
                origin: over.origin.clone(),
            });
        }
    }
    Ok(())
}

/// Leaves out what lies inside another protected directory, or inside one that may not come into being.
pub(super) fn outermost(mut protected: Vec<Protected>) -> Vec<Protected> {
    protected.sort();
    // In this order everything below a path follows it at once, so the last directory kept is the only one that counts.
    let mut outer: Option<AbsPath> = None;
    protected.retain(|entry| {
        if outer.as_ref().is_some_and(|outer| entry.path != *outer && entry.path.is_within(outer)) {
            return false;
        }
        if matches!(entry.found, Some(FileKind::Directory) | None) {
            outer = Some(entry.path.clone());
        }
        true
    });
    protected
}
