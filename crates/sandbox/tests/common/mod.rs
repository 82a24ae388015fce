//! Wishes for tests, and two readings of them: the slow one of the wish itself, and the plan interpreted.
#![allow(dead_code)]

use ringfence_model::confinement::{
    Confinement, DeniedRead, EnvVar, NetworkWish, PathPattern, Protected, ReadBase, Reads, Tmp, UnixSockets,
    WritableRoot,
};
use ringfence_model::facts::{FileId, FileKind};
use ringfence_model::limits::Limits;
use ringfence_model::mode::{AbsentHold, Backend, GitAccess};
use ringfence_model::{AbsPath, Origin, OsText, SandboxMode, Sourced};
use ringfence_sandbox::plan::{Act, Brokered, Plan};

/// An absolute path.
pub fn abs(path: &str) -> AbsPath {
    AbsPath::new(path).expect("an absolute path")
}

/// A wish with these roots, protected paths (and whether they exist), and denied reads.
pub fn wish(roots: &[&str], protected: &[(&str, bool)], denied: &[&str]) -> Confinement {
    let origin = |line: u32| Origin::File {
        file: OsText::new("/home/me/.ringfence/config.toml"),
        line,
        column: 1,
        layer: ringfence_model::Layer::User,
    };
    let mut roots: Vec<WritableRoot> = roots
        .iter()
        .map(|path| WritableRoot { path: abs(path), id: FileId { device: 1, inode: 2 }, origin: origin(3) })
        .collect();
    roots.sort();
    roots.dedup();
    let all = roots.clone();
    roots.retain(|inner| !all.iter().any(|outer| outer.path != inner.path && inner.path.is_within(&outer.path)));
    let mut protected: Vec<Protected> = protected
        .iter()
        .map(|(path, present)| Protected {
            path: abs(path),
            found: present.then_some(FileKind::Directory),
            reason: "git runs what is in it".into(),
            origin: Origin::builtin("protected names"),
        })
        .collect();
    protected.sort();
    protected.dedup_by(|a, b| a.path == b.path);
    Confinement {
        mode: Sourced::new(
            if roots.is_empty() { SandboxMode::ReadOnly } else { SandboxMode::WorkspaceWrite },
            origin(1),
        ),
        cwd: abs("/w"),
        roots,
        protected,
        reads: Reads {
            base: Sourced::new(ReadBase::Everything, Origin::builtin("default of `permissions`")),
            also: Vec::new(),
            denied: denied
                .iter()
                .map(|path| DeniedRead { pattern: PathPattern::Path(abs(path)), origin: origin(9) })
                .collect(),
        },
        tmp: Sourced::new(Tmp::Shared, Origin::builtin("default of `private_tmp`")),
        network: Sourced::new(NetworkWish::Off, Origin::builtin("default of `network_access`")),
        allow_local_binding: Sourced::new(false, Origin::builtin("default of `allow_local_binding`")),
        unix_sockets: UnixSockets::Only(Vec::new()),
        git: Sourced::new(GitAccess::ReadOnly, Origin::builtin("default of `git`")),
        git_dirs: Vec::new(),
        environment: vec![EnvVar {
            name: OsText::new("PATH"),
            value: OsText::new("/usr/bin:/bin"),
            origin: Origin::builtin("inherited"),
        }],
        environment_dropped: Vec::new(),
        limits: Limits::default(),
        keep_background: Sourced::new(false, Origin::builtin("default of `keep_background`")),
        backend: Sourced::new(Backend::Auto, Origin::builtin("default of `linux.backend`")),
        absent_protected: Sourced::new(AbsentHold::Broker, Origin::builtin("default of `absent_protected`")),
    }
}

/// The slow reading: may this path be written under this wish?
pub fn may_write(wish: &Confinement, path: &AbsPath) -> bool {
    wish.roots.iter().any(|root| path.is_within(&root.path))
        && !wish.protected.iter().any(|protected| path.is_within(&protected.path))
        && may_read(wish, path)
}

/// The slow reading: may this path be read under this wish?
pub fn may_read(wish: &Confinement, path: &AbsPath) -> bool {
    !wish.reads.denied.iter().any(|denied| match &denied.pattern {
        PathPattern::Path(exact) => path.is_within(exact),
        PathPattern::Glob(glob) => glob.covers(path.as_path().as_os_str().as_encoded_bytes()),
    })
}

/// The plan interpreted: mounts in their order, then Landlock, then the broker. (May be read, may be written.)
pub fn interpret(plan: &Plan, path: &AbsPath) -> (bool, bool) {
    let (mut read, mut write) = (true, true);
    let mut landlock: Option<bool> = None;
    for step in &plan.steps {
        match &step.act {
            Act::ReadOnlyTree => write = false,
            Act::WritableRoot { path: root, .. } if path.is_within(root) => write = true,
            Act::ReadOnlyPath { path: island, .. } if path.is_within(island) => write = false,
            Act::WritablePath { path: island, .. } if path.is_within(island) => write = true,
            Act::OwnDirectory { path: own, writable, .. } if path.is_within(own) => write = *writable,
            Act::Mask { path: mask } if path.is_within(mask) => (read, write) = (false, false),
            Act::Landlock { .. } => landlock = Some(false),
            Act::LandlockRule { path: below, rights }
                if path.is_within(below) && rights.iter().any(|right| right == "WRITE_FILE") =>
            {
                landlock = Some(true);
            }
            Act::Broker(Brokered::ProtectedName { path: name, .. }) if path.is_within(name) => write = false,
            Act::Broker(Brokered::DenyReadPath { path: denied }) if path.is_within(denied) => {
                (read, write) = (false, false);
            }
            _ => {}
        }
    }
    (read, write && landlock.unwrap_or(true))
}
