//! Gathering what the decision must know of the world: directories, protected names, Git directories, programs.
//!
//! The only part of the library that looks at the file system before a command runs. It asks for names it knows and
//! never walks a tree, so start-up doesn't grow with the workspace. Nothing is started to find out.

mod git;
mod listing;
mod look;
mod mounts;
pub mod program;

pub(crate) use git::git_runs;

use look::Look;
use ringfence_model::facts::{FileId, FileKind, LinkTarget, NameFacts, RootFacts};
use ringfence_model::settings::RootRequest;
use ringfence_model::{AbsPath, OsText, Settings, Sourced, WorldFacts};
use ringfence_policy::protected;
use ringfence_policy::roots::{Surroundings, requests};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

/// What a start is given by its surroundings, before any setting is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The working directory, resolved.
    pub cwd: AbsPath,
    /// The user's home, resolved.
    pub home: Option<AbsPath>,
    /// Ringfence's home, resolved as far as it exists.
    pub ringfence_home: AbsPath,
    /// Ringfence's own environment.
    pub environment: Vec<(OsText, OsText)>,
}

/// Why the surroundings can't be made out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The working directory is gone or can't be reached.
    #[error("the directory `{path}` can't be used as working directory", path = shown(path))]
    Cwd {
        /// As given, or `.`.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// `RINGFENCE_HOME` is relative: what it means would depend on where a command starts.
    #[error("`RINGFENCE_HOME` is `{value}`, which isn't an absolute path without `..`", value = shown(value))]
    RelativeHome {
        /// Its value.
        value: PathBuf,
    },
    /// Neither `RINGFENCE_HOME` nor a home directory that exists is known.
    #[error("there is no home directory (`HOME` names none that exists); set `RINGFENCE_HOME` to an absolute path")]
    NoHome,
    /// A path that must be resolved can't be.
    #[error("`{path}` can't be resolved", path = shown(path))]
    Resolve {
        /// The path.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

fn shown(path: &Path) -> String {
    ringfence_model::text::escape_os(path)
}

impl Start {
    /// Takes the process's own environment and working directory, or `cd` if given.
    pub fn ambient(cd: Option<&Path>) -> Result<Self, StartError> {
        Self::new(std::env::vars_os().collect(), cd)
    }

    /// Takes `environment` for the process's own.
    pub fn new(environment: Vec<(OsString, OsString)>, cd: Option<&Path>) -> Result<Self, StartError> {
        let given = cd.unwrap_or(Path::new("."));
        let cwd = resolve(given).map_err(|cause| StartError::Cwd { path: given.to_path_buf(), cause })?;
        if !cwd.as_path().is_dir() {
            let cause = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(StartError::Cwd { path: given.to_path_buf(), cause });
        }
        let variable = |name: &str| {
            environment.iter().find(|(known, _)| is_variable(known, name)).map(|(_, value)| value.as_os_str())
        };
        let home = variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).or_else(std::env::home_dir);
        let home = home.and_then(|home| resolve(&home).ok());
        let ringfence_home = match variable("RINGFENCE_HOME").filter(|value| !value.is_empty()) {
            Some(value) => {
                let path = AbsPath::new(value).map_err(|_| StartError::RelativeHome { value: PathBuf::from(value) })?;
                resolve_existing_part(&path)?
            }
            None => {
                let home = home.as_ref().ok_or(StartError::NoHome)?;
                let path = home.join(".ringfence").map_err(|_| StartError::NoHome)?;
                resolve_existing_part(&path)?
            }
        };
        let environment =
            environment.into_iter().map(|(name, value)| (OsText::new(name), OsText::new(value))).collect();
        Ok(Self { cwd, home, ringfence_home, environment })
    }

    /// A variable of the environment.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.environment.iter().find(|(known, _)| is_variable(known.as_os_str(), name));
        found.map(|(_, value)| value.as_os_str())
    }

    /// The project root: the nearest directory upwards that holds one of `markers`, and whether one was found.
    #[must_use]
    pub fn project_root(&self, markers: &[String]) -> (AbsPath, bool) {
        let mut at = Some(self.cwd.clone());
        while let Some(dir) = at {
            if markers.iter().any(|marker| dir.join(marker).is_ok_and(|path| path.as_path().symlink_metadata().is_ok()))
            {
                return (dir, true);
            }
            at = dir.parent();
        }
        (self.cwd.clone(), false)
    }

    /// Where the user's own configuration of git is.
    pub(crate) fn user_git(&self) -> git::UserConfig {
        git::UserConfig::of(self.home.as_ref(), |name| self.variable(name).map(OsStr::to_os_string))
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            cwd: self.cwd.clone(),
            tmpdir: self
                .variable(TMPDIR)
                .map(Path::new)
                .filter(|path| path.is_absolute())
                .and_then(|path| resolve(path).ok())
                .filter(|path| *path != AbsPath::root() && path.as_path().is_dir()),
            slash_tmp: if cfg!(unix) { resolve(Path::new("/tmp")).ok() } else { None },
        }
    }
}

/// The variable that names the directory for temporary files.
pub const TMPDIR: &str = if cfg!(windows) { "TEMP" } else { "TMPDIR" };

/// Whether a variable is called `name`. Windows knows `Path` and `PATH` for one.
pub(crate) fn is_variable(known: &OsStr, name: &str) -> bool {
    known == name || cfg!(windows) && known.eq_ignore_ascii_case(name)
}

/// Gathers the facts that `settings`, and the directories that grants add, speak of.
#[must_use]
pub fn gather(
    start: &Start,
    settings: &Settings,
    project: (AbsPath, bool),
    granted: &[Sourced<AbsPath>],
) -> WorldFacts {
    let around = start.surroundings();
    let git = start.user_git();
    let roots: Vec<RootFacts> = requests(settings, &around, granted)
        .into_iter()
        .map(|request| root_facts(start, settings, &around, &git, request))
        .collect();
    let resolved: Vec<&AbsPath> = roots.iter().filter_map(|root| Some(&root.resolved.as_ref()?.0)).collect();
    let mounts = mounts::repeated(&resolved, !settings.filesystem.deny_read.is_empty());
    let (project_root, version_controlled) = project;
    WorldFacts {
        cwd: start.cwd.clone(),
        home: start.home.clone(),
        ringfence_home: start.ringfence_home.clone(),
        tmpdir: around.tmpdir,
        slash_tmp: around.slash_tmp,
        uid: uid(),
        project_root,
        version_controlled,
        roots,
        environment: start.environment.clone(),
        mounts,
    }
}

fn root_facts(
    start: &Start,
    settings: &Settings,
    around: &Surroundings,
    user_git: &git::UserConfig,
    request: RootRequest,
) -> RootFacts {
    let asked = &request.path.value;
    let known = [Some(&around.cwd), around.tmpdir.as_ref(), around.slash_tmp.as_ref()].contains(&Some(asked));
    let path = if known { Some(asked.clone()) } else { resolve(asked.as_path()).ok() };
    let Some(path) = path else {
        return RootFacts { requested: request.path, resolved: None, names: Vec::new(), git: Vec::new() };
    };
    let Some(id) = std::fs::metadata(path.as_path()).ok().filter(std::fs::Metadata::is_dir).map(|meta| file_id(&meta))
    else {
        return RootFacts { requested: request.path, resolved: None, names: Vec::new(), git: Vec::new() };
    };
    let names = protected::names_under(&path, start.home.as_ref(), settings);
    let mut look = Look::at(&path);
    let mut facts: Vec<_> = names.iter().map(|name| look.for_name(Path::new(name.name.as_os_str()))).collect();
    facts.sort_by(|a: &NameFacts, b: &NameFacts| a.name.cmp(&b.name));
    facts.dedup();
    let git = git::of_root(&path, path == around.cwd, user_git);
    RootFacts { requested: request.path, resolved: Some((path, id)), names: facts, git }
}

/// Resolves `path` through symbolic links. Every component must exist.
pub(crate) fn resolve(path: &Path) -> io::Result<AbsPath> {
    AbsPath::new(real_path(path)?).map_err(|cause| io::Error::new(io::ErrorKind::InvalidInput, cause))
}

/// As the standard library's, which asks about every component. The kernel knows the path of what is open.
#[cfg(target_os = "linux")]
fn real_path(path: &Path) -> io::Result<PathBuf> {
    use rustix::fs::{CWD, Mode, OFlags, fstat, openat, readlink, stat};
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStringExt;
    let opened = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let known = readlink(format!("/proc/self/fd/{}", opened.as_raw_fd()), Vec::with_capacity(256));
    let known = known.map(|known| PathBuf::from(OsString::from_vec(known.into_bytes())));
    // What was removed, or is outside our root, has no path, though the kernel gives it one.
    let same = |known: &PathBuf| {
        let (there, meant) = (stat(known)?, fstat(&opened)?);
        io::Result::Ok(known.is_absolute() && (there.st_dev, there.st_ino) == (meant.st_dev, meant.st_ino))
    };
    match known {
        Ok(known) if same(&known).unwrap_or(false) => Ok(known),
        _ => std::fs::canonicalize(path),
    }
}

#[cfg(not(target_os = "linux"))]
fn real_path(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

/// Resolves the part of `path` that exists and keeps the rest as it is.
pub(crate) fn resolve_existing_part(path: &AbsPath) -> Result<AbsPath, StartError> {
    let mut missing: Vec<OsString> = Vec::new();
    let mut at = path.clone();
    loop {
        match real_path(at.as_path()) {
            Ok(found) => {
                let full = missing.iter().rev().fold(found, |dir, name| dir.join(name));
                return AbsPath::new(full)
                    .map_err(|cause| io::Error::new(io::ErrorKind::InvalidInput, cause))
                    .map_err(|cause| StartError::Resolve { path: path.as_path().to_path_buf(), cause });
            }
            // A dangling link is there but leads nowhere: going on past it would judge another place than the kernel's.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound && at.as_path().symlink_metadata().is_err() => {
                match (at.parent(), at.file_name()) {
                    (Some(parent), Some(name)) => {
                        missing.push(name.to_os_string());
                        at = parent;
                    }
                    _ => return Err(StartError::Resolve { path: path.as_path().to_path_buf(), cause }),
                }
            }
            Err(cause) => return Err(StartError::Resolve { path: path.as_path().to_path_buf(), cause }),
        }
    }
}

/// Links that are followed to what isn't there.
const MAX_LINKS: usize = 40;

/// Where `path` leads, links followed, also where nothing is yet. What is missing can be made later, so it is as good as
/// there; if it goes up again by `..`, what it would go through counts, since that may become a link.
pub(crate) fn leads_to(path: &Path) -> Option<LinkTarget> {
    let mut at = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if let Ok(path) = resolve(&at) {
            let found = std::fs::symlink_metadata(path.as_path()).ok().map(|meta| kind(meta.file_type()));
            return Some(LinkTarget { path, found });
        }
        let parts: Vec<Component<'_>> = at.components().collect();
        let mut dir = PathBuf::new();
        let mut next = None;
        for (number, part) in parts.iter().enumerate() {
            let rest = || parts.iter().skip(number + 1).collect::<PathBuf>();
            let entry = dir.join(part);
            match std::fs::symlink_metadata(&entry) {
                Ok(meta) if meta.file_type().is_symlink() && real_path(&entry).is_err() => {
                    next = Some(dir.join(std::fs::read_link(&entry).ok()?).join(rest()));
                    break;
                }
                Ok(_) => dir = entry,
                Err(_) => {
                    let (real, rest) = (real_path(&dir).ok()?, rest());
                    let goes_up = rest.components().any(|part| part == Component::ParentDir);
                    let missing = real.join(part);
                    let path = AbsPath::new(if goes_up { missing } else { missing.join(rest) }).ok()?;
                    return Some(LinkTarget { path, found: None });
                }
            }
        }
        at = next?;
    }
    None
}

pub(crate) fn kind(kind: std::fs::FileType) -> FileKind {
    if kind.is_symlink() {
        FileKind::Symlink
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_file() {
        FileKind::File
    } else {
        FileKind::Other
    }
}

#[cfg(unix)]
pub(crate) fn file_id(meta: &std::fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    FileId { device: meta.dev(), inode: meta.ino() }
}

#[cfg(not(unix))]
pub(crate) fn file_id(_: &std::fs::Metadata) -> FileId {
    FileId { device: 0, inode: 0 }
}

#[cfg(unix)]
fn uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn uid() -> Option<u32> {
    None
}
