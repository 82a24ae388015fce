//! The proxy: connections of sandboxes in, judged connections out.
//!
//! Every connection goes through the same phases, each a function whose result only the next one takes:
//!
//! ```text
//! accept ─► identify sandbox ─► parse ─► decide ─► resolve and pin ─► connect ─► relay
//!    └────────────────────────────── record: always runs ──────────────────────────┘
//! ```
//!
//! *Accept* bounds the number of connections per sandbox. *Identify*: a listener belongs to one [`Session`]; where
//! others can reach it, a connection begins with a [voucher](ringfence_model::Voucher), before anything is parsed. *Parse* is
//! strict ([`crate::gate`], [`crate::socks`], [`crate::host`]). *Decide* is pure, or asks. *Resolve and pin* looks the
//! name up once and judges every address; *connect* can only be called with what was pinned. *Record* happens when the
//! record is dropped.

pub(crate) mod answer;
mod body;
mod connect;
mod door;
mod forward;
mod http;
pub(crate) mod phases;
pub(crate) mod request;
mod session;
mod socks_server;
pub(crate) mod tunnel;
mod udp;
mod unix;
mod upgrade;
mod upstream;
pub(crate) mod way;

pub(crate) use answer::Body;
pub(crate) use connect::note;
pub use door::{Door, Speaks};
pub(crate) use http::{malformed, server};
pub(crate) use phases::{Failure, Pinned, Stop};
pub use session::{Limits, Session, SessionOptions};
pub(crate) use upgrade::finish;
pub use upstream::{UpstreamError, UpstreamProxy, basic};

use crate::event::{Metrics, Recorder, Sink};
use crate::resolve::{OwnAddresses, Resolve};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most attempts to connect beside others.
const BESIDE: usize = 32;

/// What all sandboxes share: resolver, records, the way out.
pub struct Proxy {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) upstream: Option<UpstreamProxy>,
    pub(crate) own: OwnAddresses,
    /// Attempts to connect that may be made beside others of the same connection: each has a descriptor more.
    pub(crate) beside: Arc<Semaphore>,
    #[cfg(target_os = "linux")]
    talk: crate::relay::talk::Talk,
    /// Names this process in `Via`, so that a request that comes back is known.
    pub(crate) pseudonym: String,
    #[cfg(test)]
    pub(crate) reroute: std::sync::Mutex<std::collections::HashMap<std::net::IpAddr, std::net::IpAddr>>,
}

impl Proxy {
    /// A proxy that reports to `sink`. `upstream` is the host's own proxy, used only by sessions that allow it.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolve>, sink: Arc<dyn Sink>, upstream: Option<UpstreamProxy>) -> Arc<Self> {
        use std::hash::{BuildHasher, RandomState};
        let token = RandomState::new().hash_one(std::process::id());
        Arc::new(Self {
            resolver,
            recorder: Arc::new(Recorder::new(sink)),
            upstream,
            own: OwnAddresses::default(),
            beside: Arc::new(Semaphore::new(BESIDE)),
            #[cfg(target_os = "linux")]
            talk: crate::relay::talk::Talk::default(),
            pseudonym: format!("ringfence-{token:016x}"),
            #[cfg(test)]
            reroute: std::sync::Mutex::default(),
        })
    }

    /// Counters since the start.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.recorder.metrics)
    }

    /// Accept: bounds connections per sandbox. One too many is closed at once.
    pub(crate) fn admit(self: &Arc<Self>, session: &Arc<Session>) -> Option<Visit> {
        let metrics = &self.recorder.metrics;
        metrics.connections.fetch_add(1, Relaxed);
        let Ok(permit) = Arc::clone(&session.slots).try_acquire_owned() else {
            metrics.turned_away.fetch_add(1, Relaxed);
            return None;
        };
        metrics.open.fetch_add(1, Relaxed);
        let open = Open { metrics: Arc::clone(metrics), _permit: permit };
        let (proxy, session) = (Arc::clone(self), Arc::clone(session));
        Some(Visit { proxy, session, _open: Arc::new(open) })
    }
}

/// One connection of a sandbox.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) session: Arc<Session>,
    /// Held while anything of the connection lives, also a tunnel that grew out of it.
    pub(crate) _open: Arc<Open>,
}

/// A taken slot.
pub(crate) struct Open {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.fetch_sub(1, Relaxed);
    }
}

impl Visit {
    /// Starts what goes on after the request that began it, until the session is closed.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let session = Arc::clone(&self.session);
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = session.until_closed() => {}
            }
        });
    }

    async fn run(self, stream: TcpStream, speaks: Speaks) {
        match speaks {
            Speaks::Http => http::serve(self, stream).await,
            Speaks::Socks5 => socks_server::serve(self, stream).await,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
