//! Which file a command's first word would start, found as `execvp` finds it, and whether something in a writable root
//! could have put it there.

use super::{file_id, resolve};
use ringfence_model::facts::ProgramFacts;
use ringfence_model::{AbsPath, OsText};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where a program is looked for when `PATH` isn't set, as `execvp` has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Finds `word` from `cwd` by `path` (the value of `PATH`). `roots` are the directories an agent can write under, in
/// this or an earlier command.
#[must_use]
pub fn find(word: &OsText, cwd: &AbsPath, path: Option<&OsStr>, roots: &[AbsPath]) -> ProgramFacts {
    let in_roots = |path: &AbsPath| roots.iter().any(|root| path.is_within(root));
    let missing = |from_writable| ProgramFacts { requested: word.clone(), resolved: None, id: None, from_writable };
    if word.as_bytes().is_empty() || word.as_bytes().contains(&0) {
        return missing(false);
    }
    if is_path(word.as_bytes()) {
        let file = cwd.as_path().join(word.as_os_str());
        return match executable(&file) {
            Some((resolved, meta)) => {
                let from_writable = in_roots(&resolved) || leads_through(&file, &in_roots);
                ProgramFacts {
                    requested: word.clone(),
                    id: Some(file_id(&meta)),
                    resolved: Some(resolved),
                    from_writable,
                }
            }
            None => missing(in_roots(cwd)),
        };
    }
    let mut from_writable = false;
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    for dir in std::env::split_paths(path) {
        // An empty or relative entry is looked up from the working directory.
        let dir = cwd.as_path().join(dir);
        match resolve(&dir) {
            Ok(resolved) => from_writable |= in_roots(&resolved),
            // A directory that could be made inside a root would be searched first.
            Err(_) => from_writable |= AbsPath::lexical(&dir).is_ok_and(|dir| in_roots(&dir)),
        }
        let file = dir.join(word.as_os_str());
        if let Some((resolved, meta)) = executable(&file) {
            let from_writable = from_writable || in_roots(&resolved) || leads_through(&file, &in_roots);
            return ProgramFacts {
                requested: word.clone(),
                id: Some(file_id(&meta)),
                resolved: Some(resolved),
                from_writable,
            };
        }
    }
    missing(from_writable)
}

#[cfg(unix)]
fn is_path(word: &[u8]) -> bool {
    word.contains(&b'/')
}

/// There are two separators, and a drive.
#[cfg(not(unix))]
fn is_path(word: &[u8]) -> bool {
    word.iter().any(|byte| matches!(byte, b'/' | b'\\' | b':'))
}

#[cfg(unix)]
fn executable(file: &Path) -> Option<(AbsPath, std::fs::Metadata)> {
    executable_file(file)
}

/// As the sandbox finds it: the name as it stands if it has an extension, else with one.
#[cfg(not(unix))]
fn executable(file: &Path) -> Option<(AbsPath, std::fs::Metadata)> {
    let as_named = file.extension().and_then(|_| executable_file(file));
    as_named.or_else(|| {
        ["exe", "com", "bat", "cmd"].iter().find_map(|extension| {
            let mut name = file.as_os_str().to_owned();
            name.push(".");
            name.push(extension);
            executable_file(Path::new(&name))
        })
    })
}

fn executable_file(file: &Path) -> Option<(AbsPath, std::fs::Metadata)> {
    let meta = std::fs::metadata(file).ok()?;
    let resolved = resolve(file).ok()?;
    (meta.is_file() && may_execute(&meta)).then_some((resolved, meta))
}

/// Whether a symbolic link that `file` passes through lies in a root, where it could be pointed elsewhere.
fn leads_through(file: &Path, in_roots: &dyn Fn(&AbsPath) -> bool) -> bool {
    let mut at = file.to_path_buf();
    for _ in 0..40 {
        let parent = at.parent().and_then(|parent| resolve(parent).ok());
        if parent.is_some_and(|parent| in_roots(&parent)) {
            return true;
        }
        match std::fs::read_link(&at) {
            Ok(target) => at = at.parent().map_or_else(PathBuf::new, Path::to_path_buf).join(target),
            Err(_) => return false,
        }
    }
    true
}

#[cfg(unix)]
fn may_execute(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_execute(_: &std::fs::Metadata) -> bool {
    true
}
