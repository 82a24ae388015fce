//! `ringfence proxy` at the command line: what it can't do, and what it says then.

use super::common::Place;

#[test]
fn one_that_cannot_listen_and_one_that_refuses_say_what_to_do() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for flag in ["--http", "--socks", "--metrics"] {
        let elsewhere = if flag == "--http" { &[][..] } else { &["--http", "127.0.0.1:0"] };
        let args = [&["proxy", flag, &at], elsewhere].concat();
        let ran = place.run(args).ends(125).says(&format!("can't listen on {at} for "));
        assert!(ran.err.contains("hint: something listens there already"), "{}", ran.err);
        assert!(ran.err.contains(&format!("`{flag}`")), "{}", ran.err);
    }
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

#[test]
fn what_is_wrong_on_the_command_line_is_said_with_what_would_be_right() {
    let place = Place::new();
    for (args, said) in [
        (&["--http", "127.0.0.1"][..], "the port is missing: `127.0.0.1:3128`"),
        (&["--http", "::1"], "the port is missing: `[::1]:3128`"),
        (&["--socks", "8081"], "the address is missing: `127.0.0.1:8081`"),
        (&["--metrics", "localhost:9100"], "names aren't looked up here: `127.0.0.1:9100`"),
        (&["--http", "proxy.example.com:3128"], "an address with a port is needed, such as `127.0.0.1:3128`"),
        (&["--http", "127.0.0.1:70000"], "an address with a port is needed"),
        (&["connect", "--via", "127.0.0.1:1", "a.test", "0"], "0 is not in 1..=65535"),
        (&["connect", "--via", "3128", "a.test", "22"], "the address is missing: `127.0.0.1:3128`"),
        (&["--http", "127.0.0.1:0", "connect"], "cannot be used with"),
    ] {
        let ran = place.run(["proxy"].iter().chain(args).copied().collect::<Vec<_>>()).ends(125).says(said);
        assert!(!ran.err.contains("on 127.0.0.1"), "it ran: {}", ran.err);
    }
    for (args, said) in [
        (&["--http", "127.0.0.1:3999", "--socks", "127.0.0.1:3999"][..], "127.0.0.1:3999 is named twice"),
        (&["--http", "127.0.0.1:0", "--metrics", "0.0.0.0:0"], "the counters are for this machine alone"),
        (&["--network", "off"], "a proxy without a network lets nothing through"),
        (
            &["--http", "203.0.113.9:3999", "-c", "network.dangerously_allow_non_loopback_proxy=true"],
            "hint: no interface of this machine has that address",
        ),
        (&["connect", "--via", "127.0.0.1:1", "a.test\r\nX: y", "22"], "is no host"),
        (&["connect", "--via", "127.0.0.1:1", "a b", "22"], "is no host"),
        (&["connect", "--via", "127.0.0.1:1", "a.test", "22"], "hint: nothing listens there"),
    ] {
        let ran = place.run(["proxy"].iter().chain(args).copied().collect::<Vec<_>>()).ends(125).says(said);
        assert!(!ran.err.contains("proxy on 127.0.0.1:3999"), "it ran: {}", ran.err);
    }
    // A port for which this user has no right; root has it everywhere.
    if std::net::TcpListener::bind("127.0.0.1:80")
        .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    {
        place.run(["proxy", "--http", "127.0.0.1:80"]).ends(125).says("such as `--http 127.0.0.1:8080`");
        place.settings("[network]\nhttp_port = 80\n");
        place.run(["proxy"]).ends(125).says("config.toml").says("ports below 1024 are for root");
    }
    let ran = place.run(["log", "--network", "--verify"]).ends(125);
    assert!(ran.err.contains("cannot be used with"), "{}", ran.err);
}
