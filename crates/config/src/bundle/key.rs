//! Public keys as settings write them: `ed25519:` and 32 bytes in Base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "ed25519:";

/// A key that policy bundles are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A public key that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not in the form that `policy keygen` prints.
    #[error("`{}` is not a public key: expected `ed25519:` and 32 bytes in Base64", shown(text))]
    Form {
        /// What was written.
        text: String,
    },
    /// In the right form, but no point of the curve, or one of the few that verify anything.
    #[error("`{}` is not a usable Ed25519 key", shown(text))]
    Weak {
        /// What was written.
        text: String,
    },
}

fn shown(text: &str) -> String {
    let mut end = text.len().min(80);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ringfence_model::text::escape(text.get(..end).unwrap_or_default())
}

impl PublicKey {
    /// Takes the 32 bytes of a key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let weak = || KeyError::Weak { text: format!("{PREFIX}{}", STANDARD.encode(bytes)) };
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| weak())?;
        if key.is_weak() { Err(weak()) } else { Ok(Self(key)) }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether this key's owner signed exactly this message. The strict check: one message, one signature, no torsion.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let form = || KeyError::Form { text: text.to_owned() };
        let encoded = text.strip_prefix(PREFIX).ok_or_else(form)?;
        // 32 bytes are 44 characters.
        if encoded.len() != 44 {
            return Err(form());
        }
        let bytes: [u8; 32] = STANDARD.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(form)?;
        Self::from_bytes(&bytes).map_err(|_| KeyError::Weak { text: text.to_owned() })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.to_bytes()))
    }
}
