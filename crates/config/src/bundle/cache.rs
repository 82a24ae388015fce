//! What the state directory keeps: the last bundle with its signature, and the highest version accepted.
//!
//! Only the formats; reading and writing the files is `ringfence-fleet`'s business. Nothing in them is believed because
//! it lies there: a cached bundle passes [`verify`](super::verify) again at every start, and an edited one fails it.

use super::{Bundle, MAX_BUNDLE, UnixTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The number of both formats.
const FORMAT: u32 = 1;

/// A fetched bundle as it lies in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheEntry {
    format: u32,
    /// Where it was fetched from.
    pub url: String,
    /// The server's validator, sent back to ask whether anything changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When the server last gave it or said that it hasn't changed. For showing; what ends a bundle is its own expiry.
    pub checked_at: UnixTime,
    /// The bundle, signature included.
    pub bundle: Bundle,
}

/// The mark an accepted bundle leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its version.
    pub version: u64,
    /// Fingerprint of what was signed, see [`digest`](super::digest).
    pub digest: String,
}

/// The highest version accepted, per audience. It outlives the cache, so that emptying the cache opens no way back to an
/// older policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenStore {
    format: u32,
    audiences: BTreeMap<String, Seen>,
}

/// A file of the state directory that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// Cut off, edited, or not ours.
    #[error("it can't be read (line {line}, column {column}): {why}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser met.
        why: String,
    },
    /// Written by another version of Ringfence.
    #[error("it has format {found}; this version reads format {FORMAT}")]
    Format {
        /// The number it has.
        found: u32,
    },
    /// Larger than anything we write.
    #[error("it has {size} bytes, more than was ever written here")]
    TooLarge {
        /// Its size.
        size: usize,
    },
}

impl CacheEntry {
    /// An entry for a bundle that was just fetched.
    #[must_use]
    pub fn new(url: String, etag: Option<String>, checked_at: UnixTime, bundle: Bundle) -> Self {
        Self { format: FORMAT, url, etag, checked_at, bundle }
    }

    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CacheError> {
        let entry: Self = read(bytes)?;
        check_format(entry.format)?;
        Ok(entry)
    }

    /// The file's bytes; the same entry gives the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }
}

impl Default for SeenStore {
    fn default() -> Self {
        Self { format: FORMAT, audiences: BTreeMap::new() }
    }
}

impl SeenStore {
    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CacheError> {
        let store: Self = read(bytes)?;
        check_format(store.format)?;
        Ok(store)
    }

    /// The file's bytes; the same store gives the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        write(self)
    }

    /// The mark of an audience.
    #[must_use]
    pub fn get(&self, audience: &str) -> Option<&Seen> {
        self.audiences.get(audience)
    }

    /// Raises the mark of an audience. It never falls: a lower version leaves it as it is. Says whether it changed.
    pub fn raise(&mut self, audience: &str, seen: Seen) -> bool {
        match self.audiences.get(audience) {
            Some(present) if present.version >= seen.version => false,
            _ => {
                self.audiences.insert(audience.to_owned(), seen);
                true
            }
        }
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CacheError> {
    // A bundle at its largest, and room for address and validator.
    if bytes.len() > MAX_BUNDLE + (64 << 10) {
        return Err(CacheError::TooLarge { size: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|cause| {
        let text = cause.to_string();
        let why = ringfence_model::text::escape(text.split(" at line ").next().unwrap_or(&text));
        CacheError::Malformed { line: cause.line(), column: cause.column(), why }
    })
}

fn check_format(found: u32) -> Result<(), CacheError> {
    if found == FORMAT { Ok(()) } else { Err(CacheError::Format { found }) }
}

/// These types have string keys and no maps with other keys, so that writing them can't fail.
fn write<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
