//! Listeners, and who is let in by them.
//!
//! Most listeners belong to one sandbox, and whoever connects is of it. Where others on the machine reach one, a connection
//! first has to begin with the voucher of the run. Until then it is a stranger's: it takes no place of the sandbox's, only so
//! many are kept, and the oldest gives way. The sandbox's own connections have theirs from the moment they are made, so that
//! no number of strangers keeps them out.

use super::Proxy;
use super::session::Session;
use crate::voucher;
use ringfence_model::Voucher;
use ringfence_model::network::NetworkProtocol;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// Strangers that are heard at once.
const STRANGERS: usize = 256;
/// Strangers are recorded this often at most: how many come is theirs to choose.
const RECORDED_EVERY: Duration = Duration::from_secs(1);
/// How long a stranger may take to hear why it was refused.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 proxy requests.
    Http,
    /// SOCKS5.
    Socks5,
}

/// How connections are taken from a listener.
#[derive(Debug, Clone)]
pub struct Door {
    /// What it speaks.
    pub speaks: Speaks,
    /// What every connection must begin with. None where only one sandbox can reach the listener.
    pub voucher: Option<Voucher>,
}

impl From<Speaks> for Door {
    fn from(speaks: Speaks) -> Self {
        Self { speaks, voucher: None }
    }
}

impl Proxy {
    /// Serves connections of one sandbox until its session is closed or the task is dropped.
    pub async fn serve(self: Arc<Self>, session: Arc<Session>, listener: TcpListener, door: impl Into<Door>) {
        let Door { speaks, voucher } = door.into();
        // Connections have it from their listener.
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_nodelay(&listener, true);
        let voucher = voucher.map(Arc::new);
        let mut tasks = JoinSet::new();
        let mut strangers = Strangers::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(heard) = strangers.tasks.join_next() => {
                    match heard.ok().flatten() {
                        Some(stream) => self.receive(&session, stream, speaks, &mut tasks),
                        None => strangers.note(&self, &session, speaks),
                    }
                    continue;
                }
                Some(_) = tasks.join_next() => continue,
                () = session.until_closed() => return,
            };
            match (accepted, &voucher) {
                (Ok((stream, _)), None) => self.receive(&session, stream, speaks, &mut tasks),
                (Ok((stream, _)), Some(voucher)) => strangers.hear(stream, Arc::clone(voucher), speaks),
                // Out of descriptors, or the connection is gone already: neither is a reason to stop.
                (Err(_), _) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Begins with a connection of the sandbox.
    fn receive(self: &Arc<Self>, session: &Arc<Session>, stream: TcpStream, speaks: Speaks, tasks: &mut JoinSet<()>) {
        if let Some(visit) = self.admit(session) {
            #[cfg(not(target_os = "linux"))]
            let _ = stream.set_nodelay(true);
            // Boxed here, it is moved once rather than with every layer around it.
            tasks.spawn(Box::pin(visit.run(stream, speaks)));
        }
    }
}

/// Connections that may be anybody's.
#[derive(Default)]
struct Strangers {
    /// Each ends with the connection if it is the sandbox's.
    tasks: JoinSet<Option<TcpStream>>,
    /// The same, the oldest first; some are done.
    waiting: VecDeque<AbortHandle>,
    /// Refused since the last record.
    refused: u64,
    recorded: Option<Instant>,
}

impl Strangers {
    /// Hears what a connection begins with. One too many makes the oldest give way.
    fn hear(&mut self, mut stream: TcpStream, voucher: Arc<Voucher>, speaks: Speaks) {
        if self.waiting.len() >= STRANGERS {
            self.waiting.retain(|task| !task.is_finished());
        }
        if self.waiting.len() >= STRANGERS
            && let Some(oldest) = self.waiting.pop_front()
        {
            oldest.abort();
        }
        self.waiting.push_back(self.tasks.spawn(async move {
            if voucher::begins(&mut stream, &voucher).await {
                return Some(stream);
            }
            let _ = tokio::time::timeout(GOODBYE, refuse(stream, speaks)).await;
            None
        }));
    }

    /// Counts one that was refused or gave way, and records it and those before it if none was lately.
    fn note(&mut self, proxy: &Proxy, session: &Session, speaks: Speaks) {
        let metrics = &proxy.recorder.metrics;
        metrics.connections.fetch_add(1, Relaxed);
        metrics.turned_away.fetch_add(1, Relaxed);
        self.refused += 1;
        let now = Instant::now();
        if self.recorded.is_some_and(|recorded| now.duration_since(recorded) < RECORDED_EVERY) {
            return;
        }
        self.recorded = Some(now);
        let protocol = match speaks {
            Speaks::Http => NetworkProtocol::Http,
            Speaks::Socks5 => NetworkProtocol::Socks5Tcp,
        };
        let mut record = proxy.recorder.open_text(&session.name, protocol, String::new(), 0);
        record.strange(std::mem::take(&mut self.refused));
    }
}

/// Says why, where the protocol has words for it. What the other side still says is taken: closing on it would take back
/// what was said.
async fn refuse(mut stream: TcpStream, speaks: Speaks) -> std::io::Result<()> {
    if speaks == Speaks::Http {
        stream.write_all(super::answer::strange().as_bytes()).await?;
    }
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_connection_has_from_its_listener_that_it_sends_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::sockopt::set_tcp_nodelay(&listener, true).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }
}
