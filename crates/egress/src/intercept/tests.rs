mod smuggling;

use super::*;
use crate::event::Verdict;
use crate::proxy::tests::world::*;
use crate::test_settings::{network, sourced};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ringfence_model::settings::{NetworkSecret, NetworkSettings, SecretPlace, SecretSource};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::net::TcpListener;

/// An HTTPS origin that answers with the request line and headers it got, in the version of HTTP offered to it.
struct TlsOrigin {
    port: u16,
    root: CertificateDer<'static>,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

async fn tls_origin(names: &[&str], alpn: &[&[u8]]) -> TlsOrigin {
    let made =
        rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = rustls::ServerConfig::builder_with_provider(authority::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = TlsOrigin {
        port: listener.local_addr().unwrap().port(),
        root,
        seen: Arc::default(),
        connections: Arc::default(),
    };
    let (seen, connections) = (Arc::clone(&origin.seen), Arc::clone(&origin.connections));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, SeqCst);
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(move |request: Request<Incoming>| {
                    let seen = Arc::clone(&seen);
                    async move {
                        let text = format!(
                            "{} {} {:?} {:?}",
                            request.method(),
                            request.uri(),
                            request.version(),
                            request.headers()
                        );
                        // Debug output hides nothing here: values arrive as plain bytes.
                        seen.lock().unwrap().push(text.clone());
                        let body = request.into_body().collect().await.map(|body| body.to_bytes().len()).unwrap_or(0);
                        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(format!("{text} body={body}")))))
                    }
                });
                let io = TokioIo::new(tls);
                if is_http2 {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    origin
}

async fn world_for(settings: &NetworkSettings, origin: &TlsOrigin) -> (World, Arc<Interceptor>) {
    let mut roots = RootCertStore::empty();
    roots.add(origin.root.clone()).unwrap();
    let interceptor = Arc::new(Interceptor::with_roots(&settings.managed, roots, Vec::new()).unwrap());
    let given = Arc::clone(&interceptor);
    let world = world_with(settings, |options| options.interceptor = Some(given)).await;
    world.public("a.test");
    world.public("b.test");
    (world, interceptor)
}

fn trusting(pem: &str, alpn: &[&[u8]]) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = rustls::ClientConfig::builder_with_provider(authority::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// One request through an opened tunnel, in HTTP/1.1 or HTTP/2.
async fn ask(
    world: &World,
    interceptor: &Interceptor,
    tunnel: &str,
    http2: bool,
    request: Request<Full<Bytes>>,
) -> Result<(u16, String), String> {
    let stream = connect(world.http, tunnel).await?;
    let alpn: &[&[u8]] = if http2 { &[b"h2"] } else { &[b"http/1.1"] };
    let name = ServerName::try_from(tunnel.split(':').next().unwrap().to_owned()).unwrap();
    let connector = tokio_rustls::TlsConnector::from(trusting(&interceptor.trusted().pem, alpn));
    let tls = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let io = TokioIo::new(tls);
    let response = if http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn get(http2: bool, authority: &str, path: &str) -> http::request::Builder {
    if http2 {
        Request::builder().uri(format!("https://{authority}{path}"))
    } else {
        Request::builder().uri(path).header("host", authority)
    }
}

fn empty(builder: http::request::Builder) -> Request<Full<Bytes>> {
    builder.body(Full::new(Bytes::new())).unwrap()
}

#[tokio::test]
async fn px_14_methods_and_paths_hold_on_https_in_both_versions_of_http() {
    let origin = tls_origin(&["a.test"], &[b"h2", b"http/1.1"]).await;
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.intercept.push(sourced("a.test:*".to_owned()));
    settings.managed.methods.push((sourced("a.test:*".to_owned()), vec!["GET".to_owned()]));
    settings.managed.paths.push((sourced("a.test:*".to_owned()), vec!["/open".to_owned()]));
    let (world, interceptor) = world_for(&settings, &origin).await;
    let at = format!("a.test:{}", origin.port);
    for http2 in [false, true] {
        let (status, body) =
            ask(&world, &interceptor, &at, http2, empty(get(http2, &at, "/open/x?y=1"))).await.unwrap();
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("/open/x?y=1 HTTP/2.0"), "{body}");
        for request in [
            get(http2, &at, "/closed"),
            get(http2, &at, "/open/../closed"),
            get(http2, &at, "/open").method("POST"),
            get(http2, &at, "/open").method("PATCH"),
            get(http2, &at, "/open").header("x-http-method-override", "DELETE"),
        ] {
            let (status, body) = ask(&world, &interceptor, &at, http2, empty(request)).await.unwrap();
            assert!(status == 403 && body.contains("blocked-by-method-policy"), "{status} {body}");
        }
    }
    assert_eq!(origin.seen.lock().unwrap().len(), 2);
    let events = world.events_until(12).await;
    assert_eq!(
        events
            .iter()
            .filter(|event| event.method.as_deref() == Some("POST") && event.verdict == Verdict::Refused)
            .count(),
        2
    );
    // Where methods are limited and nothing is opened, a tunnel is refused.
    settings.managed.intercept.clear();
    let (closed, _) = world_for(&settings, &origin).await;
    assert!(connect(closed.http, &at).await.unwrap_err().contains("blocked-by-method-policy"));
}

#[tokio::test]
async fn px_05_every_name_must_agree_with_the_tunnel() {
    let origin = tls_origin(&["a.test"], &[b"http/1.1"]).await;
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.intercept.push(sourced("a.test:*".to_owned()));
    let (world, interceptor) = world_for(&settings, &origin).await;
    let at = format!("a.test:{}", origin.port);
    for http2 in [false, true] {
        for other in ["b.test", "b.test:443", "a.test", "a.test.evil.test:443", "127.0.0.1"] {
            let (status, _) = ask(&world, &interceptor, &at, http2, empty(get(http2, other, "/"))).await.unwrap();
            assert_eq!(status, 400, "{other}");
        }
        let mixed = get(http2, &at, "/").header("host", "b.test");
        let answer = ask(&world, &interceptor, &at, http2, empty(mixed)).await;
        assert!(!matches!(answer, Ok((200, _))), "{answer:?}");
    }
    // Another server name than the tunnel's.
    let stream = connect(world.http, &at).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(trusting(&interceptor.trusted().pem, &[]));
    assert!(connector.connect(ServerName::try_from("b.test").unwrap(), stream).await.is_err());
    // No TLS at all.
    let mut stream = connect(world.http, &at).await.unwrap();
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    assert!(back.is_empty());
    assert_eq!(origin.connections.load(SeqCst), 0, "the origin wasn't spoken to");
    let (status, _) = ask(&world, &interceptor, &at, true, empty(get(true, &at, "/"))).await.unwrap();
    assert_eq!(status, 200, "HTTP/2 inside, HTTP/1.1 outside");
}

#[tokio::test]
async fn an_origin_that_cannot_prove_its_name_is_not_spoken_to() {
    let origin = tls_origin(&["other.test"], &[b"http/1.1"]).await;
    let mut settings = network(&["**.test:*"], &[]);
    settings.managed.intercept.push(sourced("*:*".to_owned()));
    let (world, interceptor) = world_for(&settings, &origin).await;
    let at = format!("a.test:{}", origin.port);
    let (status, body) = ask(&world, &interceptor, &at, false, empty(get(false, &at, "/"))).await.unwrap();
    assert!(status == 502 && body.contains("upstream-failed"), "{status} {body}");
    assert!(origin.seen.lock().unwrap().is_empty());
}

fn secret(name: &str, place: SecretPlace, value: &std::path::Path) -> NetworkSecret {
    NetworkSecret {
        name: name.to_owned(),
        source: SecretSource::File(ringfence_model::AbsPath::new(value).unwrap()),
        hosts: vec!["a.test:*".to_owned()],
        place,
        origin: ringfence_model::Origin::flag("--test"),
    }
}

#[tokio::test]
async fn px_11_a_credential_reaches_its_host_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "real/value\n").unwrap();
    let origin = tls_origin(&["a.test", "b.test"], &[b"h2", b"http/1.1"]).await;
    let cases = [
        (SecretPlace::Header("X-Token".to_owned()), "\"x-token\": \"real/value\""),
        (SecretPlace::Header("Authorization".to_owned()), "\"authorization\": \"Bearer real/value\""),
        (SecretPlace::Basic("user".to_owned()), "\"authorization\": \"Basic dXNlcjpyZWFsL3ZhbHVl\""),
        (SecretPlace::Query("key".to_owned()), "key=real%2Fvalue"),
    ];
    for (place, expected) in cases {
        let mut settings = network(&["**.test:*"], &[]);
        settings.managed.intercept.push(sourced("b.test:*".to_owned()));
        settings.managed.secrets.push(secret("mine", place.clone(), &file));
        let (world, interceptor) = world_for(&settings, &origin).await;
        let [(variable, placeholder)] = interceptor.placeholders().try_into().unwrap();
        assert_eq!(variable, "RINGFENCE_SECRET_MINE");
        let basic = |text: &str| format!("Basic {}", crate::text::base64(text.as_bytes()));
        for http2 in [false, true] {
            for (host, is_its_host) in [("a.test", true), ("b.test", false)] {
                let at = format!("{host}:{}", origin.port);
                let fill = |builder: http::request::Builder| match &place {
                    SecretPlace::Header(name) if name == "X-Token" => builder.header("x-token", &placeholder),
                    SecretPlace::Header(_) => builder.header("authorization", format!("Bearer {placeholder}")),
                    SecretPlace::Basic(_) => builder.header("authorization", basic(&format!("user:{placeholder}"))),
                    SecretPlace::Query(_) => builder,
                };
                let path = format!("/?key={placeholder}&also={placeholder}");
                let filled = fill(get(http2, &at, &path)).header("x-other", &placeholder);
                for request in [filled, get(http2, &at, "/plain")] {
                    let (status, _) = ask(&world, &interceptor, &at, http2, empty(request)).await.unwrap();
                    assert_eq!(status, 200);
                    let seen = origin.seen.lock().unwrap().pop().unwrap();
                    assert_eq!(seen.contains(expected), is_its_host, "{place:?} {host}: {seen}");
                    let elsewhere = seen.replace(expected, "");
                    assert!(!elsewhere.contains("real"), "{seen}");
                }
            }
            // A credential of the command's own is left alone.
            let at = format!("a.test:{}", origin.port);
            let own = get(http2, &at, "/?key=own").header("authorization", "Bearer own").header("x-token", "own");
            ask(&world, &interceptor, &at, http2, empty(own)).await.unwrap();
            let seen = origin.seen.lock().unwrap().pop().unwrap();
            assert!(seen.contains("own") && !seen.contains("real"), "{seen}");
            let trace = ask(&world, &interceptor, &at, http2, empty(get(http2, &at, "/").method("TRACE"))).await;
            assert!(matches!(trace, Ok((403, _))), "{trace:?}");
        }
        // Never over a plain request, and never into an event.
        let plain = crate::proxy::tests::world::origin().await;
        let at = format!("a.test:{}", plain.port);
        let answer = world.send(format!("GET http://{at}/?key={placeholder} HTTP/1.1\r\nHost: {at}\r\nX-Token: {placeholder}\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.contains(&placeholder) && !answer.contains("real"), "{answer}");
        let events = serde_json::to_string(&*world.events.lock().unwrap()).unwrap();
        assert!(!events.contains("real") && !events.contains(&placeholder), "{events}");
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_had_or_belongs_to_everyone_stops_the_start() {
    let missing = std::path::Path::new("/nonexistent/token");
    let mut one = secret("x", SecretPlace::Header("X".to_owned()), missing);
    assert!(Secrets::load(std::slice::from_ref(&one)).is_err());
    one.source = SecretSource::Command(vec!["sh".to_owned(), "-c".to_owned(), "echo value".to_owned()]);
    assert!(Secrets::load(std::slice::from_ref(&one)).is_ok());
    one.source = SecretSource::Command(vec!["false".to_owned()]);
    assert!(Secrets::load(std::slice::from_ref(&one)).is_err());
    one.source = SecretSource::Command(vec!["echo".to_owned(), "value".to_owned()]);
    one.hosts = vec!["*".to_owned()];
    assert!(Secrets::load(std::slice::from_ref(&one)).is_err());
    one.hosts.clear();
    let error = Secrets::load(std::slice::from_ref(&one)).err().unwrap().to_string();
    assert_eq!(error, "the credential `x` belongs to no host: set `hosts` (flag `--test`)");
}

#[tokio::test]
async fn px_12_a_client_that_distrusts_the_session_is_refused_or_gets_a_tunnel_by_setting() {
    let origin = tls_origin(&["a.test"], &[b"http/1.1"]).await;
    let pinned = trusting(&super::authority::pem(&origin.root), &[]);
    for tunnel in [false, true] {
        let mut settings = network(&["**.test:*"], &[]);
        settings.managed.intercept.push(sourced("a.test:*".to_owned()));
        settings.managed.tunnel_pinned.value = tunnel;
        let (world, interceptor) = world_for(&settings, &origin).await;
        assert!(!interceptor.trusted().pem.contains("PRIVATE"));
        let at = format!("a.test:{}", origin.port);
        let mut outcomes = Vec::new();
        for count in 1..=2 {
            let stream = connect(world.http, &at).await.unwrap();
            let tls = tokio_rustls::TlsConnector::from(Arc::clone(&pinned))
                .connect(ServerName::try_from("a.test").unwrap(), stream)
                .await;
            outcomes.push(tls.is_ok());
            drop(tls);
            world.events_until(count).await;
        }
        assert_eq!(outcomes, [false, tunnel]);
        assert_eq!(world.events.lock().unwrap()[0].verdict, Verdict::Refused);
    }
    // Two sessions share nothing.
    let settings = network(&[], &[]);
    let make = || Interceptor::with_roots(&settings.managed, RootCertStore::empty(), Vec::new()).unwrap();
    assert_ne!(make().trusted().pem, make().trusted().pem);
}
