//! From a sandbox to the proxy: listeners made inside, served from outside, on a thread of their own.
//!
//! A socket stays in the network namespace it was made in, whoever holds it. The sandbox listens on its own loopback
//! while it is set up and hands the descriptors out; the proxy accepts on them from outside and connects with sockets of
//! its own. No process inside, no second hop, and no road out but this one: without the proxy the connections that the
//! sandbox makes are never answered.

use crate::ask::Ask;
use crate::event::{Metrics, Sink};
use crate::intercept::{InterceptError, Interceptor, Trusted};
use crate::policy::{Policy, PolicyError};
use crate::proxy::{Door, Limits, Proxy, Session, SessionOptions, Speaks, UpstreamError, UpstreamProxy};
use crate::resolve::{Resolve, SystemResolver};
use ringfence_model::domain::DomainPattern;
use ringfence_model::network::NetworkRule;
use ringfence_model::settings::NetworkSettings;
use ringfence_model::{Origin, Voucher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc as queue;

/// What the proxy of one run is made from.
pub struct Options<'a> {
    /// Name of the sandbox in events and questions.
    pub sandbox: String,
    /// The network settings.
    pub settings: &'a NetworkSettings,
    /// Network rules of all rule files.
    pub rules: &'a [NetworkRule],
    /// Destinations granted for this run.
    pub grants: Vec<(DomainPattern, Origin)>,
    /// Whom to ask about unknown hosts.
    pub asker: Option<Arc<dyn Ask>>,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// Bounds.
    pub limits: Limits,
    /// The host's own proxy, as its `HTTPS_PROXY` has it; used only if the settings allow it.
    pub upstream: Option<String>,
    /// Clients can reach datagram sockets that the proxy makes. Those of a sandbox with a network of its own can't, so
    /// that they are refused rather than left waiting.
    pub datagrams: bool,
    /// Whoever is refused can be started again with `--escalate`: refusals name that.
    pub can_escalate: bool,
}

/// Why the proxy can't start. The run has no network then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting can't be put into force.
    #[error("put the network rules into force")]
    Policy(#[from] PolicyError),
    /// TLS can't be opened.
    #[error("prepare to open TLS")]
    Intercept(#[from] InterceptError),
    /// The host's own proxy can't be used.
    #[error("use the host's proxy")]
    Upstream(#[from] UpstreamError),
    /// The thread or its runtime can't start.
    #[error("start the proxy's thread")]
    Thread(#[source] io::Error),
    /// A listener can't be served.
    #[error("serve a listener of the sandbox")]
    Listener(#[source] io::Error),
}

/// A proxy at work for one sandbox. Dropping it closes every connection and waits for its thread.
pub struct Egress {
    session: Arc<Session>,
    metrics: Arc<Metrics>,
    trusted: Option<Trusted>,
    placeholders: Vec<(String, String)>,
    orders: Option<queue::UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Serve(TcpListener, Door, mpsc::SyncSender<io::Result<()>>),
    Metrics(TcpListener, mpsc::SyncSender<io::Result<()>>),
    #[cfg(target_os = "linux")]
    Transparent(crate::transparent::Inlets, mpsc::SyncSender<io::Result<()>>),
}

impl Egress {
    /// Compiles the rules and starts the thread. Nothing listens yet: do this before the command starts, so that a
    /// setting that can't be put into force stops it.
    ///
    /// # Errors
    /// Anything that would let the run go on with less than was set.
    pub fn start(options: Options<'_>) -> Result<Self, StartError> {
        Self::start_with(options, Arc::new(SystemResolver::default()))
    }

    /// As [`Egress::start`], with another resolver.
    ///
    /// # Errors
    /// The same.
    pub fn start_with(options: Options<'_>, resolver: Arc<dyn Resolve>) -> Result<Self, StartError> {
        let policy = Arc::new(Policy::compile(options.settings, options.rules)?);
        let interceptor = Interceptor::new(&policy, &options.settings.managed)?.map(Arc::new);
        let upstream = match options.upstream.as_deref().filter(|_| options.settings.managed.allow_upstream_proxy.value)
        {
            Some(address) => Some(UpstreamProxy::parse(address)?),
            None => None,
        };
        let mut session = SessionOptions::new(options.sandbox, options.settings, policy);
        session.socks_udp &= options.datagrams;
        session.can_escalate = options.can_escalate;
        session.asker = options.asker;
        session.limits = options.limits;
        let trusted = interceptor.as_ref().map(|interceptor| interceptor.trusted().clone());
        let placeholders = interceptor.as_ref().map(|interceptor| interceptor.placeholders()).unwrap_or_default();
        session.interceptor = interceptor;
        let session = Session::new(session);
        for (pattern, origin) in options.grants {
            session.grant(pattern, origin);
        }
        let proxy = Proxy::new(resolver, options.sink, upstream);
        let metrics = proxy.metrics();
        let (orders, inbox) = queue::unbounded_channel();
        let (ready, started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("ringfence-egress".to_owned())
            .spawn({
                let session = Arc::clone(&session);
                move || run(proxy, &session, inbox, &ready)
            })
            .map_err(StartError::Thread)?;
        let mut egress = Self { session, metrics, trusted, placeholders, orders: Some(orders), thread: Some(thread) };
        match started.recv() {
            Ok(Ok(())) => Ok(egress),
            Ok(Err(error)) => Err(StartError::Thread(error)),
            Err(_) => {
                egress.stop();
                Err(StartError::Thread(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }

    /// Serves a listening socket, wherever it was made.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn serve(&self, listener: TcpListener, speaks: Speaks) -> Result<(), StartError> {
        self.order(|answer| Order::Serve(listener, speaks.into(), answer))
    }

    /// Listens on loopback of this machine, for a sandbox without a network of its own. Everybody on the machine reaches
    /// that port: whoever doesn't begin with the voucher is refused, and recorded.
    ///
    /// # Errors
    /// When it can't listen.
    pub fn listen(&self, speaks: Speaks, voucher: &Voucher) -> Result<SocketAddr, StartError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(StartError::Listener)?;
        let address = listener.local_addr().map_err(StartError::Listener)?;
        let door = Door { speaks, voucher: Some(voucher.clone()) };
        self.order(|answer| Order::Serve(listener, door, answer))?;
        Ok(address)
    }

    /// Serves the counters on a listening socket.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn serve_metrics(&self, listener: TcpListener) -> Result<(), StartError> {
        self.order(|answer| Order::Metrics(listener, answer))
    }

    /// Serves a network of which every packet comes to the proxy.
    ///
    /// # Errors
    /// When a descriptor isn't what it should be.
    #[cfg(target_os = "linux")]
    pub fn serve_transparent(&self, inlets: crate::transparent::Inlets) -> Result<(), StartError> {
        self.order(|answer| Order::Transparent(inlets, answer))
    }

    fn order(&self, order: impl FnOnce(mpsc::SyncSender<io::Result<()>>) -> Order) -> Result<(), StartError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = || StartError::Listener(io::ErrorKind::BrokenPipe.into());
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(order(answer)).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?.map_err(StartError::Listener)
    }

    /// The certificates that programs inside must trust, if TLS is opened for some hosts: the system's and the session's.
    #[must_use]
    pub fn trusted(&self) -> Option<&Trusted> {
        self.trusted.as_ref()
    }

    /// What the command is given in place of credentials: a variable and a placeholder for each.
    #[must_use]
    pub fn placeholders(&self) -> Vec<(String, String)> {
        self.placeholders.clone()
    }

    /// The session: grants can be added and withdrawn while it runs.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn stop(&mut self) {
        self.session.close();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread: an own runtime, so that a caller without one needs none.
fn run(
    proxy: Arc<Proxy>,
    session: &Arc<Session>,
    mut inbox: queue::UnboundedReceiver<Order>,
    ready: &mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    runtime.block_on(async {
        let _nearest = tokio::spawn(nearest_deadline());
        while let Some(order) = inbox.recv().await {
            match order {
                Order::Serve(listener, door, answer) => {
                    let _ = answer.send(adopt(listener).map(|listener| {
                        tokio::spawn(Arc::clone(&proxy).serve(Arc::clone(session), listener, door));
                    }));
                }
                Order::Metrics(listener, answer) => {
                    let _ = answer.send(adopt(listener).map(|listener| {
                        tokio::spawn(crate::metrics::serve(proxy.metrics(), listener));
                    }));
                }
                #[cfg(target_os = "linux")]
                Order::Transparent(inlets, answer) => {
                    let net = crate::transparent::Net::adopt(Arc::clone(&proxy), Arc::clone(session), inlets);
                    let _ = answer.send(net.map(|net| drop(tokio::spawn(net.serve()))));
                }
            }
        }
    });
    // Records are closed as tasks are dropped; a task that doesn't let go is left behind.
    runtime.shutdown_timeout(Duration::from_millis(500));
}

/// A deadline that is always nearer than those of connections. The runtime wakes itself by a system call, and looks for
/// what is ready once more, whenever a deadline is nearer than the one it last waited for: with none, that is for nearly
/// every new connection.
async fn nearest_deadline() {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn adopt(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, NoSink};
    use crate::test_settings::{network, options};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Mutex;

    #[test]
    fn a_caller_without_a_runtime_serves_listeners_and_ends_everything_by_dropping_it() {
        let origin = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = origin.local_addr().unwrap().port();
        let settings = network(&[&format!("127.0.0.1:{port}")], &[]);
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let log = Arc::clone(&events);
        let sink = Arc::new(move |event: &Event| log.lock().unwrap().push(event.clone()));
        let egress = Egress::start(options(&settings, sink)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        egress.serve(listener, Speaks::Http).unwrap();
        let mut client = TcpStream::connect(at).unwrap();
        write!(client, "CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
        let (mut inner, _) = origin.accept().unwrap();
        inner.write_all(b"hello").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"hello") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        drop(egress);
        assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
        assert!(matches!(inner.read(&mut [0; 1]), Ok(0) | Err(_)));
        let events = events.lock().unwrap();
        assert_eq!((events.len(), events[0].bytes_down), (1, 5));
    }

    #[test]
    fn net_06_a_rule_that_cannot_be_put_into_force_stops_the_start() {
        let settings = network(&["https://example.com"], &[]);
        assert!(matches!(Egress::start(options(&settings, Arc::new(NoSink))), Err(StartError::Policy(_))));
        let mut settings = network(&[], &[]);
        settings.managed.allow_upstream_proxy.value = true;
        let broken = Options { upstream: Some("socks5://x:1".to_owned()), ..options(&settings, Arc::new(NoSink)) };
        assert!(matches!(Egress::start(broken), Err(StartError::Upstream(_))));
    }
}
