use super::world::*;
use crate::event::Verdict;
use crate::test_settings::network;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Sends the bytes after a greeting; the stream or the reply code.
async fn request(socks: SocketAddr, bytes: &[u8]) -> Result<TcpStream, u8> {
    let mut stream = TcpStream::connect(socks).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut two = [0; 2];
    stream.read_exact(&mut two).await.unwrap();
    assert_eq!(two, [5, 0]);
    stream.write_all(bytes).await.unwrap();
    let mut reply = [0; 10];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut reply));
    match read.await.expect("the proxy hangs") {
        Ok(_) if reply[1] == 0 => Ok(stream),
        Ok(_) => Err(reply[1]),
        Err(_) => Err(255),
    }
}

pub(super) async fn connect_name(world: &World, name: &[u8], port: u16) -> Result<TcpStream, u8> {
    let mut bytes = vec![5, 1, 0, 3, name.len() as u8];
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&port.to_be_bytes());
    request(world.socks, &bytes).await
}

#[tokio::test]
async fn px_04_socks_names_and_commands() {
    let (world, port) = (world(&["**.allowed.test:*"], &[]).await, echo().await);
    world.public("allowed.test");
    let mut stream = connect_name(&world, b"Allowed.test", port).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "ping");
    for name in [
        b"evil.com\0.allowed.test".as_slice(),
        b"127.0.0.1\0.allowed.test",
        b"127.0.0.1\r\n.allowed.test",
        b"127.0.0.1 .allowed.test",
        b"a:80.allowed.test",
        b"",
        &[b'a'; 255],
        b"127.0.0.1%00.allowed.test",
        b"127.0.0.1/.allowed.test",
        b"localhost",
        b"127.0.0.1",
    ] {
        assert_eq!(connect_name(&world, name, port).await.unwrap_err(), 2, "{name:?}");
    }
    let v4 = |command: u8| [5, command, 0, 1, 127, 0, 0, 1, 0, 80];
    assert_eq!(request(world.socks, &v4(1)).await.unwrap_err(), 2);
    assert_eq!(request(world.socks, &v4(2)).await.unwrap_err(), 7, "BIND");
    assert_eq!(request(world.socks, &v4(3)).await.unwrap_err(), 7, "UDP ASSOCIATE unless it is enabled");
    assert_eq!(request(world.socks, &v4(9)).await.unwrap_err(), 7);
    assert_eq!(request(world.socks, &[5, 1, 0, 9, 0, 0, 0, 0, 0, 0]).await.unwrap_err(), 8);
    for greeting in [[4, 1, 0, 80, 127, 0, 0, 1, 0].as_slice(), &[5, 1, 2], b"GET / HTTP/1.1\r\n\r\n"] {
        let answer = send_to(world.socks, greeting).await;
        assert!(answer.len() <= 4, "{answer:?}");
    }
    assert_eq!(world.names.asked.lock().unwrap().len(), 1);
    let events = world.events_until(19).await;
    assert_eq!(events.iter().filter(|event| event.verdict == Verdict::Allowed).count(), 1);
}

#[tokio::test]
async fn px_04_datagrams_are_judged_where_they_are_offered() {
    let mut settings = network(&["a.test:*"], &[]);
    settings.managed.enable_socks5_udp.value = true;
    let world = world_with(&settings, |_| {}).await;
    world.public("a.test");
    let origin = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = origin.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((count, from)) = origin.recv_from(&mut buffer).await {
            let _ = origin.send_to(&buffer[..count], from).await;
        }
    });
    let mut control = TcpStream::connect(world.socks).await.unwrap();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut reply = [0; 12];
    control.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[3], 0);
    let relay = SocketAddr::from(([127, 0, 0, 1], u16::from_be_bytes([reply[10], reply[11]])));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = |name: &[u8]| {
        let mut bytes = vec![0, 0, 0, 3, name.len() as u8];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&port.to_be_bytes());
        bytes.extend_from_slice(b"ping");
        bytes
    };
    client.send_to(&datagram(b"other.test"), relay).await.unwrap();
    client.send_to(&datagram(b"127.0.0.1"), relay).await.unwrap();
    client.send_to(&datagram(b"a.test"), relay).await.unwrap();
    let mut buffer = [0; 100];
    let count = tokio::time::timeout(Duration::from_secs(10), client.recv(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..count].ends_with(b"ping"));
    let events = world.events_until(2).await;
    assert!(events.iter().all(|event| event.verdict == Verdict::Refused), "{events:?}");
    assert_eq!(*world.names.asked.lock().unwrap(), ["a.test"]);
}
