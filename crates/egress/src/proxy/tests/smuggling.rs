use super::world::*;
use crate::event::Verdict;
use std::sync::atomic::Ordering::SeqCst;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn px_06_one_request_in_is_one_request_out_or_400_and_closed() {
    let (world, origin) = (world(&["a.test:*"], &[]).await, origin().await);
    world.public("a.test");
    let at = format!("a.test:{}", origin.port);
    let inner = format!("GET http://{at}/smuggled HTTP/1.1\r\nHost: {at}\r\n\r\n");
    let shapes = [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}", 5 + inner.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        format!(
            "Transfer-Encoding: xchunked\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{inner}"
        ),
        format!("X: a\r\n Content-Length: 5\r\n\r\n{inner}"),
        format!("Content-Length: +5\r\n\r\n{inner}"),
        format!("X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        "X\0: y\r\n\r\n".to_owned(),
    ];
    for (count, shape) in (1..).zip(&shapes) {
        let answer = world.send(format!("POST http://{at}/outer HTTP/1.1\r\nHost: {at}\r\n{shape}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.to_lowercase().contains("connection: close"),
            "{shape:?}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{shape:?}: {answer}");
        let events = world.events_until(count).await;
        assert_eq!(events.last().unwrap().verdict, Verdict::Malformed);
    }
    assert_eq!(origin.connections.load(SeqCst), 0);
    // In a body it is too late for a clean end: the request on its way is broken off.
    for body in ["0;a=\r\n\r\n", "3\r\nabcX\r\n0\r\n\r\n", "0\r\nHost: b.test\r\n\r\n"] {
        let answer = world
            .send(format!(
                "POST http://{at}/outer HTTP/1.1\r\nHost: {at}\r\nTransfer-Encoding: chunked\r\n\r\n{body}{inner}"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{body:?}: {answer}");
    }
    assert!(origin.heads.lock().unwrap().iter().all(|head| !head.contains("smuggled")), "{:?}", origin.heads);
}

#[tokio::test]
async fn px_06_giant_heads_are_refused() {
    let world = world(&["a.test:*"], &[]).await;
    let line = format!("GET http://a.test/{} HTTP/1.1\r\nHost: a.test\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    for request in [line, many] {
        let answer = world.send(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{}", &answer[..answer.len().min(200)]);
    }
}

#[tokio::test]
async fn uploads_and_half_closed_tunnels_are_byte_exact() {
    let (world, port) = (world(&["a.test:*"], &[]).await, echo().await);
    world.public("a.test");
    let stream = connect(world.http, &format!("a.test:{port}")).await.unwrap();
    let sent: Vec<u8> = (0..24u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let expected = sent.clone();
    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    read.read_to_end(&mut received).await.unwrap();
    sending.await.unwrap();
    assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
    let event = world.event().await;
    assert_eq!((event.bytes_up, event.bytes_down, event.verdict), (24 << 20, 24 << 20, Verdict::Allowed));
    // The same through a plain request, chunked.
    let origin = origin_with(|head, body| {
        assert!(head.to_lowercase().contains("content-length: 3000000"));
        let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
        let text = sum.to_string();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
    })
    .await;
    let at = format!("a.test:{}", origin.port);
    let mut request =
        format!("PUT http://{at}/ HTTP/1.1\r\nHost: {at}\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n")
            .into_bytes();
    request.extend_from_slice(&expected[..3_000_000]);
    let answer = world.send(&request).await;
    let sum: u64 = expected[..3_000_000].iter().map(|byte| u64::from(*byte)).sum();
    assert!(answer.ends_with(&sum.to_string()), "{answer}");
}
