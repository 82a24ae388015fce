use super::world::*;
use crate::proxy::Limits;
use crate::test_settings::network;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_dropped_at_random_leave_nothing_behind() {
    let settings = network(&["a.test:*"], &["denied.test:*"]);
    let limits = Limits { head: Duration::from_secs(2), ..Limits::default() };
    let world = world_with(&settings, |options| options.limits = limits).await;
    let (port, origin) = (echo().await, origin().await);
    world.public("a.test");
    let before = open_descriptors();
    let mut dice = Dice(7);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let (http, socks, kind, cut) = (world.http, world.socks, dice.roll(6), dice.roll(120) as usize);
        let origin_port = origin.port;
        while tasks.len() >= 200 {
            tasks.join_next().await;
        }
        tasks.spawn(async move {
            let Ok(mut stream) = TcpStream::connect(if kind == 5 { socks } else { http }).await else { return };
            let text = match kind {
                0 => format!("CONNECT a.test:{port} HTTP/1.1\r\nHost: a.test:{port}\r\n\r\nhello"),
                1 => format!("GET http://a.test:{origin_port}/ HTTP/1.1\r\nHost: a.test:{origin_port}\r\n\r\n"),
                2 => format!("CONNECT denied.test:{port} HTTP/1.1\r\nHost: denied.test:{port}\r\n\r\n"),
                3 => format!("POST http://a.test:{origin_port}/ HTTP/1.1\r\nHost: a.test:{origin_port}\r\nContent-Length: 9999\r\n\r\nabc"),
                4 => "GET http://a.test/ HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".to_owned(),
                _ => "\x05\x01\0\x05\x01\0\x03\x06a.test\x01\0".to_owned(),
            };
            let bytes = text.as_bytes();
            let _ = stream.write_all(&bytes[..bytes.len().min(cut * 2)]).await;
            if cut % 3 == 0 {
                let _ = tokio::time::timeout(Duration::from_millis(cut as u64), stream.read(&mut [0; 512])).await;
            }
            if cut % 5 == 0 {
                // A reset instead of an orderly end.
                let _ = stream.set_zero_linger();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let metrics = world.proxy.metrics();
    for _ in 0..1000 {
        if metrics.open.load(SeqCst) == 0 && open_descriptors() <= before + 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(metrics.open.load(SeqCst), 0, "a connection is still open");
    assert!(open_descriptors() <= before + 40, "{} descriptors, {before} before", open_descriptors());
    assert!(world.names.asked.lock().unwrap().iter().all(|name| name == "a.test"));
    // And it still works.
    assert!(connect(world.http, &format!("a.test:{port}")).await.is_ok());
}

#[tokio::test]
async fn a_killed_proxy_ends_its_tunnels() {
    let (mut world, port) = (world(&["a.test:*"], &[]).await, echo().await);
    world.public("a.test");
    let mut stream = connect(world.http, &format!("a.test:{port}")).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.read_exact(&mut [0; 1]).await.unwrap();
    world.session.close();
    for task in world.tasks.drain(..) {
        task.abort();
        let _ = task.await;
    }
    let ended =
        tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 1])).await.expect("the tunnel lives on");
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert!(TcpStream::connect(world.http).await.is_err());
}
