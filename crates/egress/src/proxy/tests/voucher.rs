//! Listeners that everybody on the machine reaches: only connections that were vouched for are let in, others are recorded,
//! and no number of them keeps the sandbox's own out.

use super::world::*;
use crate::event::Verdict;
use crate::proxy::{Door, Proxy, Speaks};
use crate::voucher;
use ringfence_model::Voucher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener of the world's proxy that wants this voucher.
async fn guarded(world: &mut World, speaks: Speaks, voucher: &Voucher) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door { speaks, voucher: Some(voucher.clone()) };
    let task = tokio::spawn(Proxy::serve(Arc::clone(&world.proxy), Arc::clone(&world.session), listener, door));
    world.tasks.push(task);
    address
}

#[tokio::test]
async fn who_has_no_voucher_is_told_so_and_recorded_and_nothing_is_looked_up() {
    let mut world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let origin = origin().await;
    let (voucher, other) = (voucher::make().unwrap(), voucher::make().unwrap());
    let host = format!("a.test:{}", origin.port);
    let requests = [
        format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        other.bytes().to_vec(),
        voucher.bytes()[1..].to_vec(),
    ];
    let mut strangers = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        // A listener each: of one, they are recorded once a second.
        let at = guarded(&mut world, Speaks::Http, &voucher).await;
        let answer = send_to(at, request).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("x-proxy-error: another-run"), "{answer}");
        strangers.push(world.events_until(index + 1).await.remove(index));
    }
    for event in &strangers {
        assert_eq!((event.verdict, event.code, event.port), (Verdict::Refused, None, 0));
        assert_eq!(event.detail, "a connection that this run's commands didn't make");
    }
    assert_eq!((world.names.asked.lock().unwrap().len(), origin.heads.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn what_was_vouched_for_is_served_like_any_other() {
    let mut world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let (origin, echo) = (origin().await, echo().await);
    let voucher = voucher::make().unwrap();
    let (http, socks) =
        (guarded(&mut world, Speaks::Http, &voucher).await, guarded(&mut world, Speaks::Socks5, &voucher).await);
    let host = format!("a.test:{}", origin.port);
    let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = send_to(http, &[voucher.bytes().as_slice(), request.as_bytes()].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Also when it comes in pieces, and before the client says anything.
    let mut client = TcpStream::connect(socks).await.unwrap();
    client.set_nodelay(true).unwrap();
    for piece in voucher.bytes().chunks(7) {
        client.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut request = vec![5, 1, 0, 5, 1, 0, 3, 6];
    request.extend_from_slice(b"a.test");
    request.extend_from_slice(&echo.to_be_bytes());
    client.write_all(&[request.as_slice(), b"hello"].concat()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0], b"hello".as_slice()].concat());
    assert!(world.events_until(2).await.iter().all(|event| event.verdict == Verdict::Allowed));
}

#[tokio::test]
async fn any_number_of_strangers_neither_keeps_the_sandbox_out_nor_fills_the_record() {
    let mut world = world_with(&crate::test_settings::network(&["a.test:*"], &[]), |options| {
        options.limits.connections = 4;
    })
    .await;
    world.public("a.test");
    let origin = origin().await;
    let voucher = voucher::make().unwrap();
    let at = guarded(&mut world, Speaks::Http, &voucher).await;
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let host = format!("a.test:{}", origin.port);
    let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = send_to(at, &[voucher.bytes().as_slice(), request.as_bytes()].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let metrics = world.proxy.metrics();
    let gone = metrics.turned_away.load(SeqCst);
    assert!((340..600).contains(&gone), "the oldest gave way: {gone}");
    let events = world.events_until(2).await;
    let strange = events.iter().filter(|event| event.verdict == Verdict::Refused).count();
    assert!((1..=3).contains(&strange), "{strange} records of {gone} strangers");
    // The oldest was closed, the newest is still heard.
    assert_eq!(silent[0].read(&mut [0; 1]).await.unwrap_or(0), 0);
    let newest = tokio::time::timeout(Duration::from_millis(100), silent[599].read(&mut [0; 1])).await;
    assert!(newest.is_err(), "{newest:?}");
}
