//! Starts the command under `sandbox-exec`, waits for it, ends what it leaves behind in its group.

use super::terminal::Terminal;
use super::words::{self, PROGRAM};
use crate::enforced::{Enforced, StartError, StepResult};
use crate::plan::{Limit, Plan};
use crate::run::{Command, Outcome, Signals, Stdio};
use crate::sys::{self, Event, Start};
use ringfence_model::Tier;
use ringfence_model::report::{Exit, LimitKind};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long the command may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// A plan that can be enforced here.
#[derive(Debug)]
pub struct Sandbox {
    plan: Plan,
}

impl Sandbox {
    /// Takes a plan of this tier, or of none.
    pub fn new(plan: Plan) -> Result<Self, StartError> {
        if !matches!(plan.tier, Tier::Seatbelt | Tier::Unconfined) {
            return Err(StartError::Foreign { why: format!("it is for the `{}` tier", plan.tier) });
        }
        Ok(Self { plan })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan, when no more commands are to be run under it.
    #[must_use]
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// Runs a command to its end.
    pub fn run(&self, command: Command) -> Result<Outcome, StartError> {
        let began = Instant::now();
        let terminal = (command.signals == Signals::Forward).then(Terminal::ours).flatten();
        let events = sys::watch(command.signals == Signals::Forward)
            .map_err(|cause| supervisor("watch for what happens", cause))?;
        let child = self.start(command, terminal.as_ref())?;
        let group = child.id().cast_signed();
        let mut run = Run { child, group, terminal, wall_clock: None, asked: None };
        run.wall_clock = self.limit(|limit| match limit {
            Limit::WallClock(milliseconds) => Some(began + Duration::from_millis(milliseconds)),
            _ => None,
        });
        let status = run.wait(&events).map_err(|cause| supervisor("wait for the command", cause))?;
        if !self.plan.keep_background {
            sys::signal_group(group, libc::SIGKILL);
        }
        if let Some(terminal) = &run.terminal {
            terminal.take_back();
        }
        let timed_out = run.asked.is_some();
        Ok(Outcome {
            exit: self.exit(status, timed_out),
            tier: self.plan.tier,
            enforced: self.enforced(),
            denials: Vec::new(),
            duration: began.elapsed(),
        })
    }

    fn start(&self, command: Command, terminal: Option<&Terminal>) -> Result<Child, StartError> {
        let Some(name) = command.argv.first().map(ringfence_model::OsText::display) else {
            return Err(StartError::Foreign { why: "the command has no program".to_owned() });
        };
        let mut start = if self.plan.tier == Tier::Unconfined {
            let mut start = std::process::Command::new(
                command.argv.first().map_or(std::ffi::OsStr::new(""), ringfence_model::OsText::as_os_str),
            );
            start.args(command.argv.iter().skip(1).map(ringfence_model::OsText::as_os_str));
            start
        } else {
            let mut start = std::process::Command::new(PROGRAM);
            start.args(words::arguments(&self.plan, &command.argv)?);
            start
        };
        start.current_dir(self.plan.cwd.as_path()).env_clear();
        start.envs(self.plan.environment.iter().map(|var| (var.name.as_os_str(), var.value.as_os_str())));
        start.stdin(stream(command.stdin)).stdout(stream(command.stdout)).stderr(stream(command.stderr));
        start.process_group(0);
        let limits = self.plan.limits().filter_map(resource).collect();
        sys::before_exec(&mut start, Start { limits, terminal: terminal.map(Terminal::number) });
        start.spawn().map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound if self.plan.tier == Tier::Unconfined => {
                StartError::NotFound { program: name, cause }
            }
            io::ErrorKind::NotFound => StartError::Tier {
                tier: self.plan.tier,
                what: format!("start `{PROGRAM}`"),
                remedy: "it is part of macOS; restore it".to_owned(),
                cause,
            },
            _ => StartError::NotExecutable { program: name, cause },
        })
    }

    fn limit<T>(&self, find: impl Fn(Limit) -> Option<T>) -> Option<T> {
        self.plan.limits().find_map(find)
    }

    fn exit(&self, status: ExitStatus, timed_out: bool) -> Exit {
        let kinds: Vec<LimitKind> = self
            .plan
            .limits()
            .filter_map(|limit| match limit {
                Limit::CpuTime(_) => Some(LimitKind::CpuTime),
                Limit::FileSize(_) => Some(LimitKind::FileSize),
                _ => None,
            })
            .collect();
        words::exit(status.code(), status.signal(), timed_out, &kinds)
    }

    fn enforced(&self) -> Vec<Enforced> {
        let held = |(index, step)| Enforced::of(index, step, StepResult::Held);
        self.plan.steps.iter().enumerate().map(held).collect()
    }
}

/// A command while it runs.
struct Run {
    child: Child,
    group: i32,
    terminal: Option<Terminal>,
    wall_clock: Option<Instant>,
    /// When it was asked to end for its time.
    asked: Option<Instant>,
}

impl Run {
    fn wait(&mut self, events: &sys::Events) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if sys::stopped(self.group) {
                self.stop();
            }
            match events.next(self.left())? {
                Event::Signal(signal) => self.pass(signal),
                Event::Child | Event::Nothing => {}
            }
            self.look_at_the_clock();
        }
    }

    /// How long to wait for an event at most.
    fn left(&self) -> Duration {
        const SLICE: Duration = Duration::from_secs(1);
        let until = self.asked.map(|asked| asked + GRACE).or(self.wall_clock);
        until.map_or(SLICE, |until| until.saturating_duration_since(Instant::now()).min(SLICE))
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        match self.asked {
            None if self.wall_clock.is_some_and(|until| now >= until) => {
                sys::signal_group(self.group, libc::SIGTERM);
                sys::signal_group(self.group, libc::SIGCONT);
                self.asked = Some(now);
            }
            Some(asked) if now >= asked + GRACE => sys::signal_group(self.group, libc::SIGKILL),
            _ => {}
        }
    }

    /// What the terminal sends goes to the command's group by itself; the rest is passed on.
    fn pass(&mut self, signal: i32) {
        if signal == libc::SIGCONT
            && let Some(terminal) = &self.terminal
        {
            terminal.lend(self.group);
        }
        sys::signal_group(self.group, signal);
    }

    /// The command was stopped from the terminal: so are we, until somebody continues us.
    fn stop(&mut self) {
        let Some(terminal) = &self.terminal else { return };
        terminal.take_back();
        sys::stop_myself();
        terminal.lend(self.group);
        sys::signal_group(self.group, libc::SIGCONT);
    }
}

/// The resource limit that a limit is for one process; none if the supervisor holds it.
fn resource(limit: Limit) -> Option<(i32, u64)> {
    match limit {
        Limit::OpenFiles(count) => Some((libc::RLIMIT_NOFILE, count)),
        Limit::FileSize(bytes) => Some((libc::RLIMIT_FSIZE, bytes)),
        Limit::CpuTime(milliseconds) => Some((libc::RLIMIT_CPU, milliseconds.div_ceil(1000).max(1))),
        Limit::WallClock(_) | Limit::Memory(_) | Limit::Processes(_) | Limit::Output(_) => None,
    }
}

fn stream(stream: Stdio) -> std::process::Stdio {
    match stream {
        Stdio::Inherit => std::process::Stdio::inherit(),
        Stdio::Null => std::process::Stdio::null(),
        Stdio::Piped => std::process::Stdio::piped(),
        Stdio::Descriptor(descriptor) => descriptor.into(),
    }
}

fn supervisor(what: &str, cause: io::Error) -> StartError {
    StartError::Supervisor { what: what.to_owned(), cause }
}
