//! The process outside that nothing inside may see, signal, trace or read.

use crate::out::json;
use ringfence_sandbox::attack;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitCode, Stdio};

static BYTE: u8 = 42;

/// The victim's own life: it tells where its byte is and waits until its standard input ends.
pub fn wait() -> ExitCode {
    // Not every host has such memory; then there is nothing to reach.
    let memory = attack::make_shared_memory().unwrap_or(-1);
    json::text_out(&format!("{} {memory}", std::ptr::from_ref(&BYTE).addr()));
    let mut end = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut end);
    ExitCode::SUCCESS
}

/// A victim, running until dropped.
pub struct Victim {
    child: Child,
    /// Address of its byte.
    pub byte: usize,
    /// Number of its shared memory; negative: it has none.
    pub memory: i32,
}

impl Victim {
    /// Starts one.
    pub fn start(program: &std::path::Path, secret: &str) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .args(["__attack", "wait"])
            .env("RINGFENCE_PROVE_CANARY", secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let (byte, memory) = line.trim().split_once(' ').unwrap_or_default();
        Ok(Self { child, byte: byte.parse().unwrap_or(0), memory: memory.parse().unwrap_or(-1) })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// What was done to it, if anything.
    pub fn harmed(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Some(format!("the process outside ended: {status}")),
            Err(error) => return Some(format!("the process outside can't be asked: {error}")),
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Fields are counted after the name, which may hold anything: state is the first, nice the 17th.
        let fields: Vec<&str> = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let nice = fields.get(16).copied().unwrap_or("0");
        if nice == "19" {
            return Some("the priority of the process outside was changed".into());
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).map_or("0", str::trim);
        (tracer != "0").then(|| "the process outside is being traced".into())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
