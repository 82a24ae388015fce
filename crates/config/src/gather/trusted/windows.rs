//! The walk on Windows: every directory from the drive down and the file itself are opened and judged by their access
//! lists.

use super::TrustedError;
use super::access::{self, Place};
use crate::gather::files::Descriptor;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf, Prefix};

const READ_CONTROL: u32 = 0x0002_0000;
const FILE_READ_ATTRIBUTES: u32 = 0x80;
const GENERIC_READ: u32 = 0x8000_0000;
const FILE_SHARE_READ: u32 = 1;
const FILE_SHARE_WRITE: u32 = 2;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const FILE_ATTRIBUTE_REPARSE_POINT: u32 = 0x400;

/// What must be the administrator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// The file and every directory on the way to it.
    Way,
    /// The file alone.
    File,
}

/// Opens a file that only the system and administrators can change, as everything on the way to it. None if there is
/// no such file and its directory, if there is one, is theirs.
///
/// A step that was opened stays open without sharing its deletion until the file is open: what was judged can't be
/// renamed away meanwhile. Links and junctions on the way are refused.
pub fn open(file: &Path, descriptor: Descriptor, judged: Judged) -> Result<Option<File>, TrustedError> {
    let untrusted = |at: &Path, why: String| TrustedError::Untrusted { at: at.to_path_buf(), why };
    let mut components = file.components();
    match components.next() {
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::Disk(_) | Prefix::VerbatimDisk(_)) => {}
        _ => return Err(untrusted(file, "it isn't on a drive of this machine".into())),
    }
    if components.any(|part| matches!(part, Component::ParentDir | Component::CurDir)) || !file.has_root() {
        return Err(untrusted(file, "its path isn't absolute and plain".into()));
    }
    let mut steps: Vec<&Path> = file.ancestors().collect();
    steps.reverse();
    let last = steps.len().saturating_sub(1);
    let mut held = Vec::with_capacity(steps.len());
    let mut fault = None;
    for (index, at) in steps.into_iter().enumerate() {
        let place = match last - index {
            0 => Place::File,
            1 => Place::Directory,
            _ => Place::Above,
        };
        let opened = match open_step(at, place) {
            Ok(opened) => opened,
            // Where not even the directory exists there is nothing to distrust.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if place == Place::File { fault.map_or(Ok(None), Err) } else { Ok(None) };
            }
            Err(error) => return Err(named(at, &error)),
        };
        let metadata = opened.metadata().map_err(|error| named(at, &error))?;
        if metadata.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
            return Err(untrusted(at, "it is a link, a junction or another reparse point".into()));
        }
        if (place == Place::File) == metadata.is_dir() {
            let what = if place == Place::File { "it isn't a regular file" } else { "it isn't a directory" };
            return Err(untrusted(at, what.into()));
        }
        if judged == Judged::File && place != Place::File {
            held.push(opened);
            continue;
        }
        let text = descriptor(&opened).map_err(|error| named(at, &error))?;
        if let Err(why) = access::judge(&text, place) {
            fault.get_or_insert(untrusted(at, why));
        }
        held.push(opened);
    }
    match fault {
        Some(fault) => Err(fault),
        None => Ok(held.pop()),
    }
}

fn open_step(at: &Path, place: Place) -> io::Result<File> {
    let access = if place == Place::File { GENERIC_READ } else { FILE_READ_ATTRIBUTES };
    OpenOptions::new()
        .access_mode(access | READ_CONTROL)
        .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(at)
}

fn named(at: &Path, error: &io::Error) -> TrustedError {
    let at: PathBuf = at.to_path_buf();
    TrustedError::Io(io::Error::new(error.kind(), format!("{}: {error}", at.display())))
}
