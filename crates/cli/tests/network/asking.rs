//! Asking about hosts that no rule names: at the run's own terminal, in another one, and by `ringfence proxy` alone.

use super::common::{Place, confines, have};
use super::terminal::{Setup, Terminal};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Whether a person can be asked here, by runs that are confined.
fn can_ask(test: &str) -> bool {
    ["script", "stty", "curl"].iter().all(|program| have(test, program)) && confines(test)
}

#[test]
fn always_writes_a_network_rule_and_the_next_run_doesnt_ask() {
    let test = "always_writes_a_network_rule_and_the_next_run_doesnt_ask";
    if !can_ask(test) {
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
    if !can_ask(test) {
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
fn a_no_is_asked_once_and_a_stop_stops_the_run() {
    let test = "a_no_is_asked_once_and_a_stop_stops_the_run";
    if !can_ask(test) {
        return;
    }
    let place = asking_place();
    // The command fails for the refusal: what was said no to isn't offered again as a second run.
    let run = ["run", "--", "curl", "-sfo", "body", "http://unknown.invalid/"];
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &run);
    terminal.until("└─", 1).keys("n");
    assert_eq!(terminal.ends(), 22, "{}", terminal.shown());
    assert_eq!(terminal.shown().matches("ringfence asks").count(), 1, "{}", terminal.shown());
    let script = "curl -s http://one.invalid/ & curl -s http://two.invalid/ & wait; echo went on";
    for key in ["q", "\x03"] {
        let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["run", "--", "sh", "-c", script]);
        terminal.until("└─", 1).keys(key);
        assert_eq!(terminal.ends(), 126, "{}", terminal.shown());
        let shown = terminal.shown();
        assert!(shown.contains("ended by user, who was asked about `connect to "), "{shown}");
        // The other question of the run doesn't come up any more.
        assert!(!shown.contains("went on") && shown.matches("ringfence asks").count() == 1, "{shown}");
    }
    let log = place.run(["log", "-n", "4", "--json"]).ends(0);
    assert!(!log.out.contains("not-started"), "{}", log.out);
}

#[test]
fn many_hosts_are_a_list_and_many_connections_to_one_a_question() {
    let test = "many_hosts_are_a_list_and_many_connections_to_one_a_question";
    if !can_ask(test) {
        return;
    }
    let place = asking_place();
    let get = "curl -so /dev/null -w '%{http_code}\\n'";
    let script = format!("for i in 1 2 3 4 5 6 7 8 9; do {get} http://one.invalid/ & done; wait");
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["run", "--", "sh", "-c", &script]);
    terminal.until("└─", 1).keys("y");
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    let shown = terminal.shown();
    assert_eq!((shown.matches("ringfence asks").count(), shown.matches("502").count()), (1, 9), "{shown}");
    // The first five one by one, the rest together.
    let script = format!("for i in 1 2 3 4 5 6 7 8 9; do {get} http://n$i.invalid/ & done; wait");
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["run", "--", "sh", "-c", &script]);
    let mut asked = 0;
    while !terminal.shown().contains("requests came within a few seconds") {
        asked += 1;
        assert!(asked <= 6, "{}", terminal.shown());
        terminal.until("└─", asked).keys("y");
        std::thread::sleep(Duration::from_millis(300));
    }
    while terminal.shown().matches("502").count() < 9 {
        assert!(asked <= 7, "{}", terminal.shown());
        asked += 1;
        terminal.until("└─", asked).keys("y");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
}

#[test]
fn an_open_question_holds_up_no_other_host() {
    let test = "an_open_question_holds_up_no_other_host";
    if !can_ask(test) {
        return;
    }
    let place = asking_place();
    let script = "curl -so first -w '%{http_code} first\\n' http://known.invalid/; \
        curl -s http://unknown.invalid/ & until [ -e asked ]; do sleep 0.1; done; \
        curl -so second -w '%{http_code} second\\n' http://known.invalid/; kill $!";
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["run", "--", "sh", "-c", script]);
    terminal.until("known.invalid:80", 1).until("└─", 1).keys("s").until("502 first", 1);
    terminal.until("connect to unknown.invalid:80", 1).until("└─", 2);
    place.write("ws/asked", "");
    // The answer for the session lets it through while the other question waits.
    terminal.until("502 second", 1);
    assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
    let log = place.run(["log", "--network"]).ends(0);
    let of_known = log.out.lines().filter(|line| line.contains("failed GET known.invalid:80 (http) by grant: session"));
    assert_eq!(of_known.count(), 2, "{}", log.out);
    assert!(log.out.contains(", status 502, 0 bytes up, "), "{}", log.out);
}

/// One plain request through a proxy; the whole answer.
fn get(proxy: SocketAddr, host: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Where the proxy on this terminal listens.
fn listening(terminal: &mut Terminal) -> SocketAddr {
    let shown = terminal.until("HTTP proxy on ", 1).until("\n", 1).shown();
    let at = shown.split("HTTP proxy on ").nth(1).unwrap();
    at.lines().next().unwrap().trim().parse().unwrap()
}

#[test]
fn the_proxy_alone_asks_at_its_terminal_and_a_stop_ends_it() {
    let test = "the_proxy_alone_asks_at_its_terminal_and_a_stop_ends_it";
    if !have(test, "script") || !have(test, "stty") {
        return;
    }
    let place = asking_place();
    let mut terminal = Terminal::ringfence(&place, &Setup::default(), &["proxy", "--http", "127.0.0.1:0"]);
    let proxy = listening(&mut terminal);
    let ask = |host: &'static str| std::thread::spawn(move || get(proxy, host));
    let first = ask("one.invalid");
    terminal.until("connect to one.invalid:80", 1).until("└─", 1).keys("s");
    assert!(first.join().unwrap().starts_with("HTTP/1.1 502"));
    assert!(get(proxy, "one.invalid").starts_with("HTTP/1.1 502"), "it holds for the session");
    let second = ask("two.invalid");
    terminal.until("└─", 2).keys("n");
    let answer = second.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("denied by user"), "{answer}");
    // The proxy alone takes no `--escalate`.
    assert!(!answer.contains("--escalate") && answer.contains("[network.domains]"), "{answer}");
    let third = ask("three.invalid");
    terminal.until("└─", 3).keys("\x03");
    assert_eq!(terminal.ends(), 126, "{}", terminal.shown());
    assert!(terminal.shown().contains("ended by user, who was asked about `connect to three.invalid:80`"));
    assert!(!third.join().unwrap().contains("200"));
}

#[test]
fn a_person_in_another_terminal_answers_about_hosts() {
    let test = "a_person_in_another_terminal_answers_about_hosts";
    if !can_ask(test) || !have(test, "setsid") {
        return;
    }
    let place = asking_place();
    let mut person = Terminal::ringfence(&place, &Setup::default(), &["approvals"]);
    person.until("waiting for questions", 1);
    let get = "curl -so body -w '%{http_code}\\n'";
    let script = format!("{get} http://one.invalid/; {get} http://one.invalid/; {get} http://two.invalid/");
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| place.run(["run", "--", "sh", "-c", &script]));
        person.until("connect to one.invalid:80", 1).until("└─", 1).keys("s");
        person.until("connect to two.invalid:80", 1).until("└─", 2).keys("e").keys("use the mirror\n");
        let ran = ran.join().unwrap().ends(0);
        assert_eq!(ran.out, "502\n502\n403\n", "{}", ran.err);
    });
    let body = std::fs::read_to_string(place.path("ws/body")).unwrap();
    assert!(body.contains("denied by inbox: use the mirror"), "{body}");
    assert!(body.contains("\"--escalate network=two.invalid:80\""), "{body}");
}
