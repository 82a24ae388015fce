//! From an allowed name to the addresses that may be connected to: resolved once, every address judged.
//!
//! The name is looked up as it was judged, fully qualified: no search list, no other spelling. `/etc/hosts` and
//! `/etc/resolv.conf` are honoured, and read again when they change.

use crate::ask::Later;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A name that led nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is no such name, or it has no address.
    #[error("the name has no address")]
    NotFound,
    /// No name server answered in time.
    #[error("no name server answered in time")]
    TimedOut,
    /// The lookup failed.
    #[error("the name could not be looked up: {0}")]
    Failed(String),
}

/// Something that finds addresses of canonical names.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a name.
    fn resolve(&self, name: &str) -> Later<Result<Vec<IpAddr>, ResolveError>>;
}

/// Most addresses of one name that are looked at; a name with more is refused.
const MAX_ADDRESSES: usize = 64;
/// How often the system's files are looked at for changes.
const RECHECK: Duration = Duration::from_secs(1);

/// The system's own resolution: hosts file, then the configured name servers.
pub struct SystemResolver {
    state: Arc<Mutex<Option<State>>>,
    files: [PathBuf; 2],
}

struct State {
    resolver: Arc<TokioResolver>,
    stamps: [Option<SystemTime>; 2],
    checked: Instant,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { state: Arc::default(), files: ["/etc/resolv.conf".into(), "/etc/hosts".into()] }
    }
}

impl SystemResolver {
    fn current(&self) -> Result<Arc<TokioResolver>, ResolveError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.as_mut() {
            if known.checked.elapsed() < RECHECK {
                return Ok(Arc::clone(&known.resolver));
            }
            known.checked = Instant::now();
            if known.stamps == self.stamps() {
                return Ok(Arc::clone(&known.resolver));
            }
        }
        let stamps = self.stamps();
        let resolver = Arc::new(build()?);
        *state = Some(State { resolver: Arc::clone(&resolver), stamps, checked: Instant::now() });
        Ok(resolver)
    }

    fn stamps(&self) -> [Option<SystemTime>; 2] {
        let stamp = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let [resolv, hosts] = &self.files;
        [stamp(resolv), stamp(hosts)]
    }
}

fn build() -> Result<TokioResolver, ResolveError> {
    let failed = |error: hickory_resolver::net::NetError| ResolveError::Failed(error.to_string());
    let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.timeout = options.timeout.min(Duration::from_secs(5));
    options.attempts = options.attempts.min(3);
    builder.build().map_err(failed)
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> Later<Result<Vec<IpAddr>, ResolveError>> {
        let resolver = self.current();
        let name = format!("{name}.");
        Box::pin(async move {
            let resolver = resolver?;
            let answer = resolver.lookup_ip(name).await.map_err(|error| {
                if error.is_no_records_found() {
                    ResolveError::NotFound
                } else if matches!(error, hickory_resolver::net::NetError::Timeout) {
                    ResolveError::TimedOut
                } else {
                    ResolveError::Failed(error.to_string())
                }
            })?;
            Ok(answer.iter().collect())
        })
    }
}

/// Looks a name up, within the time that is given. `localhost` and names below it are loopback, whatever a name server says.
pub(crate) async fn addresses(
    resolver: &dyn Resolve,
    name: &str,
    limit: Duration,
) -> Result<Vec<IpAddr>, ResolveError> {
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }
    let found = tokio::time::timeout(limit, resolver.resolve(name)).await.map_err(|_| ResolveError::TimedOut)??;
    match found.len() {
        0 => Err(ResolveError::NotFound),
        1..=MAX_ADDRESSES => Ok(found),
        many => Err(ResolveError::Failed(format!("{many} addresses are too many"))),
    }
}

/// What was found out about addresses lately, so that a connection to one that was just asked about costs no socket.
#[derive(Default)]
pub(crate) struct OwnAddresses(Mutex<HashMap<IpAddr, (bool, Instant)>>);

/// How long that counts, and how many are remembered.
const KNOWN_FOR: Duration = Duration::from_secs(1);
const MAX_KNOWN: usize = 256;

impl OwnAddresses {
    /// Whether an address is this machine's own.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&address) {
            Some((own, asked)) if asked.elapsed() < KNOWN_FOR => *own,
            _ => {
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                let own = is_own(address);
                known.insert(address, (own, Instant::now()));
                own
            }
        }
    }
}

/// Whether the kernel would reach this address without leaving the machine: connecting a datagram socket sends nothing,
/// and an own address is its own source.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind(SocketAddr::new(any, 0))
        .and_then(|socket| socket.connect(SocketAddr::new(address, 9)).and_then(|()| socket.local_addr()));
    source.is_ok_and(|source| source.ip() == address)
}
