//! A front end that is asked over its own channel: one JSON document a line, requests one way and answers the other.
//!
//! Nothing shows who sits behind a channel. So an answer counts only for the question it names, in time; one for a question
//! that is over is left aside; anything else is a denial.

use super::json::{Id, MAX_ANSWER, parse, request_document};
use super::{Approver, Asked, NoAnswer, Over};
use ringfence_model::grant::Answer;
use serde::Deserialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who is at the other end, and what a question is written as for them.
pub(super) type Party = (&'static str, fn(&Asked) -> Value);

const FRONT_END: Party = ("the front end", request_document);

/// Questions that are remembered as over, so that a late answer to one is known for what it is.
const REMEMBERED: usize = 1000;

/// Asks over a pair of streams, one line each way.
pub struct JsonApprover {
    channel: Mutex<Channel>,
    timeout: Option<Duration>,
}

struct Channel {
    answers: Box<dyn Answers>,
    requests: Box<dyn Requests>,
    /// What was read and isn't a whole line yet.
    begun: Vec<u8>,
    over: VecDeque<String>,
    /// Who answers, for errors.
    who: &'static str,
    /// What a question is written as.
    document: fn(&Asked) -> Value,
}

/// Where answers are read.
trait Answers: Send {
    /// Waits until there is something, at most until `deadline`. False: the time is over.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<bool>;

    /// What is there; nothing at the end.
    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize>;
}

/// Where requests are written.
trait Requests: Send {
    /// Writes all of it, at most until `deadline`. False: the time is over.
    fn put(&mut self, bytes: &[u8], deadline: Option<Instant>) -> io::Result<bool>;
}

/// A stream that can't be waited for: using it waits.
struct Stream<S>(S);

impl<W: Write + Send> Requests for Stream<W> {
    fn put(&mut self, bytes: &[u8], _: Option<Instant>) -> io::Result<bool> {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).map(|()| true)
    }
}

impl<R: Read + Send> Answers for Stream<R> {
    fn wait(&self, _: Option<Instant>) -> io::Result<bool> {
        Ok(true)
    }

    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

#[cfg(unix)]
struct Descriptor(std::fs::File);

#[cfg(unix)]
impl Descriptor {
    fn ready(&self, what: rustix::event::PollFlags, deadline: Option<Instant>) -> io::Result<bool> {
        use rustix::event::{PollFd, Timespec, poll};
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            match poll(&mut [PollFd::new(&self.0, what)], timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                ready => return Ok(ready? > 0),
            }
        }
    }
}

#[cfg(unix)]
impl Requests for Descriptor {
    fn put(&mut self, bytes: &[u8], deadline: Option<Instant>) -> io::Result<bool> {
        // A pipe or socket that is ready takes this much without waiting: a front end that doesn't read holds nobody up.
        for part in bytes.chunks(4096) {
            if !self.ready(rustix::event::PollFlags::OUT, deadline)? {
                return Ok(false);
            }
            self.0.write_all(part)?;
        }
        Ok(true)
    }
}

#[cfg(unix)]
impl Answers for Descriptor {
    fn wait(&self, deadline: Option<Instant>) -> io::Result<bool> {
        self.ready(rustix::event::PollFlags::IN, deadline)
    }

    fn take(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl JsonApprover {
    /// Requests are written to one stream and answers read from the other, for as long as that takes: for front ends
    /// that keep the time themselves.
    pub fn new(answers: impl Read + Send + 'static, requests: impl Write + Send + 'static) -> Self {
        Self::with(Box::new(Stream(answers)), Box::new(Stream(requests)), None, FRONT_END)
    }

    /// Requests are written to one descriptor and answers read from the other; an answer has `timeout`.
    #[cfg(unix)]
    #[must_use]
    pub fn over(answers: std::os::fd::OwnedFd, requests: std::os::fd::OwnedFd, timeout: Duration) -> Self {
        Self::between(answers, requests, timeout, FRONT_END)
    }

    /// As [`JsonApprover::over`], with another party at the other end, who is written another document.
    #[cfg(unix)]
    pub(super) fn between(
        answers: std::os::fd::OwnedFd,
        requests: std::os::fd::OwnedFd,
        timeout: Duration,
        party: Party,
    ) -> Self {
        let (answers, requests) = (Box::new(Descriptor(answers.into())), Box::new(Descriptor(requests.into())));
        Self::with(answers, requests, Some(timeout), party)
    }

    fn with(
        answers: Box<dyn Answers>,
        requests: Box<dyn Requests>,
        timeout: Option<Duration>,
        (who, document): Party,
    ) -> Self {
        let channel = Channel { answers, requests, begun: Vec::new(), over: VecDeque::new(), who, document };
        Self { channel: Mutex::new(channel), timeout }
    }
}

impl Approver for JsonApprover {
    fn name(&self) -> &str {
        "front-end"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let answer = channel.ask(asked, deadline);
        channel.over.push_back(asked.id.clone());
        if channel.over.len() > REMEMBERED {
            channel.over.pop_front();
        }
        answer
    }
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Channel {
    fn ask(&mut self, asked: &Asked, deadline: Option<Instant>) -> Result<Answer, NoAnswer> {
        let mut request = (self.document)(asked).to_string();
        request.push('\n');
        if !self.requests.put(request.as_bytes(), deadline).map_err(|cause| failed(self.who, cause))? {
            return Err(NoAnswer::Timeout);
        }
        loop {
            let line = self.line(deadline, &asked.over)?;
            let line = std::str::from_utf8(&line)
                .map_err(|_| NoAnswer::Garbage { who: self.who.to_owned(), why: "it isn't UTF-8".to_owned() })?;
            let late = serde_json::from_str(line).is_ok_and(|Named { id }| self.over.contains(&id));
            if !late {
                return parse(line, asked, Id::Required, self.who);
            }
        }
    }

    /// The next whole line.
    fn line(&mut self, deadline: Option<Instant>, over: &Over) -> Result<Vec<u8>, NoAnswer> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let rest = self.begun.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.begun, rest));
            }
            // What follows can't be told from the rest of this line, so nothing on this channel counts any more.
            if self.begun.len() as u64 > MAX_ANSWER {
                let why = format!("a line is longer than {MAX_ANSWER} bytes");
                return Err(NoAnswer::Garbage { who: self.who.to_owned(), why });
            }
            let mut is_there = false;
            while !is_there {
                if over.is_over() {
                    return Err(NoAnswer::Over);
                }
                is_there = self.answers.wait(over.look_again(deadline)).map_err(|cause| failed(self.who, cause))?;
                if !is_there && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Err(NoAnswer::Timeout);
                }
            }
            let mut bytes = [0; 4096];
            let read = match self.answers.take(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|cause| failed(self.who, cause))?,
            };
            if read == 0 {
                // A front end that dies in the middle of a line has not answered.
                return Err(NoAnswer::Gone { who: self.who.to_owned() });
            }
            self.begun.extend(bytes.iter().take(read));
        }
    }
}

fn failed(who: &str, cause: io::Error) -> NoAnswer {
    NoAnswer::Failed { who: who.to_owned(), cause }
}
