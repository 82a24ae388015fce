//! Grants of a session: kept in memory, and for a named session in the state directory too, so that the next process of
//! the same session finds them.
//!
//! The file lies in Ringfence's home, which no sandbox can write. It is read strictly: what isn't a list of grants, or
//! can be written by others, grants nothing.

use ringfence_model::{AbsPath, Grant};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How long a named session's grants count.
pub const SESSION_SECONDS: u64 = 12 * 3600;

/// Most grants a session keeps: the oldest go.
const MAX_GRANTS: usize = 1000;
const MAX_FILE: u64 = 4 << 20;

/// Why grants can't be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// A session's name is used as a file's.
    #[error(
        "`{}` can't name a session: use up to 64 letters, digits, `-`, `_` and `.`",
        ringfence_model::text::escape(name)
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The file can't be read or written.
    #[error("{what} the grants of the session in `{}`", path.display())]
    File {
        /// `read`, `write`.
        what: &'static str,
        /// The file.
        path: AbsPath,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The file isn't what Ringfence writes.
    #[error("the grants of the session in `{}` can't be used: {why}; remove the file", path.display())]
    Damaged {
        /// The file.
        path: AbsPath,
        /// What is wrong.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    grants: Vec<Grant>,
}

const SCHEMA: &str = "ringfence.dev/v1/grants";

/// Where a session's grants are kept.
#[derive(Debug, Clone)]
pub struct Store {
    file: AbsPath,
}

impl Store {
    /// The store of session `name` under Ringfence's home.
    pub fn of_session(home: &AbsPath, name: &str) -> Result<Self, GrantError> {
        let plain = !name.is_empty()
            && name.len() <= 64
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let error = || GrantError::Name { name: name.to_owned() };
        if !plain {
            return Err(error());
        }
        let file = home.join(format!("state/sessions/{name}.json")).map_err(|_| error())?;
        Ok(Self { file })
    }

    /// Every session that has grants.
    #[must_use]
    pub fn sessions(home: &AbsPath) -> Vec<String> {
        let Ok(dir) = home.join("state/sessions") else { return Vec::new() };
        let mut names: Vec<String> = fs::read_dir(dir.as_path())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|item| Some(item.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        names
    }

    /// The grants that count at `now`.
    pub fn load(&self, now: u64) -> Result<Vec<Grant>, GrantError> {
        let _lock = self.lock()?;
        self.read(now)
    }

    /// Adds a grant.
    pub fn add(&self, grant: &Grant, now: u64) -> Result<(), GrantError> {
        let _lock = self.lock()?;
        let mut grants = self.read(now)?;
        grants.push(grant.clone());
        let from = grants.len().saturating_sub(MAX_GRANTS);
        self.write(grants.split_off(from))
    }

    /// Withdraws a grant. False: there was none of this name.
    pub fn withdraw(&self, id: &str, now: u64) -> Result<bool, GrantError> {
        let _lock = self.lock()?;
        let mut grants = self.read(now)?;
        let before = grants.len();
        grants.retain(|grant| grant.id != id);
        let found = grants.len() != before;
        if found {
            self.write(grants)?;
        }
        Ok(found)
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> GrantError {
        let path = self.file.clone();
        move |cause| GrantError::File { what, path, cause }
    }

    fn lock(&self) -> Result<File, GrantError> {
        let dir = self.dir();
        make_private_dir(&dir).map_err(self.failed("write"))?;
        let file = private(OpenOptions::new().create(true).write(true).truncate(false))
            .open(dir.join("lock"))
            .map_err(self.failed("write"))?;
        file.lock().map_err(self.failed("write"))?;
        Ok(file)
    }

    fn dir(&self) -> PathBuf {
        self.file.as_path().parent().map_or_else(PathBuf::new, Path::to_path_buf)
    }

    fn read(&self, now: u64) -> Result<Vec<Grant>, GrantError> {
        let file = match private(OpenOptions::new().read(true)).open(self.file.as_path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed("read")(error)),
        };
        let damaged = |why: String| GrantError::Damaged { path: self.file.clone(), why };
        let meta = file.metadata().map_err(self.failed("read"))?;
        if !meta.is_file() {
            return Err(damaged("it isn't a regular file".to_owned()));
        }
        if writable_by_others(&meta) {
            return Err(damaged("others can write it".to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(self.failed("read"))?;
        let stored: Stored = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if stored.schema != SCHEMA {
            return Err(damaged("it is of another version".to_owned()));
        }
        Ok(stored.grants.into_iter().filter(|grant| grant.expires.is_some_and(|expires| now < expires)).collect())
    }

    fn write(&self, grants: Vec<Grant>) -> Result<(), GrantError> {
        let stored = Stored { schema: SCHEMA.to_owned(), grants };
        let text = serde_json::to_string(&stored).map_err(|error| self.failed("write")(io::Error::other(error)))?;
        replace(self.file.as_path(), text.as_bytes()).map_err(self.failed("write"))
    }
}

/// Replaces a private file so that a reader sees the old or the new.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&beside);
    let mut file = private(OpenOptions::new().create_new(true).write(true)).open(&beside)?;
    let done = file.write_all(text).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done
}

pub(crate) fn make_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Options for a file that only its owner can use, never reached through a link.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

#[cfg(unix)]
fn writable_by_others(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let uid = rustix::process::geteuid().as_raw();
    meta.mode() & 0o022 != 0 || (meta.uid() != uid && meta.uid() != 0)
}

#[cfg(not(unix))]
fn writable_by_others(_: &fs::Metadata) -> bool {
    false
}
