//! The secret half of a signing key, as a file of one line: `ed25519-secret:` and 32 bytes in Base64.

use crate::files;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use ringfence_config::bundle::PublicKey;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "ed25519-secret:";

/// A key that signs policy bundles. It doesn't print.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// A signing key that can't be made, read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// The system gave no randomness.
    #[error("the system's random source failed: {cause}")]
    Random {
        /// What it said.
        cause: String,
    },
    /// The file can't be read.
    #[error("can't read the signing key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file can't be made; an existing one is never replaced.
    #[error("the signing key can't be written to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Not a key as `policy keygen` writes it.
    #[error("{} is not a signing key: expected one line, `ed25519-secret:` and 32 bytes in Base64", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// Someone else can read it.
    #[error("the signing key {} can be read by others; run `chmod 600` on it, and make a new key if anyone did", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// Makes a new key from the system's random source.
    pub fn generate() -> Result<Self, SecretKeyError> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).map_err(|cause| SecretKeyError::Random { cause: cause.to_string() })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key file that nobody else can read.
    pub fn read(path: &Path) -> Result<Self, SecretKeyError> {
        let failed = |cause| SecretKeyError::Read { path: path.to_owned(), cause };
        let bytes = files::read_bounded(path, 1024).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        if files::open_to_others(path).map_err(failed)? {
            return Err(SecretKeyError::Exposed { path: path.to_owned() });
        }
        Self::parse(&bytes).ok_or_else(|| SecretKeyError::Form { path: path.to_owned() })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let encoded = std::str::from_utf8(bytes).ok()?.trim_end().strip_prefix(PREFIX)?;
        let seed: [u8; 32] = STANDARD.decode(encoded).ok()?.try_into().ok()?;
        Some(Self(SigningKey::from_bytes(&seed)))
    }

    /// Writes the key to a new file that only its owner can read.
    pub fn write(&self, path: &Path) -> Result<(), SecretKeyError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        files::private(&mut options);
        let line = format!("{PREFIX}{}\n", STANDARD.encode(self.0.to_bytes()));
        options
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|cause| SecretKeyError::Write { path: path.to_owned(), cause })
    }

    /// The half that administrators hand out; `None` only for a key so unlucky that it would verify anything.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        PublicKey::from_bytes(&self.0.verifying_key().to_bytes()).ok()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_and_read_back() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("policy.key");
        let key = SecretKey::generate().expect("key");
        key.write(&path).expect("written");
        assert!(matches!(key.write(&path), Err(SecretKeyError::Write { .. })), "never replaced");
        let again = SecretKey::read(&path).expect("read");
        assert_eq!(again.public(), key.public());
        assert_eq!(format!("{again:?}"), "SecretKey(…)");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("policy.key");
        SecretKey::generate().expect("key").write(&path).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("mode");
        assert!(matches!(SecretKey::read(&path), Err(SecretKeyError::Exposed { .. })));
    }

    #[test]
    fn what_is_not_a_key() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("policy.key");
        for bad in ["", "ed25519-secret:", "ed25519-secret:AAAA", "ed25519:AAAA", "\u{feff}ed25519-secret:"] {
            files::write_atomically(&path, bad.as_bytes()).expect("written");
            assert!(matches!(SecretKey::read(&path), Err(SecretKeyError::Form { .. })), "{bad:?}");
        }
        assert!(matches!(SecretKey::read(&dir.path().join("none")), Err(SecretKeyError::Read { .. })));
    }
}
