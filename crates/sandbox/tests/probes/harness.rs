//! The harness: a scratch directory with a workspace and canaries, a wish for it, and a run inside.

use ringfence_model::confinement::{
    Confinement, DeniedRead, EnvVar, NetworkWish, PathPattern, Protected, ReadBase, Reads, Tmp, UnixSockets,
    WritableRoot,
};
use ringfence_model::facts::{FileId, FileKind};
use ringfence_model::limits::Limits;
use ringfence_model::mode::{AbsentHold, Backend, GitAccess};
use ringfence_model::report::Exit;
use ringfence_model::{AbsPath, Origin, OsText, SandboxMode, Sourced};
use ringfence_sandbox::{Command, Options, Outcome, Sandbox, StartError, Stdio, compile};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The user that everything is run as a second time.
const ORDINARY: u32 = 1000;

/// A probe: its name begins with the attack's id.
pub type Probe = (&'static str, fn(&Scratch) -> Verdict);

/// Ok, or why not.
pub type Verdict = Result<(), Failure>;

/// Why a probe didn't pass.
#[derive(Debug)]
pub enum Failure {
    /// The host can't run it.
    Skipped(String),
    /// A promise is broken.
    Broken(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(format!("the probe itself failed: {error}"))
    }
}

/// Fails with a text unless the condition holds.
pub fn expect(condition: bool, what: impl Into<String>) -> Verdict {
    if condition { Ok(()) } else { Err(Failure::Broken(what.into())) }
}

/// A directory with a workspace `ws`, an outside `out` with a canary, and a `secret`.
pub struct Scratch {
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("ringfence-probe-").tempdir_in("/var/tmp")?;
        let path = directory.path();
        for name in ["ws/.git/hooks", "ws/src", "out", "secret"] {
            fs::create_dir_all(path.join(name))?;
        }
        fs::write(path.join("out/keep"), "canary\n")?;
        fs::write(path.join("ws/.git/config"), "[core]\n")?;
        fs::write(path.join("secret/key"), "s3cret\n")?;
        Ok(Self { directory })
    }

    /// A path below the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Whether nothing outside the workspace was touched.
    pub fn outside_is_intact(&self) -> Verdict {
        let names: Vec<_> =
            fs::read_dir(self.path("out"))?.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
        expect(names == ["keep"], format!("outside there is now {names:?}"))?;
        let meta = fs::symlink_metadata(self.path("out/keep"))?;
        expect(meta.permissions().mode() & 0o7777 == 0o644, format!("the canary's mode is {:o}", meta.mode()))?;
        expect(fs::read(self.path("out/keep"))? == b"canary\n", "the canary was changed")
    }

    /// The usual wish: the workspace is writable, `.git` in it is protected, the network is off.
    pub fn wish(&self) -> Wish {
        Wish::new(self.directory.path())
    }

    /// Runs a shell script inside.
    pub fn sh(&self, wish: Wish, script: &str) -> Result<Seen, Failure> {
        self.run(wish, &["/bin/sh", "-c", script])
    }

    /// Runs one of the attacks of this binary inside.
    pub fn attack(&self, wish: Wish, arguments: &[&str]) -> Result<Seen, Failure> {
        let me = std::env::current_exe()?.display().to_string();
        let argv: Vec<&str> = [me.as_str(), "--attack"].into_iter().chain(arguments.iter().copied()).collect();
        self.run(wish, &argv)
    }

    /// Runs a command inside, with pipes for its streams.
    pub fn run(&self, wish: Wish, argv: &[&str]) -> Result<Seen, Failure> {
        let sandbox = wish.sandbox()?;
        let mut command = Command::new(argv.iter().map(|argument| OsText::new(*argument)));
        command.stdin = Stdio::Null;
        command.stdout = Stdio::Piped;
        command.stderr = Stdio::Piped;
        let mut running = match sandbox.spawn(command, None) {
            Ok(running) => running,
            Err(error) => return Err(unstarted(error)),
        };
        let pipes = std::mem::take(running.pipes());
        let drain = |pipe: Option<fs::File>| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                if let Some(mut pipe) = pipe {
                    let _ = pipe.read_to_end(&mut text);
                }
                String::from_utf8_lossy(&text).into_owned()
            })
        };
        let (out, err) = (drain(pipes.stdout), drain(pipes.stderr));
        let outcome = running.wait();
        Ok(Seen { out: out.join().unwrap_or_default(), err: err.join().unwrap_or_default(), outcome })
    }
}

/// A start that failed: skipped if the host has no namespaces for us.
pub fn unstarted(error: StartError) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    match error {
        StartError::Tier { .. } => Failure::Skipped(text),
        _ => Failure::Broken(format!("it could not {text}")),
    }
}

/// What was seen of a run.
#[derive(Debug)]
pub struct Seen {
    pub out: String,
    pub err: String,
    pub outcome: Outcome,
}

impl Seen {
    /// Fails unless the command succeeded.
    pub fn works(&self) -> Verdict {
        expect(self.outcome.exit == Exit::Code(0), format!("honest work failed: {self:?}"))
    }
}

/// A confinement that a probe can change.
pub struct Wish(pub Confinement);

impl Wish {
    fn new(scratch: &Path) -> Self {
        let origin = Origin::builtin("probe");
        let cwd = AbsPath::new(scratch.join("ws")).expect("absolute");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut wish = Self(Confinement {
            mode: Sourced::new(SandboxMode::WorkspaceWrite, origin.clone()),
            cwd: cwd.clone(),
            roots: Vec::new(),
            protected: Vec::new(),
            reads: Reads {
                base: Sourced::new(ReadBase::Everything, origin.clone()),
                also: Vec::new(),
                denied: Vec::new(),
            },
            tmp: Sourced::new(Tmp::Shared, origin.clone()),
            network: Sourced::new(NetworkWish::Off, origin.clone()),
            allow_local_binding: Sourced::new(false, origin.clone()),
            unix_sockets: UnixSockets::Only(Vec::new()),
            git: Sourced::new(GitAccess::ReadOnly, origin.clone()),
            git_dirs: Vec::new(),
            environment: vec![EnvVar { name: OsText::new("PATH"), value: OsText::new(path), origin: origin.clone() }],
            environment_dropped: Vec::new(),
            limits: Limits::default(),
            keep_background: Sourced::new(false, origin.clone()),
            backend: Sourced::new(Backend::Auto, origin.clone()),
            absent_protected: Sourced::new(AbsentHold::Broker, origin),
        });
        wish = wish.root(cwd.as_path()).protect(&cwd.join(".git").expect("a name"));
        wish
    }

    /// One more writable root.
    pub fn root(mut self, path: &Path) -> Self {
        let meta = fs::metadata(path).expect("a root exists");
        let root = WritableRoot {
            path: AbsPath::new(path).expect("absolute"),
            id: FileId { device: meta.dev(), inode: meta.ino() },
            origin: Origin::builtin("probe"),
        };
        self.0.roots.push(root);
        self.0.roots.sort();
        let all = self.0.roots.clone();
        self.0
            .roots
            .retain(|inner| !all.iter().any(|outer| outer.path != inner.path && inner.path.is_within(&outer.path)));
        self
    }

    /// One more protected path.
    pub fn protect(mut self, path: &AbsPath) -> Self {
        let found = fs::symlink_metadata(path).ok().map(|meta| {
            if meta.is_dir() {
                FileKind::Directory
            } else if meta.is_symlink() {
                FileKind::Symlink
            } else {
                FileKind::File
            }
        });
        self.0.protected.push(Protected {
            path: path.clone(),
            found,
            reason: "probe".into(),
            origin: Origin::builtin("probe"),
        });
        self.0.protected.sort();
        self
    }

    /// One more path that can't be read.
    pub fn deny(mut self, path: &Path) -> Self {
        let pattern = PathPattern::Path(AbsPath::new(path).expect("absolute"));
        self.0.reads.denied.push(DeniedRead { pattern, origin: Origin::builtin("probe") });
        self
    }

    /// The mode is read-only.
    pub fn keep_background(mut self) -> Self {
        self.0.keep_background.value = true;
        self
    }

    pub fn read_only(mut self) -> Self {
        self.0.mode.value = SandboxMode::ReadOnly;
        self.0.roots.clear();
        self.0.protected.clear();
        self
    }

    /// Compiled for this host.
    pub fn sandbox(self) -> Result<Sandbox, Failure> {
        let plan = compile(&self.0, &ringfence_sandbox::probe::quick_for(&self.0), &Options::default());
        Sandbox::new(plan.map_err(|error| Failure::Skipped(error.to_string()))?).map_err(unstarted)
    }
}

/// Runs the probes that the arguments name, or all.
pub fn main(groups: &[&[Probe]]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--attack") {
        return super::attacks::run(arguments.get(1..).unwrap_or(&[]));
    }
    // The number that follows libtest's `--test-threads` names no probe.
    let names = arguments.iter().filter(|argument| !argument.starts_with('-') && argument.parse::<u32>().is_err());
    let filters: Vec<&String> = names.collect();
    let probes: Vec<&Probe> = groups
        .iter()
        .flat_map(|group| group.iter())
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in probes {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    let who = if root { "root" } else { "an ordinary user" };
    let (mut held, mut skipped, mut broken) = (0, 0, 0);
    for (name, probe) in probes {
        let verdict = Scratch::new().map_err(Failure::from).and_then(|scratch| probe(&scratch));
        match verdict {
            Ok(()) => {
                held += 1;
                println!("test {name} (as {who}) ... ok");
            }
            Err(Failure::Skipped(why)) => {
                skipped += 1;
                println!("SKIPPED: {name} (as {who}): {why}");
            }
            Err(Failure::Broken(what)) => {
                broken += 1;
                println!("test {name} (as {who}) ... FAILED\nBROKEN: {name} (as {who}): {what}");
            }
        }
    }
    println!("probes as {who}: {held} held, {skipped} skipped, {broken} broken");
    let again = !root || as_ordinary_user(&arguments);
    if broken == 0 && again { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs this binary once more as an ordinary user, who may not be able to reach it where it is.
fn as_ordinary_user(arguments: &[String]) -> bool {
    let run = || -> std::io::Result<bool> {
        let directory = tempfile::Builder::new().prefix("ringfence-probes-").tempdir_in("/var/tmp")?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let copy = directory.path().join("probes");
        fs::copy(std::env::current_exe()?, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        let mut command = std::process::Command::new(&copy);
        command.args(arguments).uid(ORDINARY).gid(ORDINARY).current_dir("/").env("PATH", "/usr/bin:/bin");
        command.status().map(|status| status.success())
    };
    run().unwrap_or_else(|error| {
        println!("BROKEN: running as an ordinary user: {error}");
        false
    })
}

/// Runs a command that waits for ever, as a supervisor that will be killed.
pub fn supervise(scratch: &Path, mark: &str) -> ExitCode {
    let script = format!("(setsid sleep {mark} &); touch up; exec sleep {mark}");
    let Ok(sandbox) = Wish::new(scratch).sandbox() else { return ExitCode::FAILURE };
    match sandbox.spawn(Command::new(["/bin/sh", "-c", script.as_str()]), None) {
        Ok(running) => {
            running.wait();
            ExitCode::SUCCESS
        }
        Err(_) => ExitCode::FAILURE,
    }
}
