//! Unix sockets in every tier: what was made outside is reached by no route, what was made inside works. Where the kernel has
//! a right for that, so do datagram sockets, and the broker has no part in it.

use super::{TIERS, World, backend, run, tiers};
use ringfence_model::confinement::{Confinement, NetworkWish, UnixSockets};
use ringfence_model::mode::{Backend, Tier};
use ringfence_model::report::Exit;
use ringfence_model::{DenialKind, Origin, Sourced};
use ringfence_sandbox::plan::{Act, Brokered};
use ringfence_sandbox::{Options, compile, probe};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;

/// Whether the kernel holds unix sockets here.
fn kernel_holds() -> bool {
    probe::quick().linux.is_some_and(|linux| linux.landlock_unix.works())
}

fn python(world: &World, script: &str) -> String {
    std::fs::write(world.path("ws/act.py"), script).unwrap();
    format!("python3 act.py '{}'", world.path("out").display())
}

/// Every route by which a message could leave: none may arrive. What each says about itself isn't looked at.
const ROUTES: &str = r#"
import ctypes, os, socket as s, struct, sys
out = sys.argv[1]
os.path.lexists("link") or os.symlink(out + "/dgram", "link")
paths = [out + "/dgram", "../out/dgram", "link", "/proc/self/root" + out + "/dgram", "/proc/self/cwd/../out/dgram", "here/dgram"]
def tried(act):
    try: act()
    except (OSError, ValueError): pass
def each(make):
    for path in paths + ["\0ringfence-tiers-dgram"]:
        def connected():
            x = make(); x.connect(path); x.send(b"x")
        def message():
            make().sendmsg([b"x"], [], 0, path)
        def granting():
            make().sendmsg([b"x"], [(s.SOL_SOCKET, s.SCM_RIGHTS, struct.pack("i", 1))], 0, path)
        for act in (lambda: make().sendto(b"x", path), message, granting, connected): tried(act)
each(lambda: s.socket(s.AF_UNIX, s.SOCK_DGRAM))
each(lambda: s.socketpair(s.AF_UNIX, s.SOCK_DGRAM)[0])
def many():
    libc = ctypes.CDLL(None)
    a = s.socketpair(s.AF_UNIX, s.SOCK_DGRAM)[0]
    path = (out + "/dgram").encode()
    name = ctypes.create_string_buffer(struct.pack("H", s.AF_UNIX) + path + b"\0")
    text = ctypes.create_string_buffer(b"x")
    vector = ctypes.create_string_buffer(struct.pack("PL", ctypes.addressof(text), 1))
    whole = struct.pack("PIxxxxPLPLixxxxIxxxx", ctypes.addressof(name), len(path) + 3, ctypes.addressof(vector), 1, 0, 0, 0, 0)
    libc.sendmmsg(a.fileno(), ctypes.create_string_buffer(whole), 1, 0)
tried(many)
for path in [out + "/sock", "../out/sock", "/proc/self/root" + out + "/sock", "\0ringfence-tiers"]:
    for kind in (s.SOCK_STREAM, s.SOCK_SEQPACKET):
        tried(lambda: s.socket(s.AF_UNIX, kind).connect(path))
"#;

/// Waits for a socket that is made outside while this runs, and for nothing to come of it.
const LATER: &str = r#"
import os, socket as s, sys, time
open("ready", "w").close()
path = sys.argv[1] + "/later"
while not os.path.exists(path): time.sleep(0.02)
time.sleep(0.2)
for kind in (s.SOCK_STREAM, s.SOCK_DGRAM):
    try: s.socket(s.AF_UNIX, kind).connect(path)
    except OSError as e: assert e.errno in (13, 91), e
    else: sys.exit(9)
"#;

/// A server and its clients, by path, by abstract name, with an answer to whoever sent, and with a descriptor along.
const INSIDE: &str = r#"
import os, socket as s
for name in ("d1", "d2", "d3"): os.path.exists(name) and os.unlink(name)
server, client = s.socket(s.AF_UNIX, s.SOCK_DGRAM), s.socket(s.AF_UNIX, s.SOCK_DGRAM)
server.bind("d1"); client.bind("d2")
client.sendto(b"one", "d1")
text, whose = server.recvfrom(9)
assert text == b"one" and whose == "d2", (text, whose)
server.sendto(b"two", whose); assert client.recv(9) == b"two"
client.connect("d1"); client.send(b"three"); assert server.recv(9) == b"three"
s.send_fds(client, [b"four"], [1]); text, fds, _, _ = s.recv_fds(server, 9, 1); os.write(fds[0], b"")
other = s.socket(s.AF_UNIX, s.SOCK_DGRAM)
other.sendmsg([b"fi", b"ve"], [], 0, "d1"); assert server.recv(9) == b"five"
named = s.socket(s.AF_UNIX, s.SOCK_DGRAM); named.bind("\0ringfence-tiers-own")
other.sendto(b"six", "\0ringfence-tiers-own"); assert named.recv(9) == b"six"
a, b = s.socketpair(s.AF_UNIX, s.SOCK_DGRAM)
a.send(b"y"); assert b.recv(9) == b"y"
"#;

struct Outside {
    datagram: UnixDatagram,
    named: UnixDatagram,
    abstracts: UnixListener,
}

impl Outside {
    fn new(world: &World) -> Self {
        let name = |name: &str| SocketAddr::from_abstract_name(name).unwrap();
        let outside = Self {
            datagram: UnixDatagram::bind(world.path("out/dgram")).unwrap(),
            named: UnixDatagram::bind_addr(&name("ringfence-tiers-dgram")).unwrap(),
            abstracts: UnixListener::bind_addr(&name("ringfence-tiers")).unwrap(),
        };
        outside.datagram.set_nonblocking(true).unwrap();
        outside.named.set_nonblocking(true).unwrap();
        outside.abstracts.set_nonblocking(true).unwrap();
        outside
    }

    #[track_caller]
    fn unreached(&self, tier: Tier) {
        assert!(self.datagram.recv(&mut [0; 9]).is_err(), "{tier}: a datagram arrived");
        assert!(self.named.recv(&mut [0; 9]).is_err(), "{tier}: a datagram arrived at an abstract name");
        assert!(self.abstracts.accept().is_err(), "{tier}: an abstract name was reached");
    }
}

#[test]
fn ipc_02_no_route_leads_to_a_socket_outside() {
    let world = World::new();
    let outside = Outside::new(&world);
    // One that lies in the workspace was made outside as well.
    std::fs::create_dir(world.path("ws/here")).unwrap();
    let here = UnixDatagram::bind(world.path("ws/here/dgram")).unwrap();
    here.set_nonblocking(true).unwrap();
    for tier in tiers(|backend| world.wish(backend), "ipc_02_no_route_leads_to_a_socket_outside") {
        for network in [NetworkWish::Off, NetworkWish::On] {
            let mut wish = world.wish(backend(tier));
            wish.network.value = network;
            let (outcome, said) = run(&wish, &python(&world, ROUTES)).unwrap();
            assert_eq!(outcome.exit, Exit::Code(0), "{tier}: {said}");
            outside.unreached(tier);
            assert!(here.recv(&mut [0; 9]).is_err(), "{tier}: a datagram arrived in the workspace");
            let refused = |kind| outcome.denials.iter().any(|denial| denial.kind == kind);
            assert!(refused(DenialKind::UnixSocket), "{tier}: nobody says so: {:?}", outcome.denials);
        }
    }
}

#[test]
fn ipc_01_a_socket_made_outside_after_the_start_is_not_reached() {
    let world = World::new();
    let test = "ipc_01_a_socket_made_outside_after_the_start_is_not_reached";
    for tier in tiers(|backend| world.wish(backend), test) {
        let (path, ready) = (world.path("out/later"), world.path("ws/ready"));
        let made = std::thread::spawn({
            let (path, ready) = (path.clone(), ready.clone());
            move || {
                while !ready.exists() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                let listener = UnixListener::bind(path).unwrap();
                listener.set_nonblocking(true).unwrap();
                listener
            }
        });
        let (outcome, said) = run(&world.wish(backend(tier)), &python(&world, LATER)).unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{tier}: {said}");
        assert!(made.join().unwrap().accept().is_err(), "{tier}");
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(ready).unwrap();
    }
}

#[test]
fn ipc_05_datagram_sockets_made_inside_work_where_the_kernel_holds_those_outside() {
    let world = World::new();
    let test = "ipc_05_datagram_sockets_made_inside_work_where_the_kernel_holds_those_outside";
    for tier in tiers(|backend| world.wish(backend), test) {
        let (outcome, said) = run(&world.wish(backend(tier)), &python(&world, INSIDE)).unwrap();
        assert_eq!(outcome.exit == Exit::Code(0), kernel_holds(), "{tier}: {said} {:?}", outcome.denials);
    }
}

fn listing(world: &World, backend: Backend) -> Confinement {
    let mut wish = world.wish(backend);
    let listed = ["out/listed", "out/datagrams"].map(|name| Sourced::new(world.abs(name), Origin::builtin("test")));
    wish.unix_sockets = UnixSockets::Only(listed.into());
    wish
}

#[test]
fn ipc_01_listed_sockets_are_reached_also_when_they_are_made_anew() {
    let world = World::new();
    let test = "ipc_01_listed_sockets_are_reached_also_when_they_are_made_anew";
    let serve = |path: &Path| {
        let _ = std::fs::remove_file(path);
        UnixListener::bind(path).unwrap()
    };
    let path = world.path("out/listed");
    let datagrams = UnixDatagram::bind(world.path("out/datagrams")).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    for tier in tiers(|backend| listing(&world, backend), test) {
        let first = serve(&path);
        let script = "import socket as s, sys, os, time\n\
                      s.socket(s.AF_UNIX).connect(sys.argv[1] + '/listed')\n\
                      try: s.socket(s.AF_UNIX).connect(sys.argv[1] + '/sock')\n\
                      except OSError: pass\n\
                      else: sys.exit(9)\n\
                      open('first', 'w').close()\n\
                      while not os.path.exists('second'): time.sleep(0.02)\n\
                      s.socket(s.AF_UNIX).connect(sys.argv[1] + '/listed')\n";
        let line = python(&world, script);
        let (begun, anew) = (world.path("ws/first"), world.path("ws/second"));
        let second = std::thread::spawn({
            let (path, begun, anew) = (path.clone(), begun.clone(), anew.clone());
            move || {
                while !begun.exists() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                let _ = std::fs::remove_file(&path);
                let second = UnixListener::bind(&path).unwrap();
                std::fs::write(anew, "").unwrap();
                second
            }
        });
        let (outcome, said) = run(&listing(&world, backend(tier)), &line).unwrap();
        // Whatever it says: a thread that waits must not be left.
        let _ = std::fs::write(&begun, "");
        let second = second.join().unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{tier}: {said}");
        for listener in [first, second] {
            listener.set_nonblocking(true).unwrap();
            assert!(listener.accept().is_ok(), "{tier}: a listed socket wasn't reached");
        }
        if kernel_holds() {
            let line = python(
                &world,
                "import socket as s, sys\ns.socket(s.AF_UNIX, s.SOCK_DGRAM).sendto(b'x', sys.argv[1] + '/datagrams')\n",
            );
            run(&listing(&world, backend(tier)), &line).unwrap();
            assert!(datagrams.recv(&mut [0; 9]).is_ok(), "{tier}: a listed datagram socket wasn't reached");
        }
        for path in [begun, anew] {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn where_the_kernel_holds_sockets_nothing_of_the_promise_is_left_to_the_broker() {
    let world = World::new();
    for tier in TIERS {
        let wish = world.wish(backend(tier));
        let Ok(plan) = compile(&wish, &probe::quick_for(&wish), &Options::default()) else { continue };
        let left = plan.brokered().any(|(_, wish)| matches!(wish, Brokered::UnixSockets { .. }));
        let held = plan.steps.iter().any(|step| matches!(step.act, Act::LandlockSockets { .. }));
        assert_eq!((left, held), (!kernel_holds(), kernel_holds()), "{tier}");
    }
}

/// A listed socket in the workspace, as one in `/tmp` would be: its name leads to no other socket that was made outside.
#[test]
fn ipc_01_nothing_takes_the_name_of_a_listed_socket() {
    let world = World::new();
    std::fs::create_dir_all(world.path("ws/run")).unwrap();
    let wish = |backend| {
        let mut wish = world.wish(backend);
        let path = world.abs("ws/run/listed");
        wish.unix_sockets = UnixSockets::Only(vec![Sourced::new(path, Origin::builtin("test"))]);
        wish
    };
    let connect = "s.socket(s.AF_UNIX).connect";
    let hostile = [
        "os.unlink('run/listed'); os.symlink(out + '/sock', 'run/listed'); {connect}(out + '/sock')",
        "os.rename('other', 'run/listed'); {connect}('run/listed')",
        "os.unlink('run/listed'); os.link('other', 'run/listed'); {connect}('other')",
        "os.unlink('run/listed'); d=os.open('other', os.O_PATH); c=ctypes.CDLL(None)\n\
         assert c.linkat(-100, b'/proc/self/fd/%d' % d, -100, b'run/listed', 0x400)==0; {connect}('other')",
        "assert ctypes.CDLL(None).renameat2(-100, b'other', -100, b'run/listed', 2)==0; {connect}('run/listed')",
        "os.rename('run', 'old'); os.mkdir('run'); os.rename('other', 'run/listed'); {connect}('run/listed')",
        "os.mkdir('new'); os.rename('other', 'new/listed'); os.rename('run', 'old'); os.rename('new', 'run')\n\
         {connect}('run/listed')",
        "os.rename('run', 'old'); os.symlink(out, 'run'); {connect}(out + '/listed')",
        "os.unlink('run/listed'); os.rmdir('run'); os.symlink(out, 'run'); {connect}(out + '/listed')",
    ];
    let honest = [
        "{connect}('run/listed')",
        "os.unlink('run/listed'); l=s.socket(s.AF_UNIX); l.bind('run/listed'); l.listen(); {connect}('run/listed')",
    ];
    let _elsewhere = UnixListener::bind(world.path("out/listed")).unwrap();
    for tier in tiers(wish, "ipc_01_nothing_takes_the_name_of_a_listed_socket") {
        for (act, works) in hostile.iter().map(|act| (act, false)).chain(honest.iter().map(|act| (act, true))) {
            for name in ["run", "old", "new"] {
                let path = world.path("ws").join(name);
                let _ = std::fs::remove_file(&path);
                let _ = std::fs::remove_dir_all(&path);
            }
            let _ = std::fs::remove_file(world.path("ws/other"));
            std::fs::create_dir_all(world.path("ws/run")).unwrap();
            let _listed = UnixListener::bind(world.path("ws/run/listed")).unwrap();
            let _other = UnixListener::bind(world.path("ws/other")).unwrap();
            let act = act.replace("{connect}", connect);
            let line = python(&world, &format!("import ctypes, os, socket as s, sys\nout=sys.argv[1]\n{act}\n"));
            let (outcome, _) = run(&wish(backend(tier)), &line).unwrap();
            assert_eq!(outcome.exit == Exit::Code(0), works, "{tier}: {act}");
        }
    }
}
