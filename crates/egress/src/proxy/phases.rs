//! Decide, resolve and pin, connect: each takes what only the one before it makes.

use super::{Proxy, Session, Visit};
use crate::ask::{Answer, Question};
use crate::event::{Bytes as Counters, Record};
use crate::host::{Host, Target};
use crate::policy::{Decision, Refusal};
use crate::resolve::{self, ResolveError};
use ringfence_model::Origin;
use ringfence_model::domain::DomainPattern;
use ringfence_model::grant::Lasts;
use ringfence_model::network::NetworkProtocol;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// Time after which the next address is tried beside the one that hangs (RFC 8305).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// A destination that was decided about and may be reached. Only [`decide`] makes one.
#[must_use]
pub(crate) struct Decided {
    target: Target,
    protocol: NetworkProtocol,
}

/// A destination with the addresses that were judged. Only [`pin`] makes one.
#[must_use]
pub(crate) struct Pinned {
    target: Target,
    addresses: Vec<IpAddr>,
}

/// Why a destination wasn't reached.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A rule refused it.
    Refused(Box<Refusal>),
    /// It couldn't be reached.
    Failed(Failure),
}

/// How a destination couldn't be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("could not connect: {0}")]
    Connect(io::Error),
    #[error("no connection within the time limit")]
    TimedOut,
    #[error(transparent)]
    Upstream(#[from] super::UpstreamError),
}

impl From<Box<Refusal>> for Stop {
    fn from(refusal: Box<Refusal>) -> Self {
        Self::Refused(refusal)
    }
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// What was granted during a session.
#[derive(Default)]
pub(crate) struct Grants(Mutex<Vec<(DomainPattern, Origin)>>);

impl Grants {
    pub(crate) fn add(&self, pattern: DomainPattern, origin: Origin) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.iter().any(|(known, _)| *known == pattern) {
            list.push((pattern, origin));
        }
    }

    pub(crate) fn list(&self) -> Vec<(DomainPattern, Origin)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn remove(&self, pattern: &DomainPattern) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| known != pattern);
    }

    fn find(&self, target: &Target) -> Option<(DomainPattern, Origin)> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let matches = |pattern: &DomainPattern| match &target.host {
            Host::Name(name) => pattern.matches_name(name, target.port),
            Host::Address(address) => pattern.matches_address(*address, target.port),
        };
        list.iter().find(|(pattern, _)| matches(pattern)).cloned()
    }
}

/// Decide: by rule, by grant, or by asking. Nothing is looked up.
pub(crate) async fn decide(
    visit: &Visit,
    target: &Target,
    protocol: NetworkProtocol,
    record: &mut Record,
) -> Result<Decided, Box<Refusal>> {
    let session: &Session = &visit.session;
    let passed = || Decided { target: target.clone(), protocol };
    let decision = session.policy.decide(target, protocol);
    let asked = match decision {
        Decision::Allow(rule) => {
            record.event.rule = rule.name();
            record.event.origin = rule.origin.to_string();
            return Ok(passed());
        }
        Decision::Unknown => None,
        Decision::Ask(rule) => Some(rule.clone()),
        Decision::Deny(_) | Decision::NotPublic { .. } | Decision::NotManaged { .. } => {
            return Err(Box::new(Refusal::of_decision(target, decision, None)));
        }
    };
    if let Some((pattern, origin)) = session.grants.find(target) {
        record.event.rule = format!("grant: {pattern}");
        record.event.origin = origin.to_string();
        return Ok(passed());
    }
    let question = Question { sandbox: session.name.clone(), target: target.clone(), protocol, rule: asked };
    let metrics = &visit.proxy.recorder.metrics;
    let answer = session.asking.ask(question, || _ = metrics.asked.fetch_add(1, Relaxed)).await;
    let (rule, origin) = match answer {
        Answer::No(why) => {
            let refusal = Refusal::of_decision(target, decision, Some(&why));
            return Err(Box::new(refusal.or_escalate(session.can_escalate)));
        }
        Answer::Once | Answer::Kept(Lasts::Once) => ("grant: once", "answer: once"),
        Answer::Kept(Lasts::Session) => ("grant: session", "answer: session"),
        Answer::Kept(Lasts::Always) => ("grant: always", "answer: always"),
        Answer::Session => {
            if let Ok(pattern) = target.to_string().parse() {
                session.grants.add(pattern, Origin::Grant { grant: format!("session, {target}") });
            }
            ("grant: session", "answer: session")
        }
    };
    record.event.rule = rule.to_owned();
    record.event.origin = origin.to_owned();
    Ok(passed())
}

/// Resolve and pin: one lookup, every address judged; one that may not be reached refuses them all.
pub(crate) async fn pin(visit: &Visit, decided: &Decided) -> Result<Pinned, Stop> {
    let Decided { target, protocol } = decided;
    let limit = visit.session.limits.lookup;
    let addresses = match &target.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => match resolve::addresses(visit.proxy.resolver.as_ref(), name, limit).await {
            Ok(addresses) => addresses,
            // Behind a proxy of the host that resolves by itself, names need not be known here.
            Err(_) if visit.upstream().is_some() => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    for address in &addresses {
        let own = visit.proxy.own.contains(*address);
        if let Err(decision) = visit.session.policy.judge_address(target, *address, own, *protocol) {
            return Err(Box::new(Refusal::of_address(target, *address, decision)).into());
        }
    }
    Ok(Pinned { target: target.clone(), addresses })
}

/// A connection, and the address it leads to.
pub(crate) struct Connected {
    pub(crate) stream: TcpStream,
    pub(crate) address: Option<IpAddr>,
    /// Whether requests on it go to a proxy rather than to the origin.
    pub(crate) through_proxy: bool,
    /// What the other side said already.
    pub(crate) early: Vec<u8>,
}

/// Connect: to a judged address, or through the host's own proxy. `tunnel` says that bytes, not requests, will follow.
pub(crate) async fn connect(visit: &Visit, pinned: &Pinned, tunnel: bool) -> Result<Connected, Stop> {
    let limit = visit.session.limits.connect;
    let Pinned { target, addresses } = pinned;
    if let Some(upstream) = visit.upstream() {
        let (stream, early) = tokio::time::timeout(limit, upstream.connect(&visit.proxy, target, tunnel))
            .await
            .map_err(|_| Failure::TimedOut)?
            .map_err(Failure::Upstream)?;
        return Ok(Connected { stream, address: None, through_proxy: !tunnel, early });
    }
    let (stream, address) = tokio::time::timeout(limit, race(&visit.proxy, addresses, target.port))
        .await
        .map_err(|_| Failure::TimedOut)?
        .map_err(Failure::Connect)?;
    let _ = stream.set_nodelay(true);
    Ok(Connected { stream, address: Some(address), through_proxy: false, early: Vec::new() })
}

/// Waits for an origin's answer to a request. Its body may take as long as it likes while it moves: `limit` is for an origin
/// that says nothing once it has it, and for a client that stops in the middle.
pub(crate) async fn in_time<T>(
    limit: Duration,
    sent: &Counters,
    answer: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::pin!(answer);
    loop {
        let before = sent.up.load(Relaxed);
        match tokio::time::timeout(limit, answer.as_mut()).await {
            Ok(answer) => return Ok(answer),
            Err(_) if sent.up.load(Relaxed) == before => return Err(Failure::TimedOut),
            Err(_) => {}
        }
    }
}

/// The judged address that datagrams go to. They never go through the host's own proxy.
pub(crate) fn datagram_address(visit: &Visit, pinned: &Pinned) -> Result<SocketAddr, Failure> {
    let first = pinned.addresses.first().ok_or(ResolveError::NotFound)?;
    Ok(visit.proxy.socket_address(*first, pinned.target.port))
}

/// Tries the addresses in order, the next one beside one that hangs, or in its place where too many are tried beside others
/// already. The one that it came to is with the connection.
async fn race(proxy: &Proxy, addresses: &[IpAddr], port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let attempt = |address: IpAddr| {
        let connecting = TcpStream::connect(proxy.socket_address(address, port));
        async move { Ok::<_, io::Error>((connecting.await?, address)) }
    };
    if let [only] = addresses {
        return attempt(*only).await;
    }
    let mut attempts = tokio::task::JoinSet::new();
    let mut waiting = addresses.iter();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => {
                let mut beside = None;
                if !attempts.is_empty() {
                    beside = Arc::clone(&proxy.beside).try_acquire_owned().ok();
                    if beside.is_none() {
                        attempts.shutdown().await;
                    }
                }
                let attempt = attempt(*address);
                attempts.spawn(async move {
                    let _beside = beside;
                    attempt.await
                });
            }
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let next = tokio::time::timeout(NEXT_ADDRESS, attempts.join_next());
        match next.await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

impl Proxy {
    #[cfg(not(test))]
    #[allow(clippy::unused_self)]
    fn socket_address(&self, address: IpAddr, port: u16) -> SocketAddr {
        SocketAddr::new(address, port)
    }

    /// Tests can't own public addresses: they lead a judged address to a loopback one, after it was judged.
    #[cfg(test)]
    fn socket_address(&self, address: IpAddr, port: u16) -> SocketAddr {
        let reroute = self.reroute.lock().unwrap_or_else(PoisonError::into_inner);
        SocketAddr::new(reroute.get(&address).copied().unwrap_or(address), port)
    }
}

impl Visit {
    /// The host's own proxy, if this session may use it.
    pub(crate) fn upstream(&self) -> Option<&super::UpstreamProxy> {
        if self.session.upstream { self.proxy.upstream.as_ref() } else { None }
    }
}
