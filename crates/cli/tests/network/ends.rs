//! What happens when somebody stops: a name server that is silent, a proxy or a sandbox that is killed in the middle, a
//! command that ends before its question is answered.

use super::common::{Place, confines, have, program, skip};
use super::terminal::{Setup, Terminal};
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
fn always_writes_a_network_rule_and_the_next_run_doesnt_ask() {
    let test = "always_writes_a_network_rule_and_the_next_run_doesnt_ask";
    if !have(test, "script") || !have(test, "stty") || !have(test, "curl") || !confines(test) {
        return;
    }
    let place = asking_place();
    // The name leads nowhere: 502 says that it was let through, 403 that it wasn't.
    let run = ["run", "--", "curl", "-so", "body", "-w", "%{http_code}", "http://unknown.invalid/"];
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &run);
    terminal.until("unknown.invalid", 1).until("└─", 1).keys("n");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert!(terminal.shown().contains("403"), "{}", terminal.shown());
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &run);
    terminal.until("└─", 1).keys("a");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert!(terminal.shown().contains("502"), "{}", terminal.shown());
    let rules = std::fs::read_dir(place.path("home/.ringfence/rules")).unwrap().flatten();
    let text: String = rules.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect();
    assert!(text.contains("network_rule(") && text.contains("unknown.invalid"), "{text}");
    let ran = place.run(run).ends(0);
    assert_eq!(ran.out, "502", "{}", ran.err);
}

/// A place whose runs may use the network, and ask about hosts.
fn asking_place() -> Place {
    let place = Place::new();
    let root = place.path("ws").display().to_string();
    place.settings(&format!(
        "approval_policy = \"on-request\"\n[sandbox_workspace_write]\nnetwork_access = true\n[network]\nenabled = true\n\
         [network.domains]\n\"allowed.test\" = \"allow\"\n[projects.\"{root}\"]\ntrust_level = \"trusted\"\n"
    ));
    place
}

#[test]
fn a_question_that_is_open_when_its_command_ends_is_taken_back() {
    let test = "a_question_that_is_open_when_its_command_ends_is_taken_back";
    if !have(test, "script") || !have(test, "stty") || !have(test, "curl") || !confines(test) {
        return;
    }
    let place = asking_place();
    let script =
        "curl -s http://unknown.test/ & for i in $(seq 100); do [ -e asked ] && break; sleep 0.1; done; echo over";
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["run", "--", "sh", "-c", script]);
    terminal.until("unknown.test", 1).until("└─", 1);
    let start = Instant::now();
    place.write("ws/asked", "");
    // Nobody answers, and nobody has to.
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let shown = terminal.shown();
    assert!(shown.contains("no answer is needed any more"), "{shown}");
    let log = place.run(["log", "--network"]).ends(0);
    assert!(log.out.contains("unknown.test") && !log.out.contains("allow "), "{}", log.out);
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

#[test]
fn a_proxy_that_cannot_listen_and_one_that_refuses_say_what_to_do() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let ran = place.run(["proxy", "--http", &at]).ends(125).says(&at);
    assert!(ran.err.contains("hint: something listens there already"), "{}", ran.err);
    place.run(["proxy", "--http", "0.0.0.0:0"]).ends(125).says("network.dangerously_allow_non_loopback_proxy");
    // The connector of `ssh` says in words what the proxy answered.
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        for body in [
            "HTTP/1.1 403 Forbidden\r\n\r\n{\"text\":\"no rule \\u001b[1mallows it\",\"allow_with\":[\"--escalate network=a.test:22\"]}",
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "HTTP/1.1 500 What\r\n\r\nnot \x1b[1m JSON",
        ] {
            let (mut stream, _) = taken.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
        }
    });
    let connect = || place.run(["proxy", "connect", "--via", &at, "a.test", "22"]).ends(125);
    let ran = connect().says("the proxy refused a.test:22").says("no rule \\u{1b}[1mallows it");
    assert!(ran.err.contains("hint: this would allow it: --escalate network=a.test:22"), "{}", ran.err);
    connect().says("wants a user name and password");
    assert!(!connect().says("the proxy refused a.test:22").err.contains('\x1b'));
    answering.join().unwrap();
}
