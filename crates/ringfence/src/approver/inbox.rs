//! The inbox: a person who waits in another terminal, reached over a private socket.
//!
//! A run asks (`Inbox`), `ringfence approvals` answers (`Desk`). The socket lies in a directory of this user alone; each end
//! knows the other by the kernel's word on who it is. What runs under Ringfence may ask, and can't answer: the socket can't be
//! reached from a sandbox, and one that such a process serves itself isn't asked.

use super::channel::{JsonApprover, Party};
use super::json::ANSWER_SCHEMA;
use super::{Approver, Asked, NoAnswer, Over};
use crate::under;
use ringfence_model::AbsPath;
use ringfence_model::grant::Answer;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::{DirBuilder, Metadata};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WHO: &str = "the inbox";

/// Largest question that is read.
const MAX_QUESTION: u64 = 4 << 20;

/// How long a run may take to say what it asks: it has it ready.
const PROMPTLY: Duration = Duration::from_secs(5);

/// Where the socket of a user's inbox lies: in `$XDG_RUNTIME_DIR/ringfence`, else in Ringfence's home.
#[must_use]
pub fn place(runtime_dir: Option<&OsStr>, ringfence_home: &AbsPath) -> PathBuf {
    let runtime = runtime_dir.map(Path::new).filter(|dir| dir.is_absolute()).map(|dir| dir.join("ringfence"));
    runtime.unwrap_or_else(|| ringfence_home.as_path().join("state")).join("approvals.sock")
}

/// Asks the person who waits at the other end.
#[derive(Debug)]
pub struct Inbox {
    socket: PathBuf,
    timeout: Duration,
}

impl Inbox {
    /// Asks at this socket; an answer has `timeout`.
    #[must_use]
    pub fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout }
    }

    /// Reaches whoever waits there, if it is this user's own and isn't an agent.
    fn reach(&self) -> Result<UnixStream, NoAnswer> {
        let failed = |cause| NoAnswer::Failed { who: WHO.to_owned(), cause };
        let refused = |why: String| failed(io::Error::new(io::ErrorKind::PermissionDenied, why));
        let directory = self.socket.parent().unwrap_or(Path::new("/"));
        let held = directory.symlink_metadata().map_err(failed)?;
        private(&held).map_err(|why| refused(format!("`{}` {why}", directory.display())))?;
        let stream = match UnixStream::connect(&self.socket) {
            Ok(stream) => stream,
            // What a person who left has left behind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(NoAnswer::Nobody),
            Err(error) => return Err(failed(error)),
        };
        let (uid, pid) = peer(&stream).map_err(failed)?;
        if uid != own_uid() {
            return Err(refused(format!("user {uid} waits there")));
        }
        match under::evidence_of(pid) {
            Some(evidence) => Err(refused(format!("what waits there runs under Ringfence: {evidence}"))),
            None => Ok(stream),
        }
    }
}

/// A question as the other end takes it: everything that is shown, as a value.
const DESK: Party = (WHO, |asked| serde_json::to_value(asked).unwrap_or(Value::Null));

impl Approver for Inbox {
    fn name(&self) -> &str {
        "inbox"
    }

    fn ask(&self, asked: &Asked) -> Result<Answer, NoAnswer> {
        let stream = self.reach()?;
        let failed = |cause| NoAnswer::Failed { who: WHO.to_owned(), cause };
        let answers: OwnedFd = stream.as_fd().try_clone_to_owned().map_err(failed)?;
        JsonApprover::between(answers, stream.into(), self.timeout, DESK).ask(asked)
    }
}

/// Why nobody can wait here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody waits already.
    #[error("questions are already waited for at `{}`", socket.display())]
    Taken {
        /// The socket.
        socket: PathBuf,
    },
    /// The directory isn't this user's alone.
    #[error("`{}` {why}, so that answers can't be given there", directory.display())]
    NotPrivate {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refuses.
    #[error("questions can't be waited for at `{}`", socket.display())]
    Failed {
        /// The socket.
        socket: PathBuf,
        /// What it says.
        #[source]
        cause: io::Error,
    },
}

/// Where a person waits for questions.
#[derive(Debug)]
pub struct Desk {
    listener: UnixListener,
    socket: PathBuf,
}

/// What became of one question.
#[derive(Debug, PartialEq, Eq)]
pub enum Served {
    /// It was answered.
    Answered,
    /// The run that asked didn't wait for the answer.
    TooLate,
    /// It was none, or nobody answered it.
    Nothing {
        /// Why.
        why: String,
    },
}

impl Desk {
    /// Waits at a socket, in a directory that is made for this user alone.
    pub fn bind(socket: &Path) -> Result<Self, BindError> {
        let failed = |cause| BindError::Failed { socket: socket.to_owned(), cause };
        let directory = socket.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let held = directory.symlink_metadata().map_err(failed)?;
        private(&held).map_err(|why| BindError::NotPrivate { directory: directory.to_owned(), why: why.to_owned() })?;
        if UnixStream::connect(socket).is_ok() {
            return Err(BindError::Taken { socket: socket.to_owned() });
        }
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(socket).map_err(failed)?;
        Ok(Self { listener, socket: socket.to_owned() })
    }

    /// Waits for the next question, and puts it to `person`.
    pub fn serve(&self, person: &dyn Approver) -> io::Result<Served> {
        let nothing = |why: &dyn std::fmt::Display| Ok(Served::Nothing { why: why.to_string() });
        let (stream, mut asked) = loop {
            let (stream, _) = self.listener.accept()?;
            match peer(&stream) {
                Ok((uid, _)) if uid == own_uid() => {}
                Ok((uid, _)) => return nothing(&format_args!("user {uid} asked it")),
                Err(error) => return nothing(&error),
            }
            match question(&stream) {
                Ok(Some(asked)) => break (stream, asked),
                // Somebody only looked whether anybody waits.
                Ok(None) => {}
                Err(error) => return nothing(&error),
            }
        };
        asked.over = gone(&stream)?;
        let answer = match person.ask(&asked) {
            Ok(answer) => answer,
            Err(NoAnswer::Over) => return Ok(Served::TooLate),
            Err(error) => return nothing(&error),
        };
        let mut line = document(&asked, &answer).to_string();
        line.push('\n');
        let written = (&stream).write_all(line.as_bytes());
        // The look-out ends with the stream.
        let _ = stream.shutdown(Shutdown::Both);
        Ok(if written.is_ok() { Served::Answered } else { Served::TooLate })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Over once the run that asked goes away: it says nothing more before it does.
fn gone(stream: &UnixStream) -> io::Result<Over> {
    let mut stream = stream.try_clone()?;
    stream.set_read_timeout(None)?;
    let flag = Arc::new(AtomicBool::new(false));
    let over = Over::when(Arc::clone(&flag));
    std::thread::spawn(move || {
        while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
        flag.store(true, Ordering::Relaxed);
    });
    Ok(over)
}

/// The question of a run; none where the other end only looked.
fn question(stream: &UnixStream) -> io::Result<Option<Asked>> {
    stream.set_read_timeout(Some(PROMPTLY))?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_QUESTION)).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(io::Error::other)
}

/// An answer as runs read it.
fn document(asked: &Asked, answer: &Answer) -> Value {
    let (decision, offer, reason) = match answer {
        Answer::Once => ("approve", None, None),
        Answer::Offer { offer } => ("approve", Some(*offer), None),
        Answer::No { say } => ("deny", None, say.as_deref()),
        Answer::Abort => ("abort", None, None),
    };
    let mut document = json!({ "schema": ANSWER_SCHEMA, "id": asked.id, "decision": decision });
    if let (Some(fields), Some(offer)) = (document.as_object_mut(), offer) {
        fields.insert("offer".to_owned(), offer.into());
    }
    if let (Some(fields), Some(reason)) = (document.as_object_mut(), reason) {
        fields.insert("reason".to_owned(), reason.into());
    }
    document
}

/// Whether a directory is this user's, and nobody else can look or write into it.
fn private(directory: &Metadata) -> Result<(), &'static str> {
    match (directory.is_dir(), directory.uid() == own_uid(), directory.mode() & 0o077) {
        (false, ..) => Err("isn't a directory"),
        (_, false, _) => Err("belongs to somebody else"),
        (_, _, 0) => Ok(()),
        _ => Err("is open to others"),
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Who is at the other end: user and process, by the kernel's word.
fn peer(stream: &UnixStream) -> io::Result<(u32, u32)> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or(0);
    Ok((peer.uid.as_raw(), pid))
}
