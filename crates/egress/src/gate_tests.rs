use super::*;
use tokio::io::AsyncReadExt;

/// What comes out of the gate for these bytes, and the fault if there was one.
async fn through(bytes: &[u8]) -> (Vec<u8>, Option<&'static str>) {
    let mut gate = Gate::new(bytes);
    let mut out = Vec::new();
    let _ = gate.read_to_end(&mut out).await;
    (out, gate.fault().get().copied())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn px_06_shapes_that_two_readers_could_read_differently_never_pass() {
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let head = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}");
    for text in [
        head("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
        head("Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"),
        head("Content-Length: 4, 4\r\n\r\nabcd"),
        head("Content-Length: +4\r\n\r\nabcd"),
        head("Content-Length: -4\r\n\r\nabcd"),
        head("Content-Length: 0x4\r\n\r\nabcd"),
        head("Content-Length:\r\n\r\nabcd"),
        head("Content_Length: 4\r\n\r\nabcd"),
        head("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding: identity\r\n\r\n"),
        head("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        head("X: a\r\n b\r\n\r\n"),
        head(" X: a\r\n\r\n"),
        head("X: a\n\r\n"),
        head("X: a\rb\r\n\r\n"),
        head("X\0: a\r\n\r\n"),
        head("X: a\0\r\n\r\n"),
        head("Host: b\r\n\r\n"),
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n".to_owned(),
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde".to_owned(),
        "\x05\x01\0\r\n\r\n".to_owned(),
        long_line,
        many,
    ] {
        let (out, fault) = run(through(text.as_bytes()));
        assert!(fault.is_some(), "{:?} passed", &text[..text.len().min(120)]);
        assert_eq!(out, STAND_IN, "{:?}", &text[..text.len().min(120)]);
    }
}

#[test]
fn px_06_a_chunked_body_breaks_off_at_the_first_oddity() {
    for body in [
        "5;a=b\r\nabcde\r\n0\r\n\r\n",
        "5 \r\nabcde\r\n0\r\n\r\n",
        "5\nabcde\r\n0\r\n\r\n",
        "5\r\nabcdefg\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "-5\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0000000000000000005\r\nabcde",
        "\r\n",
        "5\r\nabcde\n0\r\n\r\n",
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let (out, fault) = run(through(text.as_bytes()));
        assert!(fault.is_some() && !out.ends_with(b"0\r\n\r\n"), "{body:?}");
    }
}

#[test]
fn honest_messages_pass_byte_for_byte_one_after_the_other() {
    let text = b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\nPOST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde\
        POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nA\r\n0123456789\r\n0\r\n\r\n\
        CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nanything\n\r\0goes";
    let (out, fault) = run(through(text));
    assert_eq!(fault, None);
    assert_eq!(out, text);
    // Whatever the pieces it comes in.
    let (out, fault) = run(async {
        let (mut near, far) = tokio::io::duplex(1);
        let feed = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut near, text).await });
        let mut gate = Gate::new(far);
        let mut out = Vec::new();
        gate.read_to_end(&mut out).await.unwrap();
        feed.await.unwrap().unwrap();
        (out, gate.fault().get().copied())
    });
    assert_eq!((out.as_slice(), fault), (text.as_slice(), None));
}
