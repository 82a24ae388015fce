//! Policy bundles: requirements with a version, an audience and an expiry, signed with Ed25519. Pure: who fetches them,
//! keeps them and knows the time is elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Largest accepted bundle, as JSON.
pub const MAX_BUNDLE: usize = 2 << 20;
/// How far ahead of this machine's clock a bundle's may be, in seconds.
pub const CLOCK_SKEW: u64 = 300;

/// A policy bundle as the service gives it out. Times are seconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Counts up; a lower one than was seen before isn't accepted.
    pub version: u64,
    /// Whom it is for.
    pub audience: String,
    /// When it was signed.
    pub issued_at: u64,
    /// When it ends.
    pub expires_at: u64,
    /// The text of a requirements file.
    pub requirements: String,
    /// Ed25519 over [`Bundle::canonical_bytes`], in base64.
    pub signature: String,
}

/// What a bundle must be to be used.
#[derive(Debug, Clone)]
pub struct Expected<'e> {
    /// Keys of which one must have signed it.
    pub keys: &'e [PublicKey],
    /// The audience it must name; none: any.
    pub audience: Option<&'e str>,
    /// The highest version seen so far.
    pub seen_version: Option<u64>,
    /// The time, in seconds since 1970 UTC.
    pub now: u64,
}

/// Why a bundle isn't used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It isn't a bundle.
    #[error("it isn't a policy bundle: {0}")]
    Malformed(String),
    /// It is too large.
    #[error("it has more than {MAX_BUNDLE} bytes")]
    TooLarge,
    /// No key to check it with.
    #[error("no public key is known to check it with; an administrator sets `cloud.public_keys`")]
    NoKey,
    /// No known key signed it.
    #[error("no known key signed it, or it was changed since")]
    Signature,
    /// It is for somebody else.
    #[error("it is for `{found}`, not for `{expected}`")]
    Audience {
        /// Whom it is for.
        found: String,
        /// Who asks.
        expected: String,
    },
    /// A later one was seen.
    #[error("its version {found} is lower than version {seen}, which was seen before")]
    Downgrade {
        /// Its version.
        found: u64,
        /// The version seen.
        seen: u64,
    },
    /// It has ended.
    #[error("it ended {0} seconds ago")]
    Expired(u64),
    /// It is from the future, or ends before it begins.
    #[error("it was issued in the future, or ends before it was issued; is the clock right?")]
    Time,
}

/// A key that checks bundles, written `ed25519:BASE64`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A key that signs bundles, written `ed25519-secret:BASE64`. It has no `Debug` and no `Display`.
pub struct SecretKey(SigningKey);

/// Text that isn't a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a key: expected `{0}:` and 32 bytes in base64")]
pub struct KeyError(&'static str);

const PUBLIC: &str = "ed25519";
const SECRET: &str = "ed25519-secret";

fn key_bytes(text: &str, kind: &'static str) -> Result<[u8; 32], KeyError> {
    let encoded = text.trim().strip_prefix(kind).and_then(|rest| rest.strip_prefix(':')).ok_or(KeyError(kind))?;
    STANDARD.decode(encoded).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError(kind))
}

impl PublicKey {
    /// Reads a key; one of low order, under which anything would verify, is refused.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&key_bytes(text, PUBLIC)?).map_err(|_| KeyError(PUBLIC))?;
        if key.is_weak() { Err(KeyError(PUBLIC)) } else { Ok(Self(key)) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}:{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl SecretKey {
    /// Makes a key of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Ok(Self::from_seed(key_bytes(text, SECRET)?))
    }

    /// The key as text, for its file and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{SECRET}:{}", STANDARD.encode(self.0.to_bytes()))
    }

    /// The key that checks what this one signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl Bundle {
    /// Signs requirements.
    #[must_use]
    pub fn sign(
        version: u64,
        audience: &str,
        (issued_at, expires_at): (u64, u64),
        requirements: &str,
        key: &SecretKey,
    ) -> Self {
        let mut bundle = Self {
            version,
            audience: audience.to_owned(),
            issued_at,
            expires_at,
            requirements: requirements.to_owned(),
            signature: String::new(),
        };
        bundle.signature = STANDARD.encode(key.0.sign(&bundle.canonical_bytes()).to_bytes());
        bundle
    }

    /// Reads JSON. Nothing of it may be believed before [`Bundle::verify`].
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        if json.len() > MAX_BUNDLE {
            return Err(BundleError::TooLarge);
        }
        serde_json::from_slice(json).map_err(|error| BundleError::Malformed(error.to_string()))
    }

    /// Writes JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// What is signed: a name, then each field with its length before it, so that no two bundles have the same bytes.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = b"ringfence.dev/v1/policy\0".to_vec();
        for number in [self.version, self.issued_at, self.expires_at] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for text in [&self.audience, &self.requirements] {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// Whether this bundle may be used. The signature is looked at first: nothing else of a forged one is reported.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<(), BundleError> {
        if expected.keys.is_empty() {
            return Err(BundleError::NoKey);
        }
        let signature = STANDARD.decode(&self.signature).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signature = signature.ok_or(BundleError::Signature)?;
        let bytes = self.canonical_bytes();
        if !expected.keys.iter().any(|key| key.0.verify_strict(&bytes, &signature).is_ok()) {
            return Err(BundleError::Signature);
        }
        if let Some(audience) = expected.audience
            && audience != self.audience
        {
            return Err(BundleError::Audience { found: self.audience.clone(), expected: audience.to_owned() });
        }
        if let Some(seen) = expected.seen_version
            && self.version < seen
        {
            return Err(BundleError::Downgrade { found: self.version, seen });
        }
        if self.expires_at <= self.issued_at || self.issued_at > expected.now.saturating_add(CLOCK_SKEW) {
            return Err(BundleError::Time);
        }
        if self.expires_at <= expected.now {
            return Err(BundleError::Expired(expected.now - self.expires_at));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn expected(keys: &[PublicKey]) -> Expected<'_> {
        Expected { keys, audience: Some("acme"), seen_version: Some(4), now: 1_000 }
    }

    fn bundle() -> Bundle {
        Bundle::sign(5, "acme", (900, 2_000), "allowed_web_search_modes = []\n", &key(1))
    }

    #[test]
    fn cf_07_only_the_right_bundle_at_the_right_time_is_used() {
        let keys = [key(2).public(), key(1).public()];
        let expected = expected(&keys);
        let good = bundle();
        assert_eq!(good.verify(&expected), Ok(()));
        assert_eq!(Bundle::parse(good.to_json().as_bytes()), Ok(good.clone()));
        let other = [key(3).public()];
        assert_eq!(good.verify(&Expected { keys: &other, ..expected.clone() }), Err(BundleError::Signature));
        assert_eq!(good.verify(&Expected { keys: &[], ..expected.clone() }), Err(BundleError::NoKey));
        assert!(matches!(
            good.verify(&Expected { audience: Some("other"), ..expected.clone() }),
            Err(BundleError::Audience { .. })
        ));
        assert_eq!(
            good.verify(&Expected { seen_version: Some(6), ..expected.clone() }),
            Err(BundleError::Downgrade { found: 5, seen: 6 })
        );
        assert_eq!(good.verify(&Expected { seen_version: Some(5), ..expected.clone() }), Ok(()));
        assert_eq!(good.verify(&Expected { now: 2_000, ..expected.clone() }), Err(BundleError::Expired(0)));
        assert_eq!(good.verify(&Expected { now: 100, ..expected.clone() }), Err(BundleError::Time));
        let year = 365 * 86_400;
        assert_eq!(good.verify(&Expected { now: 1_000 + year, ..expected }), Err(BundleError::Expired(year - 1_000)));
    }

    #[test]
    fn cf_07_every_field_is_signed() {
        let keys = [key(1).public()];
        let expected = Expected { keys: &keys, audience: None, seen_version: None, now: 1_000 };
        let changes: [fn(&mut Bundle); 5] = [
            |bundle| bundle.version += 1,
            |bundle| bundle.audience.push('x'),
            |bundle| bundle.issued_at -= 1,
            |bundle| bundle.expires_at += 1,
            |bundle| bundle.requirements.clear(),
        ];
        for change in changes {
            let mut changed = bundle();
            change(&mut changed);
            assert_eq!(changed.verify(&expected), Err(BundleError::Signature));
        }
        let mut moved = bundle();
        moved.audience = "acmea".into();
        moved.requirements = "llowed_web_search_modes = []\n".into();
        assert_eq!(moved.verify(&expected), Err(BundleError::Signature));
    }

    #[test]
    fn keys_as_text() {
        let secret = key(7);
        assert_eq!(SecretKey::parse(&secret.reveal()).expect("own text").public(), secret.public());
        assert_eq!(PublicKey::parse(&secret.public().to_string()), Ok(secret.public()));
        let weak = format!("ed25519:{}", STANDARD.encode([0u8; 32]));
        for bad in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", weak.as_str()] {
            assert!(PublicKey::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let keys = [key(1).public()];
            if let Ok(bundle) = Bundle::parse(&bytes) {
                prop_assert!(bundle.verify(&expected(&keys)).is_err());
            }
        }
    }
}
