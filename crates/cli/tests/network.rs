//! The managed network with real programs: `ringfence sandbox` on a machine whose internet is one other machine, made of
//! network namespaces, with a name server, web servers and an echo of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "network/alone.rs"]
mod alone;
#[path = "network/asking.rs"]
mod asking;
#[path = "network/clients.rs"]
mod clients;
mod common;
#[path = "network/ends.rs"]
mod ends;
#[path = "network/redirects.rs"]
mod redirects;
#[path = "network/registries.rs"]
mod registries;
#[path = "common/terminal.rs"]
mod terminal;

use common::{Place, Ran, confines, have, program, skip};
use std::process::{Command, Stdio};

const WORLD: &str = include_str!("network/world.sh");
const SERVER: &str = include_str!("network/server.py");
const SERVER_2: &str = include_str!("network/server.mjs");

/// What is allowed; `private` and its like are, so that only their addresses speak against them.
const SETTINGS: &str = r#"
sandbox_mode = "workspace-write"
[sandbox_workspace_write]
network_access = true
[network]
enabled = true
transparent = TRANSPARENT
[network.domains]
"allowed.test:*" = "allow"
"private.test" = "allow"
"mixed.test" = "allow"
"rebind.test" = "allow"
"metadata.test" = "allow"
"mapped.test" = "allow"
"nat64.test" = "allow"
"loop6.test" = "allow"
"alias.test" = "allow"
"silent.test" = "allow"
"slow.test" = "allow"
"broken.test" = "allow"
"denied.test" = "deny"
"#;

struct World {
    place: Place,
    with_node: bool,
    with_java: bool,
}

impl World {
    /// None, said so, if this machine has no such world.
    fn new(test: &str, transparent: bool) -> Option<Self> {
        Self::with(test, transparent, "")
    }

    /// The same with more settings.
    fn with(test: &str, transparent: bool, more: &str) -> Option<Self> {
        let needed = ["python3", "ip", "unshare", "nsenter"].iter().all(|program| have(test, program));
        if !needed || !confines(test) {
            return None;
        }
        let world = Self { place: Place::new(), with_node: false, with_java: false };
        let settings = SETTINGS.replace("TRANSPARENT", if transparent { "true" } else { "false" });
        world.place.settings(&(settings + more));
        world.place.write("world/world.sh", WORLD);
        world.place.write("world/server.py", SERVER);
        world.place.write("world/pages/hello", "hello from afar\n");
        let ran = world.outside("true");
        if ran.status == 77 {
            skip(test, ran.err.lines().last().unwrap_or("there can't be a second machine"));
            return None;
        }
        ran.ends(0);
        if transparent && !std::path::Path::new("/dev/net/tun").exists() {
            skip(test, "this machine has no `/dev/net/tun`");
            return None;
        }
        Some(world)
    }

    /// Runs a program with its arguments in that world, outside any sandbox.
    fn in_world(&self, argv: &[&str]) -> Ran {
        for file in ["ready", "ready2", "asked"] {
            let _ = std::fs::remove_file(self.place.path(&format!("world/{file}")));
        }
        let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
        let mut command = Command::new("unshare");
        command.args(if root { vec!["-n", "-m"] } else { vec!["-U", "-r", "-n", "-m"] });
        command.arg("sh").arg(self.place.path("world/world.sh")).arg(self.place.path("world")).args(argv);
        command.current_dir(self.place.path("ws")).env_clear().stdin(Stdio::null());
        command.env("HOME", self.place.path("home")).env("LANG", "C.UTF-8").env("TERM", "dumb");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // What this machine trusts, and a credential of whoever starts the sandbox.
        command.env("SSL_CERT_FILE", self.place.path("world/cert.pem")).env("API_TOKEN", "real-value");
        Ran::of(&mut command)
    }

    fn outside(&self, script: &str) -> Ran {
        self.in_world(&["sh", "-c", script])
    }

    /// Runs a script in the sandbox.
    fn inside(&self, script: &str) -> Ran {
        self.in_world(&[program().to_str().unwrap(), "sandbox", "--log-denials", "--", "sh", "-c", script])
    }

    /// The same with other arguments for Ringfence, and an open connection to the outside as descriptor 5.
    fn inside_with_descriptor(&self, args: &[&str], script: &str) -> Ran {
        let code = "import os, socket, sys\ns = socket.create_connection(('93.184.216.34', 7000))\nos.dup2(s.fileno(), 5)\n\
            os.set_inheritable(5, True)\nos.execvp(sys.argv[1], sys.argv[1:])";
        let mut argv = vec!["python3", "-c", code, program().to_str().unwrap().to_owned().leak() as &str, "sandbox"];
        argv.extend(args);
        argv.extend(["--", "sh", "-c", script]);
        self.in_world(&argv)
    }

    /// The same for Python, with nothing that knows of a proxy.
    fn python(&self, code: &str) -> Ran {
        self.place.write("ws/client.py", code);
        self.inside("python3 client.py")
    }

    /// Names that the world's name server was asked about.
    fn asked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.place.path("world/asked")).unwrap_or_default();
        let names = text.lines().filter(|line| *line != "reached");
        names.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }
}

const RAW: &str = r#"
import errno, os, socket, threading, time

def fetch(host, port=80, path="/hello"):
    began = time.time()
    try:
        with socket.create_connection((host, port), timeout=20) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            text = b""
            while part := s.recv(65536):
                text += part
            return text.split(b"\r\n\r\n")[-1].decode().strip()
    except OSError as error:
        slow = " slowly" if time.time() - began > 5 else ""
        return (errno.errorcode.get(error.errno) or str(error)) + slow

def sixth(host):
    if not os.path.exists("/proc/net/if_inet6"):
        return "none"
    return fetch(socket.getaddrinfo(host, 80, socket.AF_INET6)[0][4][0])
"#;

#[test]
fn net_06_transparent_programs_reach_allowed_names_and_nothing_else() {
    let test = "net_06_transparent_programs_reach_allowed_names_and_nothing_else";
    let Some(world) = World::new(test, true) else { return };
    let ran = world
        .python(&format!(
            "{RAW}
print(fetch('allowed.test'), fetch('ALLOWED.test.'))
print('refused', fetch('allowed.test', 7001))
print('sixth', sixth('allowed.test'), sixth('other.test'))
for host in ['other.test', 'denied.test', '93.184.216.34', '169.254.169.254', '192.168.7.7', '2130706433.evil.test']:
    print(host, fetch(host))
print('v6', fetch('2606:2800:220:1::34'))
print('private', fetch('10.0.0.5'))
"
        ))
        .ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "hello from afar hello from afar", "{}{}", ran.out, ran.err);
    assert_eq!(lines[1], "refused ECONNREFUSED");
    assert!(lines[2] == "sixth hello from afar EACCES" || lines[2] == "sixth none none", "{}{}", ran.out, ran.err);
    for line in &lines[3..] {
        assert!(line.ends_with(" EHOSTUNREACH") || line.ends_with(" EACCES"), "{}", ran.out);
    }
    // What may not be reached isn't even looked up.
    assert!(world.asked().iter().all(|name| name == "allowed.test"), "{:?}", world.asked());
    // And the end says what was refused, and by what it would be allowed.
    assert!(ran.err.contains("other.test") && ran.err.contains("93.184.216.34"), "{}", ran.err);
}

/// Ways out that know nothing of a proxy, or point somewhere else than it.
const WAYS_OUT: &str = r#"
import os, socket, subprocess
HOST = "93.184.216.34"
def attempt(name, act):
    try: act(); print(name, "OUT")
    except Exception: pass
def stream(*kind):
    s = socket.socket(*kind); s.settimeout(3); return s
def talk(s):
    s.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
    assert s.recv(1)
def tcp(*kind, to=(HOST, 80)):
    s = stream(*kind); s.connect(to); talk(s)
def fast_open():
    s = stream(socket.AF_INET, socket.SOCK_STREAM)
    s.sendto(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 0x20000000, (HOST, 80)); assert s.recv(1)
QUERY = b"\x124\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06secret\x04evil\x00\x00\x01\x00\x01"
def datagram(to=(HOST, 53)):
    s = stream(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(QUERY, to); s.recv(512)
def message():
    s = stream(socket.AF_INET, socket.SOCK_DGRAM); s.sendmsg([QUERY], [], 0, (HOST, 9)); s.recv(512)
attempt("tcp", lambda: tcp(socket.AF_INET, socket.SOCK_STREAM))
attempt("mptcp", lambda: tcp(socket.AF_INET, socket.SOCK_STREAM, 262))
attempt("mapped", lambda: tcp(socket.AF_INET6, socket.SOCK_STREAM, to=("::ffff:" + HOST, 80)))
attempt("fast open", fast_open)
attempt("raw", lambda: stream(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (HOST, 0)))
attempt("ping", lambda: stream(socket.AF_INET, socket.SOCK_DGRAM, 1).sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (HOST, 0)))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
attempt("message", message)
attempt("metadata", lambda: tcp(socket.AF_INET, socket.SOCK_STREAM, to=("169.254.169.254", 80)))
attempt("gateway", lambda: tcp(socket.AF_INET, socket.SOCK_STREAM, to=("93.184.216.33", 80)))
try: datagram()
except OSError: pass
try: socket.getaddrinfo("secret.evil", 80)
except OSError: pass
env = {**os.environ, "http_proxy": f"http://{HOST}:80", "ALL_PROXY": f"http://{HOST}:80"}
curl = subprocess.run(["curl", "-sm", "3", "http://x.test/hello"], env=env, capture_output=True)
if b"afar" in curl.stdout: print("proxy variables OUT")
attempt("descriptor", lambda: os.write(5, b"x"))
"#;

#[test]
fn net_01_to_05_nothing_leaves_but_through_the_proxy() {
    let test = "net_01_to_05_nothing_leaves_but_through_the_proxy";
    let landlock = vec!["-c", "linux.backend=\"landlock\""];
    for (transparent, args) in [(false, vec!["--network", "off"]), (false, vec![]), (true, vec![]), (false, landlock)] {
        let Some(world) = World::new(test, transparent) else { return };
        world.place.write("ws/out.py", WAYS_OUT);
        let ran = world.inside_with_descriptor(&args, "timeout 60 python3 out.py && ls /proc/self/fd").ends(0);
        assert!(!ran.out.contains("OUT"), "{transparent} {args:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.out.lines().count(), 4, "descriptors beyond the standard ones: {}", ran.out);
        let text = std::fs::read_to_string(world.place.path("world/asked")).unwrap_or_default();
        // The connection that was there before, and nothing else.
        assert_eq!(text, "reached\n", "{transparent} {args:?}");
    }
}

/// Ways to the proxy, or past it, that aren't a connection to the one address where it listens.
const AROUND: &str = r#"
import errno, os, socket, struct, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
PORT, REQUEST = proxy.port, b"GET http://allowed.test/hello HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n"
def attempt(name, act):
    try: print(name, "IN" if act() is not False else "")
    except OSError: pass
def connect(host, port, family=socket.AF_INET, *kind):
    s = socket.socket(family, *kind or (socket.SOCK_STREAM,)); s.settimeout(3); s.connect((host, port)); return s
for name, host, family in [("other loopback", "127.0.0.2", socket.AF_INET), ("wildcard", "0.0.0.0", socket.AF_INET),
                           ("mapped", "::ffff:127.0.0.2", socket.AF_INET6), ("v6", "::1", socket.AF_INET6)]:
    attempt(name, lambda: connect(host, PORT, family))
attempt("another port", lambda: connect("127.0.0.1", int(os.environ["OTHER"])))
attempt("datagram", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)))
attempt("connected datagram", lambda: connect("127.0.0.1", PORT, socket.AF_INET, socket.SOCK_DGRAM))
def fast(send):
    s = socket.socket(); s.settimeout(3); send(s); return s.recv(1)
attempt("fast open", lambda: fast(lambda s: s.sendto(REQUEST, 0x20000000, ("127.0.0.1", PORT))))
attempt("fast message", lambda: fast(lambda s: s.sendmsg([REQUEST], [], 0x20000000, ("127.0.0.1", PORT))))
attempt("mptcp", lambda: connect("127.0.0.1", PORT, socket.AF_INET, socket.SOCK_STREAM, 262))
def ask(s):
    s.sendall(REQUEST); return s.recv(12).decode()
print("proxy", ask(connect("127.0.0.1", PORT)))
print("socket of both kinds", ask(connect("::ffff:127.0.0.1", PORT, socket.AF_INET6)))
def unhurried():
    import select
    s = socket.socket(); s.setblocking(False)
    first = s.connect_ex(("127.0.0.1", PORT)); select.select([], [s], [], 5)
    second = [s.connect_ex(("127.0.0.1", PORT)) for _ in range(3)]
    s.setblocking(True); return errno.errorcode[first], second, ask(s)
print("without waiting", *unhurried())
open("port", "w").write(str(PORT))
"#;

#[test]
fn net_01_the_proxy_is_reached_and_nothing_else_in_the_bwrap_tier() {
    let test = "net_01_the_proxy_is_reached_and_nothing_else_in_the_bwrap_tier";
    if !have(test, "curl") || !have(test, "bwrap") {
        return;
    }
    let Some(world) = World::new(test, false) else { return };
    let ringfence = program();
    let ringfence = ringfence.to_str().unwrap();
    for subcommand in ["sandbox", "run"] {
        let curl = "for u in http://allowed.test/hello http://other.test/; do \
                    curl -sm 20 -o body -w '%{http_code}\\n' $u; done; echo $RINGFENCE_SANDBOX; \
                    curl -sm 20 --noproxy '*' http://allowed.test/hello && echo OUT";
        let ran = world.in_world(&[ringfence, subcommand, "-c", "linux.backend=\"bwrap\"", "--", "sh", "-c", curl]);
        // An ordinary user's world is a user namespace in which nothing belongs to root.
        if ran.err.contains("no `bwrap` that only root can change") {
            return skip(test, "`bwrap` isn't root's as this user's world sees it");
        }
        assert_eq!(ran.out, "200\n403\nbwrap\n", "{subcommand}: {}", ran.err);
    }
}

#[test]
fn net_06_without_a_network_namespace_the_proxy_is_the_only_way() {
    let test = "net_06_without_a_network_namespace_the_proxy_is_the_only_way";
    if !have(test, "curl") {
        return;
    }
    let Some(world) = World::new(test, false) else { return };
    world.place.write("ws/around.py", AROUND);
    let ringfence = program();
    let ringfence = ringfence.to_str().unwrap();
    let backend = "linux.backend=\"landlock\"";
    for subcommand in ["sandbox", "run"] {
        let curl = "for u in http://allowed.test/hello http://other.test/ http://denied.test/; do \
                    curl -sm 20 -o body -w '%{http_code}\\n' $u; done; cat body; echo $RINGFENCE_SANDBOX-$RINGFENCE_SANDBOX_NETWORK; \
                    curl -sm 20 --noproxy '*' http://allowed.test/hello && echo OUT; curl -sm 20 http://allowed.test/hello";
        let ran = world.in_world(&[ringfence, subcommand, "-c", backend, "--", "sh", "-c", curl]).ends(0);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines[..3], ["200", "403", "403"], "{subcommand}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("landlock-proxy\n") && !ran.out.contains("OUT"), "{subcommand}: {}", ran.out);
        assert_eq!(lines.last(), Some(&"hello from afar"), "{subcommand}: {}{}", ran.out, ran.err);
    }
    // A service of the machine, which anybody outside reaches.
    let outside = "import os, socket, sys\nl = socket.create_server(('127.0.0.1', 0))\nos.environ['OTHER'] = \
                   str(l.getsockname()[1])\nos.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:])\nl.setblocking(False)\ntry: \
                   l.accept(); print('REACHED')\nexcept OSError: pass";
    let argv = ["python3", "-c", outside, ringfence, "sandbox", "-c", backend, "--", "python3", "around.py"];
    let ran = world.in_world(&argv).ends(0);
    let wanted = "proxy HTTP/1.1 200\nsocket of both kinds HTTP/1.1 200\n\
                  without waiting EINPROGRESS [0, 106, 106] HTTP/1.1 200\n";
    assert_eq!(ran.out, wanted, "{}", ran.err);
}

#[test]
fn net_08_a_listener_inside_is_reached_from_inside_only() {
    let test = "net_08_a_listener_inside_is_reached_from_inside_only";
    for transparent in [false, true] {
        let Some(world) = World::new(test, transparent) else { return };
        world.place.write(
            "ws/listen.py",
            "import socket, time, sys\ns = socket.socket(); s.bind(('0.0.0.0', 6543)); s.listen()\n\
             print(socket.create_connection(('127.0.0.1', 6543)).getpeername()[1], flush=True)\n\
             open('listening', 'w').close()\ntime.sleep(3)\n",
        );
        let ringfence = program();
        let script = format!(
            "{} sandbox -- python3 listen.py & n=0; while [ ! -e listening ] && [ $n -lt 200 ]; do n=$((n+1)); sleep 0.05; done; \
             for a in 127.0.0.1 93.184.216.33; do python3 -c \"import socket; socket.create_connection(('$a', 6543), 2)\" \
             2>/dev/null && echo reached $a; done; python3 -c \"import socket; socket.socket().bind(('0.0.0.0', 6543))\" && echo free; wait $!",
            ringfence.display()
        );
        let ran = world.outside(&script).ends(0);
        let mut lines: Vec<&str> = ran.out.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["6543", "free"], "{}", ran.err);
    }
}

#[test]
fn px_01_names_that_lead_to_private_addresses_are_refused_by_a_real_resolver() {
    let test = "px_01_names_that_lead_to_private_addresses_are_refused_by_a_real_resolver";
    for transparent in [true, false] {
        let Some(world) = World::new(test, transparent) else { return };
        let names = ["private", "mixed", "alias", "metadata", "mapped", "nat64", "loop6", "rebind", "rebind", "broken"];
        let ran = if transparent {
            world.python(&format!("{RAW}\nfor name in {names:?}: print(name, fetch(name + '.test'))\n"))
        } else if have(test, "curl") {
            world.inside(&format!(
                "for name in {}; do echo $name $(curl -sm 20 -w '%{{http_code}}' -o /dev/null http://$name.test/hello); done",
                names.join(" ")
            ))
        } else {
            return;
        };
        let ran = ran.ends(0);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines.len(), names.len(), "{}{}", ran.out, ran.err);
        for (index, line) in lines.iter().enumerate() {
            // The first answer of `rebind` is public, the second private: each connection is judged by its own.
            let passes = index == 7;
            let passed = line.ends_with("hello from afar") || line.ends_with(" 200");
            assert_eq!(passed, passes, "{}{}", ran.out, ran.err);
        }
    }
}

#[test]
fn transparent_connections_are_byte_exact_both_ways_and_many() {
    let test = "transparent_connections_are_byte_exact_both_ways_and_many";
    let Some(world) = World::new(test, true) else { return };
    let ran = world
        .python(&format!(
            "{RAW}
def echo(size):
    sent = os.urandom(size)
    s = socket.create_connection(('allowed.test', 7000))
    def send():
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    got = b''.join(iter(lambda: s.recv(1 << 20), b''))
    return got == sent
print(echo(24 << 20), echo(0), echo(1))
results = []
def many():
    for _ in range(8): results.append(echo(100000))
threads = [threading.Thread(target=many) for _ in range(16)]
for t in threads: t.start()
for t in threads: t.join()
print(len(results), all(results))
for _ in range(300):
    s = socket.socket(); s.setblocking(False)
    s.connect_ex(('198.18.1.0', 7000)); s.close()
print(fetch('allowed.test'))
"
        ))
        .ends(0);
    assert_eq!(ran.out, "True True True\n128 True\nhello from afar\n", "{}", ran.err);
}

#[test]
fn net_07_transparent_mode_leaves_loopback_and_refuses_datagrams() {
    let test = "net_07_transparent_mode_leaves_loopback_and_refuses_datagrams";
    let Some(world) = World::new(test, true) else { return };
    let ran = world
        .python(
            r#"
import socket, threading, os
for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "127.3.2.1")]:
    server = socket.socket(family); server.bind((host, 0)); server.listen()
    client = socket.create_connection(server.getsockname()[:2]); peer, _ = server.accept()
    client.sendall(b"x"); print(host, peer.recv(1))
print(sorted({info[4][0] for info in socket.getaddrinfo("localhost", 1)}))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5); u.connect(("93.184.216.34", 123)); u.send(b"x")
try: print("answered", u.recv(1))
except OSError as error: print("datagram", type(error).__name__ == "TimeoutError")
try: socket.gethostbyname("nothing.127"); print("found")
except OSError: print("no such name")
# The proxy's own sockets in there lead nowhere by themselves.
try:
    s = socket.create_connection(("198.18.0.2", 1024), timeout=5); print("led", s.recv(1))
except OSError as error: print("closed")
print(os.path.exists("/dev/net/tun"), sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else "")
"#,
        )
        .ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[..3], ["127.0.0.1 b'x'", "::1 b'x'", "127.3.2.1 b'x'"], "{}{}", ran.out, ran.err);
    assert!(lines[3].contains("127.0.0.1"), "{}", lines[3]);
    assert_eq!(lines[4..7], ["datagram False", "no such name", "closed"], "{}", ran.out);
    assert!(lines[7].starts_with("False "), "{}", lines[7]);
}
