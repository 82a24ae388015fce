//! The tests of Windows under Wine, where it is installed: paths, files that constrain, rules and decisions as that system
//! has them, and the steps of its tier. What only Windows itself checks, these tests skip.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The target that Debian has a linker for.
pub const TARGET: &str = "x86_64-pc-windows-gnu";
const LINKER: &str = "x86_64-w64-mingw32-gcc";

/// What is built and run, as arguments of `cargo test`.
pub const BUILDS: &[&[&str]] = &[
    &[
        "--package",
        "ringfence-model",
        "--package",
        "ringfence-shell",
        "--package",
        "ringfence-rules",
        "--package",
        "ringfence-config",
        "--package",
        "ringfence-policy",
        "--package",
        "ringfence-audit",
        "--lib",
        "--tests",
    ],
    &["--package", "ringfence-sandbox", "--lib", "--test", "windows"],
];

/// A Wine with a prefix of its own, below `target`.
pub struct Wine {
    program: PathBuf,
    home: PathBuf,
}

impl Wine {
    /// Finds Wine and what the tests are built with, and makes the prefix. The error is why the tests are skipped.
    pub fn find() -> Result<Self, String> {
        let program = [Path::new("wine64"), Path::new("/usr/lib/wine/wine64"), Path::new("wine")]
            .into_iter()
            .find(|program| answers(program, "--version"))
            .ok_or("Wine isn't installed (Debian's `wine64`)")?;
        if !answers(Path::new(LINKER), "--version") {
            return Err(format!("`{LINKER}` isn't installed (Debian's `gcc-mingw-w64-x86-64`)"));
        }
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        if !Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).is_dir() {
            return Err(format!("the standard library for {TARGET} isn't there (`rustup target add {TARGET}`)"));
        }
        let wine = Self { program: program.to_owned(), home: crate::root().join("target/wine") };
        wine.prepare()?;
        Ok(wine)
    }

    fn prepare(&self) -> Result<(), String> {
        let system = self.home.join("prefix/drive_c/windows/system32");
        if !system.join("kernel32.dll").exists() {
            std::fs::create_dir_all(&self.home).map_err(|error| format!("{}: {error}", self.home.display()))?;
            output(self.command(Path::new("wineboot")).arg("--init"))?;
        }
        let random = system.join("bcryptprimitives.dll");
        if !random.exists() {
            let source = crate::root().join("xtask/wine/bcryptprimitives.c");
            output(
                Command::new(LINKER).args(["-shared", "-O2", "-s", "-o"]).arg(random).arg(source).arg("-ladvapi32"),
            )?;
        }
        Ok(())
    }

    /// A command of Windows, ended when it takes too long. No debugger is started when something crashes there.
    pub fn command(&self, executable: &Path) -> Command {
        const LONGEST: Duration = Duration::from_secs(300);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", &LONGEST.as_secs().to_string()]).arg(&self.program).arg(executable);
        command.env("HOME", &self.home).env("WINEPREFIX", self.home.join("prefix")).env("WINEDEBUG", "-all");
        command.env("WINEDLLOVERRIDES", "winedbg.exe=;winemenubuilder.exe=;mscoree=;mshtml=");
        command
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Its server goes on for a while otherwise. Only this prefix has it.
        let server = self.program.with_file_name("wineserver");
        for server in [server.as_path(), Path::new("/usr/lib/wine/wineserver")] {
            let mut command = Command::new(server);
            command.arg("-k").env("WINEPREFIX", self.home.join("prefix")).stdout(Stdio::null()).stderr(Stdio::null());
            if command.status().is_ok() {
                return;
            }
        }
    }
}

fn answers(program: &Path, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{name} ended with {}", output.status)),
    }
}
