//! Reading SOCKS5 (RFC 1928) messages: pure, from bytes, strict.
//!
//! Lengths are as given, names go through the one host type, and what isn't SOCKS5 without authentication is refused: who
//! may connect at all was settled before.

use crate::host::{Host, HostError, Target};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The one method of authentication that is taken: none.
pub const NO_METHOD: u8 = 0;

/// What a prefix of a message says so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// The message, and its length.
    Whole(T, usize),
    /// More bytes are needed.
    Partial,
}

/// What keeps a message from being understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocksError {
    /// Another version, or another protocol.
    #[error("not SOCKS version 5")]
    Version,
    /// The client insists on authenticating.
    #[error("the client doesn't offer to go without authentication")]
    Method,
    /// A reserved byte that isn't zero.
    #[error("a reserved byte isn't zero")]
    Reserved,
    /// An unknown address type.
    #[error("unknown address type {0}")]
    AddressType(u8),
    /// A name that is none.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Port 0.
    #[error("port 0 is no destination")]
    Port,
    /// A fragment of a datagram.
    #[error("fragmented datagrams aren't accepted")]
    Fragment,
}

impl SocksError {
    /// The reply code that fits.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::AddressType(_) => Reply::AddressType,
            Self::Host(_) | Self::Port => Reply::NotAllowed,
            _ => Reply::General,
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A connection.
    Connect,
    /// A listening socket: never given.
    Bind,
    /// A relay for datagrams.
    UdpAssociate,
    /// Nothing that exists.
    Unknown(u8),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What for.
    pub command: Command,
    /// Where to; an error if it can't be read as a destination.
    pub target: Result<Target, SocksError>,
}

/// Reply codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    /// Connected.
    Succeeded = 0,
    /// Something else went wrong.
    General = 1,
    /// A rule refuses it.
    NotAllowed = 2,
    /// The name has no address, or it can't be reached.
    HostUnreachable = 4,
    /// The other side refused.
    Refused = 5,
    /// It didn't answer in time.
    TimedOut = 6,
    /// The command isn't offered.
    Command = 7,
    /// The address type isn't known.
    AddressType = 8,
}

impl Reply {
    /// The reply as it is sent, with the address bound, or zeros.
    #[must_use]
    pub fn bytes(self, bound: Option<std::net::SocketAddr>) -> Vec<u8> {
        let mut out = vec![5, self as u8, 0];
        let bound = bound.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into());
        push_address(&mut out, bound);
        out
    }
}

fn push_address(out: &mut Vec<u8>, address: std::net::SocketAddr) {
    match address.ip() {
        IpAddr::V4(v4) => {
            out.push(1);
            out.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            out.push(4);
            out.extend_from_slice(&v6.octets());
        }
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

/// Reads the greeting: version and the methods offered, [`NO_METHOD`] among them.
///
/// # Errors
/// Another version, or other methods alone.
pub fn greeting(bytes: &[u8]) -> Result<Read<()>, SocksError> {
    match bytes {
        [] => Ok(Read::Partial),
        [5] => Ok(Read::Partial),
        [5, count, rest @ ..] => match rest.get(..usize::from(*count)) {
            None => Ok(Read::Partial),
            Some(methods) if methods.contains(&NO_METHOD) => Ok(Read::Whole((), 2 + methods.len())),
            Some(_) => Err(SocksError::Method),
        },
        _ => Err(SocksError::Version),
    }
}

/// Reads a request.
///
/// # Errors
/// What isn't a request at all. A destination that can't be read is part of the request, so that it can be answered.
pub fn request(bytes: &[u8]) -> Result<Read<Request>, SocksError> {
    match bytes {
        [version, ..] if *version != 5 => Err(SocksError::Version),
        [_, _, reserved, ..] if *reserved != 0 => Err(SocksError::Reserved),
        [_, command, _, rest @ ..] => {
            let Read::Whole(target, length) = destination(rest)? else { return Ok(Read::Partial) };
            let command = match command {
                1 => Command::Connect,
                2 => Command::Bind,
                3 => Command::UdpAssociate,
                other => Command::Unknown(*other),
            };
            Ok(Read::Whole(Request { command, target }, 3 + length))
        }
        _ => Ok(Read::Partial),
    }
}

/// Reads the header of a datagram: its destination and where its data begins.
///
/// # Errors
/// Anything but one whole, well-formed header.
pub fn datagram(bytes: &[u8]) -> Result<(Target, usize), SocksError> {
    match bytes {
        [0, 0, 0, rest @ ..] => match destination(rest)? {
            Read::Whole(target, length) => Ok((target?, 3 + length)),
            Read::Partial => Err(SocksError::Reserved),
        },
        [0, 0, _, ..] => Err(SocksError::Fragment),
        _ => Err(SocksError::Reserved),
    }
}

/// The header of a datagram that came from `from`.
#[must_use]
pub fn datagram_header(from: std::net::SocketAddr) -> Vec<u8> {
    let mut out = vec![0, 0, 0];
    push_address(&mut out, from);
    out
}

fn destination(bytes: &[u8]) -> Result<Read<Result<Target, SocksError>>, SocksError> {
    let (host, rest, used) = match bytes {
        [] => return Ok(Read::Partial),
        [1, rest @ ..] => match rest.split_first_chunk::<4>() {
            Some((octets, rest)) => (Ok(Host::Address(IpAddr::V4(Ipv4Addr::from(*octets)))), rest, 5),
            None => return Ok(Read::Partial),
        },
        [4, rest @ ..] => match rest.split_first_chunk::<16>() {
            Some((octets, rest)) => (Ok(Host::Address(IpAddr::V6(Ipv6Addr::from(*octets)).to_canonical())), rest, 17),
            None => return Ok(Read::Partial),
        },
        [3] => return Ok(Read::Partial),
        [3, length, rest @ ..] => match rest.split_at_checked(usize::from(*length)) {
            Some((name, rest)) => (Host::parse(name), rest, 2 + name.len()),
            None => return Ok(Read::Partial),
        },
        [other, ..] => return Err(SocksError::AddressType(*other)),
    };
    let Some((port, _)) = rest.split_first_chunk::<2>() else { return Ok(Read::Partial) };
    let port = u16::from_be_bytes(*port);
    let target = match host {
        Ok(_) if port == 0 => Err(SocksError::Port),
        Ok(host) => Ok(Target { host, port }),
        Err(error) => Err(error.into()),
    };
    Ok(Read::Whole(target, used + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(name: &[u8], port: u16) -> Vec<u8> {
        let mut bytes = vec![5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&port.to_be_bytes());
        bytes
    }

    #[test]
    fn px_04_names_with_foreign_bytes_are_no_destinations() {
        let long = [b'a'; 255];
        for name in [
            b"evil.com\0.allowed.com".as_slice(),
            b"127.0.0.1\r\n.allowed.com",
            b"a:80",
            b"",
            &long,
            b"a b",
            b"127.1",
            b"a%00",
            b"a/b",
            b"a#b",
            b"user@a",
            b"\xff\xfe",
            b"[::1]",
        ] {
            let Ok(Read::Whole(request, length)) = request(&named(name, 80)) else { panic!("{name:?}") };
            assert!(request.target.is_err(), "{name:?}");
            assert_eq!(length, 7 + name.len());
        }
        let Ok(Read::Whole(read, _)) = request(&named(b"Allowed.COM.", 443)) else { panic!() };
        assert_eq!(read.target.unwrap().to_string(), "allowed.com:443");
    }

    #[test]
    fn px_04_other_versions_commands_and_types_are_refused_cleanly() {
        assert_eq!(greeting(&[4, 1, 0, 80, 127, 0, 0, 1, 0]), Err(SocksError::Version));
        assert_eq!(greeting(b"GET / HTTP/1.1\r\n"), Err(SocksError::Version));
        assert_eq!(greeting(&[5, 1, 2]), Err(SocksError::Method));
        assert_eq!(greeting(&[5, 0]), Err(SocksError::Method));
        assert_eq!(greeting(&[5, 2, 0]), Ok(Read::Partial));
        assert_eq!(greeting(&[5, 2, 2, 0]), Ok(Read::Whole((), 4)));
        assert_eq!(request(&[5, 1, 0, 9, 0, 0]), Err(SocksError::AddressType(9)));
        assert_eq!(request(&[5, 1, 7, 1]), Err(SocksError::Reserved));
        let Ok(Read::Whole(bind, _)) = request(&[5, 2, 0, 1, 1, 2, 3, 4, 0, 80]) else { panic!() };
        assert_eq!(bind.command, Command::Bind);
        let Ok(Read::Whole(zero, _)) = request(&[5, 1, 0, 1, 1, 2, 3, 4, 0, 0]) else { panic!() };
        assert_eq!(zero.target, Err(SocksError::Port));
        let mut mapped = vec![5, 1, 0, 4];
        mapped.extend_from_slice(&"::ffff:127.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
        mapped.extend_from_slice(&[0, 80]);
        let Ok(Read::Whole(mapped, _)) = request(&mapped) else { panic!() };
        assert_eq!(mapped.target.unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(datagram(&[0, 0, 1, 1, 1, 2, 3, 4, 0, 53]), Err(SocksError::Fragment));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_a_prefix_is_never_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = greeting(&bytes);
            let _ = datagram(&bytes);
            if let Ok(Read::Whole(read, length)) = request(&bytes) {
                prop_assert!(length <= bytes.len());
                for shorter in 0..length {
                    prop_assert_eq!(request(&bytes[..shorter]), Ok(Read::Partial));
                }
                prop_assert_eq!(request(&bytes[..length]), Ok(Read::Whole(read, length)));
            }
        }
    }
}
