//! What happens when somebody stops: a name server that is silent, a proxy or a sandbox that is killed in the middle.

use super::common::{Place, confines, have, program, skip};
use super::{RAW, World};
use std::time::{Duration, Instant};

#[test]
fn net_02_a_silent_name_server_is_an_error_in_time_and_a_slow_one_is_waited_for() {
    let test = "net_02_a_silent_name_server_is_an_error_in_time_and_a_slow_one_is_waited_for";
    let Some(world) = World::new(test, false) else { return };
    if !have(test, "curl") {
        return;
    }
    let code = "curl -sm 60 -o body -w '%{http_code}/%{http_connect}'";
    let script = format!(
        "({code} http://silent.test/ ; echo; {code} https://silent.test/; echo) > silent & \
         {code} http://slow.test/hello; echo; cat body; \
         for i in 1 2 3; do {code} http://allowed.test/hello; echo; done; wait; cat silent"
    );
    let start = Instant::now();
    let ran = world.inside(&script).ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    let wanted = ["200/000", "hello from afar", "200/000", "200/000", "200/000", "504/000", "000/504"];
    assert_eq!(lines, wanted, "{}{}", ran.out, ran.err);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn net_02_a_silent_name_server_is_unreachable_where_no_proxy_is_known() {
    let test = "net_02_a_silent_name_server_is_unreachable_where_no_proxy_is_known";
    let Some(world) = World::new(test, true) else { return };
    let ran = world.python(&format!("{RAW}\nfor name in ['slow', 'silent']: print(fetch(name + '.test'))\n")).ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "hello from afar", "{}", ran.err);
    assert!(lines[1].starts_with("EHOSTUNREACH") || lines[1].starts_with("ETIMEDOUT"), "{}", lines[1]);
}

#[test]
fn uploads_and_half_closed_tunnels_from_inside_are_byte_exact() {
    let test = "uploads_and_half_closed_tunnels_from_inside_are_byte_exact";
    let Some(world) = World::new(test, false) else { return };
    let ran = world
        .python(
            r#"
import os, socket, threading
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTP_PROXY"])
def echo(size):
    sent = os.urandom(size)
    s = socket.create_connection((proxy.hostname, proxy.port))
    s.sendall(b"CONNECT allowed.test:7000 HTTP/1.1\r\nHost: allowed.test:7000\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"): head += s.recv(1)
    assert head.startswith(b"HTTP/1.1 200"), head
    def send():
        s.sendall(sent)
        s.shutdown(socket.SHUT_WR)
    threading.Thread(target=send).start()
    return b"".join(iter(lambda: s.recv(1 << 20), b"")) == sent
print(echo(96 << 20), echo(1), echo(0))
"#,
        )
        .ends(0);
    assert_eq!(ran.out, "True True True\n", "{}", ran.err);
}

/// Waits in shell until something holds, at most ten seconds.
const UNTIL: &str = "until_() { n=0; while ! eval \"$1\"; do n=$((n+1)); [ $n -lt 200 ] || { echo \"never: $1\"; exit 1; }; \
    sleep 0.05; done; }; ";

#[test]
fn net_06_a_proxy_that_is_killed_in_the_middle_leaves_no_road_and_no_whole_answer() {
    let test = "net_06_a_proxy_that_is_killed_in_the_middle_leaves_no_road_and_no_whole_answer";
    let Some(world) = World::new(test, false) else { return };
    if !have(test, "curl") {
        return;
    }
    let (ringfence, asked) = (program(), world.place.path("world/asked"));
    let script = format!(
        "{UNTIL} P=http://127.0.0.1:3999; {} proxy --http 127.0.0.1:3999 --socks 127.0.0.1:3998 2> said & p=$!; \
         until_ 'grep -q SOCKS5 said'; \
         curl -sx $P http://allowed.test/endless -o plain & c=$!; curl -spx $P http://allowed.test/endless -o tunnel & t=$!; \
         until_ '[ -s plain ] && [ -s tunnel ]'; kill -9 $p; wait $c; echo plain $?; wait $t; echo tunnel $?; \
         curl -sx $P http://allowed.test/hello; echo then $?; until_ '[ $(grep -c stopped {}) = 2 ]'; echo stopped",
        ringfence.display(),
        asked.display()
    );
    let ran = world.outside(&script).ends(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    let cut_short = |line: &str| line.ends_with(" 18") || line.ends_with(" 56");
    assert!(cut_short(lines[0]) && cut_short(lines[1]), "{}{}", ran.out, ran.err);
    assert_eq!(lines[2..], ["then 7", "stopped"], "{}", ran.err);
}

#[test]
fn net_06_a_killed_run_takes_its_connections_with_it() {
    let test = "net_06_a_killed_run_takes_its_connections_with_it";
    for transparent in [false, true] {
        let Some(world) = World::new(test, transparent) else { return };
        if !have(test, "curl") {
            return;
        }
        let (ringfence, asked) = (program(), world.place.path("world/asked"));
        let without = if transparent { "--noproxy '*'" } else { "" };
        let script = format!(
            "{UNTIL} {} sandbox -- sh -c \"curl {without} -s http://allowed.test/endless -o got; echo $? > ended\" & p=$!; \
             until_ '[ -s got ]'; kill -9 $p; wait $p; until_ 'grep -q stopped {}'; \
             a=$(stat -c %s got); sleep 0.5; [ $a = $(stat -c %s got) ] && echo quiet; [ -e ended ] || echo gone",
            ringfence.display(),
            asked.display()
        );
        let ran = world.outside(&script).ends(0);
        assert_eq!(ran.out, "quiet\ngone\n", "{transparent}: {}", ran.err);
    }
}

#[test]
fn transparent_mode_needs_no_rights_of_its_own() {
    let test = "transparent_mode_needs_no_rights_of_its_own";
    if !have(test, "python3") || !confines(test) {
        return;
    }
    if std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
        return skip(test, "`/dev/net/tun` isn't there for this user");
    }
    // In no namespace made for the test: as whoever runs it, with nothing but what that user has.
    let place = Place::new();
    place.settings(
        "[sandbox_workspace_write]\nnetwork_access = true\n[network]\nenabled = true\ntransparent = true\n\
         [network.domains]\n\"allowed.test\" = \"allow\"\n",
    );
    place.write(
        "ws/client.py",
        &format!(
            "{RAW}\nprint(socket.gethostbyname('other.test').startswith('198.'))\nprint(fetch('other.test'))\n\
             print(fetch('93.184.216.34'))\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
             print(socket.create_connection(s.getsockname()).getpeername() == s.getsockname())\n"
        ),
    );
    let ran = place.run(["sandbox", "--log-denials", "--", "python3", "client.py"]).ends(0);
    assert_eq!(ran.out, "True\nEHOSTUNREACH\nEHOSTUNREACH\nTrue\n", "{}", ran.err);
    assert!(ran.err.contains("other.test:80") && ran.err.contains("93.184.216.34:80"), "{}", ran.err);
}

/// Opens connections to the proxy from several processes, since each may have only so many open itself, and keeps them.
const FLOOD: &str = r#"
import os, socket, subprocess, sys, time
from urllib.parse import urlsplit
proxy = urlsplit(os.environ["HTTP_PROXY"])
if len(sys.argv) == 1:
    floods = [subprocess.Popen([sys.executable, "client.py", "x"], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for flood in floods: flood.stdout.readline()
    try: open(os.environ["HOME"] + "/forbidden", "w")
    except OSError: pass
    for flood in floods: flood.kill()
    time.sleep(1)
    s = socket.create_connection((proxy.hostname, proxy.port))
    s.sendall(b"GET http://allowed.test/hello HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n")
    print(b"".join(iter(lambda: s.recv(65536), b"")).split()[1].decode())
else:
    kept = []
    for i in range(240):
        try:
            s = socket.create_connection((proxy.hostname, proxy.port), timeout=10)
            kept.append(s)
            if i % 2:
                s.sendall(b"CONNECT allowed.test:7000 HTTP/1.1\r\nHost: allowed.test:7000\r\n\r\n")
                s.recv(1)
            else:
                s.sendall(b"GET http://allowed.test/ HT")
        except OSError: pass
    print("open", flush=True)
    time.sleep(100)
"#;

#[test]
fn px_08_no_number_of_connections_keeps_the_journal_from_being_written() {
    let test = "px_08_no_number_of_connections_keeps_the_journal_from_being_written";
    let Some(world) = World::new(test, false) else { return };
    world.place.write("ws/client.py", FLOOD);
    let ringfence = program();
    let ringfence = ringfence.display();
    // As many descriptors as a login has by default, for Ringfence and for the command; and where Ringfence may have
    // more than it is started with, the command still has what it was started with.
    for (limit, inside) in [("-n 1024", "1024 1024"), ("-Sn 600", "600 ")] {
        let script = format!(
            "ulimit {limit}; {ringfence} run -- sh -c 'echo $(ulimit -Sn) $(ulimit -Hn); python3 client.py'; \
             {ringfence} log --verify; {ringfence} log --denied -n 1"
        );
        let ran = world.outside(&script).ends(0);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert!(lines[0].starts_with(inside), "{}{}", ran.out, ran.err);
        assert_eq!(lines[1], "200", "{}{}", ran.out, ran.err);
        assert!(lines[2].starts_with("whole: "), "{}{}", ran.out, ran.err);
        assert!(lines[3].contains("/forbidden"), "{}{}", ran.out, ran.err);
        assert!(!ran.err.contains("journal"), "{}", ran.err);
    }
}
