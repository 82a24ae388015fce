//! A scratch directory outside, and a scenario of this very binary inside.

use crate::linux::broker::plan::{BrokerPlan, Holds, Sockets};
use crate::linux::broker::trap::{Traps, rows};
use crate::linux::broker::{Broker, Prepared};
use crate::linux::filter::{Arch, program};
use crate::prepare::names;
use crate::sys::notify::spawn_filtered;
use crate::sys::{own, security};
use ringfence_model::confinement::{Protected, UnixSockets, WritableRoot};
use ringfence_model::facts::{FileId, FileKind};
use ringfence_model::{AbsPath, Denial, Origin};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A workspace with protected names, and something outside it.
pub struct Scratch {
    pub dir: tempfile::TempDir,
    pub plan: BrokerPlan,
}

pub const PROTECTED: [&str; 4] = [".git", ".codex", ".vscode/settings.json", ".envrc"];

impl Scratch {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ws", "out", "ws/src"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("out/keep"), "keep").unwrap();
        let plan = BrokerPlan {
            outside: Origin::builtin("test"),
            traps: Traps { names: true, connects: true, unix_datagrams: true, ..Traps::default() },
            only_opens: false,
            holds: Holds::Names,
            roots: Vec::new(),
            also_writable: Vec::new(),
            protected: Vec::new(),
            watched: Vec::new(),
            pinned: Vec::new(),
            only: Vec::new(),
            denied: Vec::new(),
            unix: UnixSockets::Only(Vec::new()),
            shares_network: false,
            sockets: Sockets::Judged,
            processes: None,
            memory: None,
            loopback: None,
            cwd: ringfence_model::AbsPath::root(),
            home: Some(AbsPath::new("/home/me").unwrap()),
        };
        let mut scratch = Self { dir, plan };
        scratch.root("ws");
        scratch
    }

    /// As [`Self::new`] and, where there is Landlock, a second one whose command opens itself what it is let.
    pub fn both_ways() -> Vec<Self> {
        let mut both = vec![Self::new()];
        if security::landlock_abi() > 0 {
            let mut opening = Self::new();
            opening.plan.only_opens = true;
            both.push(opening);
        } else {
            eprintln!("SKIPPED: opening by the command itself: there is no Landlock here");
        }
        both
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn root(&mut self, name: &str) {
        let path = self.path(name);
        let stat = std::fs::metadata(&path).unwrap();
        self.plan.roots.push(WritableRoot {
            path: AbsPath::new(&path).unwrap(),
            id: FileId { device: stat.dev(), inode: stat.ino() },
            origin: Origin::builtin("test"),
        });
        for protected in PROTECTED {
            self.protect(&format!("{name}/{protected}"));
        }
    }

    pub fn protect(&mut self, name: &str) {
        let path = self.path(name);
        let found = std::fs::symlink_metadata(&path)
            .ok()
            .map(|found| if found.is_dir() { FileKind::Directory } else { FileKind::File });
        let path = AbsPath::new(&path).unwrap();
        self.plan.protected.retain(|known| known.path != path);
        let reason = "test".to_owned();
        self.plan.protected.push(Protected { path, found, reason: reason.into(), origin: Origin::builtin("test") });
    }

    /// Runs the scenario called `name` inside and waits for it.
    pub fn run(&self, name: &str) -> Vec<Denial> {
        let (mut child, broker) = self.start(name);
        let status = child.wait().unwrap();
        let denials = broker.denials();
        drop(broker);
        assert!(status.success(), "{name}: {status}");
        denials
    }

    /// Starts the scenario called `name` inside.
    pub fn start(&self, name: &str) -> (Child, Broker) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["linux::broker::tests::harness::inside", "--exact", "--nocapture", "--include-ignored", "-q"]);
        command.env("RINGFENCE_TEST_SCENARIO", name).env("RINGFENCE_TEST_DIR", self.dir.path().canonicalize().unwrap());
        command.current_dir(self.path("ws")).stdin(Stdio::null());
        if self.plan.only_opens {
            command.env("RINGFENCE_TEST_OPENS", "1");
        }
        let plan = self.plan.clone();
        let program = program(Arch::from_name(std::env::consts::ARCH).unwrap(), &rows(plan.traps)).unwrap();
        spawn_filtered(command, program, move |listener| {
            Prepared::open(plan).unwrap().enlist().unwrap().start(listener, std::process::id(), None, None).unwrap()
        })
    }

    /// Everything under the workspace, for comparing.
    pub fn listing(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![self.path(name)];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(&dir).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    todo.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }
}

/// The child's side: runs one scenario. It stays ignored: other tests execute this very binary with its name, under a filter,
/// and it has nothing to do when it is run by itself.
#[test]
#[ignore = "the inside of other tests"]
fn inside() {
    let Ok(name) = std::env::var("RINGFENCE_TEST_SCENARIO") else { return };
    let dir = PathBuf::from(std::env::var_os("RINGFENCE_TEST_DIR").unwrap());
    let scenario = super::names::SCENARIOS
        .iter()
        .chain(super::sockets::SCENARIOS)
        .chain(super::race::SCENARIOS)
        .find(|(known, _)| *known == name);
    let Some((_, act)) = scenario else { panic!("no scenario `{name}`") };
    if std::env::var_os("RINGFENCE_TEST_OPENS").is_some() {
        make_nothing();
    }
    act(&dir);
}

/// From here on the kernel lets this process and its children make no name.
fn make_nothing() {
    let making = ["MAKE_DIR", "MAKE_FIFO", "MAKE_REG", "MAKE_SOCK", "MAKE_SYM"];
    let ruleset = security::landlock_create(names::files(&making).unwrap(), 0, 0).map(own).unwrap();
    security::landlock_restrict(ruleset.as_raw_fd()).unwrap();
}

pub type Scenario = (&'static str, fn(&Path));

/// The errno of a failure, for messages that say which call.
#[track_caller]
pub fn refused<T>(what: &str, done: std::io::Result<T>) {
    match done {
        Ok(_) => panic!("{what}: it worked"),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(0);
            let known = [libc::EACCES, libc::EROFS, libc::EBUSY, libc::EPERM];
            assert!(known.contains(&errno), "{what}: {error}");
        }
    }
}
