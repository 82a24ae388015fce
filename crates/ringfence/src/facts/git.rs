//! Git directories of a writable root, behind a `.git` in any form: directory, pointer file, link, linked worktree,
//! submodule, or the root itself being one.
//!
//! Only files that git itself would read are read, each bounded; nothing is started and no tree is walked.

use super::{kind, leads_to, resolve};
use ringfence_model::facts::{FileKind, GitFacts, LinkTarget};
use ringfence_model::{AbsPath, Layer, Origin, OsText};
use ringfence_shell::git::config::{ConfigEntry, parse, read};
use ringfence_shell::git::facts::{GitFacts as GitConfig, names_programs, troubles};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Pointer files may follow each other this far.
const MAX_CHAIN: usize = 8;
/// Linked worktrees looked at.
const MAX_WORKTREES: usize = 256;
/// Submodules looked at, all levels together.
const MAX_SUBMODULES: usize = 512;
/// Bytes read of any one file.
const MAX_FILE: u64 = 1 << 20;

/// Where the user's own configuration of git is.
#[derive(Debug, Default)]
pub(crate) struct UserConfig {
    home: Option<AbsPath>,
    /// Each file, and the variable that puts it there: those without one are in the table of protected names.
    files: Vec<(Option<&'static str>, PathBuf)>,
}

impl UserConfig {
    /// As `git` finds it, with what it would read only if another weren't there. `variable` is the user's environment.
    pub(super) fn of(home: Option<&AbsPath>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut files = Vec::new();
        files.extend(set("GIT_CONFIG_SYSTEM").map(|file| (Some("GIT_CONFIG_SYSTEM"), file)));
        files.extend(set("XDG_CONFIG_HOME").map(|dir| (Some("XDG_CONFIG_HOME"), dir.join("git/config"))));
        if let Some(home) = home {
            files.push((None, home.as_path().join(".config/git/config")));
            files.push((None, home.as_path().join(".gitconfig")));
        }
        files.extend(set("GIT_CONFIG_GLOBAL").map(|file| (Some("GIT_CONFIG_GLOBAL"), file)));
        files.retain(|(_, file)| file.is_absolute());
        Self { home: home.cloned(), files }
    }
}

/// The Git directories that belong to `root`. For the working directory itself an enclosing repository counts too: with
/// `git = "commit"` a commit from a subdirectory writes there.
pub(super) fn of_root(root: &AbsPath, is_cwd: bool, user: &UserConfig) -> Vec<GitFacts> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut at = Some(root.clone());
    while let Some(dir) = at {
        if looks_like_git_dir(dir.as_path()) {
            push(&mut found, &mut seen, facts(&dir, FileKind::Directory, &dir, true, user));
        }
        if let Ok(entry) = dir.join(".git") {
            let before = found.len();
            entry_facts(&entry, user, &mut found, &mut seen);
            if found.len() > before && dir == *root {
                submodules(root, user, &mut found, &mut seen);
            }
            if found.len() > before {
                worktrees(root, user, &mut found, &mut seen);
            }
            if found.len() > before && (is_cwd || dir == *root) {
                break;
            }
        }
        at = dir.parent();
    }
    if !is_cwd {
        // An enclosing repository concerns another root only where the root lies inside a Git directory.
        found.retain(|git| git.entry.is_within(root) || root.is_within(&git.git_dir));
    }
    found
}

fn push(found: &mut Vec<GitFacts>, seen: &mut BTreeSet<(AbsPath, AbsPath)>, facts: GitFacts) {
    if seen.insert((facts.entry.clone(), facts.git_dir.clone())) {
        found.push(facts);
    }
}

/// What `.git` at `entry` leads to.
fn entry_facts(entry: &AbsPath, user: &UserConfig, found: &mut Vec<GitFacts>, seen: &mut BTreeSet<(AbsPath, AbsPath)>) {
    let Ok(meta) = std::fs::symlink_metadata(entry.as_path()) else { return };
    let entry_kind = kind(meta.file_type());
    let mut dirs: Vec<(AbsPath, bool)> = Vec::new();
    let mut files: Vec<(PathBuf, PathBuf)> = Vec::new();
    let here = entry.parent().unwrap_or_else(AbsPath::root).into_path_buf();
    match entry_kind {
        FileKind::Directory => dirs.push((entry.clone(), owned_by_us(&meta))),
        FileKind::File => files.push((entry.as_path().to_path_buf(), here)),
        FileKind::Symlink => {
            let Ok(target) = resolve(entry.as_path()) else { return };
            if target.as_path().is_dir() {
                // Where the link leads wasn't git's doing, so nothing points back.
                dirs.push((target, false));
            } else {
                // Git takes a relative pointer from where the link stands; where it leads is looked at too.
                let parent = target.parent().unwrap_or_else(AbsPath::root).into_path_buf();
                files.push((target.as_path().to_path_buf(), here));
                files.push((target.into_path_buf(), parent));
            }
        }
        FileKind::Other => return,
    }
    for (file, base) in files {
        for dir in follow(&file, &base, MAX_CHAIN) {
            let back = points_back(&dir, entry);
            dirs.push((dir, back));
        }
    }
    for (dir, linked_back) in dirs {
        push(found, seen, facts(entry, entry_kind, &dir, linked_back, user));
    }
}

/// The directories a pointer file names. Git cuts line ends only; a reader that also cuts blanks would go elsewhere, so
/// both count.
fn follow(file: &Path, base: &Path, hops: usize) -> Vec<AbsPath> {
    if hops == 0 {
        return Vec::new();
    }
    let Some(text) = read_bounded(file) else { return Vec::new() };
    let Some(target) = text.strip_prefix(b"gitdir:") else { return Vec::new() };
    let first_line = target.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let as_git = trim_end(target.strip_prefix(b" ").unwrap_or(target), b"\r\n");
    let mut out = Vec::new();
    for spelling in [as_git, trim_end(as_git, b" \t\r\n"), first_line.trim_ascii()] {
        let Some(name) = os_string(spelling).filter(|name| !name.is_empty()) else { continue };
        let Some(LinkTarget { path: target, found }) = leads_to(&base.join(name)) else { continue };
        if matches!(found, None | Some(FileKind::Directory)) {
            out.push(target);
        } else {
            let base = target.parent().unwrap_or_else(AbsPath::root);
            out.extend(follow(target.as_path(), base.as_path(), hops - 1));
        }
    }
    out.sort();
    out.dedup();
    out
}

fn facts(entry: &AbsPath, entry_kind: FileKind, git_dir: &AbsPath, linked_back: bool, user: &UserConfig) -> GitFacts {
    let git_dir = resolve(git_dir.as_path()).unwrap_or_else(|_| git_dir.clone());
    let common_dir = read_bounded(&git_dir.as_path().join("commondir"))
        .and_then(|text| os_string(trim_end(&text, b"\r\n")))
        .and_then(|name| leads_to(&git_dir.as_path().join(name)))
        .map_or_else(|| git_dir.clone(), |target| target.path);
    let mut missing = vec![git_dir.clone(), common_dir.clone()];
    missing.retain(|dir| matches!(dir.as_path().symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound));
    missing.dedup();
    let mut present: Vec<(OsText, FileKind)> = std::fs::read_dir(git_dir.as_path())
        .into_iter()
        .flatten()
        .flatten()
        .take(4096)
        .filter_map(|item| Some((OsText::new(item.file_name()), kind(item.file_type().ok()?))))
        .collect();
    present.sort();
    let work_tree = entry.parent().unwrap_or_else(AbsPath::root);
    GitFacts {
        entry: entry.clone(),
        entry_kind,
        configured: configured(&git_dir, &common_dir, &work_tree, user),
        git_dir,
        common_dir,
        present,
        linked_back,
        missing,
    }
}

/// Whether `git_dir` says that `entry` is its own: a linked worktree's `gitdir`, a submodule's `core.worktree`.
fn points_back(git_dir: &AbsPath, entry: &AbsPath) -> bool {
    let by_file = read_bounded(&git_dir.as_path().join("gitdir"))
        .and_then(|text| os_string(trim_end(&text, b"\r\n")))
        .and_then(|name| resolve(&git_dir.as_path().join(name)).ok());
    let owned = std::fs::metadata(git_dir.as_path()).is_ok_and(|meta| owned_by_us(&meta));
    owned && (by_file.as_ref() == Some(entry) || work_tree_of(git_dir) == entry.parent())
}

/// `core.worktree` of a Git directory, resolved.
fn work_tree_of(git_dir: &AbsPath) -> Option<AbsPath> {
    let entries = read_config(&git_dir.as_path().join("config"));
    let value = entries.iter().rev().find(|entry| entry.key() == "core.worktree")?;
    resolve(&git_dir.as_path().join(&value.value)).ok()
}

/// The submodules that `.gitmodules` and the Git directory's `modules` know, by their `.git` entries.
fn submodules(root: &AbsPath, user: &UserConfig, found: &mut Vec<GitFacts>, seen: &mut BTreeSet<(AbsPath, AbsPath)>) {
    let mut trees: Vec<AbsPath> = vec![root.clone()];
    let mut known: BTreeSet<AbsPath> = trees.iter().cloned().collect();
    let mut modules: Vec<PathBuf> = found.iter().map(|git| git.common_dir.as_path().join("modules")).collect();
    let mut budget = MAX_SUBMODULES;
    while let Some(dir) = modules.pop() {
        for item in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if budget == 0 {
                break;
            }
            budget -= 1;
            let Ok(path) = resolve(&item.path()) else { continue };
            if !path.as_path().is_dir() {
                continue;
            }
            if looks_like_git_dir(path.as_path()) {
                trees.extend(work_tree_of(&path).filter(|tree| known.insert(tree.clone())));
                modules.push(path.as_path().join("modules"));
            } else {
                // A submodule's name may have several components.
                modules.push(path.into_path_buf());
            }
        }
    }
    let mut next = 0;
    while let Some(tree) = trees.get(next).cloned() {
        next += 1;
        if tree != *root
            && tree.is_within(root)
            && let Ok(entry) = tree.join(".git")
        {
            entry_facts(&entry, user, found, seen);
        }
        for entry in read_config(&tree.as_path().join(".gitmodules")) {
            if trees.len() > MAX_SUBMODULES {
                return;
            }
            let is_path = entry.section == "submodule" && entry.subsection.is_some() && entry.name == "path";
            if is_path
                && let Ok(path) = resolve(&tree.as_path().join(&entry.value))
                && path.is_within(root)
                && known.insert(path.clone())
            {
                trees.push(path);
            }
        }
    }
}

/// The linked worktrees below `root` of the repositories found, by their `.git` entries.
fn worktrees(root: &AbsPath, user: &UserConfig, found: &mut Vec<GitFacts>, seen: &mut BTreeSet<(AbsPath, AbsPath)>) {
    let lists: BTreeSet<PathBuf> = found.iter().map(|git| git.common_dir.as_path().join("worktrees")).collect();
    let dirs = lists.iter().flat_map(|list| std::fs::read_dir(list).into_iter().flatten().flatten());
    for dir in dirs.take(MAX_WORKTREES) {
        let entry = read_bounded(&dir.path().join("gitdir"))
            .and_then(|text| os_string(trim_end(&text, b"\r\n")))
            .and_then(|name| resolve(&dir.path().join(name)).ok());
        if let Some(entry) = entry
            && entry.is_within(root)
            && entry.file_name().is_some_and(|name| name == ".git")
        {
            entry_facts(&entry, user, found, seen);
        }
    }
}

/// Places that the repository's and the user's configuration has git run, or read configuration from.
fn configured(
    git_dir: &AbsPath,
    common: &AbsPath,
    work_tree: &AbsPath,
    user: &UserConfig,
) -> Vec<(String, LinkTarget)> {
    let mut files = vec![common.as_path().join("config"), git_dir.as_path().join("config.worktree")];
    files.push(PathBuf::from("/etc/gitconfig"));
    let mut out = BTreeSet::new();
    for (name, file) in &user.files {
        out.extend(name.zip(leads_to(file)).map(|(name, place)| (name.to_owned(), place)));
        files.push(file.clone());
    }
    let mut next = 0;
    while let Some(file) = files.get(next).cloned() {
        next += 1;
        for entry in read_config(&file) {
            let base = match entry.include() {
                Some(_) => file.parent().unwrap_or(Path::new("/")),
                None => work_tree.as_path(),
            };
            for place in places(&entry, base, user) {
                if entry.include().is_some() && files.len() < 16 {
                    files.push(place.path.as_path().to_path_buf());
                }
                if !place.path.is_within(common) && !place.path.is_within(git_dir) {
                    out.insert((entry.key(), place));
                }
            }
        }
    }
    out.into_iter().collect()
}

/// The keys of the configuration that git would read for the repository around `cwd` which would make `subcommand` run a
/// program or fetch. None: something couldn't be looked at, so nothing is known.
pub(crate) fn git_runs(cwd: &AbsPath, user: &UserConfig, places: &[AbsPath], subcommand: &str) -> Option<Vec<String>> {
    let mut files = vec![(PathBuf::from("/etc/gitconfig"), Layer::System)];
    files.extend(user.files.iter().map(|(_, file)| (file.clone(), Layer::User)));
    for git in of_root(cwd, true, user) {
        files.push((git.common_dir.as_path().join("config"), Layer::Project));
        files.push((git.git_dir.as_path().join("config.worktree"), Layer::Project));
    }
    let mut found = GitConfig::default();
    let mut next = 0;
    while let Some((file, layer)) = files.get(next).cloned() {
        next += 1;
        // More includes than anybody writes: whoever did so isn't believed.
        if next > 64 {
            return None;
        }
        match std::fs::symlink_metadata(&file) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(_) => return None,
        }
        let text = read_bounded(&file)?;
        let origin = Origin::File { file: OsText::new(file.as_os_str()), line: 0, column: 0, layer };
        for entry in parse(&text, &origin).ok()? {
            if let Some(include) = entry.include() {
                let base = file.parent().unwrap_or(Path::new("/"));
                files.push((
                    match (include.strip_prefix("~/"), &user.home) {
                        (Some(rest), Some(home)) => home.as_path().join(rest),
                        _ => base.join(include),
                    },
                    layer,
                ));
            }
            found.config.push(entry);
        }
    }
    let is_own = |origin: &Origin| match origin {
        Origin::File { file, layer: Layer::System | Layer::User, .. } => {
            resolve(Path::new(file.as_os_str())).is_ok_and(|file| !places.iter().any(|place| file.is_within(place)))
        }
        _ => false,
    };
    let mut keys: Vec<String> = troubles(subcommand, &found, is_own).into_iter().map(|trouble| trouble.key).collect();
    keys.sort();
    keys.dedup();
    Some(keys)
}

/// The files and directories that an entry has git read or run.
fn places(entry: &ConfigEntry, base: &Path, user: &UserConfig) -> Vec<LinkTarget> {
    let at = |word: &str| {
        let path = match (word.strip_prefix("~/"), &user.home) {
            (Some(rest), Some(home)) => home.as_path().join(rest),
            _ => base.join(word),
        };
        // What doesn't exist yet can come into being, so its name counts as well.
        leads_to(&path)
    };
    let includes = entry.include().is_some();
    if !includes && !names_programs(entry) {
        return Vec::new();
    }
    if includes || matches!(entry.name.as_str(), "hookspath" | "attributesfile" | "templatedir") {
        return at(&entry.value).into_iter().collect();
    }
    let mut found = Vec::new();
    for (at_word, word) in entry.value.trim_start_matches('!').split_whitespace().enumerate() {
        let word = word.trim_matches(|c| matches!(c, '"' | '\'' | ';' | '(' | ')'));
        let word = word.rsplit_once('=').map_or(word, |(_, value)| value);
        // A bare program is found by `PATH`, which nothing in a root can change; `sh hook.sh` runs the file all the same.
        let is_path = word.contains('/');
        if word.is_empty() || (!is_path && (at_word == 0 || entry.section == "alias")) {
            continue;
        }
        let named = at_word == 0 || word.starts_with("./") || word.starts_with("../");
        found.extend(at(word).filter(|place| match place.found {
            // A script may only be missing for now; not all that has a slash is one.
            None => named || looks_like_script(word),
            Some(_) if named => !base.starts_with(place.path.as_path()),
            Some(kind) => kind == FileKind::File,
        }));
    }
    found
}

/// Whether a word of a command line that names nothing yet could be a script's name.
fn looks_like_script(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    !word.starts_with('-') && !word.contains(['$', '%', '*']) && name.trim_start_matches('.').contains('.')
}

/// The entries of a configuration file, as far as git would read them.
fn read_config(file: &Path) -> Vec<ConfigEntry> {
    let Some(text) = read_bounded(file) else { return Vec::new() };
    read(&String::from_utf8_lossy(&text), &Origin::host("git's configuration")).0
}

fn looks_like_git_dir(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).symlink_metadata().is_ok();
    has("HEAD") && (has("commondir") || (has("objects") && has("refs")))
}

/// Reads a regular file, at most [`MAX_FILE`] bytes of it.
fn read_bounded(file: &Path) -> Option<Vec<u8>> {
    // A FIFO would block the open, so what is there is looked at first.
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    std::fs::File::open(file).ok()?.take(MAX_FILE).read_to_end(&mut text).ok()?;
    Some(text)
}

fn trim_end<'t>(mut text: &'t [u8], what: &[u8]) -> &'t [u8] {
    while let Some((last, rest)) = text.split_last() {
        if !what.contains(last) {
            break;
        }
        text = rest;
    }
    text
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStrExt;
    (!bytes.contains(&0)).then(|| std::ffi::OsStr::from_bytes(bytes).to_os_string())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(OsString::from)
}

#[cfg(unix)]
fn owned_by_us(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let uid = rustix::process::geteuid().as_raw();
    // Root may work in a directory of somebody else; that is its own choice.
    uid == 0 || meta.uid() == uid
}

#[cfg(not(unix))]
fn owned_by_us(_: &std::fs::Metadata) -> bool {
    true
}
