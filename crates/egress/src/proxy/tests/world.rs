//! Origins, a resolver and a proxy to test with.

use crate::ask::Later;
use crate::event::Event;
use crate::policy::Policy;
use crate::proxy::{Proxy, Session, SessionOptions, Speaks};
use crate::resolve::{Resolve, ResolveError};
use crate::test_settings::network;
use ringfence_model::settings::NetworkSettings;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A public address that leads to the test's origins.
pub(crate) const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34));

/// Answers of a name, one after the other; the last stays.
#[derive(Default)]
pub(crate) struct StubNames {
    pub(crate) answers: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
    pub(crate) asked: Mutex<Vec<String>>,
    /// How long an answer takes, of names that have to be waited for.
    pub(crate) slow: Mutex<HashMap<String, Duration>>,
}

impl Resolve for StubNames {
    fn resolve(&self, name: &str) -> Later<Result<Vec<IpAddr>, ResolveError>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.get_mut(name) {
            Some(list) if list.len() > 1 => list.pop_front(),
            Some(list) => list.front().cloned(),
            None => None,
        };
        let wait = self.slow.lock().unwrap().get(name).copied();
        Box::pin(async move {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            answer.ok_or(ResolveError::NotFound)
        })
    }
}

pub(crate) struct World {
    pub(crate) names: Arc<StubNames>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) session: Arc<Session>,
    pub(crate) http: SocketAddr,
    pub(crate) socks: SocketAddr,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

pub(crate) async fn world(allow: &[&str], deny: &[&str]) -> World {
    world_with(&network(allow, deny), |_| {}).await
}

pub(crate) async fn world_with(settings: &NetworkSettings, change: impl FnOnce(&mut SessionOptions)) -> World {
    let names = Arc::new(StubNames::default());
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let log = Arc::clone(&events);
    let sink = Arc::new(move |event: &Event| log.lock().unwrap().push(event.clone()));
    let proxy = Proxy::new(Arc::clone(&names) as _, sink, None);
    proxy.reroute.lock().unwrap().insert(PUBLIC, Ipv4Addr::LOCALHOST.into());
    let policy = Arc::new(Policy::compile(settings, &[]).unwrap());
    let mut options = SessionOptions::new("test", settings, policy);
    change(&mut options);
    let session = Session::new(options);
    let (http, http_task) = listen(&proxy, &session, Speaks::Http).await;
    let (socks, socks_task) = listen(&proxy, &session, Speaks::Socks5).await;
    World { names, proxy, session, http, socks, events, tasks: vec![http_task, socks_task] }
}

async fn listen(
    proxy: &Arc<Proxy>,
    session: &Arc<Session>,
    speaks: Speaks,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(Arc::clone(proxy).serve(Arc::clone(session), listener, speaks)))
}

impl World {
    /// Gives a name one or more answers.
    pub(crate) fn name(&self, name: &str, answers: &[&[&str]]) {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        self.names.answers.lock().unwrap().insert(name.to_owned(), answers.iter().map(parse).collect());
    }

    /// Leads a name to the test's origins, by way of a public address.
    pub(crate) fn public(&self, name: &str) {
        self.name(name, &[&[&PUBLIC.to_string()]]);
    }

    /// Sends bytes to the HTTP port and reads until the end.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        send_to(self.http, bytes.as_ref()).await
    }

    /// The one event there is, once it is there.
    pub(crate) async fn event(&self) -> Event {
        self.events_until(1).await.remove(0)
    }

    pub(crate) async fn events_until(&self, count: usize) -> Vec<Event> {
        for _ in 0..500 {
            let events = self.events.lock().unwrap().clone();
            if events.len() >= count {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {count} events but {:?}", self.events.lock().unwrap())
    }
}

pub(crate) async fn send_to(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("the proxy hangs").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An origin that answers every request with what it received, and counts connections and requests.
pub(crate) struct Origin {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

pub(crate) async fn origin() -> Origin {
    origin_with(|head, _| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())).await
}

pub(crate) async fn origin_with(answer: impl Fn(&str, &[u8]) -> String + Clone + Send + 'static) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin =
        Origin { port: listener.local_addr().unwrap().port(), connections: Arc::default(), heads: Arc::default() };
    let (connections, heads) = (Arc::clone(&origin.connections), Arc::clone(&origin.heads));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, SeqCst);
            tokio::spawn(serve(stream, Arc::clone(&heads), answer.clone()));
        }
    });
    origin
}

async fn serve(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>, answer: impl Fn(&str, &[u8]) -> String) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |text| text.trim().parse().unwrap());
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        heads.lock().unwrap().push(head.clone());
        let response = answer(&head, &buffer[end..end + length]);
        buffer.drain(..end + length);
        if stream.write_all(response.as_bytes()).await.is_err() || response.contains("Connection: close") {
            return;
        }
    }
}

/// A server that sends back every byte and closes when the client does.
pub(crate) async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    port
}

/// Opens a tunnel, or returns the whole answer.
pub(crate) async fn connect(proxy: SocketAddr, authority: &str) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut answer));
        if read.await.expect("the proxy hangs").unwrap_or(0) == 0 {
            break;
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(stream);
    }
    let _ = stream.read_to_end(&mut answer).await;
    Err(String::from_utf8_lossy(&answer).into_owned())
}
