//! Reading the journal back: all of it, a part, or what comes.

use crate::journal::{CURRENT, full_files};
use crate::line::MAX_LINE;
use ringfence_model::{Denial, Event, event::What};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One event with its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// The line as it stands in the file.
    pub line: String,
    /// The event; none for a line of a newer version or one that was cut.
    pub event: Option<Event>,
}

/// Which events are wanted. Nothing set: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Denials and refusals only.
    pub denied: bool,
    /// The proxy's decisions only.
    pub network: bool,
    /// One session only.
    pub session: Option<String>,
    /// From this time on, in milliseconds since 1970.
    pub since: Option<u64>,
}

impl Filter {
    /// Whether `entry` is wanted.
    #[must_use]
    pub fn wants(&self, entry: &Entry) -> bool {
        let Some(event) = &entry.event else { return *self == Self::default() };
        let refused = match &event.what {
            What::Denied { .. } => true,
            What::Decided { verdict, .. } => verdict == "refuse",
            What::Answered { decision, .. } => decision == "denied" || decision == "abort",
            What::Network { decision, .. } => decision == "deny",
            _ => false,
        };
        (!self.denied || refused)
            && (!self.network || matches!(event.what, What::Network { .. }))
            && self.session.as_ref().is_none_or(|session| event.session.as_ref() == Some(session))
            && self.since.is_none_or(|since| event.at >= since)
    }
}

/// Every wanted event, oldest first.
pub fn read(dir: &Path, filter: &Filter) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    each(dir, filter, |entry| entries.push(entry))?;
    Ok(entries)
}

/// Hands every wanted event on, oldest first, without keeping them.
pub fn each(dir: &Path, filter: &Filter, mut take: impl FnMut(Entry)) -> io::Result<()> {
    for file in files(dir) {
        let file = match File::open(file) {
            Ok(file) => file,
            // Rotated away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file);
        while let Some(line) = next_line(&mut reader)? {
            if let Some(entry) = entry(&line).filter(|entry| filter.wants(entry)) {
                take(entry);
            }
        }
    }
    Ok(())
}

/// Hands on what is written from now on, until `take` says to stop.
pub fn follow(dir: &Path, filter: &Filter, mut take: impl FnMut(Option<Entry>) -> Follow) -> io::Result<()> {
    let path = dir.join(CURRENT);
    let mut reader: Option<BufReader<File>> = None;
    let mut at_end = true;
    loop {
        if reader.is_none()
            && let Ok(mut file) = File::open(&path)
        {
            // Only what was there when we came is skipped; a file that follows by rotation is read from its start.
            if at_end {
                file.seek(SeekFrom::End(0))?;
            }
            reader = Some(BufReader::new(file));
        }
        at_end = false;
        if let Some(open) = &mut reader {
            while let Some(line) = next_line(open)? {
                if let Some(entry) = entry(&line).filter(|entry| filter.wants(entry))
                    && take(Some(entry)) == Follow::Stop
                {
                    return Ok(());
                }
            }
            if !is_same_file(open.get_ref(), &path) {
                reader = None;
                continue;
            }
        }
        if take(None) == Follow::Stop {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(150));
    }
}

/// Whether following goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It does.
    On,
    /// It doesn't.
    Stop,
}

/// The denial with this identifier, and the events that belong to the same action.
pub fn why(dir: &Path, id: &str) -> io::Result<Option<(Denial, Vec<Entry>)>> {
    let mut found: Option<(Denial, String)> = None;
    each(dir, &Filter::default(), |entry| {
        if let Some(event) = &entry.event
            && let What::Denied { denial } = &event.what
            && denial.id == id
        {
            found = Some((denial.as_ref().clone(), event.id.clone()));
        }
    })?;
    let Some((denial, action)) = found else { return Ok(None) };
    let mut related = Vec::new();
    each(dir, &Filter::default(), |entry| {
        if entry.event.as_ref().is_some_and(|event| event.id == action) {
            related.push(entry);
        }
    })?;
    Ok(Some((denial, related)))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = full_files(dir);
    files.push(dir.join(CURRENT));
    files
}

/// The next whole line; what has no end yet stays for later.
fn next_line(reader: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let from = reader.stream_position()?;
    let mut line = Vec::new();
    let read = reader.by_ref().take(MAX_LINE as u64 + 2).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        // Longer than any line of ours, or not finished: in the first case it is skipped piece by piece.
        if read <= MAX_LINE {
            reader.seek(SeekFrom::Start(from))?;
            return Ok(None);
        }
    }
    Ok(Some(line))
}

fn entry(line: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let seq = value.get("seq")?.as_u64()?;
    Some(Entry { seq, line: text.to_owned(), event: serde_json::from_value(value).ok() })
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => there.len() >= ours.len(),
        _ => false,
    }
}
