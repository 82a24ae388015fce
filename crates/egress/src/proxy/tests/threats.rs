use super::world::*;
use crate::ask::{Answer, Ask, Later, Question};
use crate::event::Verdict;
use crate::policy::Code;
use crate::proxy::Limits;
use crate::test_settings::{network, sourced};
use ringfence_model::AbsPath;
use ringfence_model::settings::ProxyMode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn get(url: &str, host: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn an_allowed_host_is_reached_and_recorded() {
    let (world, origin) = (world(&["allowed.test:*"], &[]).await, origin().await);
    world.public("allowed.test");
    let at = format!("Allowed.Test.:{}", origin.port);
    let answer = world.send(get(&format!("http://{at}/a?b"), &at)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("GET /a?b HTTP/1.1\r\nhost: allowed.test:{}", origin.port)), "{answer}");
    assert!(!answer.to_lowercase().contains("via:"));
    let event = world.event().await;
    assert_eq!((event.verdict, event.host.as_str(), event.status), (Verdict::Allowed, "allowed.test", Some(200)));
    assert_eq!((event.rule.as_str(), event.origin.as_str()), ("domains: allowed.test:*", "flag `--test`"));
    assert!(event.bytes_down > 0 && event.method.as_deref() == Some("GET"));
}

#[tokio::test]
async fn a_refusal_says_which_rule_and_what_would_allow_it() {
    let world = world(&["a.test"], &["b.test"]).await;
    let answer = world.send(get("http://c.test:81/", "c.test:81")).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("x-proxy-error: blocked-by-allowlist\r\n"),
        "{answer}"
    );
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.lines().count(), 1);
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["allow_with"][0], "[network.domains] \"c.test:81\" = \"allow\"");
    let answer = connect(world.http, "b.test:443").await.unwrap_err();
    assert!(
        answer.contains("x-proxy-error: blocked-by-denylist\r\n") && answer.contains("connection: close"),
        "{answer}"
    );
    let events = world.events_until(2).await;
    assert_eq!(events[0].code, Some(Code::BlockedByAllowlist));
    assert_eq!(events[1].rule, "domains: b.test");
}

#[tokio::test]
async fn px_01_a_name_that_leads_to_a_private_address_is_refused_by_every_road() {
    let (world, origin) = (world(&["**.test:*"], &[]).await, origin().await);
    for address in [
        "127.0.0.1",
        "::1",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "::",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fd00::1",
        "192.0.2.1",
        "2001:db8::1",
        "fe80::1",
    ] {
        world.name("x.test", &[&[address]]);
        let at = format!("x.test:{}", origin.port);
        let answer = world.send(get(&format!("http://{at}/"), &at)).await;
        assert!(answer.contains("x-proxy-error: blocked-by-policy"), "{address}: {answer}");
        assert!(connect(world.http, &at).await.unwrap_err().contains("blocked-by-policy"), "{address}");
        assert_eq!(super::socks::connect_name(&world, b"x.test", origin.port).await.unwrap_err(), 2, "{address}");
    }
    // Many answers, one of them bad.
    world.name("x.test", &[&["93.184.216.34", "10.0.0.1"]]);
    assert!(connect(world.http, &format!("x.test:{}", origin.port)).await.unwrap_err().contains("blocked-by-policy"));
    assert_eq!(origin.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn px_01_the_judged_address_is_the_connected_one() {
    let (world, origin) = (world(&["flip.test:*"], &[]).await, origin().await);
    world.name("flip.test", &[&["93.184.216.34"], &["127.0.0.1"]]);
    let at = format!("flip.test:{}", origin.port);
    assert!(connect(world.http, &at).await.is_ok());
    assert_eq!(world.names.asked.lock().unwrap().len(), 1, "one lookup for one connection");
    assert!(connect(world.http, &at).await.unwrap_err().contains("blocked-by-policy"));
    assert_eq!(world.events_until(1).await[0].verdict, Verdict::Refused);
}

#[tokio::test]
async fn px_02_and_03_other_spellings_are_refused_by_every_road() {
    let (world, origin) = (world(&["*:*"], &[]).await, origin().await);
    for host in [
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "00000000177.1",
        "127.1",
        "0xA9FEA9FE",
        "127.0.0.1.",
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "x.localhost",
        "[::1]",
        "[::ffff:7f00:1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "a..test",
        "user@a.test",
        "a.test@127.0.0.1",
        "xn--a.test",
        "a%00.test",
        "a%2etest",
    ] {
        let at = format!("{host}:{}", origin.port);
        assert!(connect(world.http, &at).await.is_err(), "{host}");
        let answer = world.send(get(&format!("http://{at}/"), &at)).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
    }
    for url in ["http://a.test#@127.0.0.1/", "http://a.test\\@127.0.0.1/", "http:///a.test/", "http://a.test:80:80/"] {
        let answer = world.send(get(url, "a.test")).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{url}: {answer}");
    }
    assert_eq!(origin.connections.load(SeqCst), 0);
    assert!(world.names.asked.lock().unwrap().iter().all(|name| name == "a.test"), "{:?}", world.names.asked);
}

#[tokio::test]
async fn px_05_host_and_request_must_agree_and_each_request_is_judged() {
    let (world, origin) = (world(&["allowed.test:*"], &[]).await, origin().await);
    world.public("allowed.test");
    let at = format!("allowed.test:{}", origin.port);
    let answer = world.send(get(&format!("http://{at}/"), "other.test")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut stream = TcpStream::connect(world.http).await.unwrap();
    stream.write_all(format!("CONNECT {at} HTTP/1.1\r\nHost: other.test\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // The second request of a kept, pipelined connection goes elsewhere.
    let first = format!("GET http://{at}/1 HTTP/1.1\r\nHost: {at}\r\n\r\n");
    let answer = world.send(first + &get("http://other.test/2", "other.test")).await;
    assert!(answer.contains("GET /1") && answer.contains("x-proxy-error: blocked-by-allowlist"), "{answer}");
    // `X-Forwarded-Host` moves nothing.
    let answer = world
        .send(format!(
            "GET http://{at}/3 HTTP/1.1\r\nHost: {at}\r\nX-Forwarded-Host: other.test\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert!(answer.contains(&format!("host: {at}")), "{answer}");
}

#[tokio::test]
async fn px_05_the_server_name_in_a_tunnel_must_be_the_one_asked_for() {
    let world = world_with(&network(&["**.test:*"], &[]), |_| {}).await;
    let port = echo().await;
    world.public("a.test");
    let at = format!("a.test:{port}");
    let hello = |name: &'static str| crate::hello::tests_hello(name);
    let mut same = connect(world.http, &at).await.unwrap();
    let bytes = hello("a.test");
    same.write_all(&bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    same.read_exact(&mut back).await.unwrap();
    assert_eq!(back, bytes);
    drop(same);
    let mut other = connect(world.http, &at).await.unwrap();
    other.write_all(&hello("b.test")).await.unwrap();
    let mut back = Vec::new();
    let _ = other.read_to_end(&mut back).await;
    assert!(back.is_empty(), "nothing passed");
    let events = world.events_until(2).await;
    assert!(
        events.iter().any(|event| event.verdict == Verdict::Refused && event.detail.contains("another server")),
        "{events:?}"
    );
}

#[tokio::test]
async fn px_07_limited_mode_refuses_all_but_reading() {
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.mode.value = ProxyMode::Limited;
    let (world, origin) = (world_with(&settings, |_| {}).await, origin().await);
    world.public("a.test");
    let at = format!("a.test:{}", origin.port);
    let request = |method: &str, more: &str| {
        format!("{method} http://{at}/ HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{more}\r\n")
    };
    for (method, more) in [
        ("POST", "Content-Length: 0\r\n"),
        ("get", ""),
        ("PUT", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("TRACE", ""),
        ("GET", "Content-Length: 1\r\n\r\nx"),
        ("GET", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"),
        ("GET", "X-HTTP-Method-Override: DELETE\r\n"),
        ("GET", "X-HTTP-Method: DELETE\r\n"),
        ("GET", "X-Method-Override: PUT\r\n"),
        ("GET", "Upgrade: websocket\r\n"),
        ("GET", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
    ] {
        let answer = world.send(request(method, more)).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{method} {more:?}: {answer}");
    }
    assert!(connect(world.http, &at).await.unwrap_err().contains("blocked-by-method-policy"));
    assert_eq!(super::socks::connect_name(&world, b"a.test", origin.port).await.unwrap_err(), 2);
    assert_eq!(origin.heads.lock().unwrap().len(), 0);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(world.send(request(method, "")).await.starts_with("HTTP/1.1 200"), "{method}");
    }
}

#[tokio::test]
async fn px_07_only_a_websocket_is_taken_up_and_only_where_tunnels_are() {
    let world = world(&["**.test:*"], &[]).await;
    world.public("a.test");
    let origin = origin_with(|head, _| {
        if head.contains("upgrade: websocket") {
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello".to_owned()
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())
        }
    })
    .await;
    let at = format!("a.test:{}", origin.port);
    let request = |more: &str| format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{more}\r\n");
    // The offer that curl makes on plain HTTP is left unanswered, and nothing of it goes on.
    let answer = world
        .send(request("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let passed = origin.heads.lock().unwrap()[0].to_lowercase();
    assert!(!passed.contains("upgrade") && !passed.contains("http2-settings"), "{passed}");
    let answer = world.send(request("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.ends_with("hello"), "{answer}");
    // Some clients name the scheme of what they want; without an upgrade it is none that is carried.
    let as_ws = |more: &str| request(more).replace("http://", "ws://");
    let answer = world.send(as_ws("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.ends_with("hello"), "{answer}");
    assert!(origin.heads.lock().unwrap()[2].starts_with("GET / HTTP/1.1\r\n"));
    assert!(world.send(as_ws("")).await.starts_with("HTTP/1.1 400"));
    let answer = world.send(request("Upgrade: websocket\r\nUpgrade: h2c\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(origin.heads.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn px_08_connections_are_bounded_and_others_unhurt() {
    let settings = network(&["**.test:*"], &[]);
    let limits = Limits { connections: 8, head: Duration::from_millis(500), ..Limits::default() };
    let (world, origin) = (world_with(&settings, |options| options.limits = limits).await, origin().await);
    world.public("a.test");
    let mut slow = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(world.http).await.unwrap();
        let _ = stream.write_all(b"GET http://a.test/ HT").await;
        slow.push(stream);
    }
    // Slow heads run out of time and make room.
    let at = format!("a.test:{}", origin.port);
    let mut answer = String::new();
    for _ in 0..50 {
        answer = tokio::time::timeout(Duration::from_secs(5), async {
            let Ok(mut stream) = TcpStream::connect(world.http).await else { return String::new() };
            let _ = stream.write_all(get(&format!("http://{at}/"), &at).as_bytes()).await;
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            answer
        })
        .await
        .unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(world.proxy.metrics().turned_away.load(SeqCst) >= 4);
}

#[tokio::test]
async fn px_08_an_origin_that_never_answers_is_a_504_and_continue_is_answered() {
    let settings = network(&["**.test:*"], &[]);
    let limits = Limits { answer: Duration::from_millis(200), ..Limits::default() };
    let world = world_with(&settings, |options| options.limits = limits).await;
    world.public("a.test");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("a.test:{}", silent.local_addr().unwrap().port());
    let answer = world.send(get(&format!("http://{at}/"), &at)).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    let origin = origin().await;
    let at = format!("a.test:{}", origin.port);
    let answer = world.send(format!("POST http://{at}/ HTTP/1.1\r\nHost: {at}\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")).await;
    assert!(
        answer.contains("HTTP/1.1 200") && !origin.heads.lock().unwrap()[0].to_lowercase().contains("expect"),
        "{answer}"
    );
}

#[tokio::test]
async fn px_09_a_redirect_is_judged_as_a_new_request() {
    let world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let origin = origin_with(|_, _| {
        "HTTP/1.1 302 Found\r\nLocation: http://forbidden.test/\r\nContent-Length: 0\r\n\r\n".to_owned()
    })
    .await;
    let at = format!("a.test:{}", origin.port);
    let answer = world.send(get(&format!("http://{at}/"), &at)).await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(world.send(get("http://forbidden.test/", "forbidden.test")).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn px_10_only_ports_the_rule_covers() {
    let world = world(&["a.test"], &[]).await;
    world.public("a.test");
    for port in [22, 25, 445, 8080] {
        assert!(
            connect(world.http, &format!("a.test:{port}")).await.unwrap_err().contains("blocked-by-allowlist"),
            "{port}"
        );
    }
    assert!(world.names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn px_13_a_denied_name_is_never_looked_up() {
    let world = world(&["a.test"], &["b.test"]).await;
    let _ = connect(world.http, "secret.exfil.test:80").await;
    let _ = connect(world.http, "b.test:443").await;
    let _ = world.send(get("http://secret.exfil.test/", "secret.exfil.test")).await;
    let _ = super::socks::connect_name(&world, b"secret.exfil.test", 80).await;
    assert!(world.names.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn px_13_the_hosts_proxy_is_used_only_if_allowed_and_its_refusals_are_errors() {
    let upstream = origin_with(|head, _| {
        let status = if head.contains("a.test") { "200 OK" } else { "407 Proxy Authentication Required" };
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.allow_upstream_proxy.value = true;
    let names = Arc::new(StubNames::default());
    let way = crate::proxy::UpstreamProxy::parse(&format!("http://u:p%40@127.0.0.1:{}/", upstream.port)).unwrap();
    let proxy = crate::proxy::Proxy::new(names, Arc::new(crate::event::NoSink), Some(way));
    let policy = Arc::new(crate::policy::Policy::compile(&settings, &[]).unwrap());
    let session = crate::proxy::Session::new(crate::proxy::SessionOptions::new("test", &settings, policy));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap();
    let task = tokio::spawn(Arc::clone(&proxy).serve(session, listener, crate::proxy::Speaks::Http));
    assert!(connect(http, "a.test:443").await.is_ok());
    assert!(connect(http, "b.test:443").await.unwrap_err().contains("asks for credentials"));
    let answer = send_to(http, get("http://a.test/x", "a.test").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    {
        let heads = upstream.heads.lock().unwrap();
        assert!(
            heads[0].starts_with("CONNECT a.test:443 HTTP/1.1") && heads[0].contains("Basic dTpwQA=="),
            "{heads:?}"
        );
        assert!(
            heads[2].starts_with("GET http://a.test/x HTTP/1.1") && heads[2].contains("via: 1.1 ringfence-"),
            "{heads:?}"
        );
    }
    // What comes back to us is a loop.
    let looped = format!(
        "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 {}\r\nConnection: close\r\n\r\n",
        proxy.pseudonym
    );
    assert!(send_to(http, looped.as_bytes()).await.starts_with("HTTP/1.1 400"));
    task.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn px_15_a_socket_is_reached_by_its_exact_path_only() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let [allowed, secret] = ["allowed.sock", "secret.sock"].map(|name| root.join(name));
    for path in [&allowed, &secret] {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 2048];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
            }
        });
    }
    let link = root.join("link.sock");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let mut settings = network(&[], &[]);
    settings.managed.unix_sockets.push(sourced(AbsPath::new(&allowed).unwrap()));
    let world = world_with(&settings, |_| {}).await;
    let ask = |path: String| get("http://localhost/v1", &format!("localhost\r\nx-unix-socket: {path}"));
    assert!(world.send(ask(allowed.display().to_string())).await.starts_with("HTTP/1.1 200"));
    for path in [
        secret.display().to_string(),
        link.display().to_string(),
        format!("{}/../{}/allowed.sock", root.display(), root.file_name().unwrap().display()),
        format!("{}//allowed.sock", root.display()),
        format!("{}/./allowed.sock", root.display()),
        "allowed.sock".to_owned(),
        String::new(),
    ] {
        let answer = world.send(ask(path.clone())).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    // The allowed path is replaced by a link to another socket.
    std::fs::remove_file(&allowed).unwrap();
    std::os::unix::fs::symlink(&secret, &allowed).unwrap();
    let answer = world.send(ask(allowed.display().to_string())).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn px_15_other_schemes_and_prefaces_are_refused() {
    let world = world(&["*:*"], &[]).await;
    for request in [
        get("ftp://a.test/", "a.test"),
        get("file:///etc/passwd", "a.test"),
        get("https://a.test/", "a.test"),
        get("/x", "a.test"),
        get("*", "a.test"),
        format!("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n{}", get("http://a.test/", "a.test")),
    ] {
        let answer = world.send(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
    }
    assert!(world.names.asked.lock().unwrap().is_empty());
}

struct Asker {
    asked: AtomicUsize,
    answer: Answer,
}

impl Ask for Asker {
    fn ask(&self, _: Question) -> Later<Answer> {
        self.asked.fetch_add(1, SeqCst);
        let answer = self.answer.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            answer
        })
    }
}

#[tokio::test]
async fn an_unknown_host_asks_once_while_all_its_connections_are_held() {
    let port = echo().await;
    for (answer, then) in [(Answer::Once, 2), (Answer::Session, 1)] {
        let asker = Arc::new(Asker { asked: AtomicUsize::new(0), answer });
        let settings = network(&[], &["denied.test:*"]);
        let world = world_with(&settings, |options| options.asker = Some(Arc::clone(&asker) as _)).await;
        world.public("new.test");
        let at = format!("new.test:{port}");
        let attempts: Vec<_> = (0..20)
            .map(|_| {
                let (http, at) = (world.http, at.clone());
                tokio::spawn(async move { connect(http, &at).await.is_ok() })
            })
            .collect();
        for attempt in attempts {
            assert!(attempt.await.unwrap());
        }
        assert_eq!(asker.asked.load(SeqCst), 1);
        assert!(connect(world.http, &at).await.is_ok());
        assert_eq!(asker.asked.load(SeqCst), then);
        // Neither a deny nor a private address is a question.
        assert!(connect(world.http, &format!("denied.test:{port}")).await.is_err());
        assert!(connect(world.http, &format!("127.0.0.1:{port}")).await.is_err());
        world.name("inside.test", &[&["10.0.0.1"]]);
        assert!(connect(world.http, &format!("inside.test:{port}")).await.unwrap_err().contains("blocked-by-policy"));
    }
    let asker = Arc::new(Asker { asked: AtomicUsize::new(0), answer: Answer::No("not today".to_owned()) });
    let world = world_with(&network(&[], &[]), |options| options.asker = Some(asker as _)).await;
    assert!(connect(world.http, "new.test:443").await.unwrap_err().contains("not today"));
    assert!(world.names.asked.lock().unwrap().is_empty());
}
