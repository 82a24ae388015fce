//! Listeners that everybody on the machine reaches: only who has the credential is let in, and others are recorded.

use super::world::*;
use crate::credential::{Credential, basic};
use crate::event::{Event, Verdict};
use crate::proxy::{Door, Proxy, Speaks};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener of the world's proxy with this credential.
async fn guarded(world: &mut World, speaks: Speaks, credential: &Credential) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door { speaks, credential: Some(credential.clone()) };
    let task = tokio::spawn(Proxy::serve(Arc::clone(&world.proxy), Arc::clone(&world.session), listener, door));
    world.tasks.push(task);
    address
}

fn let_in(event: &Event) -> bool {
    event.verdict == Verdict::Allowed
}

#[tokio::test]
async fn a_request_without_the_credential_is_407_recorded_and_nothing_is_looked_up() {
    let mut world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let origin = origin().await;
    let credential = Credential::new().unwrap();
    let at = guarded(&mut world, Speaks::Http, &credential).await;
    let host = format!("a.test:{}", origin.port);
    let other = Credential::new().unwrap();
    let wrong = [
        String::new(),
        "Proxy-Authorization: Basic\r\n".to_owned(),
        format!("Proxy-Authorization: Basic {}\r\n", basic(&other.userinfo())),
        format!("Proxy-Authorization: Bearer {}\r\n", basic(&credential.userinfo())),
        // For the origin, not for the proxy.
        format!("Authorization: Basic {}\r\n", basic(&credential.userinfo())),
    ];
    for header in &wrong {
        for line in [format!("GET http://{host}/ HTTP/1.1"), format!("CONNECT {host} HTTP/1.1")] {
            let answer = send_to(at, format!("{line}\r\nHost: {host}\r\n{header}\r\n").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 407"), "{line} {header}: {answer}");
            assert!(answer.contains("proxy-authenticate: Basic realm=\"ringfence\""), "{answer}");
        }
    }
    let events = world.events_until(wrong.len() * 2).await;
    for event in &events {
        assert_eq!((event.verdict, event.code, event.status), (Verdict::Refused, None, Some(407)));
        assert_eq!((event.host.as_str(), event.port), ("a.test", origin.port));
    }
    assert_eq!((world.names.asked.lock().unwrap().len(), origin.heads.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn each_request_shows_the_credential_and_no_origin_sees_it() {
    let mut world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let (origin, echo) = (origin().await, echo().await);
    let credential = Credential::new().unwrap();
    let at = guarded(&mut world, Speaks::Http, &credential).await;
    let header = format!("Proxy-Authorization: Basic {}\r\n", basic(&credential.userinfo()));
    let host = format!("a.test:{}", origin.port);
    // As clients do that wait to be asked: the same connection is asked, and answers.
    let first = format!("GET http://{host}/1 HTTP/1.1\r\nHost: {host}\r\n");
    let text = format!("{first}\r\n{first}{header}\r\n{first}Connection: close\r\n\r\n");
    let answer = send_to(at, text.as_bytes()).await;
    let codes: Vec<&str> = answer.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert_eq!(codes, ["HTTP/1.1 407 Proxy Authentication Required", "HTTP/1.1 200 OK", codes[0]], "{answer}");
    let heads = origin.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1);
    assert!(!heads[0].to_lowercase().contains("authorization"), "{}", heads[0]);
    let mut tunnel = TcpStream::connect(at).await.unwrap();
    let request = format!("CONNECT a.test:{echo} HTTP/1.1\r\nHost: a.test:{echo}\r\n{header}\r\n");
    tunnel.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(tunnel.read_buf(&mut head).await.unwrap(), 0);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    tunnel.write_all(b"round").await.unwrap();
    let mut back = [0; 5];
    tunnel.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"round");
}

#[tokio::test]
async fn socks_without_the_credential_is_refused_and_recorded() {
    let mut world = world(&["a.test:*"], &[]).await;
    world.public("a.test");
    let echo = echo().await;
    let credential = Credential::new().unwrap();
    let at = guarded(&mut world, Speaks::Socks5, &credential).await;
    let userinfo = credential.userinfo();
    let (user, token) = userinfo.split_once(':').unwrap();
    let given = |user: &str, token: &str| {
        let mut bytes = vec![1, u8::try_from(user.len()).unwrap()];
        bytes.extend_from_slice(user.as_bytes());
        bytes.push(u8::try_from(token.len()).unwrap());
        bytes.extend_from_slice(token.as_bytes());
        bytes
    };
    let mut request = vec![5, 1, 0, 3, 6];
    request.extend_from_slice(b"a.test");
    request.extend_from_slice(&echo.to_be_bytes());
    let mut seen = 0;
    // What a client says to the greeting's answer, all sent at once; and what it hears to the end.
    for (greeting, auth, wanted) in [
        (vec![5, 1, 0], Vec::new(), vec![5, 0xff]),
        (vec![5, 1, 2], given(user, ""), vec![5, 2, 1, 1]),
        (vec![5, 2, 0, 2], given("root", token), vec![5, 2, 1, 1]),
        (vec![5, 1, 2], given(user, &token[..63]), vec![5, 2, 1, 1]),
    ] {
        let answer = send_raw(at, [greeting, auth, request.clone()].concat()).await;
        assert_eq!(answer, wanted);
        seen += 1;
        let events = world.events_until(seen).await;
        assert_eq!((events[seen - 1].verdict, events[seen - 1].code), (Verdict::Refused, None));
    }
    assert_eq!(world.names.asked.lock().unwrap().len(), 0);
    let answer = send_raw(at, [vec![5, 1, 2], given(user, token), request, b"hello".to_vec()].concat()).await;
    assert_eq!(answer, [&[5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0], b"hello".as_slice()].concat());
    assert!(let_in(&world.events_until(seen + 1).await[seen]));
}

async fn send_raw(at: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_to_end(&mut answer));
    let _ = read.await.expect("the proxy hangs");
    answer
}
