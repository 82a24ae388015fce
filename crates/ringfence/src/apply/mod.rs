//! File changes from a patch: read in either of two forms, worked out in memory, written all or not at all.
//!
//! Reading is pure; whether the changes may be made is the session's to decide. Working out and writing happen in a process
//! of its own inside a sandbox ([`write_inside`]), so that the kernel holds what was judged a second time.

mod begin;
mod hunks;
mod unified;
mod work;
mod write;
mod writer;

pub use hunks::{Conflict, Near};
pub use work::WorkError;
pub use write::{WriteError, Written};
pub use writer::write_inside;

use ringfence_model::OsText;
use ringfence_model::action::ChangeKind;
use serde::{Deserialize, Serialize};

/// Largest patch that is read, in bytes.
pub const MAX_PATCH: usize = 64 << 20;
/// Most files one patch may touch.
pub const MAX_FILES: usize = 10_000;
/// Largest file that is changed, in bytes.
pub const MAX_FILE: u64 = 256 << 20;

/// What a patch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its files, in order.
    pub files: Vec<FilePatch>,
}

/// What a patch says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch {
    /// The file, as named.
    pub path: OsText,
    /// What is done.
    pub op: Op,
    /// The line of the patch where it begins, counted from 1.
    pub line: usize,
}

/// What is done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// It comes into being, with this content and mode.
    Add {
        /// The content.
        content: Vec<u8>,
        /// Permission bits; only the executable bits count.
        mode: Option<u32>,
    },
    /// It goes; the content must be what the hunks say, if there are any.
    Delete {
        /// What it should hold.
        hunks: Vec<Hunk>,
    },
    /// Its content, name or mode changes.
    Update {
        /// The changes.
        hunks: Vec<Hunk>,
        /// Its new name.
        move_to: Option<OsText>,
        /// The old name stays, too.
        copy: bool,
        /// Permission bits; only the executable bits count.
        mode: Option<u32>,
    },
}

/// A run of lines with changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hunk {
    /// Where it should be in the old file, counted from 1; none: wherever it fits.
    pub at: Option<usize>,
    /// A line that comes somewhere before it.
    pub under: Option<Vec<u8>>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// It ends where the file ends.
    pub at_end: bool,
    /// The new file's last line has no line end.
    pub no_newline: bool,
}

/// One line of a hunk, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It is there and stays.
    Keep(Vec<u8>),
    /// It is there and goes.
    Remove(Vec<u8>),
    /// It comes.
    Add(Vec<u8>),
}

/// Why a patch can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the patch: {what}")]
pub struct PatchError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl PatchError {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Reads a patch in either form.
pub fn parse(patch: &[u8]) -> Result<Patch, PatchError> {
    if patch.len() > MAX_PATCH {
        return Err(PatchError::at(1, "it is larger than 64 MiB"));
    }
    let lines: Vec<&[u8]> = patch.split(|byte| *byte == b'\n').collect();
    let first = lines.iter().position(|line| !line.trim_ascii().is_empty()).unwrap_or(0);
    let files = match lines.get(first).map(|line| line.trim_ascii()) {
        Some(b"*** Begin Patch") => begin::parse(&lines, first)?,
        _ => unified::parse(&lines)?,
    };
    if files.is_empty() {
        return Err(PatchError::at(1, "it names no file: it is neither a unified diff nor a `*** Begin Patch`"));
    }
    if files.len() > MAX_FILES {
        return Err(PatchError::at(1, "it touches more than 10,000 files"));
    }
    Ok(Patch { files })
}

impl Patch {
    /// Every path it touches and how: what is judged.
    #[must_use]
    pub fn changes(&self) -> Vec<(OsText, ChangeKind)> {
        let mut changes = Vec::new();
        for file in &self.files {
            match &file.op {
                Op::Add { .. } => changes.push((file.path.clone(), ChangeKind::Add)),
                Op::Delete { .. } => changes.push((file.path.clone(), ChangeKind::Delete)),
                Op::Update { move_to: None, .. } => changes.push((file.path.clone(), ChangeKind::Update)),
                Op::Update { move_to: Some(to), copy, .. } => {
                    if !copy {
                        changes.push((file.path.clone(), ChangeKind::MoveFrom));
                    }
                    changes.push((to.clone(), ChangeKind::MoveTo));
                }
            }
        }
        changes
    }
}

/// What was, or would be, done to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The file, as named.
    pub path: OsText,
    /// What.
    pub kind: ChangeKind,
    /// Lines that came.
    pub added: usize,
    /// Lines that went.
    pub removed: usize,
}

fn counts(hunks: &[Hunk]) -> (usize, usize) {
    let lines = || hunks.iter().flat_map(|hunk| &hunk.lines);
    (
        lines().filter(|line| matches!(line, Line::Add(_))).count(),
        lines().filter(|line| matches!(line, Line::Remove(_))).count(),
    )
}

pub use hunks::change as work_out_hunks;
pub(crate) use hunks::change;
pub(crate) use work::{Places, work};
pub(crate) use write::{Change, write_all};
pub(crate) use writer::job;
#[cfg(target_os = "linux")]
pub(crate) use writer::{Answer, read_answer};

/// The summary of a file's part.
pub(crate) fn done(file: &FilePatch) -> Vec<Done> {
    let one = |path: &OsText, kind, (added, removed)| Done { path: path.clone(), kind, added, removed };
    match &file.op {
        Op::Add { content, .. } => {
            let lines = content.split_inclusive(|byte| *byte == b'\n').count();
            vec![one(&file.path, ChangeKind::Add, (lines, 0))]
        }
        Op::Delete { hunks } => vec![one(&file.path, ChangeKind::Delete, counts(hunks))],
        Op::Update { hunks, move_to: None, .. } => vec![one(&file.path, ChangeKind::Update, counts(hunks))],
        Op::Update { hunks, move_to: Some(to), copy, .. } => {
            let mut done = vec![one(to, ChangeKind::MoveTo, counts(hunks))];
            if !copy {
                done.insert(0, one(&file.path, ChangeKind::MoveFrom, (0, 0)));
            }
            done
        }
    }
}
