//! Directories in which only listed names may come into being, change or go: those of git.
//!
//! The directory itself is known by identity and by path; what lies deeper, by path: a directory neither leaves a listed one
//! nor arrives in it, so nothing that was prepared elsewhere takes the place of one whose names are judged.

use super::place::{Place, file_id};
use super::plan::OnlyNames;
use super::rules::{Deed, Refusal, is_below, open_any, open_any_at, open_dir};
use ringfence_model::DenialKind;
use ringfence_model::facts::FileId;
use ringfence_model::glob::name_matches;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

/// Bound on remembered directories: each holds a descriptor of ours.
const KEPT: usize = 128;

/// The listed directories of one sandbox, as far as they exist, and what was made in them.
#[derive(Default)]
pub(super) struct Lists {
    dirs: Vec<(FileId, usize)>,
    /// Directories made inside where a list lets such ones be. They are kept open, so that nothing else gets their numbers.
    made: Mutex<HashMap<FileId, OwnedFd>>,
}

impl Lists {
    /// Opens those of `lists` that exist.
    pub(super) fn open(lists: &[OnlyNames]) -> Self {
        let dirs = lists.iter().enumerate().filter_map(|(index, only)| {
            let dir = open_dir(only.dir.as_path()).ok()?;
            Some((file_id(&fstat(&dir).ok()?), index))
        });
        Self { dirs: dirs.collect(), made: Mutex::default() }
    }

    /// Judges `deed` on `name` in `parent`. `source` is what arrives.
    pub(super) fn judge(
        &self,
        lists: &[OnlyNames],
        parent: &Place,
        name: &[u8],
        deed: Deed,
        source: Option<(&Place, &[u8])>,
    ) -> Result<(), Refusal> {
        let (id, path) = (parent.id().ok(), parent.path().ok());
        for (index, only) in lists.iter().enumerate() {
            let dir = only.dir.as_path().as_os_str().as_bytes();
            let is_dir = path == Some(dir) || self.dirs.iter().any(|(known, at)| Some(*known) == id && *at == index);
            let may = match path {
                _ if is_dir => self.may(only, parent, name, deed, source),
                Some(path) => self.may_below(only, path) && !brings_links(only, path, deed, source),
                None => true,
            };
            if !may {
                return Err(refusal(only));
            }
        }
        Ok(())
    }

    /// Judges a change of what `path` names, whatever the change.
    pub(super) fn judge_path(&self, lists: &[OnlyNames], path: &[u8]) -> Option<Refusal> {
        lists.iter().find(|only| !self.may_below(only, path)).map(refusal)
    }

    /// Whether `deed` may be done to `name` in the listed directory itself.
    fn may(&self, only: &OnlyNames, dir: &Place, name: &[u8], deed: Deed, source: Option<(&Place, &[u8])>) -> bool {
        if !listed(only, name) {
            return only.or_made_inside
                && match deed {
                    Deed::MakeDir => true,
                    Deed::Remove | Deed::Write => self.was_made(dir, name),
                    _ => false,
                };
        }
        // A directory or link would bring along what was never judged, or take it away to where it isn't.
        let plain = |place: &Place, name: &[u8]| {
            statat(place.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Directory | FileType::Symlink)
            })
        };
        match deed {
            Deed::Symlink | Deed::Link => false,
            Deed::Leave => plain(dir, name),
            Deed::Arrive => source.is_some_and(|(place, name)| plain(place, name)),
            Deed::Make | Deed::MakeDir | Deed::Remove | Deed::Write => true,
        }
    }

    /// Whether what is at `path` may change, as far as `only` says.
    fn may_below(&self, only: &OnlyNames, path: &[u8]) -> bool {
        let dir = only.dir.as_path().as_os_str().as_bytes();
        if !is_below(path, dir) {
            return true;
        }
        let rest = path.get(dir.len()..).and_then(|rest| rest.strip_prefix(b"/")).unwrap_or_default();
        let name = rest.split(|byte| *byte == b'/').next().unwrap_or(rest);
        if name.is_empty() || listed(only, name) {
            return true;
        }
        let made = || {
            let entry = open_any(&only.dir.as_path().join(OsStr::from_bytes(name))).ok()?;
            Some(self.knows(file_id(&fstat(&entry).ok()?)))
        };
        only.or_made_inside && made() == Some(true)
    }

    fn was_made(&self, dir: &Place, name: &[u8]) -> bool {
        statat(dir.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| self.knows(file_id(&stat)))
    }

    fn knows(&self, id: FileId) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Remembers a directory that was just made inside, if a list lets such ones be. If too many are, it isn't, and stays
    /// empty.
    pub(super) fn remember(&self, lists: &[OnlyNames], parent: &Place, name: &[u8]) {
        let here = parent.path().ok();
        let asked = |only: &OnlyNames| only.or_made_inside && here == Some(only.dir.as_path().as_os_str().as_bytes());
        if !lists.iter().any(asked) {
            return;
        }
        let Ok(entry) = open_any_at(parent.fd(), OsStr::from_bytes(name)) else { return };
        let Ok(stat) = fstat(&entry) else { return };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= KEPT {
            made.retain(|_, dir| fstat(&*dir).is_ok_and(|stat| stat.st_nlink > 0));
        }
        if made.len() < KEPT {
            made.insert(file_id(&stat), entry);
        }
    }
}

/// Whether a symbolic link would come to lie below the listed directory `path` is in: git makes none there, and outside it
/// would write to where one leads. A directory from elsewhere may hold some.
fn brings_links(only: &OnlyNames, path: &[u8], deed: Deed, source: Option<(&Place, &[u8])>) -> bool {
    let listed = only.dir.as_path().as_os_str().as_bytes();
    if !is_below(path, listed) {
        return false;
    }
    match deed {
        Deed::Symlink => true,
        Deed::Link | Deed::Arrive => source.is_none_or(|(place, name)| {
            match statat(place.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Symlink => true,
                    FileType::Directory => !place.path().is_ok_and(|from| is_below(from, listed)),
                    _ => false,
                },
                // The kernel says so itself.
                Err(_) => false,
            }
        }),
        _ => false,
    }
}

fn listed(only: &OnlyNames, name: &[u8]) -> bool {
    only.names.iter().any(|pattern| name_matches(pattern.as_bytes(), name))
}

fn refusal(only: &OnlyNames) -> Refusal {
    Refusal {
        errno: Errno::ACCESS,
        kind: DenialKind::ProtectedPath,
        rule: "protected-path",
        origin: only.origin.clone(),
        allow_with: Vec::new(),
    }
}
