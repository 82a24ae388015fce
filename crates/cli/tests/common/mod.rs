//! What the tests of the program share: a home, a workspace and an outside of their own, and the program run in them.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test: the one that was built, or the copy an ordinary user was lent.
pub fn program() -> PathBuf {
    std::env::var_os("RINGFENCE_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_ringfence")), PathBuf::from)
}

/// A place of its own for one test, gone afterwards.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// `home`, `ws` (a repository, the working directory) and `out` (outside), none of them below `/tmp`.
    pub fn new() -> Self {
        let base = ["/var/tmp"].iter().map(PathBuf::from).find(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
        let directory = tempfile::Builder::new().prefix("ringfence-test-").tempdir_in(base).expect("a directory");
        let place = Self { directory };
        for name in ["home/.ringfence", "ws/.git/hooks", "ws/.git/objects", "ws/.git/refs", "out"] {
            std::fs::create_dir_all(place.path(name)).expect("a directory");
        }
        place.write("ws/.git/HEAD", "ref: refs/heads/main\n");
        place.write("ws/.git/config", "[core]\n\trepositoryformatversion = 0\n");
        place.write("out/keep", "a canary\n");
        place
    }

    /// A path below it.
    pub fn path(&self, name: &str) -> PathBuf {
        std::fs::canonicalize(self.directory.path()).expect("it exists").join(name)
    }

    /// A file below it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    /// What a file below it holds.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The user's settings.
    pub fn settings(&self, text: &str) {
        self.write("home/.ringfence/config.toml", text);
    }

    /// `ringfence ARGS`, in the workspace, with a plain environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        // Away from the terminal of whoever runs the tests: no question may be put there.
        let mut command = match ["/usr/bin/setsid", "/bin/setsid"].iter().find(|path| Path::new(path).is_file()) {
            Some(setsid) => {
                let mut command = Command::new(setsid);
                command.arg("-w").arg(program());
                command
            }
            None => Command::new(program()),
        };
        command.args(args).current_dir(self.path("ws")).env_clear().stdin(Stdio::null());
        command.env("HOME", self.path("home")).env("LANG", "C.UTF-8").env("TERM", "dumb");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs `ringfence ARGS`.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// `ringfence sandbox -- sh -c SCRIPT`.
    pub fn sh(&self, script: &str) -> Ran {
        self.run(["sandbox", "-s", "workspace-write", "--", "sh", "-c", script])
    }
}

/// What a run of the program came to.
pub struct Ran {
    /// The exit status.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the program runs");
        Self {
            status: status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Panics, showing everything, if the status isn't this.
    #[track_caller]
    pub fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Panics, showing everything, if standard error doesn't say this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` not in stderr:\n{}\nstdout:\n{}", self.err, self.out);
        self
    }
}

/// Whether any tier holds here; prints the skip otherwise.
pub fn confines(test: &str) -> bool {
    let place = Place::new();
    let ran = place.run(["sandbox", "-s", "read-only", "--", "true"]);
    if ran.status == 125 {
        skip(test, &format!("this host confines nothing: {}", ran.err.lines().next().unwrap_or_default()));
        return false;
    }
    true
}

/// Says that a test was skipped, and why.
pub fn skip(test: &str, why: &str) {
    println!("SKIPPED: {test}: {why}");
}

/// Whether a program is installed where a sandbox can start it; prints the skip otherwise.
pub fn have(test: &str, name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    if !found {
        skip(test, &format!("`{name}` isn't installed"));
    }
    found
}
