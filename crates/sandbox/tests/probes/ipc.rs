//! Shared memory, queues and abstract sockets are the sandbox's own; sockets made outside are unreachable.

use super::harness::{Probe, Scratch, Verdict, expect};
use ringfence_model::confinement::NetworkWish;
use ringfence_model::{Origin, Sourced};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

pub const PROBES: &[Probe] = &[
    ("ipc_01_a_socket_of_the_host_is_unreachable", stream),
    ("ipc_02_a_datagram_socket_of_the_host_is_unreachable", datagram),
    ("ipc_03_abstract_sockets_are_the_sandboxs_own", abstract_name),
    ("ipc_05_sockets_made_inside_work", honest),
];

fn stream(scratch: &Scratch) -> Verdict {
    for path in [scratch.path("out/s"), scratch.path("ws/s")] {
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let seen = scratch.attack(scratch.wish(), &["unix", &path.display().to_string()])?;
        expect(listener.accept().is_err(), format!("{} was reached: {seen:?}", path.display()))?;
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn datagram(scratch: &Scratch) -> Verdict {
    let path = scratch.path("out/d");
    let socket = UnixDatagram::bind(&path)?;
    socket.set_nonblocking(true)?;
    let seen = scratch.attack(scratch.wish(), &["datagram", &path.display().to_string()])?;
    let got = socket.recv(&mut [0; 8]);
    std::fs::remove_file(path)?;
    expect(got.is_err(), format!("a datagram reached a socket outside: {seen:?}"))
}

fn abstract_name(scratch: &Scratch) -> Verdict {
    let name = format!("ringfence-probe-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    listener.set_nonblocking(true)?;
    let script = format!("import socket; s=socket.socket(socket.AF_UNIX); s.connect('\\0{name}')");
    let mut online = scratch.wish();
    online.0.network = Sourced::new(NetworkWish::On, Origin::flag("--network"));
    for wish in [scratch.wish(), online] {
        let seen = scratch.run(wish, &["/usr/bin/env", "python3", "-c", &script])?;
        expect(listener.accept().is_err(), format!("an abstract socket of the host was reached: {seen:?}"))?;
    }
    Ok(())
}

fn honest(scratch: &Scratch) -> Verdict {
    let script = "import socket,os\n\
                  l=socket.socket(socket.AF_UNIX); l.bind('own'); l.listen()\n\
                  c=socket.socket(socket.AF_UNIX); c.connect('own'); s,_=l.accept(); c.send(b'x'); assert s.recv(1)==b'x'\n\
                  a,b=socket.socketpair(); a.send(b'y'); assert b.recv(1)==b'y'\n";
    let seen = scratch.run(scratch.wish(), &["/usr/bin/env", "python3", "-c", script])?;
    if seen.err.contains("No such file") && seen.err.contains("python3") {
        return Err(super::harness::Failure::Skipped("python3 is not installed".to_owned()));
    }
    seen.works()
}
