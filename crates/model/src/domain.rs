//! Patterns of hosts and ports, as domain rules write them: `example.com`, `*.example.com`, `**.example.com`, `*`, an
//! address, each with an optional port.
//!
//! A pattern is strict: text that two readers could understand differently (other spellings of addresses, other
//! scripts, user information, paths) is an error with its reason, never tidied up. What a *request* names is read by
//! the proxy into the same canonical form before it is compared.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest name, without the trailing dot (RFC 1035).
pub const MAX_NAME: usize = 253;
/// Longest label (RFC 1035).
pub const MAX_LABEL: usize = 63;

/// Which hosts, on which ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainPattern {
    host: HostPattern,
    ports: Ports,
}

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `*`: every name and every address.
    Everything,
    /// `example.com`: this name only.
    Exact(String),
    /// `*.example.com`: names below, not the name itself.
    Below(String),
    /// `**.example.com`: the name and names below.
    At(String),
    /// An address; an IPv4-mapped IPv6 address is the IPv4 address.
    Address(IpAddr),
}

/// Which ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// None was written: 80 and 443.
    Web,
    /// `:*`.
    Every,
    /// `:8443`.
    Only(u16),
}

impl Ports {
    /// Whether the port is among them.
    #[must_use]
    pub fn include(self, port: u16) -> bool {
        match self {
            Self::Web => matches!(port, 80 | 443),
            Self::Every => true,
            Self::Only(only) => only == port,
        }
    }
}

impl DomainPattern {
    /// Which hosts.
    #[must_use]
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// Which ports.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Whether this is `*`, whatever the port. Such a pattern can allow, but not deny.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.host == HostPattern::Everything
    }

    /// Whether a canonical name (lower case, ASCII, no trailing dot) on this port is meant.
    #[must_use]
    pub fn matches_name(&self, name: &str, port: u16) -> bool {
        self.ports.include(port)
            && match &self.host {
                HostPattern::Everything => true,
                HostPattern::Exact(exact) => exact == name,
                HostPattern::Below(apex) => is_below(name, apex),
                HostPattern::At(apex) => apex == name || is_below(name, apex),
                HostPattern::Address(_) => false,
            }
    }

    /// Whether an address on this port is meant.
    #[must_use]
    pub fn matches_address(&self, address: IpAddr, port: u16) -> bool {
        self.ports.include(port)
            && match &self.host {
                HostPattern::Everything => true,
                HostPattern::Address(mine) => *mine == address.to_canonical(),
                _ => false,
            }
    }
}

fn is_below(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex).and_then(|front| front.strip_suffix('.')).is_some_and(|front| !front.is_empty())
}

/// A pattern that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainError {
    text: String,
    reason: DomainFault,
}

impl DomainError {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> &DomainFault {
        &self.reason
    }
}

/// What is wrong with a pattern or name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainFault {
    /// Nothing, or nothing but a port.
    Empty,
    /// A scheme such as `https://`.
    Scheme,
    /// A path, query or fragment.
    Path,
    /// `user@`.
    UserInfo,
    /// A character outside ASCII.
    NotAscii,
    /// A character that no host name has.
    Character(char),
    /// Two dots in a row, or a leading dot.
    EmptyLabel,
    /// A label of more than 63 characters.
    LongLabel,
    /// More than 253 characters.
    LongName,
    /// A label that begins or ends with `-`.
    Hyphen,
    /// A star other than `*`, a leading `*.` or a leading `**.`.
    Star,
    /// Another spelling of an IPv4 address, or a name that some programs read as one.
    LooksLikeAddress,
    /// Brackets without an IPv6 address in them, or an address with a zone.
    Brackets,
    /// A port that isn't 1 to 65535 or `*`.
    Port,
}

impl fmt::Display for DomainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it names no host"),
            Self::Scheme => {
                f.write_str("a scheme such as `https://` doesn't belong here: write only the host and port")
            }
            Self::Path => f.write_str("a path doesn't belong here: write only the host and port"),
            Self::UserInfo => f.write_str("a user name doesn't belong here"),
            Self::NotAscii => f.write_str("write names of other scripts in their `xn--` form"),
            Self::Character(c) => {
                write!(f, "`{}` can't be part of a host name", crate::text::escape(c.encode_utf8(&mut [0; 4])))
            }
            Self::EmptyLabel => f.write_str("it has an empty part between dots"),
            Self::LongLabel => write!(f, "a part between dots is longer than {MAX_LABEL} characters"),
            Self::LongName => write!(f, "it is longer than {MAX_NAME} characters"),
            Self::Hyphen => f.write_str("a part between dots begins or ends with `-`"),
            Self::Star => f.write_str("a star stands alone or in front: `*`, `*.example.com`, `**.example.com`"),
            Self::LooksLikeAddress => {
                f.write_str("its last part is a number: write an IPv4 address as four decimal numbers")
            }
            Self::Brackets => f.write_str("brackets hold an IPv6 address without a zone"),
            Self::Port => f.write_str("a port is a number from 1 to 65535, or `*`"),
        }
    }
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no domain pattern: {}", crate::text::escape(&self.text), self.reason)
    }
}

impl std::error::Error for DomainError {}

impl FromStr for DomainPattern {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        parse(text).map_err(|reason| DomainError { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<DomainPattern, DomainFault> {
    refuse_foreign(text)?;
    if let Ok(v6) = text.parse::<Ipv6Addr>() {
        return Ok(DomainPattern { host: HostPattern::Address(IpAddr::V6(v6).to_canonical()), ports: Ports::Web });
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(DomainFault::Brackets)?;
        let v6: Ipv6Addr = inside.parse().map_err(|_| DomainFault::Brackets)?;
        let ports = match after.strip_prefix(':') {
            Some(port) => parse_ports(port)?,
            None if after.is_empty() => Ports::Web,
            None => return Err(DomainFault::Brackets),
        };
        return Ok(DomainPattern { host: HostPattern::Address(IpAddr::V6(v6).to_canonical()), ports });
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, port)) => (host, parse_ports(port)?),
        None => (text, Ports::Web),
    };
    Ok(DomainPattern { host: parse_host(host)?, ports })
}

fn refuse_foreign(text: &str) -> Result<(), DomainFault> {
    if !text.is_ascii() {
        return Err(DomainFault::NotAscii);
    }
    if text.contains("://") {
        return Err(DomainFault::Scheme);
    }
    if text.contains('@') {
        return Err(DomainFault::UserInfo);
    }
    if text.contains(['/', '?', '#']) {
        return Err(DomainFault::Path);
    }
    Ok(())
}

fn parse_ports(text: &str) -> Result<Ports, DomainFault> {
    if text == "*" { Ok(Ports::Every) } else { parse_port(text).map(Ports::Only).ok_or(DomainFault::Port) }
}

/// A port in its one spelling: decimal, 1 to 65535, no sign, no leading zero.
#[must_use]
pub fn parse_port(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

fn parse_host(text: &str) -> Result<HostPattern, DomainFault> {
    if text == "*" {
        return Ok(HostPattern::Everything);
    }
    if let Some(apex) = text.strip_prefix("**.") {
        return parse_name(apex).map(HostPattern::At);
    }
    if let Some(apex) = text.strip_prefix("*.") {
        return parse_name(apex).map(HostPattern::Below);
    }
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Ok(HostPattern::Address(IpAddr::V4(v4)));
    }
    parse_name(text).map(HostPattern::Exact)
}

/// Reads a name into its canonical form: lower case, without the one trailing dot it may have.
///
/// # Errors
/// Whatever keeps it from being a host name that every resolver reads the same way; a name whose last label is a number
/// is refused, because `getaddrinfo` takes it for an address.
pub fn parse_name(text: &str) -> Result<String, DomainFault> {
    if !text.is_ascii() {
        return Err(DomainFault::NotAscii);
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(DomainFault::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(DomainFault::LongName);
    }
    for label in text.split('.') {
        check_label(label)?;
    }
    let last = text.rsplit('.').next().unwrap_or(text);
    if is_number(last) {
        return Err(DomainFault::LooksLikeAddress);
    }
    Ok(text.to_ascii_lowercase())
}

fn check_label(label: &str) -> Result<(), DomainFault> {
    if label.is_empty() {
        return Err(DomainFault::EmptyLabel);
    }
    if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
        return Err(if c == '*' { DomainFault::Star } else { DomainFault::Character(c) });
    }
    if label.len() > MAX_LABEL {
        return Err(DomainFault::LongLabel);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(DomainFault::Hyphen);
    }
    Ok(())
}

/// Whether a label is read as a number by `inet_aton`: decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    hex.map_or_else(
        || label.bytes().all(|byte| byte.is_ascii_digit()),
        |digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(apex) => write!(f, "*.{apex}"),
            Self::At(apex) => write!(f, "**.{apex}"),
            Self::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports {
            Ports::Web => write!(f, "{}", self.host),
            Ports::Every => write!(f, "{}:*", self.host),
            Ports::Only(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl Serialize for DomainPattern {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DomainPattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
