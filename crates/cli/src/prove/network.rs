//! Acts on the network and on sockets.

use super::inputs::Inputs;
use ringfence_sandbox::attack::{self, Datagram};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

const HELLO: &[u8] = b"ringfence prove\n";
const PATIENCE: Duration = Duration::from_secs(2);

fn tcp(address: IpAddr, port: u16) -> io::Result<()> {
    TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE)?.write_all(HELLO)
}

pub fn loopback(i: &Inputs) -> io::Result<()> {
    tcp(Ipv4Addr::LOCALHOST.into(), i.port)
}

pub fn address(i: &Inputs) -> io::Result<()> {
    tcp(i.address.ok_or_else(|| io::Error::other("the host has no other address"))?, i.port)
}

pub fn fast_open(i: &Inputs) -> io::Result<()> {
    attack::fast_open(i.port, HELLO)
}

/// Asks for a route without sending anything: connecting a datagram socket is a look at the routing table.
pub fn route(_: &Inputs) -> io::Result<()> {
    // 192.0.2.1 is for documentation: nothing answers there.
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.connect((Ipv4Addr::new(192, 0, 2, 1), 9))
}

pub fn resolve(_: &Inputs) -> io::Result<()> {
    // A name that is reserved for examples; a sandbox without network can't learn its address.
    ("example.com", 80).to_socket_addrs().map(drop)
}

pub fn unix_stream(i: &Inputs) -> io::Result<()> {
    UnixStream::connect(&i.socket)?.write_all(HELLO)
}

pub fn unix_stream_proc(i: &Inputs) -> io::Result<()> {
    let below = i.socket.strip_prefix("/").unwrap_or(&i.socket);
    UnixStream::connect(Path::new("/proc/self/root").join(below))?.write_all(HELLO)
}

pub fn unix_datagram(i: &Inputs) -> io::Result<()> {
    attack::datagram_to(&i.datagram, Datagram::Socket, HELLO)
}

pub fn unix_pair(i: &Inputs) -> io::Result<()> {
    attack::datagram_to(&i.datagram, Datagram::Pair, HELLO)
}

pub fn unix_pair_message(i: &Inputs) -> io::Result<()> {
    attack::datagram_to(&i.datagram, Datagram::PairMessage, HELLO)
}

pub fn unix_abstract(i: &Inputs) -> io::Result<()> {
    UnixStream::connect_addr(&UnixAddr::from_abstract_name(&i.abstract_name)?)?.write_all(HELLO)
}

pub fn own_loopback(_: &Inputs) -> io::Result<()> {
    echo(Ipv4Addr::LOCALHOST.into())?;
    // A host may have been started without IPv6; then there is nothing to hold.
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => echo(Ipv6Addr::LOCALHOST.into()),
        Err(_) if !Path::new("/proc/net/if_inet6").exists() => Ok(()),
        Err(error) => Err(error),
    }
}

fn echo(address: IpAddr) -> io::Result<()> {
    let listener = TcpListener::bind((address, 0))?;
    let mut client = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(HELLO)?;
    let mut heard = [0; HELLO.len()];
    server.read_exact(&mut heard)
}

pub fn own_socket(i: &Inputs) -> io::Result<()> {
    // In a read-only sandbox no file can be made: an abstract name does the same there.
    let path = i.root.join("own-socket");
    let _ = std::fs::remove_file(&path);
    let (listener, address) = match UnixListener::bind(&path) {
        Ok(listener) => (listener, UnixAddr::from_pathname(&path)?),
        Err(_) => {
            let address = UnixAddr::from_abstract_name(format!("ringfence-prove-own-{}", std::process::id()))?;
            (UnixListener::bind_addr(&address)?, address)
        }
    };
    let mut client = UnixStream::connect_addr(&address)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(HELLO)?;
    let mut heard = [0; HELLO.len()];
    let result = server.read_exact(&mut heard);
    let _ = std::fs::remove_file(&path);
    result
}
