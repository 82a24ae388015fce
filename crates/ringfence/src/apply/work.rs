//! Working a patch out against the files as they are, and writing the result: what a writer does, in whatever process.
//!
//! It is told where every name of the patch leads, as that was judged, and touches nothing else.

use super::{Change, Conflict, Done, FilePatch, MAX_FILE, Op, Patch, WriteError, change, done, write_all};
use ringfence_model::{AbsPath, OsText};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

/// Where the names of a patch lead.
pub(crate) type Places = BTreeMap<OsText, AbsPath>;

/// Why a patch that may be made wasn't. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// It doesn't fit a file.
    #[error("`{}`: {conflict}", path.display())]
    Conflict {
        /// The file, as named.
        path: OsText,
        /// Where it doesn't fit.
        conflict: Conflict,
    },
    /// A file isn't what the patch takes it to be.
    #[error("`{}` {what}", path.display())]
    Mismatch {
        /// The file, as named.
        path: OsText,
        /// What is wrong.
        what: &'static str,
    },
    /// A file can't be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file, as named.
        path: OsText,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The patch names a file that wasn't judged.
    #[error("`{}` wasn't judged", path.display())]
    Unjudged {
        /// The file, as named.
        path: OsText,
    },
    /// It can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Makes every change of a patch, or none.
pub(crate) fn work(patch: &Patch, places: &Places) -> Result<Vec<Done>, WorkError> {
    let place = |named: &OsText| places.get(named).cloned().ok_or_else(|| WorkError::Unjudged { path: named.clone() });
    let mut files = Files::default();
    for file in &patch.files {
        work_out(file, &place, &mut files)?;
    }
    write_all(&files.changes())?;
    Ok(patch.files.iter().flat_map(done).collect())
}

/// The files a patch touches, as they are now and as they become.
#[derive(Default)]
struct Files {
    found: BTreeMap<AbsPath, Option<Vec<u8>>>,
    becomes: BTreeMap<AbsPath, (Option<Vec<u8>>, Option<u32>)>,
    /// Modes of files that move, by where they go.
    like: BTreeMap<AbsPath, u32>,
}

impl Files {
    /// The content at this point of the patch: what earlier parts made of it, else what is on disk.
    fn content(&mut self, path: &AbsPath, named: &OsText) -> Result<Option<Vec<u8>>, WorkError> {
        if let Some((content, _)) = self.becomes.get(path) {
            return Ok(content.clone());
        }
        if let Some(content) = self.found.get(path) {
            return Ok(content.clone());
        }
        let content = read(path).map_err(|cause| WorkError::Read { path: named.clone(), cause })?;
        self.found.insert(path.clone(), content.clone());
        Ok(content)
    }

    fn put(&mut self, path: AbsPath, content: Option<Vec<u8>>, mode: Option<u32>) {
        let mode = mode.or_else(|| self.becomes.get(&path).and_then(|(_, mode)| *mode));
        self.becomes.insert(path, (content, mode));
    }

    fn changes(self) -> Vec<Change> {
        let Self { mut found, becomes, like } = self;
        becomes
            .into_iter()
            .map(|(path, (content, mode))| {
                let expected = found.remove(&path).flatten();
                Change { like: like.get(&path).copied(), path, content, expected, mode }
            })
            .filter(|change| change.content.is_some() || change.expected.is_some())
            .collect()
    }
}

fn work_out(
    file: &FilePatch,
    place: &dyn Fn(&OsText) -> Result<AbsPath, WorkError>,
    files: &mut Files,
) -> Result<(), WorkError> {
    let path = place(&file.path)?;
    let mismatch = |named: &OsText, what| WorkError::Mismatch { path: named.clone(), what };
    let conflict = |conflict| WorkError::Conflict { path: file.path.clone(), conflict };
    let old = files.content(&path, &file.path)?;
    match &file.op {
        Op::Add { content, mode } => {
            if old.is_some() {
                return Err(mismatch(&file.path, "exists already, and the patch adds it"));
            }
            files.put(path, Some(content.clone()), *mode);
        }
        Op::Delete { hunks } => {
            let old = old.ok_or_else(|| mismatch(&file.path, "doesn't exist, and the patch deletes it"))?;
            // A diff that deletes says what it deletes; something else isn't deleted.
            if !hunks.is_empty() && !change(&old, hunks).map_err(conflict)?.is_empty() {
                return Err(mismatch(&file.path, "holds more than the patch deletes"));
            }
            files.put(path, None, None);
        }
        Op::Update { hunks, move_to, copy, mode } => {
            let old = old.ok_or_else(|| mismatch(&file.path, "doesn't exist, and the patch changes it"))?;
            let new = change(&old, hunks).map_err(conflict)?;
            match move_to {
                None => files.put(path, Some(new), *mode),
                Some(to) => {
                    let target = place(to)?;
                    if target != path && files.content(&target, to)?.is_some() {
                        return Err(mismatch(to, "exists already, and the patch moves another file there"));
                    }
                    if let Some(like) = mode_of(&path) {
                        files.like.insert(target.clone(), like);
                    }
                    if !copy && target != path {
                        files.put(path, None, None);
                    }
                    files.put(target, Some(new), *mode);
                }
            }
        }
    }
    Ok(())
}

fn read(path: &AbsPath) -> std::io::Result<Option<Vec<u8>>> {
    let meta = match fs::symlink_metadata(path.as_path()) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if !meta.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it isn't a regular file"));
    }
    if meta.len() > MAX_FILE {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 256 MiB"));
    }
    let mut content = Vec::new();
    fs::File::open(path.as_path())?.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// The mode of a file that moves.
#[cfg(unix)]
fn mode_of(path: &AbsPath) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path.as_path()).ok().map(|meta| meta.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn mode_of(_: &AbsPath) -> Option<u32> {
    None
}
