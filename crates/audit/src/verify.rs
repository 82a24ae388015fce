//! Verification: does every line name the hash of the one before, and is the last one the last that was written?

use crate::journal::{CURRENT, full_files, read_head};
use crate::line::{FIRST, MAX_LINE, hash};
use serde::Serialize;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Lines looked at.
    pub lines: u64,
    /// Sequence number of the oldest line; above 1 where rotation dropped older ones.
    pub first: Option<u64>,
    /// Sequence number of the newest line.
    pub last: Option<u64>,
    /// Where the chain is broken; empty: nowhere.
    pub breaks: Vec<Break>,
}

/// One place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The file.
    pub file: PathBuf,
    /// The line in it, counted from 1; 0: the end of the file.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// Verifies the journal in `dir`.
pub fn verify(dir: &Path) -> io::Result<Verified> {
    let mut result = Verified { lines: 0, first: None, last: None, breaks: Vec::new() };
    let mut expected: Option<(u64, String)> = None;
    let current = dir.join(CURRENT);
    let mut files = full_files(dir);
    if current.symlink_metadata().is_ok() {
        files.push(current.clone());
    }
    for file in files {
        let mut reader = BufReader::new(std::fs::File::open(&file)?);
        let mut number = 0;
        loop {
            let mut line = Vec::new();
            let read = (&mut reader).take(MAX_LINE as u64 + 2).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            number += 1;
            result.lines += 1;
            let mut broken = |what: String| result.breaks.push(Break { file: file.clone(), line: number, what });
            let Some(body) = line.strip_suffix(b"\n") else {
                broken("the line has no end".to_owned());
                continue;
            };
            let Some((seq, prev)) = head(body) else {
                broken("the line isn't an event".to_owned());
                continue;
            };
            match &expected {
                Some((last, hash)) if *prev != *hash => {
                    let what = if seq == last + 1 {
                        "the line before was changed"
                    } else {
                        "lines are missing or were changed"
                    };
                    broken(format!("{what}: event {seq} follows event {last}"));
                }
                None if seq == 1 && prev != FIRST => broken("the first event names one before it".to_owned()),
                _ => {}
            }
            result.first.get_or_insert(seq);
            result.last = Some(seq);
            expected = Some((seq, hash(body)));
        }
    }
    let said = read_head(dir);
    let end = |what: String| Break { file: current.clone(), line: 0, what };
    match (&expected, said) {
        (None, None) => {}
        (None, Some((seq, _))) => result.breaks.push(end(format!("{seq} events were written, and none is left"))),
        (Some((last, _)), None) => {
            result.breaks.push(end(format!("what says that event {last} is the last one is missing")))
        }
        // A crash between line and head leaves the head one append behind, which hides nothing.
        (Some((last, hash)), Some((seq, named))) if seq > *last || (seq == *last && named != *hash) => {
            result.breaks.push(end(format!("event {seq} was the last one written, event {last} is the last one here")));
        }
        _ => {}
    }
    Ok(result)
}

fn head(line: &[u8]) -> Option<(u64, String)> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some((value.get("seq")?.as_u64()?, value.get("prev")?.as_str()?.to_owned()))
}
