//! HTTP/2 by hand: what a client of a library can't send.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block of literals, nothing compressed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// What became of stream 1.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    /// An answer; whether it is a plain 200.
    Answered(bool),
    Broken,
}

async fn send(world: &World, interceptor: &Interceptor, at: &str, frames: &[Vec<u8>]) -> Became {
    let stream = connect(world.http, at).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(trusting(&interceptor.trusted().pem, &[b"h2"]));
    let mut tls = connector.connect(ServerName::try_from("a.test").unwrap(), stream).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frames.concat());
    tls.write_all(&bytes).await.unwrap();
    let answer = async {
        loop {
            let mut head = [0; 9];
            if tls.read_exact(&mut head).await.is_err() {
                return Became::Broken;
            }
            let [a, b, c, kind, _, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            if tls.read_exact(&mut payload).await.is_err() {
                return Became::Broken;
            }
            match (kind, u32::from_be_bytes(stream)) {
                // Indexed field 8 is `:status: 200`.
                (HEADERS, 1) => return Became::Answered(payload.contains(&0x88)),
                (3 | 7, _) => return Became::Broken,
                _ => {}
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), answer).await.expect("it hangs")
}

#[tokio::test]
async fn px_06_http2_that_says_two_things_reaches_no_origin() {
    let origin = tls_origin(&["a.test"], &[b"http/1.1"]).await;
    let mut settings = network(&["a.test:*"], &[]);
    settings.managed.intercept = vec![sourced("a.test:*".to_owned())];
    let (world, interceptor) = world_for(&settings, &origin).await;
    let at = format!("a.test:{}", origin.port);
    let base = [(":method", "POST"), (":scheme", "https"), (":authority", at.as_str()), (":path", "/x")];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    let replaced = |name: &str, value: &'static str| {
        base.iter().map(|field| if field.0 == name { (field.0, value) } else { *field }).collect::<Vec<_>>()
    };
    let shapes = [
        with(&[("transfer-encoding", "chunked")]),
        with(&[("connection", "keep-alive")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("x", "a\r\nhost: b.test")]),
        with(&[("x", "a\nb")]),
        with(&[("x", "a\0b")]),
        with(&[("X-Upper", "a")]),
        with(&[("x: y\r\nz", "a")]),
        with(&[("x y", "a")]),
        with(&[("", "a")]),
        with(&[("x", "a"), (":path", "/smuggled")]),
        with(&[(":path", "/smuggled")]),
        with(&[(":authority", "b.test")]),
        with(&[(":unknown", "a")]),
        with(&[("content-length", "0"), ("content-length", "9")]),
        with(&[("content-length", "-1")]),
        with(&[("content-length", "0x10")]),
        with(&[("host", "b.test")]),
        replaced(":path", "/ HTTP/1.1\r\nhost: b.test\r\n\r\nGET /smuggled"),
        replaced(":path", "http://b.test/"),
        replaced(":path", ""),
        replaced(":method", "GET /smuggled HTTP/1.1\r\nx:"),
        replaced(":authority", "a.test@b.test"),
        replaced(":scheme", "http"),
        base[1..].to_vec(),
    ];
    for fields in &shapes {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields));
        let became = send(&world, &interceptor, &at, &[request]).await;
        assert_ne!(became, Became::Answered(true), "{fields:?}");
        assert_eq!(origin.seen.lock().unwrap().len(), 0, "{fields:?}");
    }
    // The same without a fault arrives.
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&with(&[("x", "a")])));
    assert_eq!(send(&world, &interceptor, &at, &[request]).await, Became::Answered(true));
    assert_eq!(origin.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn px_06_http2_bodies_of_another_length_are_broken_off() {
    let origin = tls_origin(&["a.test"], &[b"http/1.1"]).await;
    let mut settings = network(&["a.test:*"], &[]);
    settings.managed.intercept = vec![sourced("a.test:*".to_owned())];
    let (world, interceptor) = world_for(&settings, &origin).await;
    let at = format!("a.test:{}", origin.port);
    let inner = b"GET /smuggled HTTP/1.1\r\nhost: a.test\r\n\r\n";
    for (length, body, trailers) in [("3", &inner[..], false), ("40", b"abc", false), ("3", b"abc", true)] {
        let fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", at.as_str()),
            (":path", "/outer"),
            ("content-length", length),
        ];
        let mut frames = vec![
            frame(HEADERS, END_HEADERS, 1, &block(&fields)),
            frame(DATA, if trailers { 0 } else { END_STREAM }, 1, body),
        ];
        if trailers {
            // What came first stays what holds.
            let again = block(&[("content-length", "99"), ("host", "b.test"), ("transfer-encoding", "chunked")]);
            frames.push(frame(HEADERS, END_HEADERS | END_STREAM, 1, &again));
        }
        let became = send(&world, &interceptor, &at, &frames).await;
        assert!(trailers || became != Became::Answered(true), "{length}");
    }
    let seen = origin.seen.lock().unwrap();
    assert!(seen.iter().all(|text| text.starts_with("POST /outer ") && !text.contains("b.test")), "{seen:?}");
    assert!(seen.len() <= 3, "one request in, at most one out: {seen:?}");
}
