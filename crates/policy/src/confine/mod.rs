//! Settings and facts to a confinement: what a command may do, in absolute terms, each entry with its origin.
//!
//! Pure: the same settings, facts and request give the same confinement, byte for byte.

mod mounts;
mod protect;
mod writable;

pub use writable::SYSTEM_SETTINGS;

use crate::environment;
use ringfence_model::confinement::{
    DeniedRead, EnvVar, GitDir, GitRole, NetworkWish, PathPattern, ProxyListeners, ReadBase, Reads, Tmp, UnixSockets,
};
use ringfence_model::facts::GitFacts;
use ringfence_model::mode::GitAccess;
use ringfence_model::settings::RootRequest;
use ringfence_model::{AbsPath, Confinement, Notice, Origin, OsText, SandboxMode, Settings, Sourced, WorldFacts};

/// What one action needs beyond the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Background processes go on after the command.
    pub keep_background: Sourced<bool>,
    /// What grants add.
    pub granted: Granted,
    /// The action was judged as a read: it runs read-only and without network whatever the settings give.
    pub reads_only: Option<Origin>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            keep_background: Sourced::default_of(false, "--keep-background"),
            granted: Granted::default(),
            reads_only: None,
        }
    }
}

/// What grants add to the settings for one action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// The action runs without the sandbox.
    pub outside: Option<Origin>,
    /// Directories that become writable, resolved.
    pub write: Vec<Sourced<AbsPath>>,
    /// Paths that become readable, resolved.
    pub read: Vec<Sourced<AbsPath>>,
    /// Hosts that become reachable; `*` is the whole network.
    pub network: Vec<Sourced<String>>,
    /// Unix sockets that become reachable.
    pub unix_sockets: Vec<Sourced<AbsPath>>,
}

/// Why no confinement can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// A writable root that would make everything of the user writable.
    #[error("`{}` as a writable root would make {covers} writable; choose a directory below it, or force it with `dangerously_allow_broad_roots = true`", path.display())]
    BroadRoot {
        /// The root, resolved.
        path: AbsPath,
        /// What it covers: the home, the whole file system.
        covers: &'static str,
        /// Where it was set.
        origin: Origin,
    },
    /// Ringfence's own files would be writable from inside.
    #[error("{what} `{}` lies inside the writable root `{}`, where a command could change policy, rules and journal; move it out, or take the root away{}", own.display(), root.display(), hint)]
    OwnFilesInside {
        /// What: the home of Ringfence, the system's settings.
        what: &'static str,
        /// Its path.
        own: AbsPath,
        /// The root.
        root: AbsPath,
        /// How this very root is taken away, beginning with a blank; may be empty.
        hint: &'static str,
        /// Where the root was set.
        origin: Origin,
    },
    /// A root inside Ringfence's own files.
    #[error("the writable root `{}` lies inside {what} `{}`, which nothing may change from inside", root.display(), own.display())]
    RootInOwnFiles {
        /// What: the home of Ringfence, the system's settings.
        what: &'static str,
        /// Its path.
        own: AbsPath,
        /// The root.
        root: AbsPath,
        /// Where the root was set.
        origin: Origin,
    },
    /// A root that was asked for by name doesn't exist.
    #[error("`{}` isn't an existing directory, so it can't be made writable", path.display())]
    MissingRoot {
        /// As asked for.
        path: AbsPath,
        /// Where it was set.
        origin: Origin,
    },
    /// A granted directory lies in a protected one; only a run outside could write there.
    #[error("`{}` lies inside the protected path `{}`; name that path itself, or ask to run outside", path.display(), protected.display())]
    GrantInsideProtected {
        /// What was granted.
        path: AbsPath,
        /// What protects it.
        protected: AbsPath,
        /// Where the protection was set.
        origin: Origin,
    },
    /// A requirement forbids what was granted.
    #[error(
        "{what} isn't possible: an administrator's requirement denies reading `{pattern}`, which only the sandbox holds"
    )]
    RequirementDenies {
        /// What was asked: running outside.
        what: &'static str,
        /// The pattern.
        pattern: String,
        /// The requirement.
        origin: Origin,
    },
}

impl ConfineError {
    /// The setting at fault.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        match self {
            Self::BroadRoot { origin, .. }
            | Self::OwnFilesInside { origin, .. }
            | Self::RootInOwnFiles { origin, .. }
            | Self::MissingRoot { origin, .. }
            | Self::GrantInsideProtected { origin, .. }
            | Self::RequirementDenies { origin, .. } => origin,
        }
    }
}

/// Makes the confinement of one action.
pub fn confine(settings: &Settings, facts: &WorldFacts, request: &Request) -> Result<Confinement, ConfineError> {
    let mode = mode(settings, request)?;
    let writable = match mode.value {
        SandboxMode::DangerFullAccess => writable::Writable::default(),
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => writable::writable(settings, facts, request)?,
    };
    let network = network(settings, request, mode.value);
    let unix_sockets = unix_sockets(settings, request, mode.value);
    let (environment, environment_dropped) = environment(settings, facts, &unix_sockets, &network);
    Ok(Confinement {
        cwd: facts.cwd.clone(),
        git: match mode.value {
            SandboxMode::WorkspaceWrite => settings.git.clone(),
            _ => Sourced::new(GitAccess::ReadOnly, mode.origin.clone()),
        },
        git_dirs: git_dirs(settings, facts, mode.value),
        roots: writable.roots,
        protected: writable.protected,
        reads: reads(settings, facts, request, mode.value),
        tmp: match mode.value {
            SandboxMode::DangerFullAccess => Sourced::new(Tmp::Shared, mode.origin.clone()),
            _ => settings.private_tmp.clone().map(|private| if private { Tmp::Private } else { Tmp::Shared }),
        },
        network,
        allow_local_binding: settings.network.allow_local_binding.clone(),
        unix_sockets,
        environment,
        environment_dropped,
        limits: settings.limits.clone(),
        keep_background: request.keep_background.clone(),
        backend: settings.linux_backend.clone(),
        absent_protected: settings.absent_protected.clone(),
        mode,
    })
}

/// What a person should be told once about the workspace: roots that were left out, and why.
#[must_use]
pub fn notices(settings: &Settings, facts: &WorldFacts) -> Vec<Notice> {
    match settings.sandbox_mode.value {
        SandboxMode::WorkspaceWrite => writable::notices(settings, facts),
        SandboxMode::ReadOnly => settings.writable_roots.iter().filter(|root| root.required).map(no_effect).collect(),
        SandboxMode::DangerFullAccess => Vec::new(),
    }
}

/// A root that a flag asked for where nothing is written.
fn no_effect(root: &RootRequest) -> Notice {
    Notice {
        code: "no-effect".to_owned(),
        text: format!("`{}` isn't writable: in `read-only` nothing is", root.path.value.display()),
        origin: Some(root.path.origin.clone()),
        hint: Some("choose `--sandbox workspace-write` to write there".to_owned()),
    }
}

fn mode(settings: &Settings, request: &Request) -> Result<Sourced<SandboxMode>, ConfineError> {
    if let Some(origin) = &request.granted.outside {
        let required = settings.filesystem.deny_read.iter().find(|denied| denied.origin.layer().is_requirement());
        if let Some(denied) = required {
            return Err(ConfineError::RequirementDenies {
                what: "running outside the sandbox",
                pattern: pattern_text(&denied.pattern),
                origin: denied.origin.clone(),
            });
        }
        return Ok(Sourced::new(SandboxMode::DangerFullAccess, origin.clone()));
    }
    match &request.reads_only {
        Some(origin) if settings.sandbox_mode.value == SandboxMode::WorkspaceWrite => {
            Ok(Sourced::new(SandboxMode::ReadOnly, origin.clone()))
        }
        _ => Ok(settings.sandbox_mode.clone()),
    }
}

/// A pattern as a person reads it.
#[must_use]
pub fn pattern_text(pattern: &PathPattern) -> String {
    match pattern {
        PathPattern::Path(path) => path.display(),
        PathPattern::Glob(glob) => ringfence_model::text::escape(glob.as_str()),
    }
}

fn reads(settings: &Settings, facts: &WorldFacts, request: &Request, mode: SandboxMode) -> Reads {
    if mode == SandboxMode::DangerFullAccess {
        let base = Sourced::new(ReadBase::Everything, settings.sandbox_mode.origin.clone());
        return Reads { base, also: Vec::new(), denied: Vec::new() };
    }
    let base = match &settings.filesystem.minimal_reads {
        Some(minimal) if minimal.value => Sourced::new(ReadBase::Minimal, minimal.origin.clone()),
        _ => Sourced::default_of(ReadBase::Everything, "reads"),
    };
    // A person's grant to read opens exactly what it names, but never what a requirement denies.
    let mut denied: Vec<_> = settings
        .filesystem
        .deny_read
        .iter()
        .filter(|denied| {
            denied.origin.layer().is_requirement()
                || !request.granted.read.iter().any(|granted| match &denied.pattern {
                    PathPattern::Path(path) => path.is_within(&granted.value),
                    PathPattern::Glob(_) => false,
                })
        })
        .cloned()
        .collect();
    let elsewhere: Vec<_> = denied.iter().flat_map(|denied| denied_elsewhere(facts, denied)).collect();
    denied.extend(elsewhere);
    denied.sort();
    denied.dedup_by(|later, earlier| later.pattern == earlier.pattern);
    let mut also: Vec<_> = settings.filesystem.read.iter().chain(&request.granted.read).cloned().collect();
    also.sort();
    also.dedup_by(|later, earlier| later.value == earlier.value);
    Reads { base, also, denied }
}

/// The same, by the other names that an exact path has.
fn denied_elsewhere(facts: &WorldFacts, denied: &DeniedRead) -> Vec<DeniedRead> {
    let PathPattern::Path(path) = &denied.pattern else { return Vec::new() };
    let seen = mounts::elsewhere(&facts.mounts, path).into_iter();
    seen.map(|path| DeniedRead { pattern: PathPattern::Path(path), origin: denied.origin.clone() }).collect()
}

fn network(settings: &Settings, request: &Request, mode: SandboxMode) -> Sourced<NetworkWish> {
    let network = &settings.network;
    let proxy = || NetworkWish::Proxy {
        http_port: network.managed.http_port.value,
        socks_port: if network.managed.enable_socks5.value { network.managed.socks_port.value } else { 0 },
        transparent: network.managed.transparent.value,
        listeners: ProxyListeners::Inside,
    };
    if let Some(origin) = &request.granted.outside {
        return Sourced::new(NetworkWish::On, origin.clone());
    }
    if mode == SandboxMode::DangerFullAccess {
        return Sourced::new(NetworkWish::On, settings.sandbox_mode.origin.clone());
    }
    if let Some(origin) = &request.reads_only {
        return Sourced::new(NetworkWish::Off, origin.clone());
    }
    if network.access.value {
        return match network.proxy.value {
            true => Sourced::new(proxy(), network.proxy.origin.clone()),
            false => Sourced::new(NetworkWish::On, network.access.origin.clone()),
        };
    }
    match request.granted.network.as_slice() {
        [] => Sourced::new(NetworkWish::Off, network.access.origin.clone()),
        hosts => match hosts.iter().find(|host| host.value == "*") {
            Some(all) if !network.proxy.value => Sourced::new(NetworkWish::On, all.origin.clone()),
            _ => {
                Sourced::new(proxy(), hosts.first().map_or_else(|| network.access.origin.clone(), |h| h.origin.clone()))
            }
        },
    }
}

fn unix_sockets(settings: &Settings, request: &Request, mode: SandboxMode) -> UnixSockets {
    if mode == SandboxMode::DangerFullAccess {
        return UnixSockets::Everything;
    }
    match &settings.unix_sockets {
        UnixSockets::Everything => UnixSockets::Everything,
        UnixSockets::Only(paths) => {
            let mut paths: Vec<_> = paths.iter().chain(&request.granted.unix_sockets).cloned().collect();
            paths.sort();
            paths.dedup_by(|later, earlier| later.value == earlier.value);
            UnixSockets::Only(paths)
        }
    }
}

fn environment(
    settings: &Settings,
    facts: &WorldFacts,
    sockets: &UnixSockets,
    network: &Sourced<NetworkWish>,
) -> (Vec<EnvVar>, Vec<(OsText, Origin)>) {
    let filtered = environment::filter(&settings.environment, sockets, &facts.environment);
    let mut kept = filtered.kept;
    let mut put = |name: &str, value: OsText, origin: &Origin| {
        let name = OsText::new(name);
        kept.retain(|var| var.name != name);
        kept.push(EnvVar { name, value, origin: origin.clone() });
    };
    for (name, value) in environment::network_variables(network.value) {
        put(name, OsText::new(value), &network.origin);
    }
    if settings.private_tmp.value
        && facts.tmpdir.as_ref().zip(facts.slash_tmp.as_ref()).is_some_and(|(d, t)| d.is_within(t))
    {
        // A directory of the host's `/tmp` isn't there in a private one.
        put("TMPDIR", OsText::new("/tmp"), &settings.private_tmp.origin);
    }
    put("PWD", OsText::new(facts.cwd.as_path().as_os_str()), &Origin::builtin("the working directory"));
    kept.sort();
    (kept, filtered.dropped)
}

/// The Git directories of the roots themselves, with what each is, when `git = "commit"`.
fn git_dirs(settings: &Settings, facts: &WorldFacts, mode: SandboxMode) -> Vec<GitDir> {
    if mode != SandboxMode::WorkspaceWrite || settings.git.value != GitAccess::Commit {
        return Vec::new();
    }
    let mut dirs = Vec::new();
    for root in &facts.roots {
        let Some((path, _)) = &root.resolved else { continue };
        // Submodules' directories stay read-only: their configuration runs programs just as the outer one's does.
        let own = |entry: &AbsPath| entry == path || entry.parent().is_some_and(|tree| path.is_within(&tree));
        for git in root.git.iter().filter(|git| git.linked_back && own(&git.entry)) {
            if git.git_dir == git.common_dir {
                dirs.push(GitDir { path: git.git_dir.clone(), role: GitRole::Main });
            } else {
                dirs.push(GitDir { path: git.git_dir.clone(), role: GitRole::Worktree });
                dirs.push(GitDir { path: git.common_dir.clone(), role: GitRole::Common });
            }
        }
        // Linked worktrees below the root, of the same repository: which one that is, is not theirs to say.
        let nested = |git: &&GitFacts| {
            let listed = git.common_dir.join("worktrees").ok();
            git.linked_back && git.entry.is_within(path) && listed.is_some() && git.git_dir.parent() == listed
        };
        for git in root.git.iter().filter(nested) {
            if dirs.iter().any(|known| known.path == git.common_dir && known.role != GitRole::Worktree) {
                dirs.push(GitDir { path: git.git_dir.clone(), role: GitRole::Worktree });
            }
        }
    }
    dirs.sort();
    dirs.dedup();
    dirs
}
