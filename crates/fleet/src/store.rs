//! The state directory's part: the cached bundle, the versions seen, the last attempt, and the lock around changing them.
//!
//! ```text
//! STATE/cloud/bundle.json    the last bundle that was believed, signature included
//! STATE/cloud/seen.json      the highest version per audience; outlives the bundle
//! STATE/cloud/attempt.json   when the service was last asked, and what went wrong
//! STATE/cloud/lock           held while the others change
//! ```
//!
//! Reading takes no lock: every file is replaced whole. A policy is written before the mark that it leaves, so a crash in
//! between leaves a newer policy under an older mark, which verifies.

use crate::files::{self, AtomicWriteError};
use ringfence_config::bundle::{CacheEntry, CacheError, MAX_BUNDLE, Seen, SeenStore, UnixTime, Verified};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Room for address and validator around a bundle, as the cache format allows.
const MAX_FILE: usize = MAX_BUNDLE + (64 << 10);

/// How long another process may take to write three small files.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The files of one state directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

/// State that can't be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The system refused.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Cut off, edited, or of another version.
    #[error("{} can't be used: {cause}; remove it to fetch the policy anew", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: CacheError,
    },
    /// A read-only home, a full disk.
    #[error("keep the policy: {} (caused by: {})", .0, .0.cause)]
    Write(#[from] AtomicWriteError),
    /// Another process holds the lock for longer than it can need.
    #[error("{} is held by another process", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// While we fetched this one, another process accepted a newer one.
    #[error("version {version} was overtaken by version {seen}, which another process fetched meanwhile")]
    Overtaken {
        /// Ours.
        version: u64,
        /// Theirs.
        seen: u64,
    },
}

/// The last time the service was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: UnixTime,
    /// What went wrong; `None` if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Store {
    /// The files below `state`, Ringfence's state directory. Nothing is made before something is kept.
    #[must_use]
    pub fn below(state: &Path) -> Self {
        Self { directory: state.join("cloud") }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn read<T>(&self, name: &str, parse: impl FnOnce(&[u8]) -> Result<T, CacheError>) -> Result<Option<T>, StoreError> {
        let path = self.path(name);
        match files::read_bounded(&path, MAX_FILE) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => parse(&bytes).map(Some).map_err(|cause| StoreError::Content { path, cause }),
            Err(cause) => Err(StoreError::Read { path, cause }),
        }
    }

    /// The cached bundle, not yet believed.
    pub fn cached(&self) -> Result<Option<CacheEntry>, StoreError> {
        self.read("bundle.json", CacheEntry::parse)
    }

    /// The versions seen. A file that can't be read is an error, not an empty history: it is what holds off a replay.
    pub fn seen(&self) -> Result<SeenStore, StoreError> {
        Ok(self.read("seen.json", SeenStore::parse)?.unwrap_or_default())
    }

    /// The last attempt. For showing and for pacing only, so one that can't be read counts as none.
    #[must_use]
    pub fn last_attempt(&self) -> Option<Attempt> {
        let bytes = files::read_bounded(&self.path("attempt.json"), 64 << 10).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Notes an attempt. Failing to is no reason to fail: the next run just asks earlier.
    pub fn note_attempt(&self, attempt: &Attempt) {
        if let Ok(bytes) = serde_json::to_vec(attempt) {
            let _ = files::create_private_dir(&self.directory);
            let _ = files::write_atomically(&self.path("attempt.json"), &bytes);
        }
    }

    /// Keeps a bundle that was believed, and the mark it leaves, unless another process has accepted a newer one.
    pub fn accept(&self, entry: &CacheEntry, verified: &Verified) -> Result<(), StoreError> {
        let _lock = self.lock()?;
        let mut seen = self.seen()?;
        let mark: Seen = verified.seen();
        if let Some(present) = seen.get(verified.audience()) {
            let overtaken = present.version > mark.version || (present.version == mark.version && *present != mark);
            if overtaken {
                return Err(StoreError::Overtaken { version: mark.version, seen: present.version });
            }
        }
        files::write_atomically(&self.path("bundle.json"), &entry.to_bytes())?;
        if seen.raise(verified.audience(), mark) {
            files::write_atomically(&self.path("seen.json"), &seen.to_bytes())?;
        }
        Ok(())
    }

    fn lock(&self) -> Result<File, StoreError> {
        let path = self.path("lock");
        let failed = |cause| StoreError::Write(AtomicWriteError { path: path.clone(), cause });
        files::create_private_dir(&self.directory).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        files::private(&mut options);
        let file = options.open(&path).map_err(failed)?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
                Err(TryLockError::WouldBlock) if since.elapsed() > LOCK_PATIENCE => {
                    return Err(StoreError::Locked { path });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}
