//! What happened to each connection or request, as a value; the sinks that take it; the counters.
//!
//! A record is opened when something is asked for and closed when it is over, whatever the reason: it is handed to the
//! sink when it is dropped, so that a cancelled task can't leave a connection unrecorded. Values never hold queries,
//! headers or bodies.

use crate::host::Target;
use crate::policy::{Code, Refusal};
use ringfence_model::Origin;
use ringfence_model::network::NetworkProtocol;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One decision and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Counted up within one proxy.
    pub id: u64,
    /// Which sandbox asked.
    pub sandbox: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How it was asked for.
    pub protocol: NetworkProtocol,
    /// The canonical host; escaped text if what came was no host.
    pub host: String,
    /// The port; 0 if there was none.
    pub port: u16,
    /// The request method, where one can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What was decided.
    pub verdict: Verdict,
    /// The code of a refusal by the rules; none for a client that wasn't let in at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The rule that decided.
    pub rule: String,
    /// Where it stands.
    pub origin: String,
    /// The same as a value, of a refusal.
    #[serde(skip)]
    pub source: Option<Origin>,
    /// The address that was judged and connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Status of the answer, where one can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes from the sandbox.
    pub bytes_up: u64,
    /// Bytes to the sandbox.
    pub bytes_down: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Smallest grants that would allow it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_with: Vec<String>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was let through.
    Allowed,
    /// A rule refused it.
    Refused,
    /// It wasn't a request that could be judged.
    Malformed,
    /// It was allowed, and the other side couldn't be reached or broke off.
    Failed,
}

/// Takes events. It must not block: it is called on the proxy's own threads.
pub trait Sink: Send + Sync + 'static {
    /// Takes one event.
    fn record(&self, event: &Event);
}

/// Forgets events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn record(&self, _: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync + 'static> Sink for F {
    fn record(&self, event: &Event) {
        self(event);
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections that are open now.
    pub open: AtomicU64,
    /// Connections turned away: too many were open, or the sandbox didn't make them.
    pub turned_away: AtomicU64,
    /// Requests and tunnels let through.
    pub allowed: AtomicU64,
    /// Refused by a rule.
    pub refused: AtomicU64,
    /// Refused because they couldn't be read in one way.
    pub malformed: AtomicU64,
    /// Allowed, but the other side failed.
    pub failed: AtomicU64,
    /// Questions asked.
    pub asked: AtomicU64,
    /// Bytes from sandboxes.
    pub bytes_up: AtomicU64,
    /// Bytes to sandboxes.
    pub bytes_down: AtomicU64,
}

/// Bytes of one connection, counted while they pass.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) up: AtomicU64,
    pub(crate) down: AtomicU64,
}

/// What records need: shared by everything one proxy does.
pub(crate) struct Recorder {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) metrics: Arc<Metrics>,
    next: AtomicU64,
}

impl Recorder {
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink, metrics: Arc::default(), next: AtomicU64::new(1) }
    }

    /// Opens a record about a destination.
    pub(crate) fn open(self: &Arc<Self>, sandbox: &str, protocol: NetworkProtocol, target: &Target) -> Record {
        self.open_text(sandbox, protocol, target.host.to_string(), target.port)
    }

    /// Opens a record about something that was no destination.
    pub(crate) fn open_text(
        self: &Arc<Self>,
        sandbox: &str,
        protocol: NetworkProtocol,
        host: String,
        port: u16,
    ) -> Record {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = Event {
            id: self.next.fetch_add(1, Relaxed),
            sandbox: sandbox.to_owned(),
            at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            protocol,
            host,
            port,
            method: None,
            verdict: Verdict::Failed,
            code: None,
            rule: String::new(),
            origin: String::new(),
            source: None,
            address: None,
            status: None,
            bytes_up: 0,
            bytes_down: 0,
            duration_ms: 0,
            detail: "broken off".to_owned(),
            allow_with: Vec::new(),
        };
        Record { event: Box::new(event), bytes: Arc::default(), start: Instant::now(), recorder: Arc::clone(self) }
    }
}

/// An open record; dropping it closes it.
pub(crate) struct Record {
    pub(crate) event: Box<Event>,
    pub(crate) bytes: Arc<Bytes>,
    start: Instant,
    recorder: Arc<Recorder>,
}

impl Record {
    pub(crate) fn allowed(&mut self) {
        self.event.verdict = Verdict::Allowed;
        self.event.detail.clear();
    }

    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.event.verdict = Verdict::Refused;
        self.event.code = Some(refusal.error);
        self.event.rule.clone_from(&refusal.rule);
        self.event.origin.clone_from(&refusal.origin);
        self.event.source.clone_from(&refusal.source);
        self.event.detail.clone_from(&refusal.text);
        self.event.allow_with.clone_from(&refusal.allow_with);
    }

    pub(crate) fn malformed(&mut self, why: &str) {
        self.event.verdict = Verdict::Malformed;
        self.event.detail = why.to_owned();
    }

    /// It came from others than the sandbox: so many since the last record of that kind.
    pub(crate) fn strange(&mut self, connections: u64) {
        self.event.verdict = Verdict::Refused;
        self.event.rule = "listener of one run".to_owned();
        self.event.origin = Origin::builtin("managed network").to_string();
        self.event.detail = match connections {
            0 | 1 => "a connection that this run's commands didn't make".to_owned(),
            _ => format!("{connections} connections that this run's commands didn't make"),
        };
    }

    pub(crate) fn failed(&mut self, why: impl Into<String>) {
        self.event.verdict = Verdict::Failed;
        self.event.detail = why.into();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let event = &mut self.event;
        event.bytes_up = self.bytes.up.load(Relaxed);
        event.bytes_down = self.bytes.down.load(Relaxed);
        event.duration_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let metrics = &self.recorder.metrics;
        let counter = match event.verdict {
            Verdict::Allowed => &metrics.allowed,
            Verdict::Refused => &metrics.refused,
            Verdict::Malformed => &metrics.malformed,
            Verdict::Failed => &metrics.failed,
        };
        counter.fetch_add(1, Relaxed);
        metrics.bytes_up.fetch_add(event.bytes_up, Relaxed);
        metrics.bytes_down.fetch_add(event.bytes_down, Relaxed);
        self.recorder.sink.record(event);
    }
}
