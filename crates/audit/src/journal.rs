//! The journal: appends lines to a file that is bounded by size and age, each line chained to the one before.
//!
//! Several processes may write at once; a lock on the directory's lock file orders them. Nothing is kept open between
//! appends, so that rotation by another process is never missed.

use crate::Sink;
use crate::line::{FIRST, MAX_LINE, hash, render};
use crate::redact::Redactor;
use ringfence_model::Event;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file that is written to.
pub(crate) const CURRENT: &str = "journal.jsonl";
/// Full files are named `journal-SEQ.jsonl`, after the first sequence number in them.
pub(crate) const FULL_PREFIX: &str = "journal-";
const FULL_SUFFIX: &str = ".jsonl";
const LOCK: &str = "lock";
/// Sequence number and hash of the last line: what shows that lines are missing at the end.
pub(crate) const HEAD: &str = "head";
/// Space that is given up when the disk is full, so that what led there is still recorded.
const RESERVE: &str = "reserve";
const RESERVE_BYTES: u64 = 256 << 10;
/// Room for most lines.
const SHORT: usize = 4096;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All files together, in bytes.
    pub max_bytes: u64,
    /// The oldest file.
    pub max_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_age: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// Why an event couldn't be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// An operation on a file of the journal failed.
    #[error("{what} `{}`", shown(path))]
    File {
        /// What was tried: `open`, `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// What lies there isn't a file of the journal's.
    #[error("`{}` isn't a regular file, so the journal isn't written to it", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
}

fn shown(path: &Path) -> String {
    ringfence_model::text::escape_os(path)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_path_buf();
    move |cause| JournalError::File { what, path, cause }
}

/// The journal in one directory.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
    limits: Limits,
    redactor: Redactor,
}

impl Journal {
    /// The journal in `dir`, which is made when the first event comes.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, limits: Limits, redactor: Redactor) -> Self {
        Self { dir: dir.into(), limits, redactor }
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends events.
    pub fn append(&self, events: &[Event]) -> Result<(), JournalError> {
        if events.is_empty() {
            return Ok(());
        }
        make_private_dir(&self.dir)?;
        let _lock = Lock::take(&self.dir)?;
        let current = self.dir.join(CURRENT);
        let mut file = open_private(&current)?;
        let mut length = file.metadata().map_err(failed("look at", &current))?.len();
        let (mut seq, mut prev) = self.last(&mut file, length)?;
        let mut text = String::new();
        for event in events {
            seq += 1;
            let line = render(event, seq, &prev, &self.redactor);
            prev = hash(line.as_bytes());
            text.push_str(&line);
            text.push('\n');
        }
        if length > 0 && length.saturating_add(text.len() as u64) > self.share() {
            let first = seq + 1 - events.len() as u64;
            self.rotate(&current, first)?;
            file = open_private(&current)?;
            length = 0;
        }
        self.write(&mut file, &current, length, text.as_bytes())?;
        self.write_head(seq, &prev)?;
        self.keep_reserve();
        Ok(())
    }

    /// What one file may grow to: the oldest goes whole, so several share the bound.
    fn share(&self) -> u64 {
        (self.limits.max_bytes / 8).max(MAX_LINE as u64)
    }

    fn write(&self, file: &mut File, path: &Path, length: u64, text: &[u8]) -> Result<(), JournalError> {
        let result = file.write_all(text);
        let Err(cause) = result else { return Ok(()) };
        // Half a line would break the chain for every later one.
        let _ = file.set_len(length);
        let full = cause.kind() == io::ErrorKind::StorageFull || cause.kind() == io::ErrorKind::QuotaExceeded;
        if full && fs::remove_file(self.dir.join(RESERVE)).is_ok() {
            return file.write_all(text).map_err(|cause| {
                let _ = file.set_len(length);
                failed("write", path)(cause)
            });
        }
        Err(failed("write", path)(cause))
    }

    /// Sequence number and hash of the last line: in this file, else in what the head says of the files before.
    fn last(&self, file: &mut File, length: u64) -> Result<(u64, String), JournalError> {
        let path = self.dir.join(CURRENT);
        if length > 0 {
            if let Some(line) = last_line(file, length).map_err(failed("read", &path))?
                && let Some(seq) = sequence(&line)
            {
                return Ok((seq, hash(&line)));
            }
            // A half-written last line, after a crash: it is closed, and the chain goes on behind it.
            file.write_all(b"\n").map_err(failed("write", &path))?;
        }
        Ok(read_head(&self.dir).unwrap_or((0, FIRST.to_owned())))
    }

    fn write_head(&self, seq: u64, hash: &str) -> Result<(), JournalError> {
        let path = self.dir.join(HEAD);
        let mut file = open_private_for(&path, OpenOptions::new().create(true).write(true))?;
        // One length always, so that a write in place is never longer or shorter than before.
        let text = format!("{seq:020} {hash}\n");
        file.write_all(text.as_bytes()).map_err(failed("write", &path))
    }

    fn rotate(&self, current: &Path, first_of_next: u64) -> Result<(), JournalError> {
        let first = {
            let mut file = File::open(current).map_err(failed("open", current))?;
            first_sequence(&mut file).unwrap_or(first_of_next)
        };
        let full = self.dir.join(format!("{FULL_PREFIX}{first:020}{FULL_SUFFIX}"));
        fs::rename(current, &full).map_err(failed("rename", current))?;
        self.drop_old();
        Ok(())
    }

    /// Removes full files, oldest first, while all together are too many or too old.
    fn drop_old(&self) {
        let files = full_files(&self.dir);
        let sizes: Vec<u64> = files.iter().map(|path| fs::metadata(path).map_or(0, |meta| meta.len())).collect();
        let mut total: u64 = sizes.iter().sum::<u64>() + self.share();
        for (path, size) in files.iter().zip(sizes) {
            let too_old = fs::metadata(path)
                .and_then(|meta| meta.modified())
                .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > self.limits.max_age));
            if total <= self.limits.max_bytes && !too_old {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total = total.saturating_sub(size);
            }
        }
    }

    /// Sets the reserve aside if it isn't there, whole or not at all.
    fn keep_reserve(&self) {
        let path = self.dir.join(RESERVE);
        if path.symlink_metadata().is_ok() {
            return;
        }
        let Ok(mut file) = open_private_for(&path, OpenOptions::new().create_new(true).write(true)) else { return };
        // Bytes that no file system takes for a hole or packs into nothing.
        let mut block = vec![0u8; RESERVE_BYTES as usize];
        let mut next = 0x9e37_79b9_u32;
        for byte in &mut block {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = next.to_be_bytes()[0];
        }
        if file.write_all(&block).is_err() {
            let _ = fs::remove_file(&path);
        }
    }
}

impl Sink for Journal {
    fn record(&self, events: &[Event]) -> Result<(), JournalError> {
        self.append(events)
    }
}

/// Full files, oldest first.
pub(crate) fn full_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|item| {
            item.file_name().to_str().is_some_and(|name| name.starts_with(FULL_PREFIX) && name.ends_with(FULL_SUFFIX))
        })
        .map(|item| item.path())
        .collect();
    files.sort();
    files
}

pub(crate) fn read_head(dir: &Path) -> Option<(u64, String)> {
    let text = fs::read_to_string(dir.join(HEAD)).ok()?;
    let (seq, hash) = text.trim_end().split_once(' ')?;
    (hash.len() == FIRST.len()).then_some((seq.parse().ok()?, hash.to_owned()))
}

/// The sequence number of a line.
pub(crate) fn sequence(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(line).ok()?.get("seq")?.as_u64()
}

fn first_sequence(file: &mut File) -> Option<u64> {
    let mut start = Vec::new();
    file.take(MAX_LINE as u64 + 1).read_to_end(&mut start).ok()?;
    sequence(start.split(|byte| *byte == b'\n').next()?)
}

/// The last line, if it is whole. Most are short, and so is what is read for them.
fn last_line(file: &mut File, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut tail = Vec::new();
    for most in [SHORT, MAX_LINE + 2] {
        let from = length.saturating_sub(most as u64);
        file.seek(SeekFrom::Start(from))?;
        tail.clear();
        tail.reserve_exact(most);
        file.take(most as u64).read_to_end(&mut tail)?;
        let Some(body) = tail.strip_suffix(b"\n") else { return Ok(None) };
        let before = body.iter().rposition(|byte| *byte == b'\n');
        if before.is_some() || from == 0 || most > SHORT {
            return Ok(body.get(before.map_or(0, |at| at + 1)..).map(<[u8]>::to_vec));
        }
    }
    Ok(None)
}

/// Makes a directory that only its owner can use.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), JournalError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir).map_err(failed("make", dir))
}

fn open_private(path: &Path) -> Result<File, JournalError> {
    open_private_for(path, OpenOptions::new().create(true).read(true).append(true))
}

/// Opens a regular file that only its owner can read, never through a link.
fn open_private_for(path: &Path, options: &mut OpenOptions) -> Result<File, JournalError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path).map_err(failed("open", path))?;
    if file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(file);
    }
    Err(JournalError::NotAFile { path: path.to_path_buf() })
}

/// Held while one process appends.
struct Lock {
    _file: File,
}

impl Lock {
    fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(LOCK);
        let file = open_private_for(&path, OpenOptions::new().create(true).write(true).truncate(false))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(Self { _file: file })
    }
}
