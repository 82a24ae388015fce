//! One request to a policy service: HTTPS only (plain HTTP to loopback), bounded in time and size, no redirects.

use crate::files;
use ringfence_config::bundle::MAX_BUNDLE;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How long a start waits for the service when nothing is cached, from name resolution to the last byte.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Longest accepted token, in bytes.
const MAX_TOKEN: usize = 4096;

/// A bearer token. It doesn't print.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A token that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file can't be read.
    #[error("can't read the token {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Empty, too long, or with characters that can't be sent.
    #[error("{place} is not a token: expected 16 to {MAX_TOKEN} printable characters without spaces")]
    Form {
        /// Where it came from; never the token.
        place: String,
    },
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Takes a token; `place` says in an error where it came from.
    pub fn new(text: &str, place: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if (16..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenError::Form { place: place.to_owned() })
        }
    }

    /// Reads the tokens of a file, one per line; empty lines and lines that begin with `#` don't count.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, TokenError> {
        let failed = |cause| TokenError::Read { path: path.to_owned(), cause };
        let bytes = files::read_bounded(path, 1 << 20).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(|(index, line)| Self::new(line, &format!("{}:{}", path.display(), index + 1))).collect()
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// Which certificate authorities the service's certificate may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of this machine.
    System,
    /// Only those of a PEM text.
    Pem(Vec<u8>),
}

/// Where policy comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Address of the service, without `/v1/policy`.
    pub url: String,
    /// The machine's or user's token.
    pub token: Option<Token>,
    /// Who vouches for the service's certificate.
    pub roots: Roots,
    /// Time for everything.
    pub deadline: Duration,
}

/// What the service said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// What we have is still the latest.
    NotModified,
    /// These bytes, not yet believed.
    Bytes {
        /// The body.
        bytes: Vec<u8>,
        /// Its validator.
        etag: Option<String>,
    },
}

/// Why nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not an address, or one with a password, query or fragment in it.
    #[error("`{url}` is not the address of a policy service: {why}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Policy and token would cross a network in the clear.
    #[error("`{url}` is plain HTTP, which is only used to this machine itself; use `https://`")]
    Insecure {
        /// As configured.
        url: String,
    },
    /// It points elsewhere.
    #[error("the policy service answered {status} and points to `{to}`; redirects aren't followed")]
    Redirect {
        /// The status.
        status: u16,
        /// Where to.
        to: String,
    },
    /// It knows us not, or not this token.
    #[error("the policy service answered {status}: the token is {}", if *missing { "missing" } else { "not accepted" })]
    Unauthorized {
        /// 401 or 403.
        status: u16,
        /// Whether we had none to send.
        missing: bool,
    },
    /// Some other answer.
    #[error("the policy service answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// More bytes than any policy has.
    #[error("the policy service sent more than {MAX_BUNDLE} bytes")]
    TooLarge,
    /// It took too long.
    #[error("the policy service didn't answer within {} s", deadline.as_secs_f32())]
    Deadline {
        /// What it had.
        deadline: Duration,
    },
    /// It isn't there.
    #[error("no connection to the policy service: {why}")]
    Connect {
        /// What the system says.
        why: String,
    },
    /// Its certificate isn't one that we trust, or TLS failed otherwise.
    #[error("no trusted TLS connection to the policy service: {why}")]
    Tls {
        /// What failed.
        why: String,
    },
    /// The certificate authorities can't be read.
    #[error("no certificate authorities to check the policy service with: {why}")]
    Roots {
        /// What is wrong with them.
        why: String,
    },
    /// It broke off, or doesn't speak HTTP.
    #[error("the policy service's answer can't be read: {why}")]
    Protocol {
        /// What was met.
        why: String,
    },
}

/// Asks the service once. With `etag`, only for something newer.
pub fn fetch(source: &Source, etag: Option<&str>) -> Result<Fetched, FetchError> {
    let address = address(&source.url)?;
    let mut config = ureq::Agent::config_builder()
        .https_only(!address.loopback_http)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(32 << 10)
        .timeout_global(Some(source.deadline))
        .user_agent(concat!("ringfence/", env!("CARGO_PKG_VERSION")))
        .accept("application/json");
    if address.loopback_http {
        // A request to this machine has no business at a proxy.
        config = config.proxy(None);
    } else {
        config = config.tls_config(tls(&source.roots)?);
    }
    let agent: ureq::Agent = config.build().into();
    let mut request = agent.get(format!("{}/v1/policy", address.base));
    if let Some(token) = &source.token {
        request = request.header("authorization", format!("Bearer {}", token.text()));
    }
    if let Some(etag) = etag.filter(|etag| etag.bytes().all(|byte| (0x20..0x7f).contains(&byte))) {
        request = request.header("if-none-match", etag);
    }
    let mut response = request.call().map_err(|error| explain(error, source.deadline))?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match response.status().as_u16() {
        200 => {}
        304 if etag.is_some() => return Ok(Fetched::NotModified),
        status @ 300..=399 => {
            let to = header("location").unwrap_or_default();
            let to: String = to.chars().take(200).collect();
            return Err(FetchError::Redirect { status, to: ringfence_model::text::escape(&to) });
        }
        status @ (401 | 403) => return Err(FetchError::Unauthorized { status, missing: source.token.is_none() }),
        status => return Err(FetchError::Status { status }),
    }
    let etag = header("etag").filter(|etag| etag.len() <= 256);
    let bytes = response.body_mut().with_config().limit(MAX_BUNDLE as u64).read_to_vec();
    let bytes = bytes.map_err(|error| explain(error, source.deadline))?;
    Ok(Fetched::Bytes { bytes, etag })
}

struct Address {
    base: String,
    loopback_http: bool,
}

/// Reads a configured address strictly; what is left out (user, query, fragment) could only confuse who is asked.
fn address(url: &str) -> Result<Address, FetchError> {
    let bad = |why| Err(FetchError::Url { url: ringfence_model::text::escape(url), why });
    if url.len() > 2048 || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad("it has spaces, control or non-ASCII characters, or is too long");
    }
    let base = url.trim_end_matches('/');
    let (scheme, rest) = match base.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => return bad("it begins with neither `https://` nor `http://`"),
    };
    if rest.contains(['@', '?', '#', '\\']) {
        return bad("user names, queries and fragments aren't accepted");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return bad("it names no host");
    }
    match scheme.as_str() {
        "https" => Ok(Address { base: base.to_owned(), loopback_http: false }),
        "http" if is_loopback(authority) => Ok(Address { base: base.to_owned(), loopback_http: true }),
        // The name is whatever a resolver says; the address isn't.
        "http" if host(authority).eq_ignore_ascii_case("localhost") => {
            let base = format!("http://127.0.0.1{}", rest.get("localhost".len()..).unwrap_or_default());
            Ok(Address { base, loopback_http: true })
        }
        "http" => Err(FetchError::Insecure { url: ringfence_model::text::escape(url) }),
        _ => bad("it begins with neither `https://` nor `http://`"),
    }
}

fn is_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix("[::1]") {
        return rest.is_empty() || rest.starts_with(':');
    }
    host(authority).parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn host(authority: &str) -> &str {
    authority.split(':').next().unwrap_or_default()
}

fn tls(roots: &Roots) -> Result<TlsConfig, FetchError> {
    let certificates: Vec<Certificate<'static>> = match roots {
        Roots::Pem(pem) => parse_pem(pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(error) => Some(Err(FetchError::Roots { why: error.to_string() })),
            })
            .collect::<Result<_, _>>()?,
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let why = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
                return Err(FetchError::Roots { why });
            }
            found.certs.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect()
        }
    };
    if certificates.is_empty() {
        return Err(FetchError::Roots { why: "the file has no certificate".to_owned() });
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

fn explain(error: ureq::Error, deadline: Duration) -> FetchError {
    let said = |text: String| ringfence_model::text::escape(&text.chars().take(300).collect::<String>());
    match error {
        ureq::Error::Timeout(_) => FetchError::Deadline { deadline },
        ureq::Error::BodyExceedsLimit(_) => FetchError::TooLarge,
        ureq::Error::HostNotFound => FetchError::Connect { why: "the host name isn't known".to_owned() },
        ureq::Error::Rustls(cause) => FetchError::Tls { why: said(cause.to_string()) },
        ureq::Error::Tls(why) => FetchError::Tls { why: why.to_owned() },
        ureq::Error::Io(cause) => match cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => FetchError::Tls { why: said(tls.to_string()) },
            None if matches!(cause.kind(), io::ErrorKind::TimedOut) => FetchError::Deadline { deadline },
            None if matches!(
                cause.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::ConnectionReset
            ) =>
            {
                FetchError::Protocol { why: said(cause.to_string()) }
            }
            None => FetchError::Connect { why: said(cause.to_string()) },
        },
        ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            FetchError::Connect { why: said(error.to_string()) }
        }
        other => FetchError::Protocol { why: said(other.to_string()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine() {
        for good in ["https://policy.example.com", "https://policy.example.com:8443/base/", "HTTPS://h"] {
            assert!(address(good).is_ok_and(|address| !address.loopback_http), "{good}");
        }
        for good in ["http://127.0.0.1:8080", "http://[::1]:1/", "http://127.1.2.3"] {
            assert!(address(good).is_ok_and(|address| address.loopback_http), "{good}");
        }
        assert_eq!(address("http://localhost:1/x/").map(|address| address.base), Ok("http://127.0.0.1:1/x".to_owned()));
        for plain in [
            "http://policy.example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://[::2]",
            "http://2130706433",
        ] {
            assert!(matches!(address(plain), Err(FetchError::Insecure { .. })), "{plain}");
        }
        for bad in [
            "",
            "policy.example.com",
            "ftp://h",
            "https://",
            "https:///x",
            "https://u:p@h",
            "https://h?x",
            "https://h#x",
            "https://h\\@x",
            "https://h h",
            "http://127.0.0.1@evil.example",
        ] {
            assert!(matches!(address(bad), Err(FetchError::Url { .. })), "{bad}");
        }
    }

    #[test]
    fn tokens_are_sendable_and_silent() {
        assert!(Token::new("0123456789abcdef\n", "t").is_ok());
        for bad in ["", "short", "0123456789abcde f0", "0123456789abcdef\r\nX: y", "0123456789abcdé0"] {
            assert!(Token::new(bad, "t").is_err(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Token::new("0123456789abcdef", "t").expect("token")), "Token(…)");
    }
}
