//! Unix sockets: none made outside is reached, those made inside work.

use super::harness::{Scenario, Scratch, refused};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with, socketpair};
use std::io::{Read, Write};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

pub const SCENARIOS: &[Scenario] =
    &[("outside", outside), ("inside", inside), ("listed", listed), ("abstract names", abstract_names), ("idle", idle)];

fn idle(_: &Path) {
    std::thread::sleep(std::time::Duration::from_secs(30));
}

fn outside(dir: &Path) {
    for name in ["out/sock", "ws/sock", "out/../out/sock"] {
        refused(name, UnixStream::connect(dir.join(name)));
    }
    refused("relative", UnixStream::connect("../out/sock"));
    std::os::unix::fs::symlink(dir.join("out/sock"), "link").unwrap();
    refused("through a link", UnixStream::connect("link"));
    std::fs::hard_link("sock", "other").unwrap();
    refused("by another name", UnixStream::connect("other"));
    std::fs::rename("other", "third").unwrap();
    refused("renamed", UnixStream::connect("third"));
    refused("datagram socket", UnixDatagram::unbound());
    let (one, _other) = UnixDatagram::pair().unwrap();
    let sent = one.send_to(b"x", dir.join("out/datagram"));
    // The pair's ends have each other; an address is ignored or refused, never reached.
    drop(sent);
    let packet = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None).unwrap();
    let address = rustix::net::SocketAddrUnix::new(dir.join("out/packet")).unwrap();
    refused("packets", connect(&packet, &address).map_err(Into::into));
}

fn inside(_: &Path) {
    for path in ["here.sock", "src/deep.sock"] {
        let listener = UnixListener::bind(path).unwrap();
        assert_eq!(UnixListener::bind(path).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = [0; 5];
            stream.read_exact(&mut text).unwrap();
            stream.write_all(&text).unwrap();
        });
        let mut client = UnixStream::connect(path).unwrap();
        client.write_all(b"hello").unwrap();
        let mut text = [0; 5];
        client.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
        server.join().unwrap();
    }
    // Called what it was given, by whatever path; a connection as what accepted it.
    let here = std::env::current_dir().unwrap();
    for path in [here.join("named.sock"), "src/./named.sock".into(), "plain.sock".into(), here.join("src/named.sock2")]
    {
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
        let client = UnixStream::connect(listener.local_addr().unwrap().as_pathname().unwrap()).unwrap();
        assert!(client.local_addr().unwrap().is_unnamed());
        assert_eq!(listener.accept().unwrap().0.local_addr().unwrap().as_pathname(), Some(path.as_path()));
    }
    let (one, other) = UnixDatagram::pair().unwrap();
    one.send(b"a").unwrap();
    one.send(b"bc").unwrap();
    let mut text = [0; 8];
    assert_eq!((other.recv(&mut text).unwrap(), other.recv(&mut text).unwrap()), (1, 2));
    let name = format!("ringfence-test-{}", std::process::id());
    let address = <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name.as_bytes());
    let address: SocketAddr = address.unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    UnixStream::connect_addr(&address).unwrap();
    let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    std::net::TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
    let packet = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None).unwrap();
    let address = rustix::net::SocketAddrUnix::new("packet.sock").unwrap();
    bind(&packet, &address).unwrap();
    listen(&packet, 1).unwrap();
    let client = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::NONBLOCK, None).unwrap();
    connect(&client, &address).unwrap();
    drop(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap());
}

/// The name of the socket outside comes from the number of the process that made it, which is our parent.
fn abstract_names(_: &Path) {
    let address = |name: &[u8]| -> SocketAddr {
        <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name).unwrap()
    };
    let outside = format!("ringfence-outside-{}", std::os::unix::process::parent_id());
    refused("an abstract name of the host", UnixStream::connect_addr(&address(outside.as_bytes())));
    let name = format!("ringfence-inside-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&address(name.as_bytes())).unwrap();
    UnixStream::connect_addr(&address(name.as_bytes())).unwrap();
    // A name that the kernel chooses.
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).unwrap();
    bind(&socket, &rustix::net::SocketAddrUnix::new_unnamed()).unwrap();
    listen(&socket, 1).unwrap();
    let chosen = rustix::net::SocketAddrUnix::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    UnixStream::connect_addr(&address(chosen.abstract_name().unwrap())).unwrap();
}

fn listed(dir: &Path) {
    UnixStream::connect(dir.join("out/sock")).unwrap();
    refused("its neighbour", UnixStream::connect(dir.join("ws/sock")));
}

fn servers(scratch: &Scratch) -> [UnixListener; 2] {
    ["out/sock", "ws/sock"].map(|name| UnixListener::bind(scratch.path(name)).unwrap())
}

#[test]
fn ipc_01_sockets_made_outside_are_not_reached() {
    let scratch = Scratch::new();
    let servers = servers(&scratch);
    let datagram = UnixDatagram::bind(scratch.path("out/datagram")).unwrap();
    let packet = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None).unwrap();
    bind(&packet, &rustix::net::SocketAddrUnix::new(scratch.path("out/packet")).unwrap()).unwrap();
    listen(&packet, 1).unwrap();
    let denials = scratch.run("outside");
    for server in servers {
        server.set_nonblocking(true).unwrap();
        assert!(server.accept().is_err());
    }
    datagram.set_nonblocking(true).unwrap();
    assert!(datagram.recv(&mut [0; 8]).is_err());
    assert!(denials.iter().any(|denial| denial.rule == "unix-socket-outside" && !denial.allow_with.is_empty()));
}

#[test]
fn ipc_03_where_the_network_is_the_hosts_only_abstract_names_made_inside_are_reached() {
    let mut scratch = Scratch::new();
    scratch.plan.shares_network = true;
    let name = format!("ringfence-outside-{}", std::process::id());
    let address = <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name).unwrap();
    let server = UnixListener::bind_addr(&address).unwrap();
    let denials = scratch.run("abstract names");
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err());
    assert!(denials.iter().any(|denial| denial.rule == "unix-socket-outside"), "{denials:?}");
}

#[test]
fn ipc_05_sockets_made_inside_work() {
    Scratch::new().run("inside");
}

#[test]
fn ipc_01_a_listed_socket_is_reached_and_its_neighbour_is_not() {
    let mut scratch = Scratch::new();
    let _servers = servers(&scratch);
    let path = ringfence_model::AbsPath::new(scratch.path("out/sock")).unwrap();
    let listed = ringfence_model::Sourced::new(path, ringfence_model::Origin::builtin("test"));
    scratch.plan.unix = ringfence_model::confinement::UnixSockets::Only(vec![listed]);
    scratch.run("listed");
}
