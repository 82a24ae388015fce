//! What one sandbox can take up: its own places, nobody else's, and none of them for ever.

use super::world::*;
use crate::event::Verdict;
use crate::policy::Policy;
use crate::proxy::{Limits, Session, SessionOptions, Speaks};
use crate::test_settings::network;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn request(method: &str, at: &str, more: &str) -> String {
    format!("{method} http://{at}/ HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn px_08_idle_connections_take_up_their_own_sandboxs_places_and_no_others() {
    let settings = network(&["a.test:*"], &[]);
    let limits = Limits { connections: 64, head: Duration::from_secs(3600), ..Limits::default() };
    let (world, origin) = (world_with(&settings, |options| options.limits = limits).await, origin().await);
    world.public("a.test");
    // Another sandbox of the same proxy.
    let policy = Arc::new(Policy::compile(&settings, &[]).unwrap());
    let other = Session::new(SessionOptions::new("other", &settings, policy));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other_http = listener.local_addr().unwrap();
    let task = tokio::spawn(Arc::clone(&world.proxy).serve(other, listener, Speaks::Http));
    let at = format!("a.test:{}", origin.port);
    let (echo, mut idle) = (echo().await, Vec::new());
    for count in 0..200 {
        let mut stream = TcpStream::connect(if count % 3 == 0 { world.socks } else { world.http }).await.unwrap();
        let head = format!("CONNECT a.test:{echo} HTTP/1.1\r\nHost: a.test:{echo}\r\n\r\n");
        // Says nothing, begins, or has a tunnel that it says nothing in.
        let said = [&[][..], b"\x05", head.as_bytes()][count % 3];
        let _ = stream.write_all(said).await;
        idle.push(stream);
    }
    let metrics = world.proxy.metrics();
    let start = Instant::now();
    while metrics.turned_away.load(SeqCst) < 200 - 64 {
        assert!(start.elapsed() < Duration::from_secs(20), "{metrics:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(metrics.open.load(SeqCst), 64, "{metrics:?}");
    assert!(send_to(other_http, request("GET", &at, "").as_bytes()).await.starts_with("HTTP/1.1 200"));
    // What is let go is there again.
    drop(idle);
    let start = Instant::now();
    while metrics.open.load(SeqCst) > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "{metrics:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.send(request("GET", &at, "")).await.starts_with("HTTP/1.1 200"));
    task.abort();
}

#[test]
fn px_08_connections_leave_descriptors_for_everything_else() {
    let within = |descriptors| Limits::default().within(descriptors).connections;
    assert_eq!(within(Limits::DESCRIPTORS), Limits::default().connections);
    assert_eq!(within(u64::MAX), Limits::default().connections);
    for descriptors in [0, 16, 256, 1024, 4096] {
        let connections = within(descriptors) as u64;
        assert!(connections * 2 + (descriptors / 2).min(512) <= descriptors, "{descriptors}: {connections}");
        assert!(descriptors < 16 || connections > 0);
    }
}

#[tokio::test]
async fn px_08_a_slow_body_goes_through_while_it_moves_and_ends_where_it_stops() {
    let limits = Limits { answer: Duration::from_millis(600), ..Limits::default() };
    let world = world_with(&network(&["a.test:*"], &[]), |options| options.limits = limits).await;
    world.public("a.test");
    let origin = origin().await;
    let at = format!("a.test:{}", origin.port);
    let head = request("POST", &at, "Content-Length: 10\r\n");
    // Longer than an origin may take for its answer.
    let mut slow = TcpStream::connect(world.http).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(limits.answer / 4).await;
        slow.write_all(b"x").await.unwrap();
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // One that stops in the middle isn't waited for, and no origin takes it for whole.
    let mut stops = TcpStream::connect(world.http).await.unwrap();
    stops.write_all(format!("{head}half").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stops.read_to_string(&mut answer)).await;
    let _ = read.expect("it is waited for without end");
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    let events = world.events_until(2).await;
    assert_eq!((events[1].verdict, events[1].bytes_up), (Verdict::Failed, 4), "{events:?}");
    assert_eq!(origin.heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn px_08_a_half_open_tunnel_goes_on_while_it_moves_and_ends_when_it_is_silent() {
    let limits = Limits { half_open: Duration::from_millis(400), ..Limits::default() };
    let world = world_with(&network(&["a.test:*"], &[]), |options| options.limits = limits).await;
    world.public("a.test");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("a.test:{}", listener.local_addr().unwrap().port());
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).await.unwrap();
        // Slower than silence may last, all in all; then silent for good.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            stream.write_all(b"x").await.unwrap();
        }
        (stream, asked)
    });
    let mut client = connect(world.http, &at).await.unwrap();
    client.write_all(b"all of it").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut answer)).await;
    let _ = ended.expect("half of a tunnel is kept for ever");
    assert_eq!(answer, b"xxxxxxxx");
    let (_open, asked) = origin.await.unwrap();
    assert_eq!(asked, b"all of it");
    let event = world.event().await;
    assert_eq!((event.bytes_up, event.bytes_down), (9, 8), "{event:?}");
}

#[tokio::test]
async fn px_08_addresses_that_hang_take_no_more_descriptors_than_there_are_for_that() {
    let (world, origin) = (world(&["a.test:*"], &[]).await, origin().await);
    // Nobody takes what comes there, and what doesn't fit any more gets no answer.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind(([127, 0, 0, 2], origin.port).into()).unwrap();
    let _full = full.listen(0).unwrap();
    let fill: Vec<_> = (0..3).map(|_| tokio::spawn(TcpStream::connect(("127.0.0.2", origin.port)))).collect();
    let hangs = "93.184.216.35";
    world.proxy.reroute.lock().unwrap().insert(hangs.parse().unwrap(), [127, 0, 0, 2].into());
    world.name("a.test", &[&[hangs, hangs, &PUBLIC.to_string()]]);
    let at = format!("a.test:{}", origin.port);
    let beside = Arc::clone(&world.proxy.beside);
    let most = beside.available_permits();
    for all_taken in [false, true] {
        let taken = beside.try_acquire_many(if all_taken { most as u32 } else { 0 }).unwrap();
        let start = Instant::now();
        let connected = tokio::time::timeout(Duration::from_secs(10), connect(world.http, &at)).await;
        assert!(connected.expect("it isn't tried beside or in place of what hangs").is_ok(), "{all_taken}");
        assert!(start.elapsed() > Duration::from_millis(400), "nothing hung: {:?}", start.elapsed());
        drop(taken);
    }
    let start = Instant::now();
    while beside.available_permits() < most {
        assert!(start.elapsed() < Duration::from_secs(20), "an attempt is left over");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fill.iter().for_each(tokio::task::JoinHandle::abort);
}
