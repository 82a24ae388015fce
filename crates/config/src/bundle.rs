//! Policy bundles: what a policy service hands out, how it is signed, and when it is believed.
//!
//! Pure: bytes, keys and the time go in; a [`Verified`] policy or the reason it isn't used comes out. Fetching, caching on
//! disk and serving belong to `ringfence-fleet`; reading the requirements text belongs to this crate's requirements
//! module, which takes [`Verified::requirements`] as the text of its cloud source and
//! `Origin::Cloud { cloud: <url>, version: verified.version, line }` as the origin of what it finds there.
//!
//! To whoever works on requirements: [`verify`] is the only maker of `Verified`; [`CacheEntry`] is what the state
//! directory holds (signature kept, verified again at every start); [`Seen`] is the mark below which no version is
//! accepted. Text of a verified bundle that can't be read as requirements fails closed like any other source.
//!
//! A bundle is one JSON object:
//!
//! ```json
//! { "version": 7, "audience": "example-fleet", "issued_at": 1764093600, "expires_at": 1764698400,
//!   "requirements": "allowed_sandbox_modes = [\"read-only\"]\n", "signature": "base64 of 64 bytes" }
//! ```
//!
//! Times are whole seconds since 1970 in UTC. The signature is Ed25519 over [`canonical_bytes`], so neither spacing nor
//! key order of the JSON matters, and no field can be read in two ways.

mod cache;
mod key;
mod time;

pub use cache::{CacheEntry, CacheError, Seen, SeenStore};
pub use key::{KeyError, PublicKey};
pub use time::UnixTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Largest accepted bundle as transported, in bytes.
pub const MAX_BUNDLE: usize = 2 << 20;

/// Largest accepted requirements text, in bytes: the same bound as for a requirements file.
pub const MAX_REQUIREMENTS: usize = 1 << 20;

/// Longest accepted audience, in bytes.
pub const MAX_AUDIENCE: usize = 256;

/// How far a clock may run behind the signer's, in seconds.
pub const CLOCK_TOLERANCE: u64 = 300;

/// Distinguishes these signatures from any other use of the same key; the number changes with the format.
const DOMAIN: &[u8] = b"ringfence.dev/policy-bundle/v1\n";

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Grows with every policy; a lower one than seen before is refused.
    pub version: u64,
    /// Whom it is for, compared exactly with `[cloud] audience`.
    pub audience: String,
    /// When it was signed.
    pub issued_at: UnixTime,
    /// From when on it is no longer used.
    pub expires_at: UnixTime,
    /// The text of a `requirements.toml`.
    pub requirements: String,
}

/// A bundle as transported and cached: nothing in it is believed before [`verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// See [`Content::version`].
    pub version: u64,
    /// See [`Content::audience`].
    pub audience: String,
    /// See [`Content::issued_at`].
    pub issued_at: UnixTime,
    /// See [`Content::expires_at`].
    pub expires_at: UnixTime,
    /// See [`Content::requirements`].
    pub requirements: String,
    /// Ed25519 over [`canonical_bytes`], in Base64 with padding.
    pub signature: String,
}

impl Bundle {
    /// Joins content and the signature over its [`canonical_bytes`].
    #[must_use]
    pub fn new(content: Content, signature: &[u8; 64]) -> Self {
        let Content { version, audience, issued_at, expires_at, requirements } = content;
        Self { version, audience, issued_at, expires_at, requirements, signature: STANDARD.encode(signature) }
    }

    /// What the signature covers.
    #[must_use]
    pub fn content(&self) -> Content {
        Content {
            version: self.version,
            audience: self.audience.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            requirements: self.requirements.clone(),
        }
    }

    /// Reads a transported bundle without believing it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::TooLarge { size: bytes.len(), limit: MAX_BUNDLE });
        }
        let bundle: Self = serde_json::from_slice(bytes).map_err(|cause| malformed(bytes, &cause))?;
        bundle.bounded()
    }

    fn bounded(self) -> Result<Self, BundleError> {
        if self.requirements.len() > MAX_REQUIREMENTS {
            return Err(BundleError::TooLarge { size: self.requirements.len(), limit: MAX_REQUIREMENTS });
        }
        if self.audience.is_empty() || self.audience.len() > MAX_AUDIENCE {
            return Err(BundleError::Malformed {
                line: 0,
                column: 0,
                why: format!("`audience` must have 1 to {MAX_AUDIENCE} bytes"),
            });
        }
        Ok(self)
    }
}

/// The bytes a signature covers: a fixed heading, then every field, each text preceded by its length.
///
/// In order: the heading `ringfence.dev/policy-bundle/v1` and a line feed; `version`, `issued_at`, `expires_at`, each as 8
/// bytes, most significant first; `audience` and `requirements`, each as 8 bytes of length, most significant first, and
/// then its UTF-8 bytes. Two different contents never give the same bytes.
#[must_use]
pub fn canonical_bytes(content: &Content) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DOMAIN.len() + 40 + content.audience.len() + content.requirements.len());
    bytes.extend_from_slice(DOMAIN);
    for number in [content.version, content.issued_at.0, content.expires_at.0] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for text in [&content.audience, &content.requirements] {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// A fingerprint of what was signed, `sha256:` and 64 hex digits.
#[must_use]
pub fn digest(content: &Content) -> String {
    let hash = Sha256::digest(canonical_bytes(content));
    let mut text = String::with_capacity(7 + 64);
    text.push_str("sha256:");
    for byte in hash {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A policy that was signed by a trusted key, is for us, is in force now, and isn't older than one seen before. Only
/// [`verify`] makes it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a policy that is verified and then ignored protects nobody"]
pub struct Verified {
    content: Content,
    key: PublicKey,
    digest: String,
}

impl Verified {
    /// The policy's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.content.version
    }

    /// Whom it is for.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.content.audience
    }

    /// When it was signed.
    #[must_use]
    pub fn issued_at(&self) -> UnixTime {
        self.content.issued_at
    }

    /// Until when it is used.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.content.expires_at
    }

    /// The requirements text, still to be read and validated.
    #[must_use]
    pub fn requirements(&self) -> &str {
        &self.content.requirements
    }

    /// The key that signed it.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The mark that accepting it leaves behind: no lower version, and no other content of this version, is accepted
    /// afterwards.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen { version: self.content.version, digest: self.digest.clone() }
    }
}

/// Why a bundle isn't used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Larger than any policy.
    #[error("the policy bundle has {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// What it has.
        size: usize,
        /// What is accepted.
        limit: usize,
    },
    /// Not a bundle: something else answered, or the file was cut off.
    #[error("this is not a policy bundle: {why}{}", at(*line, *column))]
    Malformed {
        /// Counted from 1; 0 when the whole is meant.
        line: usize,
        /// Counted from 1; 0 when the whole line is meant.
        column: usize,
        /// What the parser met.
        why: String,
    },
    /// There is nothing to check the signature against.
    #[error("no public key is configured to check the policy bundle with; set `[cloud] public_keys`")]
    NoKeys,
    /// No configured key signed this content.
    #[error("none of the {keys} configured public keys signed this policy bundle")]
    Signature {
        /// How many keys were tried.
        keys: usize,
    },
    /// It is someone else's.
    #[error("the policy bundle is for audience `{}`, not for `{}`", shown(found), shown(expected))]
    Audience {
        /// Whom it is for.
        found: String,
        /// Whom we are.
        expected: String,
    },
    /// It ends before it begins.
    #[error("the policy bundle expires ({expires_at}) before it was issued ({issued_at})")]
    Lifetime {
        /// When it was signed.
        issued_at: UnixTime,
        /// When it ends.
        expires_at: UnixTime,
    },
    /// Signed later than now.
    #[error(
        "the policy bundle was issued at {issued_at}, but this machine's clock says {now}; one of the clocks is wrong"
    )]
    NotYetValid {
        /// When it was signed.
        issued_at: UnixTime,
        /// This machine's time.
        now: UnixTime,
    },
    /// No longer in force.
    #[error("the policy bundle (version {version}) expired at {expires_at}, and this machine's clock says {now}")]
    Expired {
        /// Its version.
        version: u64,
        /// When it ended.
        expires_at: UnixTime,
        /// This machine's time.
        now: UnixTime,
    },
    /// An older policy than one that was in force here: a replay.
    #[error("the policy bundle has version {version}, but version {seen} was in force here before")]
    Downgrade {
        /// Its version.
        version: u64,
        /// The highest that was accepted.
        seen: u64,
    },
    /// Two different policies under one version number.
    #[error("this policy bundle has version {version} like the one in force before, but other content")]
    Changed {
        /// The version of both.
        version: u64,
    },
}

impl BundleError {
    /// A stable code for notices and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "policy-bundle-too-large",
            Self::Malformed { .. } => "policy-bundle-malformed",
            Self::NoKeys => "policy-bundle-no-keys",
            Self::Signature { .. } => "policy-bundle-signature",
            Self::Audience { .. } => "policy-bundle-audience",
            Self::Lifetime { .. } => "policy-bundle-lifetime",
            Self::NotYetValid { .. } => "policy-bundle-not-yet-valid",
            Self::Expired { .. } => "policy-bundle-expired",
            Self::Downgrade { .. } => "policy-bundle-downgrade",
            Self::Changed { .. } => "policy-bundle-changed",
        }
    }

    /// What to do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { .. } | Self::Malformed { .. } => {
                Some("check that `[cloud] url` names a policy service and that no proxy or log-in page answers instead")
            }
            Self::NoKeys => Some("the administrator hands out the key that `ringfence policy keygen` printed"),
            Self::Signature { .. } => {
                Some("if the key was changed, add the new one to `[cloud] public_keys` before signing with it")
            }
            Self::Audience { .. } => {
                Some("compare `[cloud] audience` with the audience given to `ringfence policy sign`")
            }
            Self::Lifetime { .. } => Some("sign it again with an expiry after the present time"),
            Self::NotYetValid { .. } => {
                Some("set this machine's clock, or sign again on a machine whose clock is right")
            }
            Self::Expired { .. } => {
                Some("sign and publish a new version; if that was done, check this machine's clock")
            }
            Self::Downgrade { .. } | Self::Changed { .. } => {
                Some("sign with a higher version; the policy service may have been restored from an old copy")
            }
        }
    }
}

/// Reads `bytes` and believes them only if one of `keys` signed them for `audience`, they are in force at `now`, and
/// `last`, the highest version accepted before, doesn't speak against them.
///
/// The signature is checked before anything the bundle claims is looked at.
pub fn verify(
    bytes: &[u8],
    keys: &[PublicKey],
    audience: &str,
    now: UnixTime,
    last: Option<&Seen>,
) -> Result<Verified, BundleError> {
    verify_bundle(&Bundle::parse(bytes)?, keys, audience, now, last)
}

/// As [`verify`], for a bundle that was read before.
pub fn verify_bundle(
    bundle: &Bundle,
    keys: &[PublicKey],
    audience: &str,
    now: UnixTime,
    last: Option<&Seen>,
) -> Result<Verified, BundleError> {
    if keys.is_empty() {
        return Err(BundleError::NoKeys);
    }
    let content = bundle.clone().bounded()?.content();
    let signature = signature_bytes(&bundle.signature)?;
    let message = canonical_bytes(&content);
    let Some(key) = keys.iter().find(|key| key.signed(&message, &signature)) else {
        return Err(BundleError::Signature { keys: keys.len() });
    };
    if content.audience != audience {
        return Err(BundleError::Audience { found: content.audience, expected: audience.to_owned() });
    }
    let Content { version, issued_at, expires_at, .. } = content;
    if expires_at <= issued_at {
        return Err(BundleError::Lifetime { issued_at, expires_at });
    }
    if issued_at.0 > now.0.saturating_add(CLOCK_TOLERANCE) {
        return Err(BundleError::NotYetValid { issued_at, now });
    }
    if expires_at <= now {
        return Err(BundleError::Expired { version, expires_at, now });
    }
    let digest = digest(&content);
    match last {
        Some(seen) if version < seen.version => return Err(BundleError::Downgrade { version, seen: seen.version }),
        Some(seen) if version == seen.version && digest != seen.digest => return Err(BundleError::Changed { version }),
        _ => {}
    }
    Ok(Verified { content, key: key.clone(), digest })
}

fn signature_bytes(text: &str) -> Result<[u8; 64], BundleError> {
    let malformed = |why: &str| BundleError::Malformed { line: 0, column: 0, why: format!("`signature` {why}") };
    // 64 bytes are 88 characters; anything else isn't worth decoding.
    if text.len() != 88 {
        return Err(malformed("is not 64 bytes in Base64 with padding"));
    }
    let bytes = STANDARD.decode(text).map_err(|_| malformed("is not valid Base64"))?;
    bytes.try_into().map_err(|_| malformed("is not 64 bytes long"))
}

/// A parse error in our words, naming the commonest accidents: a web page, an empty answer, a cut-off file.
fn malformed(bytes: &[u8], cause: &serde_json::Error) -> BundleError {
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let why = match start {
        None => "it is empty".to_owned(),
        Some(b'<') => "it is a web page or XML".to_owned(),
        _ if cause.is_eof() => "it ends in the middle".to_owned(),
        _ => {
            let text = cause.to_string();
            let text = text.split(" at line ").next().unwrap_or(&text);
            ringfence_model::text::escape(&text.chars().take(200).collect::<String>())
        }
    };
    BundleError::Malformed { line: cause.line(), column: cause.column(), why }
}

fn at(line: usize, column: usize) -> String {
    match line {
        0 => String::new(),
        line => format!(" (line {line}, column {column})"),
    }
}

fn shown(text: &str) -> String {
    ringfence_model::text::escape(text)
}

#[cfg(test)]
mod tests;
