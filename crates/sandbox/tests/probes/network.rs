//! No packet leaves, and loopback works inside.

use super::harness::{Probe, Scratch, Verdict, expect};
use std::net::{TcpListener, UdpSocket};

pub const PROBES: &[Probe] = &[
    ("net_03_services_on_the_hosts_loopback_are_unreachable", host_loopback),
    ("net_02_no_datagram_reaches_the_host", datagrams),
    ("net_07_loopback_works_inside", loopback),
    ("net_04_no_other_interface_is_there", interfaces),
];

fn host_loopback(scratch: &Scratch) -> Verdict {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    scratch.attack(scratch.wish(), &["tcp", &address.to_string()])?;
    scratch.attack(scratch.wish(), &["fast-open", &address.port().to_string()])?;
    scratch
        .run(scratch.wish(), &["/bin/bash", "-c", &format!("echo x >/dev/tcp/127.0.0.1/{}; exit 0", address.port())])?;
    expect(listener.accept().is_err(), "a listener on the host was reached")
}

fn datagrams(scratch: &Scratch) -> Verdict {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    scratch.attack(scratch.wish(), &["udp", &socket.local_addr()?.to_string()])?;
    expect(socket.recv_from(&mut [0; 8]).is_err(), "a datagram reached the host")
}

fn loopback(scratch: &Scratch) -> Verdict {
    scratch.attack(scratch.wish(), &["loopback", "127.0.0.1:0"])?.works()?;
    scratch.attack(scratch.wish(), &["loopback", "[::1]:0"])?.works()?;
    let seen = scratch.sh(scratch.wish(), "getent hosts localhost")?;
    expect(seen.out.contains("::1") || seen.out.contains("127.0.0.1"), format!("localhost: {seen:?}"))
}

fn interfaces(scratch: &Scratch) -> Verdict {
    let seen = scratch.sh(scratch.wish(), "cut -d: -f1 -s /proc/net/dev | tail -n +1")?;
    let names: Vec<&str> = seen.out.split_whitespace().filter(|name| !name.contains('|')).collect();
    expect(names.iter().all(|name| *name == "lo"), format!("interfaces inside: {names:?}"))
}
