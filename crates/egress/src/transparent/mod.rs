//! The network of programs that know of no proxy.
//!
//! The sandbox's own network has one interface beside loopback, and everything leaves by it: each packet comes to the
//! proxy, which holds the interface's descriptor, and no further. Names are answered here with addresses that stand for
//! them ([`names`]), so that what is judged is the name, by the same phases as everywhere.
//!
//! ```text
//! program ─► packet that begins a connection: held ─► decide ─► resolve and pin ─► connect
//!                                                                                     │
//! program ◄─► the kernel's TCP ◄─ packets under other addresses ─► the kernel's TCP ◄─► relay
//! ```
//!
//! Packets of a connection that was let through are given other addresses ([`flows`]) and put back, towards a socket
//! that listens inside the same network and is served from here: both ends are the kernel's own TCP, and no second one is
//! needed. One that is refused is answered as a firewall would, so that the program learns at once; one that is asked
//! about waits. What is neither a connection, nor a query for a name, goes nowhere.

mod flows;
mod lately;
mod names;
mod packet;

use crate::host::Target;
use crate::policy::Refusal;
use crate::proxy::{Failure, Proxy, Session, Stop, Visit, note, way};
use flows::{Fate, Flows, Key, Side};
use lately::Lately;
use names::Names;
use packet::{Answer, Kind, Seen};
use ringfence_model::network::NetworkProtocol;
use ringfence_model::transparent::{BEYOND_V4, BEYOND_V6, INSIDE_V4, INSIDE_V6, NAME_PORT};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

/// How a connection is named in events: it is judged like one asked for with `CONNECT`.
const METHOD: &str = "TCP";
/// Time for the inside to take a connection that was let through.
const TAKEN: Duration = Duration::from_secs(10);
/// After an error that may last, so that nothing spins.
const PAUSE: Duration = Duration::from_millis(20);
/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_secs(5);
/// Destinations of datagrams that are recorded; further ones are refused all the same.
const MAX_DATAGRAMS: usize = 1024;

/// What a sandbox hands out for a network of this kind.
#[derive(Debug)]
pub struct Inlets {
    /// The interface: a packet per read and write, without a header of its own.
    pub interface: OwnedFd,
    /// Sockets inside that listen for what is led back: one for IPv4 and, if there is IPv6, one for it.
    pub connections: Vec<TcpListener>,
    /// Datagram sockets of name servers on loopback.
    pub names: Vec<UdpSocket>,
}

/// Such a network, being served.
pub(crate) struct Net {
    proxy: Arc<Proxy>,
    session: Arc<Session>,
    interface: AsyncFd<OwnedFd>,
    listeners: Vec<tokio::net::TcpListener>,
    /// Ports of the listeners for IPv4 and IPv6.
    listening: [Option<u16>; 2],
    name_servers: Vec<tokio::net::UdpSocket>,
    names: Mutex<Names>,
    flows: Mutex<Flows<TcpStream>>,
    /// Datagrams that were refused and recorded.
    datagrams: Mutex<HashSet<SocketAddr>>,
    refused: Mutex<Lately>,
}

impl Net {
    /// Takes the descriptors over.
    pub(crate) fn adopt(proxy: Arc<Proxy>, session: Arc<Session>, inlets: Inlets) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&inlets.interface)?;
        rustix::fs::fcntl_setfl(&inlets.interface, flags | rustix::fs::OFlags::NONBLOCK)?;
        let mut listening = [None; 2];
        let mut listeners = Vec::new();
        for listener in inlets.connections {
            listener.set_nonblocking(true)?;
            let at = listener.local_addr()?;
            let [v4, v6] = &mut listening;
            *(if at.is_ipv4() { v4 } else { v6 }) = Some(at.port());
            listeners.push(tokio::net::TcpListener::from_std(listener)?);
        }
        let with_v6 = listening.iter().all(Option::is_some);
        let mut name_servers = Vec::new();
        for socket in inlets.names {
            socket.set_nonblocking(true)?;
            name_servers.push(tokio::net::UdpSocket::from_std(socket)?);
        }
        #[expect(deprecated, reason = "its successor asks for `unsafe`; an owned descriptor stays the same")]
        let interface = AsyncFd::new(inlets.interface)?;
        Ok(Self {
            proxy,
            session,
            interface,
            listeners,
            listening,
            name_servers,
            names: Mutex::new(Names::new(with_v6)),
            flows: Mutex::default(),
            datagrams: Mutex::default(),
            refused: Mutex::default(),
        })
    }

    /// Serves it until the session is closed or the task is dropped.
    pub(crate) async fn serve(self) {
        let net = Arc::new(self);
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..net.listeners.len() {
            tasks.spawn(Arc::clone(&net).accept(index));
        }
        for index in 0..net.name_servers.len() {
            tasks.spawn(Arc::clone(&net).answer_names(index));
        }
        let mut sweep = tokio::time::interval(SWEEP);
        let mut buffer = vec![0; usize::from(u16::MAX) + 1];
        loop {
            tokio::select! {
                read = net.read(&mut buffer) => match read {
                    Ok(count) => net.take(buffer.get_mut(..count).unwrap_or_default()),
                    // The interface is gone, and with it the network.
                    Err(_) => return,
                },
                _ = sweep.tick() => net.flows().sweep(Instant::now()),
                () = net.session.until_closed() => return,
            }
        }
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.interface.readable().await?;
            match ready.try_io(|interface| Ok(rustix::io::read(interface, &mut *buffer)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return result,
                Err(_) => {}
            }
        }
    }

    /// Puts a packet onto the interface. One that doesn't fit is lost, as in any network.
    fn write(&self, packet: &[u8]) {
        let _ = rustix::io::write(&self.interface, packet);
    }

    fn flows(&self) -> MutexGuard<'_, Flows<TcpStream>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a packet that left the sandbox.
    fn take(self: &Arc<Self>, bytes: &mut [u8]) {
        let Some(seen) = packet::read(bytes) else { return };
        match seen.kind {
            Kind::Udp => self.datagram(bytes, &seen),
            Kind::Tcp { begins, finishes, resets } => {
                let now = Instant::now();
                if self.is_of_proxy(&seen) {
                    let mut flows = self.flows();
                    let Some(key) = flows.find(seen.to.is_ipv6(), seen.to.port(), now) else { return };
                    flows.note(&key, Side::Proxy, finishes, resets);
                    drop(flows);
                    if packet::readdress(bytes, key.1, key.0).is_some() {
                        self.write(bytes);
                    }
                    return;
                }
                let key = (seen.from, seen.to);
                let mut flows = self.flows();
                let fate = flows.judge(key, begins, bytes, now);
                flows.note(&key, Side::Inside, finishes, resets);
                drop(flows);
                match fate {
                    Fate::Pass(port) => self.pass(bytes, &key, port),
                    Fate::Hold => {}
                    Fate::Begin => self.begin(key),
                    Fate::Stray if resets => {}
                    Fate::Stray => self.turn_away(bytes, &seen, Answer::Refused),
                }
            }
        }
    }

    /// Whether a packet is of the proxy's side of a connection: from a socket that listens for it, to where it came from.
    fn is_of_proxy(&self, seen: &Seen) -> bool {
        let [v4, v6] = self.listening;
        match (seen.from.ip(), seen.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => from == INSIDE_V4 && to == BEYOND_V4 && v4 == Some(seen.from.port()),
            (IpAddr::V6(from), IpAddr::V6(to)) => from == INSIDE_V6 && to == BEYOND_V6 && v6 == Some(seen.from.port()),
            _ => false,
        }
    }

    /// Leads a packet of an open connection to the proxy's side.
    fn pass(&self, bytes: &mut [u8], key: &Key, port: u16) {
        let [v4, v6] = self.listening;
        let (from, to, at): (IpAddr, IpAddr, _) = if key.0.is_ipv4() {
            (BEYOND_V4.into(), INSIDE_V4.into(), v4)
        } else {
            (BEYOND_V6.into(), INSIDE_V6.into(), v6)
        };
        let Some(at) = at else { return };
        if packet::readdress(bytes, SocketAddr::new(from, port), SocketAddr::new(to, at)).is_some() {
            self.write(bytes);
        }
    }

    fn turn_away(&self, bytes: &[u8], seen: &Seen, answer: Answer) {
        if let Some(reply) = packet::refusal(bytes, seen, answer) {
            self.write(&reply);
        }
    }

    /// A connection begins: what it waits for happens beside the packets.
    fn begin(self: &Arc<Self>, key: Key) {
        // One too many isn't answered: the program tries again by itself.
        let Some(visit) = self.proxy.admit(&self.session) else { return self.flows().end(&key) };
        let net = Arc::clone(self);
        visit.clone().spawn(async move {
            let _ended = Ended { net: Arc::clone(&net), key };
            net.connection(visit, key).await;
        });
    }

    async fn connection(self: Arc<Self>, visit: Visit, key: Key) {
        let host = self.names().host(key.1.ip());
        let target = Target { host, port: key.1.port() };
        let protocol = NetworkProtocol::Https;
        if self.lately().take(&target, key.1.is_ipv6(), Instant::now()) {
            return self.refuse(&key, Answer::Prohibited);
        }
        let mut record = visit.proxy.recorder.open(&visit.session.name, protocol, &target);
        record.event.method = Some(METHOD.to_owned());
        let found = way::find(&visit, &target, protocol, METHOD, &mut record).await;
        let way = match found {
            Ok(way) => way,
            Err(stopped) => {
                note(&mut record, &stopped);
                if matches!(stopped, Stop::Refused(_)) {
                    self.lately().note(target, key.1.is_ipv6(), Instant::now());
                }
                return self.refuse(&key, answer_to(&stopped));
            }
        };
        let opened = self.flows().open(&key);
        let Some((mut first, port, side)) = opened else {
            return record.failed("too many connections are open");
        };
        self.pass(&mut first, &key, port);
        match tokio::time::timeout(TAKEN, side).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                record.allowed();
                way.carry(visit, target, stream, Vec::new(), record).await;
            }
            _ => record.failed("the program gave up before the connection was there"),
        }
    }

    /// Answers a connection that isn't to be.
    fn refuse(&self, key: &Key, answer: Answer) {
        let first = self.flows().refuse(key);
        if let Some((first, seen)) = first.as_deref().and_then(|first| Some((first, packet::read(first)?))) {
            self.turn_away(first, &seen, answer);
        }
    }

    /// Takes connections that were led back; others have no business there.
    async fn accept(self: Arc<Self>, index: usize) {
        let Some(listener) = self.listeners.get(index) else { return };
        loop {
            match listener.accept().await {
                Ok((stream, peer)) if [IpAddr::from(BEYOND_V4), BEYOND_V6.into()].contains(&peer.ip()) => {
                    self.flows().deliver(peer.is_ipv6(), peer.port(), stream);
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn answer_names(self: Arc<Self>, index: usize) {
        let Some(socket) = self.name_servers.get(index) else { return };
        let mut buffer = [0; 4096];
        loop {
            let Ok((count, from)) = socket.recv_from(&mut buffer).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let answer = self.names().answer(buffer.get(..count).unwrap_or_default());
            if let Some(answer) = answer {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    }

    /// A query for a name is answered, whatever server it is for; another datagram is refused.
    fn datagram(&self, bytes: &[u8], seen: &Seen) {
        if seen.to.port() == NAME_PORT {
            let answer = packet::datagram(bytes).and_then(|query| self.names().answer(query));
            if let Some(reply) = answer.and_then(|answer| packet::datagram_packet(seen.to, seen.from, &answer)) {
                self.write(&reply);
            }
            return;
        }
        // What the kernel says to its neighbours on its own account is nobody's request.
        if seen.to.ip().is_multicast() {
            return;
        }
        self.turn_away(bytes, seen, Answer::Prohibited);
        let mut known = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_DATAGRAMS && known.insert(seen.to) {
            let target = Target { host: self.names().host(seen.to.ip()), port: seen.to.port() };
            let protocol = NetworkProtocol::Socks5Udp;
            let mut record = self.proxy.recorder.open(&self.session.name, protocol, &target);
            let why = "datagrams aren't carried: only connections, and queries for names";
            record.refused(&Refusal::of_policy(&target.to_string(), why, "transparent network", None));
        }
    }
}

/// Ends a connection in the table, however its task ends.
struct Ended {
    net: Arc<Net>,
    key: Key,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.net.flows().end(&self.key);
    }
}

/// How a program learns that its connection isn't to be.
fn answer_to(stopped: &Stop) -> Answer {
    match stopped {
        Stop::Refused(_) => Answer::Prohibited,
        Stop::Failed(Failure::Connect(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Answer::Refused,
        Stop::Failed(_) => Answer::Unreachable,
    }
}
