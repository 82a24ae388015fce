//! Making a bundle: the checks that belong before a signature, since a signed mistake reaches every machine.

use crate::key::SecretKey;
use ringfence_config::bundle::{
    Bundle, Content, MAX_AUDIENCE, MAX_BUNDLE, MAX_REQUIREMENTS, UnixTime, canonical_bytes,
};

/// What shall be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The text of a `requirements.toml`.
    pub requirements: String,
    /// Whom it is for.
    pub audience: String,
    /// Higher than that of every bundle signed before for this audience.
    pub version: u64,
    /// The moment of signing.
    pub issued_at: UnixTime,
    /// How long it is in force, in seconds.
    pub lifetime: u64,
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// No machine could use the text.
    #[error("the requirements can't be read, and no machine would run anything with them: {why}")]
    Requirements {
        /// What the reader of requirements says.
        why: String,
    },
    /// More text than a machine accepts.
    #[error("the requirements have {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// What they have.
        size: usize,
        /// What is accepted.
        limit: usize,
    },
    /// No audience, or one too long.
    #[error("the audience must have 1 to {MAX_AUDIENCE} bytes")]
    Audience,
    /// Version 0 leaves no lower number for "nothing yet".
    #[error("the version must be at least 1")]
    Version,
    /// Machines that have the previous bundle would refuse it.
    #[error("version {version} isn't higher than {previous}, the version of the bundle in force")]
    NotHigher {
        /// What was asked for.
        version: u64,
        /// What is out already.
        previous: u64,
    },
    /// Expired at once.
    #[error("the lifetime must be at least one second")]
    Lifetime,
}

/// Signs `draft`. `check` reads the requirements text as a machine will; `previous` is the bundle that is out now.
pub fn sign(
    draft: Draft,
    key: &SecretKey,
    previous: Option<&Bundle>,
    check: impl FnOnce(&str) -> Result<(), String>,
) -> Result<Bundle, SignError> {
    let Draft { requirements, audience, version, issued_at, lifetime } = draft;
    if requirements.len() > MAX_REQUIREMENTS {
        return Err(SignError::TooLarge { size: requirements.len(), limit: MAX_REQUIREMENTS });
    }
    if audience.is_empty() || audience.len() > MAX_AUDIENCE {
        return Err(SignError::Audience);
    }
    if version == 0 {
        return Err(SignError::Version);
    }
    if lifetime == 0 {
        return Err(SignError::Lifetime);
    }
    match previous {
        Some(previous) if previous.audience == audience && previous.version >= version => {
            return Err(SignError::NotHigher { version, previous: previous.version });
        }
        _ => {}
    }
    check(&requirements).map_err(|why| SignError::Requirements { why })?;
    let content = Content { version, audience, issued_at, expires_at: issued_at.plus(lifetime), requirements };
    let signature = key.sign(&canonical_bytes(&content));
    let bundle = Bundle::new(content, &signature);
    // Escapes can double a text of quotes and line ends on the wire.
    let size = serde_json::to_vec(&bundle).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX_BUNDLE {
        return Err(SignError::TooLarge { size, limit: MAX_BUNDLE });
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfence_config::bundle::verify_bundle;

    fn draft() -> Draft {
        Draft {
            requirements: "allowed_sandbox_modes = [\"read-only\"]\n".to_owned(),
            audience: "example-fleet".to_owned(),
            version: 7,
            issued_at: UnixTime(1_764_093_600),
            lifetime: 86_400,
        }
    }

    #[test]
    fn what_is_signed_is_believed() {
        let key = SecretKey::generate().expect("key");
        let bundle = sign(draft(), &key, None, |_| Ok(())).expect("signed");
        let keys = [key.public().expect("public")];
        let verified = verify_bundle(&bundle, &keys, "example-fleet", UnixTime(1_764_093_600), None).expect("believed");
        assert_eq!(verified.expires_at(), UnixTime(1_764_093_600 + 86_400));
    }

    #[test]
    fn mistakes_are_not_signed() {
        let key = SecretKey::generate().expect("key");
        let previous = sign(draft(), &key, None, |_| Ok(())).expect("signed");
        let attempt = |draft: Draft| sign(draft, &key, Some(&previous), |_| Ok(())).expect_err("not signed");
        assert_eq!(attempt(draft()), SignError::NotHigher { version: 7, previous: 7 });
        assert_eq!(attempt(Draft { version: 0, ..draft() }), SignError::Version);
        assert_eq!(attempt(Draft { lifetime: 0, version: 8, ..draft() }), SignError::Lifetime);
        assert_eq!(attempt(Draft { audience: String::new(), ..draft() }), SignError::Audience);
        let huge = Draft { requirements: "\"".repeat(MAX_REQUIREMENTS), version: 8, ..draft() };
        assert!(matches!(attempt(huge), SignError::TooLarge { .. }));
        let unreadable = sign(Draft { version: 8, ..draft() }, &key, None, |_| Err("line 1".to_owned()));
        assert!(matches!(unreadable, Err(SignError::Requirements { .. })));
    }
}
