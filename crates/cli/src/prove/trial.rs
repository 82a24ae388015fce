//! One act after the other: start it inside, wait, judge outside.

use super::acts::{ACTS, Act, Judge};
use super::inside::{DONE, REFUSED};
use super::processes::beat_file;
use super::stage::Stage;
use crate::out::Failure;
use ringfence_model::SandboxMode;
use ringfence_model::confinement::{NetworkWish, UnixSockets};
use ringfence_model::origin::Sourced;
use ringfence_model::report::status;
use ringfence_sandbox::attack;
use ringfence_sandbox::plan::Promise;
use serde::Serialize;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How the program is started as the user would.
pub struct Launcher {
    /// This program.
    pub program: PathBuf,
    /// The shared flags, as given.
    pub flags: Vec<OsString>,
}

/// What the present settings promise.
pub struct Promised {
    /// The mode.
    pub mode: Sourced<SandboxMode>,
    /// Network.
    pub network: Sourced<NetworkWish>,
    /// Sockets outside.
    pub sockets: UnixSockets,
    /// Whether secrets are taken out of the environment.
    pub secrets_dropped: bool,
}

/// What became of one act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The promise it tests.
    pub promise: Promise,
    /// What it did.
    pub act: &'static str,
    /// The verdict.
    #[serde(flatten)]
    pub state: State,
}

/// The verdict on one act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum State {
    /// It failed, or had no effect outside.
    Held {
        /// How it failed: an errno, or what was seen.
        how: String,
    },
    /// It got through.
    Broken {
        /// What was seen from outside.
        seen: String,
    },
    /// It wasn't tried.
    Skipped {
        /// Why.
        why: String,
    },
    /// No verdict: the act could not be started or did not end.
    NoVerdict {
        /// Why.
        why: String,
    },
}

/// Whether `--only TEXT` means this act.
fn is_meant(act: &Act, text: &str) -> bool {
    act.name.contains(text) || act.promise.name().contains(text)
}

/// Each of `only` must mean something: a proof of nothing would look like a success.
pub fn check(only: &[String]) -> Result<(), Failure> {
    let Some(text) = only.iter().find(|text| !ACTS.iter().any(|act| is_meant(act, text))) else { return Ok(()) };
    let mut names: Vec<&str> = ACTS.iter().map(|act| act.promise.name()).collect();
    names.sort_unstable();
    names.dedup();
    Err(Failure::new(format!("no promise and no act has `{}` in its name", ringfence_model::text::escape(text)))
        .origin(ringfence_model::Origin::flag("--only"))
        .hint(format!("the promises are {}", names.join(", "))))
}

/// Tries every act whose name or promise contains one of `only`.
pub fn run(
    launcher: &Launcher,
    stage: &mut Stage,
    promised: &Promised,
    only: &[String],
    mut each: impl FnMut(&Row),
) -> Result<Vec<Row>, Failure> {
    let wanted = |act: &Act| only.is_empty() || only.iter().any(|text| is_meant(act, text));
    let mut rows = Vec::new();
    for act in ACTS.iter().filter(|act| wanted(act)) {
        let state = match skip(act, promised, stage) {
            Some(why) => State::Skipped { why },
            None => attempt(launcher, stage, act)?,
        };
        if matches!(state, State::Broken { .. }) {
            stage.reset().map_err(|error| Failure::from_error(&error).cause("the canaries can't be put back"))?;
        }
        let row = Row { name: act.name, promise: act.promise, act: act.does, state };
        each(&row);
        rows.push(row);
    }
    Ok(rows)
}

/// Why an act has no meaning under these settings.
fn skip(act: &Act, promised: &Promised, stage: &Stage) -> Option<String> {
    let network = &promised.network;
    if act.promise == Promise::NetworkOff && network.value == NetworkWish::On {
        return Some(format!("not promised: network is on ({})", network.origin));
    }
    if act.promise == Promise::UnixSockets && promised.sockets == UnixSockets::Everything {
        return Some("not promised: every unix socket is allowed".into());
    }
    if act.promise == Promise::DenyRead && stage.inputs().denied.is_none() {
        return Some("not promised: no setting denies reading an existing path".into());
    }
    if act.promise == Promise::Environment && !promised.secrets_dropped {
        return Some("not promised: settings let secrets through".into());
    }
    if act.name == "network-address" && stage.inputs().address.is_none() {
        return Some("this host has no address but loopback".into());
    }
    let writes = matches!(act.judge, Judge::Lingers | Judge::Orphan | Judge::HonestWrite);
    (writes && promised.mode.value == SandboxMode::ReadOnly)
        .then(|| format!("needs a writable root, and the mode is read-only ({})", promised.mode.origin))
}

fn attempt(launcher: &Launcher, stage: &mut Stage, act: &Act) -> Result<State, Failure> {
    let failed = |error: io::Error| Failure::from_error(&error).cause(format!("while trying `{}`", act.name));
    let before = stage.look();
    let child = launcher.start(stage, act).map_err(failed)?;
    if act.judge == Judge::Orphan {
        return orphan(child, stage).map_err(failed);
    }
    let output = finish(child).map_err(failed)?;
    let Some(output) = output else {
        return Ok(State::NoVerdict { why: "it did not end in 20 s".into() });
    };
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.code() == Some(i32::from(status::FAILED)) && said.is_empty() {
        // Ringfence itself refused to start: nothing can be proven, and the reason is its own.
        let text = String::from_utf8_lossy(&output.stderr);
        let mut lines = text.lines().map(|line| line.trim_start_matches("ringfence:").trim());
        let first = lines.next().unwrap_or("the sandbox didn't start").to_owned();
        return Err(lines.fold(Failure::new(first), Failure::cause));
    }
    if let Some(seen) = stage.changed(&before) {
        return Ok(State::Broken { seen });
    }
    Ok(match act.judge {
        Judge::Lingers => lingers(&said, stage).map_err(failed)?,
        Judge::Canaries | Judge::Orphan => match refusal(&said, &output) {
            Some(how) => State::Held { how },
            None => State::Held { how: "it had no effect outside".into() },
        },
        Judge::Reached => match refusal(&said, &output) {
            Some(how) => State::Held { how },
            None => State::Broken { seen: "it went to its end".into() },
        },
        Judge::Honest | Judge::HonestWrite => match refusal(&said, &output) {
            Some(how) => State::Broken { seen: format!("honest work fails: {how}") },
            None => State::Held { how: "works".into() },
        },
    })
}

impl Launcher {
    fn start(&self, stage: &Stage, act: &Act) -> io::Result<Child> {
        let inputs = stage.inputs();
        // A descriptor that nobody meant to hand on: it stays open in the launcher.
        let stray = std::fs::File::open(inputs.outside.join("keep"))?;
        attack::keep_on_exec(&stray)?;
        let mut command = Command::new(&self.program);
        command.arg("sandbox").args(&self.flags).arg("--add-dir").arg(&inputs.root).arg("--").arg(&self.program);
        command.arg("__attack").arg(act.name).args(inputs.to_args());
        command.env("RINGFENCE_PROVE_SECRET_TOKEN", &inputs.secret);
        let terminal = act.promise == Promise::Terminal;
        command.stdin(if terminal { Stdio::inherit() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}

/// Waits, but not for ever; none if it had to be killed.
fn finish(mut child: Child) -> io::Result<Option<Output>> {
    let end = Instant::now() + Duration::from_secs(20);
    let mut nap = Duration::from_micros(500);
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
    child.wait_with_output().map(Some)
}

/// How the act failed; none if it went to its end.
fn refusal(said: &str, output: &Output) -> Option<String> {
    let line = said.lines().last().unwrap_or_default();
    if line == DONE {
        return None;
    }
    if let Some(rest) = line.strip_prefix(REFUSED) {
        let mut words = rest.trim().splitn(2, ' ');
        let errno = words.next().and_then(|errno| errno.parse::<i32>().ok()).unwrap_or(0);
        return Some(match (errno, words.next()) {
            (0, Some(text)) => text.to_owned(),
            (0, None) => "it failed".into(),
            (errno, _) => ringfence_sandbox::probe::errno_name(errno),
        });
    }
    let code = output.status.code().unwrap_or(0);
    Some(if code > 128 { format!("killed by signal {}", code - 128) } else { format!("it ended with status {code}") })
}

fn lingers(said: &str, stage: &Stage) -> io::Result<State> {
    if said.lines().last() != Some(DONE) {
        return Ok(State::NoVerdict { why: "the daemon didn't start".into() });
    }
    Ok(if grows(stage)? {
        State::Broken { seen: "the daemon goes on after the command".into() }
    } else {
        State::Held { how: "it was killed with the command".into() }
    })
}

fn orphan(mut child: Child, stage: &Stage) -> io::Result<State> {
    let file = beat_file(stage.inputs());
    let end = Instant::now() + Duration::from_secs(5);
    while std::fs::metadata(&file).map_or(0, |meta| meta.len()) < 2 {
        if Instant::now() > end || child.try_wait()?.is_some() {
            child.kill()?;
            child.wait()?;
            return Ok(State::NoVerdict { why: "the command didn't start".into() });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(if grows(stage)? {
        State::Broken { seen: "the command goes on after Ringfence was killed".into() }
    } else {
        State::Held { how: "it was killed with Ringfence".into() }
    })
}

/// Whether the file of beats still grows; removes it.
fn grows(stage: &Stage) -> io::Result<bool> {
    let file = beat_file(stage.inputs());
    let length = || std::fs::metadata(&file).map_or(0, |meta| meta.len());
    // What was written in the last moment may still be on its way.
    std::thread::sleep(Duration::from_millis(60));
    let first = length();
    std::thread::sleep(Duration::from_millis(250));
    let second = length();
    std::fs::remove_file(&file)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    Ok(second > first)
}
