//! One sandbox as the proxy knows it: its rules, what was granted, whom to ask, its bounds.

use super::phases::Grants;
use super::unix::AllowedSocket;
use crate::ask::{Ask, AskLimits, Asking};
use crate::policy::Policy;
use ringfence_model::domain::DomainPattern;
use ringfence_model::settings::NetworkSettings;
use ringfence_model::{AbsPath, Origin, Sourced};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Bounds of one sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Time for a request's head, and for a kept connection to send the next.
    pub head: Duration,
    /// Time to look a name up.
    pub lookup: Duration,
    /// Time to connect to all addresses of a host together.
    pub connect: Duration,
    /// Time for an origin to begin its answer, from the last byte of the request on.
    pub answer: Duration,
    /// Silence of a tunnel of which one direction is closed.
    pub half_open: Duration,
    /// Time for a TLS hello that has begun.
    pub hello: Duration,
    /// Bounds on questions.
    pub ask: AskLimits,
}

/// Connections of one sandbox, where nothing sets fewer.
const CONNECTIONS: usize = 8192;
/// Descriptors of one: the client's, and the one to the origin.
const OF_EACH: u64 = 2;
/// Descriptors for everything else that this process does: the journal, the broker, lookups, strangers, pipes.
const KEPT_FREE: u64 = 640;

impl Limits {
    /// Open descriptors that there is room with for all connections of one sandbox, and for everything else.
    pub const DESCRIPTORS: u64 = CONNECTIONS as u64 * OF_EACH + KEPT_FREE;

    /// As many connections as a process with so many descriptors has room for, so that no number of them keeps it from
    /// its other work, such as the journal.
    #[must_use]
    pub fn within(mut self, descriptors: u64) -> Self {
        let kept_free = KEPT_FREE.min(descriptors / 2);
        let room = usize::try_from((descriptors - kept_free) / OF_EACH).unwrap_or(usize::MAX);
        self.connections = self.connections.min(room);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            head: Duration::from_secs(60),
            lookup: Duration::from_secs(15),
            connect: Duration::from_secs(20),
            answer: Duration::from_secs(300),
            half_open: Duration::from_secs(300),
            hello: Duration::from_secs(15),
            ask: AskLimits::default(),
        }
    }
}

/// What a session is made from.
pub struct SessionOptions {
    /// Its name in events and questions.
    pub name: String,
    /// Its rules.
    pub policy: Arc<Policy>,
    /// Whom to ask about unknown hosts; none: they are refused.
    pub asker: Option<Arc<dyn Ask>>,
    /// Bounds.
    pub limits: Limits,
    /// Unix sockets that requests may be forwarded to.
    pub unix_sockets: Vec<Sourced<AbsPath>>,
    /// SOCKS5 datagrams are relayed.
    pub socks_udp: bool,
    /// Connections may go through the host's own proxy.
    pub upstream: bool,
    /// Whoever is refused can be started again with `--escalate`: refusals name that.
    pub can_escalate: bool,
    /// Opens TLS where the policy says so.
    pub interceptor: Option<Arc<crate::intercept::Interceptor>>,
}

impl SessionOptions {
    /// A session with these settings, under a compiled policy, that asks nobody.
    #[must_use]
    pub fn new(name: impl Into<String>, settings: &NetworkSettings, policy: Arc<Policy>) -> Self {
        let managed = &settings.managed;
        Self {
            name: name.into(),
            policy,
            asker: None,
            limits: Limits::default(),
            unix_sockets: managed.unix_sockets.clone(),
            socks_udp: managed.enable_socks5_udp.value,
            upstream: managed.allow_upstream_proxy.value,
            can_escalate: false,
            interceptor: None,
        }
    }
}

/// One sandbox.
pub struct Session {
    pub(crate) name: String,
    pub(crate) policy: Arc<Policy>,
    pub(crate) grants: Grants,
    pub(crate) asking: Asking,
    pub(crate) limits: Limits,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) unix_sockets: Vec<AllowedSocket>,
    pub(crate) socks_udp: bool,
    pub(crate) upstream: bool,
    pub(crate) can_escalate: bool,
    pub(crate) interceptor: Option<Arc<crate::intercept::Interceptor>>,
    closed: watch::Sender<bool>,
}

impl Session {
    /// Opens a session.
    #[must_use]
    pub fn new(options: SessionOptions) -> Arc<Self> {
        Arc::new(Self {
            name: options.name,
            policy: options.policy,
            grants: Grants::default(),
            asking: Asking::new(options.asker, options.limits.ask),
            limits: options.limits,
            slots: Arc::new(Semaphore::new(options.limits.connections)),
            unix_sockets: options.unix_sockets.iter().map(AllowedSocket::resolve).collect(),
            socks_udp: options.socks_udp,
            upstream: options.upstream,
            can_escalate: options.can_escalate,
            interceptor: options.interceptor,
            closed: watch::Sender::new(false),
        })
    }

    /// Ends the session: its listeners stop, its connections and tunnels are closed.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits for the end of the session.
    pub(crate) async fn until_closed(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Grants destinations until the session ends: an escalation that was approved, an answer given elsewhere. A grant
    /// answers what no rule names; it overrides no deny and opens no private address.
    pub fn grant(&self, pattern: DomainPattern, origin: Origin) {
        self.grants.add(pattern, origin);
    }

    /// What was granted.
    #[must_use]
    pub fn granted(&self) -> Vec<(DomainPattern, Origin)> {
        self.grants.list()
    }

    /// Withdraws a grant. Connections that are open stay.
    pub fn withdraw(&self, pattern: &DomainPattern) {
        self.grants.remove(pattern);
    }
}
