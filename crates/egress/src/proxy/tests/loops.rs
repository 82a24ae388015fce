//! The proxy led to itself, to another proxy that leads back, or to something that isn't for it.

use super::world::*;
use crate::event::{NoSink, Verdict};
use crate::policy::{Code, Policy};
use crate::proxy::{Proxy, Session, SessionOptions, Speaks, UpstreamProxy};
use crate::test_settings::{network, sourced};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn get(url: &str, host: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn px_13_the_proxy_isnt_led_to_itself() {
    let world = world(&["*:*"], &[]).await;
    for listener in [world.http, world.socks] {
        let at = listener.to_string();
        let answer = connect(world.http, &at).await.unwrap_err();
        assert!(answer.contains("x-proxy-error: blocked-by-policy"), "{answer}");
        assert!(world.send(get(&format!("http://{at}/"), &at)).await.contains("blocked-by-policy"));
        let reply = super::socks::connect_name(&world, b"localhost", listener.port()).await.unwrap_err();
        assert_eq!(reply, 2);
    }
    let events = world.events_until(6).await;
    assert!(events.iter().all(|event| event.code == Some(Code::BlockedByPolicy)), "{events:?}");
}

#[tokio::test]
async fn px_13_where_its_own_address_is_allowed_a_request_goes_round_once() {
    let mut settings = network(&[], &[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    settings.managed.allow.push(sourced(format!("127.0.0.1:{port}")));
    let mut world = world_with(&settings, |_| {}).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    world.tasks.push(tokio::spawn(Arc::clone(&world.proxy).serve(Arc::clone(&world.session), listener, Speaks::Http)));
    let at = format!("127.0.0.1:{port}");
    // What arrives has the form of a request to an origin, which a proxy doesn't serve.
    let answer = world.send(get(&format!("http://{at}/"), &at)).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("this is a proxy"), "{answer}");
    // By a tunnel it is a connection like any other: judged again, by the same rules.
    let mut again = connect(world.http, &at).await.unwrap();
    again.write_all(get("http://other.test/", "other.test").as_bytes()).await.unwrap();
    let mut answer = String::new();
    again.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("x-proxy-error: blocked-by-allowlist"), "{answer}");
    assert_eq!(world.proxy.metrics().connections.load(SeqCst), 4);
}

#[tokio::test]
async fn px_13_an_upstream_that_leads_back_is_an_error_after_one_round() {
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.allow_upstream_proxy.value = true;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap();
    // The host's own proxy is this one.
    let upstream = UpstreamProxy::parse(&format!("http://{http}")).unwrap();
    let proxy = Proxy::new(Arc::new(StubNames::default()), Arc::new(NoSink), Some(upstream));
    let policy = Arc::new(Policy::compile(&settings, &[]).unwrap());
    let session = Session::new(SessionOptions::new("test", &settings, policy));
    let task = tokio::spawn(Arc::clone(&proxy).serve(session, listener, Speaks::Http));
    let answer = connect(http, "a.test:443").await.unwrap_err();
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("refused with status 400"), "{answer}");
    let answer = send_to(http, get("http://a.test/", "a.test").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("talking to itself"), "{answer}");
    assert_eq!(proxy.metrics().connections.load(SeqCst), 4, "each went round once");
    task.abort();
}

#[tokio::test]
async fn px_13_an_upstream_that_fails_is_an_error_and_never_a_direct_connection() {
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.allow_upstream_proxy.value = true;
    let origin = origin().await;
    for broken in
        ["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTP/1.1 503 x\r\n\r\n", "nonsense\r\n\r\n", ""]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = UpstreamProxy::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let host = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(broken.as_bytes()).await;
            }
        });
        let names = Arc::new(StubNames::default());
        names.answers.lock().unwrap().insert("a.test".to_owned(), [vec![PUBLIC]].into());
        let proxy = Proxy::new(names, Arc::new(NoSink), Some(upstream));
        proxy.reroute.lock().unwrap().insert(PUBLIC, [127, 0, 0, 1].into());
        let policy = Arc::new(Policy::compile(&settings, &[]).unwrap());
        let session = Session::new(SessionOptions::new("test", &settings, policy));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let task = tokio::spawn(Arc::clone(&proxy).serve(session, listener, Speaks::Http));
        let answer = connect(http, &format!("a.test:{}", origin.port)).await.unwrap_err();
        assert!(answer.starts_with("HTTP/1.1 502"), "{broken:?}: {answer}");
        let at = format!("a.test:{}", origin.port);
        let answer = send_to(http, get(&format!("http://{at}/"), &at).as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{broken:?}: {answer}");
        host.abort();
        task.abort();
    }
    assert_eq!(origin.connections.load(SeqCst), 0, "nothing went direct");
}

#[tokio::test]
async fn px_14_methods_and_paths_narrow_an_allowed_host() {
    let origin = origin().await;
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.methods.push((sourced("store.test:*".to_owned()), vec!["GET".to_owned(), "HEAD".to_owned()]));
    settings.managed.paths.push((sourced("store.test:*".to_owned()), vec!["/public".to_owned()]));
    let world = world_with(&settings, |_| {}).await;
    world.public("store.test");
    let at = format!("store.test:{}", origin.port);
    let send = |method: &str, path: &str, more: &str| {
        let head = format!("{method} http://{at}{path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{more}\r\n");
        let (http, head) = (world.http, head);
        async move { send_to(http, head.as_bytes()).await }
    };
    for (method, path) in [("GET", "/public"), ("GET", "/public/x?y"), ("HEAD", "/public/")] {
        assert!(send(method, path, "").await.starts_with("HTTP/1.1 200"), "{method} {path}");
    }
    for (method, path, more) in [
        ("PUT", "/public/secret", "Content-Length: 0\r\n"),
        ("POST", "/public/", "Content-Length: 0\r\n"),
        ("get", "/public", ""),
        ("GET", "/public", "X-HTTP-Method-Override: PUT\r\n"),
        ("GET", "/upload", ""),
        ("GET", "/publicity", ""),
        ("GET", "/public/../upload", ""),
        ("GET", "/public/%2e%2e/upload", ""),
        ("GET", "/public%2f..%2fupload", ""),
        ("GET", "//public", ""),
        ("GET", "/public\\..\\upload", ""),
        ("GET", "/PUBLIC", ""),
        ("GET", "", ""),
        ("GET", "/public", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        let answer = send(method, path, more).await;
        assert!(answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 400"), "{method} {path}: {answer}");
        assert!(!answer.contains("200 OK"), "{method} {path}: {answer}");
    }
    // In a tunnel neither can be seen.
    let answer = connect(world.http, &at).await.unwrap_err();
    assert!(answer.contains("blocked-by-method-policy") && answer.contains("intercept"), "{answer}");
    assert_eq!(super::socks::connect_name(&world, b"store.test", origin.port).await.unwrap_err(), 2);
    assert_eq!(origin.heads.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn px_15_what_isnt_for_a_proxy_is_refused_on_either_port() {
    let world = world(&["*:*"], &[]).await;
    let request = get("http://a.test/", "a.test");
    let version_2 = b"\r\n\r\0\r\nQUIT\n\x21\x11\0\x0c\x01\x01\x01\x01\x02\x02\x02\x02\0\x50\0\x50";
    let mut prefaces = vec![[version_2.as_slice(), request.as_bytes()].concat()];
    for text in [
        format!("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n{request}"),
        format!("PROXY UNKNOWN\r\n{request}"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        get("gopher://a.test/", "a.test"),
        get("javascript:alert(1)", "a.test"),
        get("unix:/var/run/docker.sock", "a.test"),
        get("http+unix://%2fvar%2frun%2fdocker.sock/", "a.test"),
    ] {
        prefaces.push(text.into_bytes());
    }
    for bytes in &prefaces {
        for at in [world.http, world.socks] {
            let answer = send_to(at, bytes).await;
            let shown = String::from_utf8_lossy(bytes);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{shown:?} at {at}: {answer}");
        }
    }
    assert!(world.names.asked.lock().unwrap().is_empty());
    let events = world.events_until(prefaces.len()).await;
    assert!(events.iter().all(|event| event.verdict == Verdict::Malformed), "{events:?}");
    // A tunnel with that header is a tunnel: to where it says, by the rules for that.
    let mut stream = TcpStream::connect(world.http).await.unwrap();
    let head = "CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\nX-Unix-Socket: /run/docker.sock\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer));
    read.await.expect("it hangs").unwrap();
    assert!(answer.contains("x-proxy-error: blocked-by-policy"), "{answer}");
}
