//! A real pseudo-terminal for the program: what was shown on it, and a person's keys. Util-linux's `script` makes it, so
//! that no test needs a system call of its own.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use super::common::{Place, program};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything: the tests run on busy machines too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a program on it.
pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    shown: Arc<Mutex<Vec<u8>>>,
    /// The directory of the test, to take its name off what was shown.
    base: String,
}

/// How a terminal is set up.
pub struct Setup {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    /// Variables beside the plain ones of a place.
    pub variables: Vec<(&'static str, &'static str)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { rows: 50, columns: 100, variables: vec![("LC_ALL", "C.UTF-8"), ("TERM", "xterm"), ("NO_COLOR", "1")] }
    }
}

impl Terminal {
    /// `ringfence ARGS` on a terminal.
    pub fn ringfence(place: &Place, setup: &Setup, args: &[&str]) -> Self {
        let words: Vec<String> = args.iter().map(|word| quoted(word)).collect();
        Self::script(place, setup, &format!("exec \"$RINGFENCE\" {}", words.join(" ")))
    }

    /// A shell script on a terminal, with `$RINGFENCE` for the program.
    pub fn script(place: &Place, setup: &Setup, script: &str) -> Self {
        let line =
            format!("stty rows {} cols {}\nRINGFENCE={}\n{script}\n", setup.rows, setup.columns, quoted_program());
        place.write("home/line", &line);
        let mut command = Command::new("script");
        command.args(["-qefc", &format!("exec sh {}", place.path("home/line").display()), "/dev/null"]);
        command.current_dir(place.path("ws")).env_clear().env("HOME", place.path("home")).env("SHELL", "/bin/sh");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(setup.variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("`script` starts");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (child.stdout.take().expect("a pipe"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                to.lock().expect("shown").extend_from_slice(&bytes[..read]);
            }
        });
        let base = place.path("").display().to_string();
        Self { keys: child.stdin.take(), child, shown, base: base.trim_end_matches('/').to_owned() }
    }

    /// Everything that was shown so far, the way a reader sees it: one line end a line, the test's own directory as `/P`,
    /// other control characters by name.
    pub fn shown(&self) -> String {
        let bytes = self.shown.lock().expect("shown").clone();
        let text =
            String::from_utf8_lossy(&bytes).replace("\r\r\n", "\n").replace("\r\n", "\n").replace(&self.base, "/P");
        let visible = |c: char| c == '\n' || !c.is_control();
        text.chars().map(|c| if visible(c) { c.to_string() } else { format!("<{:02x}>", u32::from(c)) }).collect()
    }

    /// Waits until this was shown, `times` times in all.
    #[track_caller]
    pub fn until(&mut self, text: &str, times: usize) -> &mut Self {
        let start = Instant::now();
        while self.shown().matches(text).count() < times {
            assert!(start.elapsed() < PATIENCE, "`{text}` was not shown {times} times:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Types, as one burst.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        // A person types after reading; what comes earlier would be thrown away, as it should be.
        std::thread::sleep(Duration::from_millis(150));
        let to = self.keys.as_mut().expect("the terminal is there");
        to.write_all(keys.as_bytes()).and_then(|()| to.flush()).expect("typed");
        self
    }

    /// Takes the terminal away.
    pub fn hang_up(&mut self) {
        self.child.kill().expect("killed");
    }

    /// The exit status.
    #[track_caller]
    pub fn ends(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waited for") {
                std::thread::sleep(Duration::from_millis(100));
                return status.code().unwrap_or(-1);
            }
            assert!(start.elapsed() < PATIENCE, "it doesn't end:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn quoted_program() -> String {
    quoted(&program().display().to_string())
}
