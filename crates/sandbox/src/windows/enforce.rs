//! Walks the steps of a plan for Windows, starts the command, and takes back what was changed.

use super::program;
use super::sid::Sid;
use super::words::{command_line, environment};
use crate::compile::windows::{ACCESS, DESKTOP, JOB, TOKEN};
use crate::enforced::{Enforced, StartError, StepResult};
use crate::plan::{Act, Limit, Plan, Step};
use crate::run::{Command, Outcome, Signals, Stdio};
use crate::sys::access::{self, Entry};
use crate::sys::desktop::{self, Desktop};
use crate::sys::process::{self, Start};
use crate::sys::{console, job, token};
use ringfence_model::report::Exit;
use ringfence_model::{OsText, Tier};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::path::Path;
use std::time::{Duration, Instant};
use windows_sys::Win32::Security::{DISABLE_MAX_PRIVILEGE, LUA_TOKEN, WRITE_RESTRICTED};
use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_ACTIVE_PROCESS, JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_JOB_MEMORY,
    JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_PROCESS_TIME, JOB_OBJECT_UILIMIT_DESKTOP,
    JOB_OBJECT_UILIMIT_DISPLAYSETTINGS, JOB_OBJECT_UILIMIT_EXITWINDOWS, JOB_OBJECT_UILIMIT_GLOBALATOMS,
    JOB_OBJECT_UILIMIT_HANDLES, JOB_OBJECT_UILIMIT_READCLIPBOARD, JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS,
    JOB_OBJECT_UILIMIT_WRITECLIPBOARD, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
};

/// The status of a command that a limit ended.
const ENDED: u32 = 124;

const READ_CONTROL: u32 = 0x0002_0000;
const WRITE_DAC: u32 = 0x0004_0000;
const WRITE_OWNER: u32 = 0x0008_0000;
const FILE_READ_ATTRIBUTES: u32 = 0x80;
const FILE_SHARE_READ_AND_WRITE: u32 = 3;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// A plan that can be enforced here.
#[derive(Debug)]
pub struct Sandbox {
    plan: Plan,
}

impl Sandbox {
    /// Takes a plan of this tier, or of none.
    pub fn new(plan: Plan) -> Result<Self, StartError> {
        if !matches!(plan.tier, Tier::Windows | Tier::Unconfined) {
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
        let program = match command.argv.first() {
            Some(name) => program::find(name, &self.plan)?,
            None => return Err(supervisor("start nothing", io::Error::from(io::ErrorKind::InvalidInput))),
        };
        let mut walk = Walk::default();
        // Whatever happens from here on, the entries are taken away again when `walk` goes.
        for (index, step) in self.plan.steps.iter().enumerate() {
            walk.step(step).map_err(|(what, cause)| StartError::Step {
                step: Box::new(step.clone()),
                what,
                remedy: String::new(),
                cause,
            })?;
            walk.enforced.push(Enforced::of(index, step, StepResult::Held));
        }
        if self.plan.tier == Tier::Windows && (walk.token.is_none() || walk.job.is_none()) {
            return Err(StartError::Foreign { why: "it has no token or no job".to_owned() });
        }
        let streams = streams(&command).map_err(|cause| supervisor("open the standard streams", cause))?;
        let variables: Vec<_> = self.plan.environment.iter().map(|var| (wide(&var.name), wide(&var.value))).collect();
        let argv: Vec<_> = command.argv.iter().map(wide).collect();
        let program_text = ended(program.as_os_str().encode_wide().collect());
        let directory = ended(self.plan.cwd.as_path().as_os_str().encode_wide().collect());
        let mut start = Start {
            program: &program_text,
            line: command_line(&argv),
            environment: &environment(&variables),
            directory: &directory,
            desktop: walk.desktop.as_ref().map(|(name, _)| ended(name.encode_utf16().collect())),
            streams: [streams[0].as_raw_handle(), streams[1].as_raw_handle(), streams[2].as_raw_handle()],
        };
        // Ctrl-C reaches everything at the console by itself: the command decides what it means, and its end is waited for.
        let left = (command.signals == Signals::Forward).then(console::leave_interrupts).transpose();
        let _left = left.map_err(|cause| supervisor("leave Ctrl-C to the command", cause))?;
        let started = process::start(walk.token.as_ref(), walk.job.as_ref(), &mut start)
            .map_err(|cause| StartError::NotExecutable { program: program.display().to_string(), cause })?;
        let ended = process::wait(&started, walk.wall_clock).map_err(|cause| supervisor("wait", cause))?;
        // With the command everything it left behind ends; a job that can't be ended is closed, which ends it too.
        match &walk.job {
            Some(job) if walk.kill_leftovers || ended.is_none() => {
                let _ = job::terminate(job, ENDED);
            }
            _ => {}
        }
        let exit = match ended {
            Some(code) => Exit::Code(code.cast_signed()),
            None => Exit::Timeout,
        };
        Ok(Outcome {
            exit,
            tier: self.plan.tier,
            enforced: std::mem::take(&mut walk.enforced),
            denials: Vec::new(),
            duration: began.elapsed(),
        })
    }
}

/// What the steps made so far.
#[derive(Default)]
struct Walk {
    run: Option<Sid>,
    token: Option<OwnedHandle>,
    job: Option<OwnedHandle>,
    /// Name, and the desktop itself, which is there as long as it is open.
    desktop: Option<(String, Desktop)>,
    /// What was changed and must be changed back.
    changed: Vec<(File, Undo)>,
    wall_clock: Option<Duration>,
    kill_leftovers: bool,
    enforced: Vec<Enforced>,
}

enum Undo {
    Entry(Sid),
    Label,
}

type Failed = (String, io::Error);

impl Walk {
    fn run(&mut self) -> Sid {
        self.run.get_or_insert_with(Sid::of_a_run).clone()
    }

    fn step(&mut self, step: &Step) -> Result<(), Failed> {
        match &step.act {
            Act::Native { kind, lines } => {
                let lines: Vec<_> = lines.iter().collect();
                match kind.as_str() {
                    TOKEN => self.make_token(&words(&lines)),
                    JOB => self.make_job(&words(&lines)),
                    DESKTOP => self.make_desktop(),
                    ACCESS => self.change_access(&lines),
                    other => Err(unknown(other)),
                }
            }
            Act::Limit { limit: Limit::WallClock(milliseconds) } => {
                self.wall_clock = Some(Duration::from_millis(*milliseconds));
                Ok(())
            }
            Act::KillLeftovers => {
                self.kill_leftovers = true;
                Ok(())
            }
            // Held by how the command is started: three handles, the plan's variables, a job that ends with its handle.
            Act::CloseDescriptors | Act::DieWithSupervisor | Act::Environment { .. } => Ok(()),
            other => Err(unknown(&format!("{other:?}"))),
        }
    }

    fn make_token(&mut self, lines: &[String]) -> Result<(), Failed> {
        let run = self.run();
        self.token = Some(token_of(lines, &run)?);
        Ok(())
    }

    fn make_job(&mut self, lines: &[String]) -> Result<(), Failed> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        let mut windows = 0;
        for line in lines {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let number = || value.parse::<u64>().map_err(|_| unknown(line));
            let basic = &mut limits.BasicLimitInformation;
            match (name, value) {
                ("kill-on-job-close", "") => basic.LimitFlags |= JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
                ("die-on-unhandled-exception", "") => {
                    basic.LimitFlags |= JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
                }
                ("job-memory", _) => {
                    limits.JobMemoryLimit = usize::try_from(number()?).unwrap_or(usize::MAX);
                    limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
                }
                ("active-processes", _) => {
                    basic.ActiveProcessLimit = u32::try_from(number()?).unwrap_or(u32::MAX);
                    basic.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
                }
                ("process-time", _) => {
                    // In units of 100 nanoseconds.
                    basic.PerProcessUserTimeLimit = i64::try_from(number()?.saturating_mul(10_000)).unwrap_or(i64::MAX);
                    basic.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_TIME;
                }
                ("ui", what) => windows |= restriction(what).ok_or_else(|| unknown(line))?,
                _ => return Err(unknown(line)),
            }
        }
        let made = job::create().map_err(|error| ("CreateJobObject".to_owned(), error))?;
        job::limit(&made, &limits).map_err(|error| ("set the job's limits".to_owned(), error))?;
        job::restrict_windows(&made, windows).map_err(|error| ("keep the job from the desktop".to_owned(), error))?;
        self.job = Some(made);
        Ok(())
    }

    fn make_desktop(&mut self) -> Result<(), Failed> {
        let run = self.run().text();
        let name = format!("ringfence-{}", run.replace("S-1-5-21-", ""));
        // The user stands in it for the first check of a write, the run for the second; its label lets low programs in.
        let access = format!("D:(A;;GA;;;OW)(A;;GA;;;AU)(A;;GA;;;{run})S:(ML;;NW;;;LW)");
        let made = desktop::create(&name, &access).map_err(|error| ("CreateDesktop".to_owned(), error))?;
        self.desktop = Some((name, made));
        Ok(())
    }

    fn change_access(&mut self, lines: &[&OsText]) -> Result<(), Failed> {
        let [what, path] = lines else { return Err(unknown("an access entry without a path")) };
        let path = Path::new(path.as_os_str());
        let failed = |error| (format!("change the access of {}", path.display()), error);
        let opened = open_for_access(path).map_err(failed)?;
        let run = self.run();
        let undo = match what.as_str() {
            Some("allow-write") => access::set(&opened, &run, Entry::AllowWrite).map(|()| Undo::Entry(run)),
            Some("deny-write") => access::set(&opened, &run, Entry::DenyWrite).map(|()| Undo::Entry(run)),
            Some("label-low") => access::set_low(&opened, true).map(|()| Undo::Label),
            _ => return Err(unknown(&what.display())),
        };
        self.changed.push((opened, undo.map_err(failed)?));
        Ok(())
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        // The job first: nothing of the command may be running when its paths become ordinary again.
        drop(self.job.take());
        for (file, undo) in self.changed.drain(..).rev() {
            // An entry that stays names an identifier that no other run will ever have: it gives nobody anything.
            let _ = match undo {
                Undo::Entry(sid) => access::set(&file, &sid, Entry::Revoke),
                Undo::Label => access::set_low(&file, false),
            };
        }
    }
}

/// The token that a step describes.
pub(super) fn token_of(lines: &[String], run: &Sid) -> Result<OwnedHandle, Failed> {
    let own = token::own().map_err(|error| ("OpenProcessToken".to_owned(), error))?;
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error| (what, error)
    };
    let logon = token::logon_session(&own).map_err(failed("read the log-on session"))?;
    let user = token::user(&own).map_err(failed("read the user"))?;
    let (mut flags, mut restrict, mut low) = (0, Vec::new(), false);
    for line in lines {
        match line.as_str() {
            "write-restricted" => flags |= WRITE_RESTRICTED,
            "lua-token" => flags |= LUA_TOKEN,
            "disable-max-privilege" => flags |= DISABLE_MAX_PRIVILEGE,
            "restrict-to run" => restrict.push(run.clone()),
            "restrict-to logon-session" => restrict.push(logon.clone()),
            "restrict-to everyone" => restrict.push(Sid::everyone()),
            "integrity low" => low = true,
            other => return Err(unknown(other)),
        }
    }
    let made = token::restricted(&own, flags, &restrict).map_err(failed("CreateRestrictedToken"))?;
    token::set_default_access(&made, &[&user, &logon, run]).map_err(failed("set the default access"))?;
    if low {
        token::set_integrity(&made, &Sid::low_integrity()).map_err(failed("lower the integrity"))?;
    }
    Ok(made)
}

fn restriction(what: &str) -> Option<u32> {
    Some(match what {
        "desktop" => JOB_OBJECT_UILIMIT_DESKTOP,
        "display-settings" => JOB_OBJECT_UILIMIT_DISPLAYSETTINGS,
        "exit-windows" => JOB_OBJECT_UILIMIT_EXITWINDOWS,
        "global-atoms" => JOB_OBJECT_UILIMIT_GLOBALATOMS,
        "handles" => JOB_OBJECT_UILIMIT_HANDLES,
        "read-clipboard" => JOB_OBJECT_UILIMIT_READCLIPBOARD,
        "write-clipboard" => JOB_OBJECT_UILIMIT_WRITECLIPBOARD,
        "system-parameters" => JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS,
        _ => return None,
    })
}

/// Opens what an entry is put on: the thing itself, no link's target, and so that it can't be renamed meanwhile.
fn open_for_access(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .access_mode(READ_CONTROL | WRITE_DAC | WRITE_OWNER | FILE_READ_ATTRIBUTES)
        .share_mode(FILE_SHARE_READ_AND_WRITE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
}

fn streams(command: &Command) -> io::Result<[OwnedHandle; 3]> {
    use std::os::windows::io::AsHandle as _;
    let null = |write: bool| OpenOptions::new().read(!write).write(write).open("NUL").map(OwnedHandle::from);
    let piped = || Err(io::Error::new(io::ErrorKind::Unsupported, "pipes aren't built for this system yet"));
    Ok([
        match command.stdin {
            Stdio::Inherit => io::stdin().as_handle().try_clone_to_owned()?,
            Stdio::Null => null(false)?,
            Stdio::Piped => return piped(),
        },
        match command.stdout {
            Stdio::Inherit => io::stdout().as_handle().try_clone_to_owned()?,
            Stdio::Null => null(true)?,
            Stdio::Piped => return piped(),
        },
        match command.stderr {
            Stdio::Inherit => io::stderr().as_handle().try_clone_to_owned()?,
            Stdio::Null => null(true)?,
            Stdio::Piped => return piped(),
        },
    ])
}

fn words(lines: &[&OsText]) -> Vec<String> {
    lines.iter().map(|line| line.display()).collect()
}

fn wide(text: &OsText) -> Vec<u16> {
    text.as_os_str().encode_wide().collect()
}

fn ended(mut text: Vec<u16>) -> Vec<u16> {
    text.push(0);
    text
}

fn unknown(what: &str) -> Failed {
    (format!("the plan says `{what}`, which this version doesn't know"), io::Error::from(io::ErrorKind::Unsupported))
}

fn supervisor(what: &str, cause: io::Error) -> StartError {
    StartError::Supervisor { what: what.to_owned(), cause }
}
