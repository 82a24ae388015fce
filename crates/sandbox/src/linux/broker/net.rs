//! Internet sockets where there is no network namespace: loopback only, and only towards ports bound inside.
//!
//! With a network namespace everything here is let pass: the namespace holds it.

use super::caller::errno;
use super::plan::Loopback;
use super::reply::Job;
use super::rules::Refusal;
use super::shared::Shared;
use super::socket::family;
use super::tables::{self, Whose};
use crate::sys::address as socket;
use ringfence_model::{DenialKind, Origin, Voucher};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Reads an internet address.
#[must_use]
pub(super) fn parse(address: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(address.get(2..4)?.try_into().ok()?);
    let family = family(address)?;
    if family == AddressFamily::INET.as_raw() {
        let bytes: [u8; 4] = address.get(4..8)?.try_into().ok()?;
        return Some(SocketAddr::from((Ipv4Addr::from(bytes), port)));
    }
    if family == AddressFamily::INET6.as_raw() {
        let bytes: [u8; 16] = address.get(8..24)?.try_into().ok()?;
        return Some(SocketAddr::from((Ipv6Addr::from(bytes), port)));
    }
    None
}

/// An address for a denial.
#[must_use]
pub(super) fn display(address: &[u8]) -> String {
    parse(address).map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
}

/// Whether this is loopback, also behind a v4-mapped address; the wildcard counts, since connecting to it means loopback.
fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.is_loopback() || v4.is_unspecified(),
            None => v6.is_loopback() || v6.is_unspecified(),
        },
    }
}

/// What an address is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `connect`.
    Connect,
    /// A message to it.
    Send,
}

/// Whether connecting or sending to `address` must be refused.
pub(super) fn judge(job: &Job<'_, '_>, taken: &OwnedFd, address: &[u8], way: Way) -> Result<Option<Refusal>, Errno> {
    let Some(loopback) = &job.rules().plan.loopback else { return Ok(None) };
    let domain = sockopt::socket_domain(taken)?;
    if domain == AddressFamily::NETLINK {
        return Ok(None);
    }
    // Dissolves a connection.
    if family(address) == Some(AddressFamily::UNSPEC.as_raw()) && domain != AddressFamily::INET {
        return Ok(None);
    }
    let Some(target) = parse(address) else { return Ok(Some(refusal(loopback))) };
    if way == Way::Connect && is_proxy(loopback, target) && sockopt::socket_type(taken)? == SocketType::STREAM {
        return Ok(None);
    }
    if !is_loopback(target.ip()) {
        return Ok(Some(refusal(loopback)));
    }
    if loopback.every_port.value {
        return Ok(None);
    }
    let stream = sockopt::socket_type(taken)? == SocketType::STREAM;
    match tables::whose(&job.shared.inside, target, stream) {
        Whose::Inside => Ok(None),
        // Whoever waits for a server of its own tries again for this very error.
        Whose::Nobodys if stream && way == Way::Connect => Err(Errno::CONNREFUSED),
        Whose::Nobodys | Whose::Outside => Ok(Some(refusal(loopback))),
    }
}

/// Whether the proxy listens at this address: this very one, or as a socket of both kinds writes it, no other of loopback.
fn is_proxy(loopback: &Loopback, target: SocketAddr) -> bool {
    target.ip().to_canonical() == IpAddr::V4(Ipv4Addr::LOCALHOST) && loopback.ports.contains(&target.port())
}

/// What a connection to this address begins with, if it is one to the proxy. Only a stream is: at the same number of another
/// kind of port somebody else may listen.
pub(super) fn voucher(job: &Job<'_, '_>, taken: &OwnedFd, address: &[u8]) -> Option<Arc<Voucher>> {
    sockopt::socket_type(taken).ok().filter(|kind| *kind == SocketType::STREAM)?;
    let loopback = job.rules().plan.loopback.as_ref()?;
    parse(address).filter(|target| is_proxy(loopback, *target))?;
    job.shared.voucher.clone()
}

fn refusal(loopback: &Loopback) -> Refusal {
    Refusal {
        errno: Errno::ACCESS,
        kind: DenialKind::Network,
        rule: "network-off",
        origin: Origin::builtin(if loopback.ports.is_empty() {
            "network is off"
        } else {
            "network goes only through the proxy"
        }),
        allow_with: if loopback.every_port.value {
            vec!["--network on".to_owned()]
        } else {
            vec!["--network on".to_owned(), "-c allow_local_binding=true".to_owned()]
        },
    }
}

/// `bind` of an internet or netlink socket. Where there is no network namespace, a wildcard address becomes loopback, so
/// that nothing on the network gets in, and the port is remembered as made inside.
pub(super) fn bind(job: &Job<'_, '_>, taken: &OwnedFd, address: &[u8]) -> Result<(), Errno> {
    let plain = |address: &[u8]| socket::bind(taken.as_fd(), address).map_err(|error| errno(&error));
    if job.rules().plan.loopback.is_none() || sockopt::socket_domain(taken)? == AddressFamily::NETLINK {
        return plain(address);
    }
    let target = parse(address).ok_or(Errno::ACCESS)?;
    if !is_loopback(target.ip()) {
        return Err(Errno::ADDRNOTAVAIL);
    }
    let mut address = address.to_vec();
    if target.ip().to_canonical().is_unspecified() {
        let (at, bytes): (usize, Vec<u8>) = match target.ip() {
            IpAddr::V4(_) => (4, Ipv4Addr::LOCALHOST.octets().to_vec()),
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                (8, Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets().to_vec())
            }
            IpAddr::V6(_) => (8, Ipv6Addr::LOCALHOST.octets().to_vec()),
        };
        if let Some(place) = address.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(&bytes);
        }
    }
    // Sharing a port would mean taking clients of a service outside.
    let _ = sockopt::set_socket_reuseport(taken, false);
    plain(&address)?;
    remember_source(job.shared, taken);
    remember_socket(job.shared, taken);
    Ok(())
}

/// Gives an internet socket that has no port yet one on loopback, and remembers it: so whoever accepts a connection can
/// tell where it comes from before it is made.
pub(super) fn bind_if_not(job: &Job<'_, '_>, taken: &OwnedFd) -> Result<(), Errno> {
    if job.rules().plan.loopback.is_none() {
        return Ok(());
    }
    let domain = sockopt::socket_domain(taken)?;
    if domain != AddressFamily::INET && domain != AddressFamily::INET6 {
        return Ok(());
    }
    if local(taken).is_some_and(|bound| bound.port() != 0) {
        return Ok(());
    }
    let address = match domain == AddressFamily::INET {
        true => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        false => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    };
    bind(job, taken, &encode(address))
}

/// As [`bind_if_not`], for a connection or message to `target`, whose source must be of the same kind. From a source on
/// loopback the kernel sends nothing by any other interface, and lets nothing in.
pub(super) fn bind_source(job: &Job<'_, '_>, taken: &OwnedFd, target: &[u8]) -> Result<(), Errno> {
    let Some(target) = parse(target).filter(|_| job.rules().plan.loopback.is_some()) else { return Ok(()) };
    if local(taken).is_some_and(|bound| bound.port() != 0) {
        remember_source(job.shared, taken);
        return Ok(());
    }
    let source = match target.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    socket::bind(taken.as_fd(), &encode(SocketAddr::new(source, 0))).map_err(|error| errno(&error))?;
    remember_source(job.shared, taken);
    // Whom a datagram comes from may be answered.
    if sockopt::socket_type(taken)? == SocketType::DGRAM {
        remember_socket(job.shared, taken);
    }
    Ok(())
}

/// Remembers that this socket can be reached.
fn remember_socket(shared: &Shared, taken: &OwnedFd) {
    if let Ok(stat) = fstat(taken) {
        shared.inside.add_socket(stat.st_ino);
    }
}

/// An address as the kernel writes it.
#[must_use]
pub(super) fn encode(address: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    match address {
        SocketAddr::V4(v4) => {
            bytes.extend_from_slice(&AddressFamily::INET.as_raw().to_ne_bytes());
            bytes.extend_from_slice(&v4.port().to_be_bytes());
            bytes.extend_from_slice(&v4.ip().octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            bytes.extend_from_slice(&AddressFamily::INET6.as_raw().to_ne_bytes());
            bytes.extend_from_slice(&v6.port().to_be_bytes());
            bytes.extend_from_slice(&v6.flowinfo().to_be_bytes());
            bytes.extend_from_slice(&v6.ip().octets());
            bytes.extend_from_slice(&v6.scope_id().to_ne_bytes());
        }
    }
    bytes
}

fn local(taken: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(taken).ok()?).ok()
}

/// Remembers where a connection made inside comes from.
pub(super) fn remember_source(shared: &Shared, taken: &OwnedFd) {
    if shared.rules.plan.loopback.is_some()
        && let Some(bound) = local(taken)
    {
        shared.inside.add_source(bound.port());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_every_spelling() {
        for (text, wanted) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", false),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_loopback(text.parse().unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn net_06_the_proxy_is_one_address_and_no_other_of_loopback() {
        let every_port = ringfence_model::Sourced::new(false, Origin::builtin("test"));
        let loopback = Loopback { every_port, ports: vec![3128] };
        for (text, wanted) in [
            ("127.0.0.1:3128", true),
            ("127.0.0.1:3129", false),
            ("127.0.0.2:3128", false),
            ("0.0.0.0:3128", false),
            ("[::1]:3128", false),
            ("[::ffff:127.0.0.1]:3128", true),
            ("[::ffff:127.0.0.2]:3128", false),
            ("[::127.0.0.1]:3128", false),
            ("[::]:3128", false),
            ("10.0.0.1:3128", false),
        ] {
            assert_eq!(is_proxy(&loopback, text.parse().unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn a_short_address_is_none() {
        assert_eq!(parse(&[2, 0, 0, 80, 127]), None);
        assert_eq!(parse(&[2, 0, 0, 80, 127, 0, 0, 1]), Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(parse(&[]), None);
    }
}
