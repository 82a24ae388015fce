//! Tunnels with many small messages, which another thread carries; and what makes them more than that.

use super::world::*;
use crate::event::Verdict;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Small messages to and fro: more than it takes to be carried by the other thread.
async fn talk(stream: &mut TcpStream, messages: usize) {
    for message in 0..messages {
        let text = message.to_be_bytes();
        stream.write_all(&text).await.unwrap();
        let mut back = [0; 8];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
    }
}

fn is_talking(world: &World) -> bool {
    world.proxy.talk_threads() == 1
}

#[tokio::test]
async fn a_tunnel_that_is_talked_over_is_byte_exact_in_whatever_follows() {
    let (world, port) = (world(&["a.test:*"], &[]).await, echo().await);
    world.public("a.test");
    let mut stream = connect(world.http, &format!("a.test:{port}")).await.unwrap();
    talk(&mut stream, 4).await;
    assert!(!is_talking(&world), "a few messages need no other thread");
    talk(&mut stream, 200).await;
    assert!(is_talking(&world));
    let mut sent = 204 * 8;
    // Bulk, and a receiver that doesn't keep up; then talk again, twice.
    for size in [8 << 20, 100_000] {
        let bulk: Vec<u8> = (0..size).map(|index: usize| (index * 7 % 251) as u8).collect();
        let (mut read, mut write) = stream.split();
        let upload = async {
            write.write_all(&bulk).await.unwrap();
        };
        let download = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut back = vec![0; size];
            read.read_exact(&mut back).await.unwrap();
            back
        };
        let ((), back) = tokio::join!(upload, download);
        assert!(back == bulk);
        talk(&mut stream, 100).await;
        sent += size + 100 * 8;
    }
    // Half of it is closed after a last word, which still comes back.
    stream.write_all(b"over").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"over");
    let event = world.event().await;
    let total = sent as u64 + 4;
    assert_eq!((event.verdict, event.bytes_up, event.bytes_down), (Verdict::Allowed, total, total), "{}", event.detail);
}

#[tokio::test]
async fn a_talk_ends_with_its_session_or_with_either_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let at = format!("a.test:{port}");
    let mut pairs = Vec::new();
    for _ in 0..4 {
        let mut client = connect(world.http, &at).await.unwrap();
        let mut origin = listener.accept().await.unwrap().0;
        for _ in 0..50 {
            for (from, to) in [(true, b"up"), (false, b"dn")] {
                let (sender, receiver) = if from { (&mut client, &mut origin) } else { (&mut origin, &mut client) };
                sender.write_all(to).await.unwrap();
                receiver.read_exact(&mut [0; 2]).await.unwrap();
            }
        }
        pairs.push((client, origin));
    }
    assert!(is_talking(&world));
    // One end closes, or resets: the other sees it, and there is a record.
    let (client, mut origin) = pairs.pop().unwrap();
    drop(client);
    assert_eq!(origin.read(&mut [0; 1]).await.unwrap(), 0);
    drop(origin);
    let (mut client, origin) = pairs.pop().unwrap();
    origin.set_zero_linger().unwrap();
    drop(origin);
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    drop(client);
    let events = world.events_until(2).await;
    assert!(events.iter().all(|event| (event.bytes_up, event.bytes_down) == (100, 100)), "{events:?}");
    // The session is closed, and then the proxy gone.
    world.session.close();
    for task in world.tasks.drain(..) {
        let _ = task.await;
    }
    for (mut client, mut origin) in pairs {
        for stream in [&mut client, &mut origin] {
            let mut byte = [0];
            let ended = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
            assert!(matches!(ended.expect("the tunnel lives on"), Ok(0) | Err(_)));
        }
    }
    world.events_until(4).await;
    assert_eq!(world.proxy.metrics().open.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_talk_at_once_and_leave_nothing_behind() {
    let (world, port) = (world(&["a.test:*"], &[]).await, echo().await);
    world.public("a.test");
    let http = world.http;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..200 {
        tasks.spawn(async move {
            let mut stream = connect(http, &format!("a.test:{port}")).await.unwrap();
            for round in 0..3 {
                talk(&mut stream, 20 + index % 30).await;
                if index % 3 == round {
                    let bulk = vec![round as u8; 200_000];
                    stream.write_all(&bulk[..100_000]).await.unwrap();
                    stream.write_all(&bulk[100_000..]).await.unwrap();
                    let mut back = vec![0; bulk.len()];
                    stream.read_exact(&mut back).await.unwrap();
                    assert!(back == bulk);
                }
            }
            if index % 2 == 0 {
                stream.set_zero_linger().unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let events = world.events_until(200).await;
    assert!(events.iter().all(|event| event.bytes_up == event.bytes_down));
    assert_eq!(world.proxy.metrics().open.load(std::sync::atomic::Ordering::Relaxed), 0);
}
