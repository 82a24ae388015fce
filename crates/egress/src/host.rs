//! The one reading of a host that a client names: parsed once into a canonical form, or refused.
//!
//! Every front (HTTP authority, `Host`, SOCKS name, TLS server name) comes through here, so that what is judged, what is
//! resolved and what is connected to can't be three different things. Nothing is stripped: bytes that don't belong are
//! an error. A name whose last label is a number is refused, because `getaddrinfo` would take it for an address.

use ringfence_model::domain::{self, DomainFault};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Lower case, ASCII, no trailing dot, at most 253 bytes.
    Name(Box<str>),
    /// An address; IPv4-mapped IPv6 is IPv4.
    Address(IpAddr),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

/// Text that names no host, or names one in a way that two programs could read differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Not a host name.
    #[error("not a host name: {0}")]
    Name(DomainFault),
    /// Bytes that are not UTF-8.
    #[error("not a host name: it isn't text")]
    Bytes,
    /// A name of another script, or an `xn--` label, that IDNA refuses.
    #[error("not a host name: IDNA refuses it")]
    Idna,
    /// `user@host`.
    #[error("a user name before the host isn't accepted")]
    UserInfo,
    /// No port where one is needed, or one that isn't 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// Brackets without an IPv6 address, or with a zone.
    #[error("brackets must hold an IPv6 address without a zone")]
    Brackets,
}

impl Host {
    /// Reads a bare host: a name, an IPv4 address in four decimal numbers, or an IPv6 address without brackets.
    ///
    /// # Errors
    /// Everything that isn't exactly that.
    pub fn parse(bytes: &[u8]) -> Result<Self, HostError> {
        let text = std::str::from_utf8(bytes).map_err(|_| HostError::Bytes)?;
        if let Ok(v4) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(v4)));
        }
        if let Ok(v6) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(IpAddr::V6(v6).to_canonical()));
        }
        let name = if text.is_ascii() {
            domain::parse_name(text).map_err(HostError::Name)?
        } else {
            let ascii = idna::domain_to_ascii_strict(text).map_err(|_| HostError::Idna)?;
            domain::parse_name(&ascii).map_err(HostError::Name)?
        };
        if name.split('.').any(|label| label.starts_with("xn--")) {
            check_punycode(&name)?;
        }
        Ok(Self::Name(name.into_boxed_str()))
    }

    /// The name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }

    /// Whether this is `localhost` or a name below it, which resolvers answer with loopback (RFC 6761).
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        self.name().is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
    }
}

/// An `xn--` name must be what IDNA itself would write, else two readers could see two names.
fn check_punycode(name: &str) -> Result<(), HostError> {
    let (unicode, outcome) = idna::domain_to_unicode(name);
    outcome.map_err(|_| HostError::Idna)?;
    let again = idna::domain_to_ascii(&unicode).map_err(|_| HostError::Idna)?;
    if again == name { Ok(()) } else { Err(HostError::Idna) }
}

impl Target {
    /// Reads `host:port`, `[v6]:port`, or without a port if `default` gives one.
    ///
    /// # Errors
    /// Everything else: user information, paths, zones, other spellings.
    pub fn parse(authority: &str, default: Option<u16>) -> Result<Self, HostError> {
        if authority.contains('@') {
            return Err(HostError::UserInfo);
        }
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(HostError::Brackets)?;
            let v6: Ipv6Addr = inside.parse().map_err(|_| HostError::Brackets)?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(HostError::Brackets),
            };
            (Host::Address(IpAddr::V6(v6).to_canonical()), port)
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (Host::parse(host.as_bytes())?, Some(port)),
                None => (Host::parse(authority.as_bytes())?, None),
            }
        };
        let port = match port {
            Some(port) => domain::parse_port(port),
            None => default,
        };
        Ok(Self { host, port: port.filter(|port| *port != 0).ok_or(HostError::Port)? })
    }

    /// As an HTTP authority, without the port if it is the scheme's own.
    #[must_use]
    pub fn authority(&self, default_port: u16) -> String {
        if self.port == default_port { self.host.to_string() } else { self.to_string() }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> Result<String, HostError> {
        Host::parse(text.as_bytes()).map(|host| host.to_string())
    }

    #[test]
    fn px_02_every_spelling_of_an_address_is_that_address_or_refused() {
        for text in [
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "00000000177.1",
            "127.1",
            "0xA9FEA9FE",
            "169.254.43518",
            "127.0.0.1.",
            "127.000.000.001",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "0",
            "example.1",
            "::1%lo",
            "1.2.3.4.5",
        ] {
            assert!(Host::parse(text.as_bytes()).is_err(), "{text}");
            assert!(Target::parse(&format!("{text}:80"), None).is_err(), "{text}");
        }
        for text in ["[::1%25lo]:80", "[::1%lo]:80", "::1:80:", "[127.0.0.1]:80", "[::1]80"] {
            assert!(Target::parse(text, None).is_err(), "{text}");
        }
        assert_eq!(Target::parse("[::ffff:7f00:1]:80", None).unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(host("::ffff:127.0.0.1").unwrap(), "127.0.0.1");
        assert_eq!(host("0:0:0:0:0:0:0:1").unwrap(), "[::1]");
    }

    #[test]
    fn px_03_names_are_canonical_and_bytes_that_do_not_belong_are_refused() {
        assert_eq!(host("EXAMPLE.com.").unwrap(), "example.com");
        assert_eq!(host("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(host("XN--BCHER-KVA.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(host("my_host.example").unwrap(), "my_host.example");
        let long = format!("{}com", "abcdefg.".repeat(32));
        for text in [
            "",
            ".",
            "example.com..",
            "a..b",
            "xn--a.example",
            "xn--.example",
            "xn--bcher-kva-.example",
            &long,
            "a\0b",
            "a\rb",
            "a\nb",
            "a b",
            "a\tb",
            "a%00b",
            "a%2eb",
            "a\\b",
            "user@host",
            "host#x",
            "host/x",
            "host?x",
            "-a.b",
            "127.0.0.1\0.allowed.com",
            "a:80",
            "a*b",
            "ex\u{200b}ample.com\u{202e}",
        ] {
            assert!(host(text).is_err(), "{text:?} was read as {:?}", host(text));
        }
        assert!(Host::parse(b"a\xff").is_err());
    }

    #[test]
    fn px_03_an_authority_holds_a_host_and_a_port_and_nothing_else() {
        for text in [
            "allowed.com:80@evil.com",
            "evil.com/allowed.com:80",
            "a:b:80",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a:080",
            ":80",
        ] {
            assert!(Target::parse(text, Some(80)).is_err(), "{text}");
        }
        assert!(Target::parse("a", None).is_err());
        assert_eq!(Target::parse("A.", Some(80)).unwrap().to_string(), "a:80");
    }

    proptest! {
        #[test]
        fn a_canonical_host_reads_as_itself(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(host) = Host::parse(&bytes) {
                let text = host.to_string();
                prop_assert!(text.is_ascii());
                let bare = text.trim_start_matches('[').trim_end_matches(']');
                prop_assert_eq!(Host::parse(bare.as_bytes()), Ok(host.clone()));
                prop_assert_eq!(Target::parse(&format!("{text}:1"), None).map(|target| target.host), Ok(host));
            }
        }
    }
}
