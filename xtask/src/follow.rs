//! Follows a program (`ptrace(2)`), to know which of its functions run.

use crate::order::Function;
use std::path::Path;

/// Marks the functions that a program runs with these arguments, in an empty home and an empty workspace.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn mark(program: &Path, args: &[&str], functions: &mut [Function]) -> Result<(), String> {
    linux::mark(program, args, functions)
}

/// Elsewhere none is followed.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn mark(_: &Path, _: &[&str], _: &mut [Function]) -> Result<(), String> {
    Err("programs are followed on Linux on x86_64 only".to_owned())
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux {
    use super::{Function, Path};
    use nix::libc;
    use nix::sys::ptrace::{self, Options};
    use nix::unistd::Pid;
    use std::collections::HashSet;
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::process::{Child, Command, Stdio};

    /// `int3`: whoever comes here stops.
    const STOP: u8 = 0xcc;

    pub(super) fn mark(program: &Path, args: &[&str], functions: &mut [Function]) -> Result<(), String> {
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        let home = program.with_extension("home");
        let workspace = home.join("workspace");
        std::fs::create_dir_all(&workspace).map_err(|error| format!("{}: {error}", workspace.display()))?;
        // A shell waits for a line before it becomes the program, so that there is time to attach.
        let child = Command::new("/bin/sh")
            .args(["-c", "read -r _ && exec \"$@\"", "sh"])
            .arg(&program)
            .args(args)
            .env_clear()
            .env("HOME", &home)
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&workspace)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|error| format!("/bin/sh: {error}"))?;
        let followed = follow(&mut child, functions);
        // If it was not followed to its end.
        let _ = child.kill();
        while followed.is_err() && wait().is_ok() {}
        let _ = child.wait();
        let _ = std::fs::remove_dir_all(&home);
        followed
    }

    fn failed(what: &'static str) -> impl Fn(nix::Error) -> String {
        move |errno| format!("{what}: {errno}")
    }

    /// What became of somebody who is followed.
    enum Became {
        Exited(i32),
        /// Ended by this signal.
        Killed(i32),
        /// It made or became another.
        Event,
        /// It would get this signal now.
        Stopped(i32),
    }

    /// Waits for anybody. Unlike in `nix`, real-time signals have their numbers: the program sends itself one.
    #[allow(unsafe_code)]
    fn wait() -> Result<(Pid, Became), String> {
        let mut status = 0;
        // SAFETY: the kernel writes one number, to a place that outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        if pid < 0 {
            return Err(format!("wait for it: {}", std::io::Error::last_os_error()));
        }
        let became = if libc::WIFEXITED(status) {
            Became::Exited(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            Became::Killed(libc::WTERMSIG(status))
        } else if status >> 16 != 0 {
            Became::Event
        } else {
            Became::Stopped(libc::WSTOPSIG(status))
        };
        Ok((Pid::from_raw(pid), became))
    }

    /// Lets somebody go on, with a signal or none (0). He may have been killed in between.
    #[allow(unsafe_code)]
    fn go_on(who: Pid, signal: i32) {
        // SAFETY: the request takes no memory of ours.
        unsafe { libc::ptrace(libc::PTRACE_CONT, who.as_raw(), 0, libc::c_long::from(signal)) };
    }

    fn follow(child: &mut Child, functions: &mut [Function]) -> Result<(), String> {
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
        ptrace::attach(pid).map_err(failed("attach to it"))?;
        wait()?;
        let all = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::setoptions(pid, all).map_err(failed("follow it"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(b"\n").map_err(|error| format!("start it: {error}"))?;
        }
        go_on(pid, 0);
        let mut code: Option<Code> = None;
        let mut known = HashSet::from([pid]);
        loop {
            let (who, became) = wait()?;
            match became {
                Became::Exited(0) if who == pid => return Ok(()),
                Became::Exited(status) if who == pid => return Err(format!("a start of it ends with {status} here")),
                Became::Killed(signal) if who == pid => {
                    return Err(format!("a start of it is ended by signal {signal} here"));
                }
                Became::Exited(_) | Became::Killed(_) => {}
                Became::Event => {
                    if who == pid && code.is_none() && is_program(pid) {
                        code = Some(Code::patch(pid, functions)?);
                    }
                    go_on(who, 0);
                }
                Became::Stopped(libc::SIGTRAP) => {
                    if let Some(code) = &code {
                        code.reached(who, functions)?;
                    }
                    go_on(who, 0);
                }
                // So begins whoever was just made.
                Became::Stopped(libc::SIGSTOP) if known.insert(who) => go_on(who, 0),
                Became::Stopped(signal) => go_on(who, signal),
            }
        }
    }

    /// Whether it is the shell no more.
    fn is_program(pid: Pid) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("ringfence"))
    }

    /// The code of the program, in which every function begins with a stop until it was reached. All that it starts share it.
    struct Code {
        memory: File,
        /// What stood at the beginning of each function.
        first: Vec<u8>,
    }

    impl Code {
        fn patch(pid: Pid, functions: &[Function]) -> Result<Self, String> {
            let failed = |error: std::io::Error| format!("write its memory: {error}");
            let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).map_err(failed)?;
            let from = functions.first().map_or(0, |function| function.start);
            let to = functions.iter().map(|function| function.end).max().unwrap_or(from);
            let mut code = vec![0; usize::try_from(to - from).unwrap_or(0)];
            memory.read_exact_at(&mut code, from).map_err(failed)?;
            let at = |function: &Function| usize::try_from(function.start - from).unwrap_or(usize::MAX);
            let first = functions.iter().map(|function| code.get(at(function)).copied().unwrap_or(STOP)).collect();
            for function in functions.iter().filter(|function| !function.ran) {
                code.get_mut(at(function)).into_iter().for_each(|byte| *byte = STOP);
            }
            memory.write_all_at(&code, from).map_err(failed)?;
            Ok(Self { memory, first })
        }

        /// Somebody came to a stop: if it is one of ours, it is taken away, and he goes on there.
        fn reached(&self, who: Pid, functions: &mut [Function]) -> Result<(), String> {
            let Ok(mut registers) = ptrace::getregs(who) else { return Ok(()) };
            let at = registers.rip.wrapping_sub(1);
            let place = functions.partition_point(|function| function.start < at);
            let Some(first) = self.first.get(place) else { return Ok(()) };
            // Equal functions are merged and keep their names, of which any may be their section's.
            let mut found = false;
            for same in functions.iter_mut().skip(place).take_while(|function| function.start == at) {
                same.ran = true;
                found = true;
            }
            if !found {
                return Ok(());
            }
            self.memory.write_all_at(&[*first], at).map_err(|error| format!("write its memory: {error}"))?;
            registers.rip = at;
            ptrace::setregs(who, registers).map_err(failed("set its registers"))
        }
    }
}
