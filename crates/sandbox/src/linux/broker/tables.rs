//! Who has a port of this machine's loopback, by the kernel's own tables: where there is no network namespace, a port that
//! was bound inside may be somebody else's at another address, or by now.

use super::inside::Inside;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whose the sockets are that something sent to an address would reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// There is none.
    Nobodys,
    /// Made inside, each of them.
    Inside,
    /// Somebody else's, or nobody can tell.
    Outside,
}

/// A socket that something can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    socket: u64,
}

/// Looks up who would be reached at `target`, by a stream or by datagrams.
pub(super) fn whose(inside: &Inside, target: SocketAddr, stream: bool) -> Whose {
    let tables = if stream { ["tcp", "tcp6"] } else { ["udp", "udp6"] };
    let mut rows = Vec::new();
    for table in tables {
        match std::fs::read_to_string(format!("/proc/self/net/{table}")) {
            Ok(text) => rows.extend(text.lines().skip(1).filter_map(|line| read(line, stream))),
            // Without version 6 there is no such table.
            Err(error) if error.kind() == ErrorKind::NotFound && table.ends_with('6') => {}
            Err(_) => return Whose::Outside,
        }
    }
    judge(&rows, target, |socket| inside.has_socket(socket))
}

/// The kernel prefers a socket with this very address; one without an address gets the rest.
fn judge(rows: &[Row], target: SocketAddr, is_inside: impl Fn(u64) -> bool) -> Whose {
    let wanted = match target.ip().to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    let here = |row: &&Row| row.local.port() == target.port();
    let exact: Vec<&Row> = rows.iter().filter(here).filter(|row| row.local.ip().to_canonical() == wanted).collect();
    // One of version 6 may take both.
    let takes =
        |row: &&Row| row.local.ip().to_canonical().is_unspecified() && (row.local.is_ipv6() || wanted.is_ipv4());
    let reached = if exact.is_empty() { rows.iter().filter(here).filter(takes).collect() } else { exact };
    match reached.as_slice() {
        [] => Whose::Nobodys,
        all if all.iter().all(|row| is_inside(row.socket)) => Whose::Inside,
        _ => Whose::Outside,
    }
}

/// One line of a table; none if it is of no socket that can be reached.
fn read(line: &str, stream: bool) -> Option<Row> {
    const LISTENS: &str = "0A";
    let mut fields = line.split_whitespace();
    let (address, port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let socket = fields.nth(5)?.parse().ok()?;
    if stream && state != LISTENS {
        return None;
    }
    Some(Row { local: SocketAddr::new(parse(address)?, u16::from_str_radix(port, 16).ok()?), socket })
}

/// An address as the kernel prints it: words of its bytes as this machine reads them.
fn parse(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => word(0).map(IpAddr::from),
        32 => {
            let mut bytes = [0; 16];
            for (number, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(number * 8)?);
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn net_04_a_port_is_whose_socket_has_the_address() {
        let row = |local: &str, socket| Row { local: local.parse().unwrap(), socket };
        let rows = [
            row("127.0.0.1:80", 1),
            row("[::1]:80", 9),
            row("127.0.0.2:80", 9),
            row("[::]:90", 9),
            row("0.0.0.0:91", 1),
        ];
        for (target, wanted) in [
            ("127.0.0.1:80", Whose::Inside),
            ("[::ffff:127.0.0.1]:80", Whose::Inside),
            ("0.0.0.0:80", Whose::Inside),
            ("[::1]:80", Whose::Outside),
            ("[::]:80", Whose::Outside),
            ("127.0.0.2:80", Whose::Outside),
            ("127.0.0.3:80", Whose::Nobodys),
            ("127.0.0.1:90", Whose::Outside),
            ("127.0.0.1:91", Whose::Inside),
            ("[::1]:91", Whose::Nobodys),
        ] {
            assert_eq!(judge(&rows, target.parse().unwrap(), |socket| socket == 1), wanted, "{target}");
        }
    }

    #[test]
    fn who_listens_is_read_off_the_table() {
        let known = Inside::default();
        let server = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let at = server.local_addr().expect("its address");
        assert_eq!(whose(&known, at, true), Whose::Outside);
        known.add_socket(rustix::fs::fstat(server.as_fd()).expect("its number").st_ino);
        assert_eq!(whose(&known, at, true), Whose::Inside);
        drop(server);
        assert_eq!(whose(&known, at, true), Whose::Nobodys);
        let server = std::net::UdpSocket::bind(("::1", 0)).expect("a port");
        assert_eq!(whose(&known, server.local_addr().expect("its address"), false), Whose::Outside);
    }
}
