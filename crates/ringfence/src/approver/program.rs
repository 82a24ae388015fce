//! A program that reviews: the request on its standard input, the answer from its standard output, in time. Anything else
//! is a denial.
//!
//! It is named in the user's or managed settings before the run, never found by `PATH` in a place an agent can write, and
//! starts with a clean environment.

use super::json::{Id, MAX_ANSWER, parse, request_document};
use super::{Approver, Asked, NoAnswer};
use ringfence_model::grant::Answer;
use ringfence_model::{AbsPath, OsText};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Variables a reviewing program keeps: none that could make it load or run something.
const KEPT: &[&str] = &["HOME", "LOGNAME", "PATH", "USER", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "RINGFENCE_HOME"];

/// Asks a program.
#[derive(Debug, Clone)]
pub struct ProgramApprover {
    program: AbsPath,
    args: Vec<String>,
    timeout: Duration,
    environment: Vec<(OsText, OsText)>,
    cwd: AbsPath,
}

impl ProgramApprover {
    /// `program` was resolved and lies in no place an agent can write; `cwd` isn't one either.
    #[must_use]
    pub fn new(
        program: AbsPath,
        args: Vec<String>,
        timeout: Duration,
        environment: &[(OsText, OsText)],
        cwd: AbsPath,
    ) -> Self {
        let kept = |name: &OsText| name.as_str().is_some_and(|name| KEPT.contains(&name));
        let environment = environment.iter().filter(|(name, _)| kept(name)).cloned().collect();
        Self { program, args, timeout, environment, cwd }
    }

    fn who(&self) -> String {
        format!("the reviewer `{}`", self.program.display())
    }

    fn failed(&self, cause: std::io::Error) -> NoAnswer {
        NoAnswer::Failed { who: self.who(), cause }
    }
}

impl Approver for ProgramApprover {
    fn name(&self) -> &str {
        "program"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        // A time that can't be counted is none.
        let deadline = Instant::now().checked_add(self.timeout);
        let mut child = Command::new(self.program.as_path())
            .args(&self.args)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())))
            .current_dir(self.cwd.as_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|cause| self.failed(cause))?;
        let request = request_document(asked).to_string();
        if let Some(mut stdin) = child.stdin.take() {
            // A program that reads nothing must not hold us; the thread ends with the pipe.
            std::thread::spawn(move || {
                let _ = stdin.write_all(request.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
            });
        }
        let (send, receive) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut text = String::new();
                let read = stdout.take(MAX_ANSWER).read_to_string(&mut text);
                let _ = send.send(read.map(|_| text));
            });
        }
        let in_time = || deadline.is_none_or(|deadline| Instant::now() < deadline);
        let output = loop {
            let received = match asked.over.look_again(deadline) {
                Some(until) => receive.recv_timeout(until.saturating_duration_since(Instant::now())),
                None => receive.recv().map_err(RecvTimeoutError::from),
            };
            match received {
                Ok(output) => break output,
                Err(RecvTimeoutError::Timeout) if in_time() && !asked.over.is_over() => {}
                Err(_) => {
                    end(&mut child);
                    return Err(if asked.over.is_over() { NoAnswer::Over } else { NoAnswer::Timeout });
                }
            }
        };
        let status = wait_until(&mut child, deadline);
        let text = output.map_err(|cause| self.failed(cause))?;
        match status {
            None => Err(NoAnswer::Timeout),
            Some(true) => parse(&text, asked, Id::Optional, &self.who()),
            Some(false) => Err(NoAnswer::Gone { who: self.who() }),
        }
    }
}

/// Whether it ended well; none if it didn't end in time.
fn wait_until(child: &mut Child, deadline: Option<Instant>) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            _ => {
                end(child);
                return None;
            }
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
