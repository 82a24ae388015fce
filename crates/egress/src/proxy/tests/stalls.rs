//! Somebody stops in the middle: name servers, origins, clients. Nothing hangs, nothing piles up, others go on.

use super::world::*;
use crate::ask::{Answer, Ask, Later, Question};
use crate::event::Verdict;
use crate::proxy::Limits;
use crate::test_settings::network;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HOUR: Duration = Duration::from_secs(3600);

/// A small request, answered while something else stalls.
async fn others_go_on(world: &World) {
    let (origin, start) = (origin().await, Instant::now());
    world.public("a.test");
    let at = format!("a.test:{}", origin.port);
    let request = format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    assert!(world.send(request).await.starts_with("HTTP/1.1 200"));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_name_server_that_never_answers_is_a_504_and_a_slow_one_is_waited_for() {
    let limits = Limits { lookup: Duration::from_millis(400), ..Limits::default() };
    let world = world_with(&network(&["**.test:*"], &[]), |options| options.limits = limits).await;
    let (origin, echo) = (origin().await, echo().await);
    for name in ["never.test", "slow.test"] {
        world.public(name);
    }
    world
        .names
        .slow
        .lock()
        .unwrap()
        .extend([("never.test".to_owned(), HOUR), ("slow.test".to_owned(), limits.lookup / 4)]);
    let request = |name: &str| {
        let at = format!("{name}:{}", origin.port);
        format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")
    };
    let start = Instant::now();
    let never = tokio::spawn({
        let (http, request) = (world.http, request("never.test"));
        async move { send_to(http, request.as_bytes()).await }
    });
    others_go_on(&world).await;
    assert!(never.await.unwrap().starts_with("HTTP/1.1 504"));
    assert!(start.elapsed() >= limits.lookup);
    let answer = connect(world.http, &format!("never.test:{echo}")).await.unwrap_err();
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("no name server answered in time"), "{answer}");
    let reply = super::socks::connect_name(&world, b"never.test", echo).await.unwrap_err();
    assert_eq!(reply, 6, "timed out");
    // What takes its time, within the limit, is no failure.
    assert!(world.send(request("slow.test")).await.starts_with("HTTP/1.1 200"));
    assert!(connect(world.http, &format!("slow.test:{echo}")).await.is_ok());
    let events = world.events_until(5).await;
    let failed = events.iter().filter(|event| event.verdict == Verdict::Failed);
    assert!(failed.clone().all(|event| event.host == "never.test") && failed.count() == 3, "{events:?}");
}

/// Sends without end and counts what was taken.
async fn fountain() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, sent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&[b'x'; 65_536]).await.is_ok() {
                    count.fetch_add(65_536, SeqCst);
                }
            });
        }
    });
    (port, sent)
}

/// Waits until the number doesn't grow any more.
async fn settled(count: &AtomicU64) -> u64 {
    let mut before = count.load(SeqCst);
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = count.load(SeqCst);
        if now == before && now > 0 {
            return now;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn px_08_a_client_that_reads_nothing_stops_its_origin_and_nobody_else() {
    let world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    for tunnel in [true, false] {
        let (port, sent) = fountain().await;
        let mut client = if tunnel {
            connect(world.http, &format!("a.test:{port}")).await.unwrap()
        } else {
            TcpStream::connect(world.http).await.unwrap()
        };
        let request = format!("GET http://a.test:{port}/ HTTP/1.1\r\nHost: a.test:{port}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        // What fits into the buffers of the kernel, a pipe and the proxy: ten gibibytes don't.
        let taken = settled(&sent).await;
        assert!(taken < 64 << 20, "{taken} bytes were taken for a client that reads none");
        others_go_on(&world).await;
        // It goes on where it stopped.
        let mut bytes = vec![0; 1 << 20];
        for _ in 0..80 {
            client.read_exact(&mut bytes).await.unwrap();
        }
        assert!(sent.load(SeqCst) > taken);
        drop(client);
    }
    let events = world.events_until(4).await;
    assert!(events.iter().all(|event| event.verdict == Verdict::Allowed), "{events:?}");
    for _ in 0..200 {
        if world.proxy.metrics().open.load(SeqCst) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a connection is still open");
}

#[tokio::test]
async fn px_08_an_origin_that_stops_in_the_middle_of_an_answer_is_seen_to_have_stopped() {
    let limits = Limits { half_open: Duration::from_millis(300), ..Limits::default() };
    let world = world_with(&network(&["a.test:*"], &[]), |options| options.limits = limits).await;
    world.public("a.test");
    for ends in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("a.test:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
            if !ends {
                std::future::pending::<()>().await;
            }
        });
        let mut client = TcpStream::connect(world.http).await.unwrap();
        let request = format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"half") {
            let read = tokio::time::timeout(Duration::from_secs(10), client.read_buf(&mut got));
            assert_ne!(read.await.expect("what is there is passed on").unwrap(), 0);
        }
        if ends {
            // An answer that is cut short must not look whole: the connection ends before its length.
            let more = tokio::time::timeout(Duration::from_secs(10), client.read_buf(&mut got)).await;
            assert!(matches!(more.expect("the end is passed on"), Ok(0) | Err(_)));
        } else {
            others_go_on(&world).await;
            // A client that gives up is enough to end it.
            drop(client);
            let events = world.events_until(3).await;
            assert!(events.iter().any(|event| event.bytes_down == 4), "{events:?}");
        }
    }
}

#[tokio::test]
async fn px_08_a_websocket_whose_client_is_gone_ends_though_its_origin_says_nothing() {
    let limits = Limits { half_open: Duration::from_millis(300), ..Limits::default() };
    let world = world_with(&network(&["a.test:*"], &[]), |options| options.limits = limits).await;
    world.public("a.test");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("a.test:{}", listener.local_addr().unwrap().port());
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    });
    let mut client = TcpStream::connect(world.http).await.unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    client.write_all(format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\n{upgrade}").as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"hello") {
        assert_ne!(client.read_buf(&mut got).await.unwrap(), 0);
    }
    // While both are there, silence is no reason to end.
    client.write_all(b"hi").await.unwrap();
    tokio::time::sleep(limits.half_open * 2).await;
    assert!(world.events.lock().unwrap().is_empty());
    let _open = origin.await.unwrap();
    drop(client);
    let event = world.event().await;
    assert_eq!((event.bytes_up, event.bytes_down, event.status), (2, 5, Some(101)), "{event:?}");
}

#[tokio::test]
async fn px_08_a_body_that_stops_half_way_reaches_no_origin_as_a_whole_one() {
    let world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let origin = origin().await;
    let at = format!("a.test:{}", origin.port);
    let mut client = TcpStream::connect(world.http).await.unwrap();
    let request = format!("POST http://{at}/ HTTP/1.1\r\nHost: {at}\r\nContent-Length: 100\r\n\r\nhalf");
    client.write_all(request.as_bytes()).await.unwrap();
    others_go_on(&world).await;
    drop(client);
    let events = world.events_until(2).await;
    let broken = events.iter().find(|event| event.port == origin.port).unwrap();
    assert_eq!((broken.verdict, broken.bytes_up), (Verdict::Failed, 4), "{broken:?}");
    assert!(origin.heads.lock().unwrap().is_empty(), "the origin took it for whole");
}

/// Is asked, says so, and never answers.
struct Silent(Arc<AtomicBool>);

impl Ask for Silent {
    fn ask(&self, _: Question) -> Later<Answer> {
        self.0.store(true, SeqCst);
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_question_that_is_open_at_the_end_lets_nothing_through_and_holds_nobody() {
    let asked = Arc::new(AtomicBool::new(false));
    let mut options = None;
    let world = world_with(&network(&[], &[]), |session| {
        session.asker = Some(Arc::new(Silent(Arc::clone(&asked))));
        options = Some(session.limits);
    })
    .await;
    world.public("new.test");
    let port = echo().await;
    let held = tokio::spawn({
        let http = world.http;
        async move { connect(http, &format!("new.test:{port}")).await }
    });
    while !asked.load(SeqCst) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.session.close();
    let answer = tokio::time::timeout(Duration::from_secs(10), held).await.expect("it is held for ever").unwrap();
    assert!(answer.is_err());
    assert!(world.names.asked.lock().unwrap().is_empty(), "it was looked up all the same");
    assert_eq!(world.event().await.verdict, Verdict::Failed);
    // One that takes too long is a no.
    let asker: Arc<dyn Ask> = Arc::new(Silent(Arc::default()));
    let mut limits = options.unwrap();
    limits.ask.hold = Duration::from_millis(200);
    let world = world_with(&network(&[], &[]), |session| (session.asker, session.limits) = (Some(asker), limits)).await;
    let answer = connect(world.http, "new.test:443").await.unwrap_err();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("nobody answered in time"), "{answer}");
}
