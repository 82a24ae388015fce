//! An ordinary user for the half of the enforcement tests that must not be root: made for the run, gone afterwards.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An ordinary user.
pub struct User {
    name: String,
    home: PathBuf,
}

impl User {
    /// Makes one; the error says why not.
    pub fn make() -> Result<Self, String> {
        let name = format!("rftest{}", std::process::id() % 100_000);
        let home = std::env::temp_dir().join(format!("{name}-home"));
        let home_arg = home.to_string_lossy().into_owned();
        let args = ["--create-home", "--home-dir", &home_arg, "--shell", "/bin/sh", &name];
        let output = Command::new("useradd")
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("useradd: {error}"))?;
        if !output.status.success() {
            return Err(format!("useradd: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let user = Self { name, home };
        // Their home is private in every sense: it also holds the copies of what they run.
        std::fs::create_dir_all(user.home.join("bin")).map_err(|error| error.to_string())?;
        Ok(user)
    }

    /// Copies a program to where the user can run it.
    pub fn lend(&self, program: &Path) -> Result<PathBuf, String> {
        let name = program.file_name().unwrap_or(OsStr::new("program"));
        let copy = self.home.join("bin").join(name);
        std::fs::copy(program, &copy).map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(copy)
    }

    /// A command that runs `program` as this user, in their home, with a plain environment.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.name, "--regid", &self.name, "--init-groups", "--inh-caps=-all", "--"]);
        command.arg(program).current_dir(&self.home).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Directories in root's home can't be searched by others.
        let path: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| !dir.starts_with("/root")).collect();
        let path = std::env::join_paths(path).unwrap_or_default();
        command.env("PATH", path).env("HOME", &self.home).env("USER", &self.name).env("LANG", "C.UTF-8");
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let quiet = |program: &str, args: &[&str]| {
            let _ = Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        };
        quiet("userdel", &["--remove", &self.name]);
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
