//! Who may use a listener that others on the machine can reach: a name and a token of this run.
//!
//! Where the sandbox has no network of its own, the proxy listens on the machine's loopback, and a port there is open to
//! everybody. The token is what tells the sandbox's connections from others; it is compared in constant time.

use crate::text::{base64, percent_decode};
use http::HeaderValue;
use rustls::crypto::GetRandomFailed;
use std::fmt;
use subtle::ConstantTimeEq;

/// The name in every credential.
const USER: &str = "ringfence";
/// Random bytes in a token.
const TOKEN: usize = 32;

/// A name and a token. Printing it shows no token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    token: String,
    /// What `Proxy-Authorization` must say after the scheme.
    basic: String,
}

impl Credential {
    /// A new one, which nobody can guess.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, GetRandomFailed> {
        let mut bytes = [0; TOKEN];
        rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes)?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let basic = basic(&format!("{USER}:{token}"));
        Ok(Self { token, basic })
    }

    /// `user:token`, as it stands in a proxy's address. No byte of it needs an escape there.
    #[must_use]
    pub fn userinfo(&self) -> String {
        format!("{USER}:{}", self.token)
    }

    /// Whether these are its name and token (RFC 1929).
    #[must_use]
    pub fn admits(&self, user: &[u8], token: &[u8]) -> bool {
        let user = USER.as_bytes().ct_eq(user);
        (user & self.token.as_bytes().ct_eq(token)).into()
    }

    /// Whether a `Proxy-Authorization` header holds it (RFC 7617).
    #[must_use]
    pub(crate) fn admits_basic(&self, header: &HeaderValue) -> bool {
        match header.as_bytes().split_first_chunk::<6>() {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"basic ") => {
                self.basic.as_bytes().ct_eq(given.trim_ascii()).into()
            }
            _ => false,
        }
    }
}

/// What stands after `Basic` in a header, for the user information of a proxy's address.
#[must_use]
pub fn basic(userinfo: &str) -> String {
    base64(&percent_decode(userinfo))
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_and_token_are_admitted_and_printing_shows_neither() {
        let one = Credential::new().unwrap();
        assert_ne!(one, Credential::new().unwrap());
        assert_eq!(one.token.len(), 64);
        assert!(one.admits(b"ringfence", one.token.as_bytes()));
        for (user, token) in
            [("", one.token.as_str()), ("Ringfence", &one.token), ("ringfence", ""), ("ringfence", &one.token[1..])]
        {
            assert!(!one.admits(user.as_bytes(), token.as_bytes()), "{user}");
        }
        let header = |text: String| HeaderValue::try_from(text).unwrap();
        assert!(one.admits_basic(&header(format!("Basic {}", one.basic))));
        assert!(one.admits_basic(&header(format!("bAsIc  {}", one.basic))));
        for other in [
            String::new(),
            one.basic.clone(),
            format!("Bearer {}", one.basic),
            format!("Basic {}x", one.basic),
            "Basic ".to_owned(),
        ] {
            assert!(!one.admits_basic(&header(other.clone())), "{other}");
        }
        assert!(!format!("{one:?}").contains(&one.token[..8]));
    }
}
