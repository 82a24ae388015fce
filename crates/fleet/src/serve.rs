//! A small policy server: one signed bundle, read anew for every request, handed out to whoever has a token.
//!
//! It needs no secret key: it can't make a policy, only pass on or withhold one. Plain HTTP is served on loopback only.

mod tls;

pub use tls::TlsFiles;

use crate::fetch::Token;
use crate::files;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use ringfence_config::bundle::{Bundle, MAX_BUNDLE};
use sha2::{Digest as _, Sha256};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What one request was answered, for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Why, in a few words; never a token.
    pub why: String,
}

/// Why the server didn't start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Policy and tokens would cross a network in the clear.
    #[error(
        "{address} isn't a loopback address; serve it with `--tls-cert` and `--tls-key`, or put a TLS proxy in front"
    )]
    Insecure {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// Everybody could read it.
    #[error("no token is configured; give `--tokens FILE` with one token per line")]
    NoTokens,
    /// Someone else listens there.
    #[error("listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Certificate or key can't be used.
    #[error("TLS: {what}")]
    Tls {
        /// What is wrong.
        what: String,
    },
    /// The bundle can't be served.
    #[error("the bundle {}: {why}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No thread or event queue.
    #[error("start the server")]
    Start(#[source] io::Error),
    /// It ended by itself.
    #[error("the server ended")]
    Ended(#[source] io::Error),
}

type Log = Arc<dyn Fn(Answered) + Send + Sync>;

/// A server, listening but not yet answering.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    bundle: PathBuf,
    tokens: Vec<[u8; 32]>,
    log: Log,
}

impl Server {
    /// Binds `address` and checks everything that can be wrong before the first request.
    pub fn bind(
        address: SocketAddr,
        bundle: PathBuf,
        tokens: &[Token],
        tls: Option<&TlsFiles>,
        log: impl Fn(Answered) + Send + Sync + 'static,
    ) -> Result<Self, ServeError> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(ServeError::Insecure { address });
        }
        if tokens.is_empty() {
            return Err(ServeError::NoTokens);
        }
        let tls = tls.map(TlsFiles::acceptor).transpose()?;
        let tokens = tokens.iter().map(|token| Sha256::digest(token.text()).into()).collect();
        let shared = Arc::new(Shared { bundle, tokens, log: Arc::new(log) });
        shared.read().map_err(|why| ServeError::Bundle { path: shared.bundle.clone(), why })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Start)?;
        let listen = |cause| ServeError::Listen { address, cause };
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { runtime, listener, tls, address, shared })
    }

    /// Where it listens; of use when port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is sent to or dropped. Without one, for ever.
    pub fn run(self, stop: Option<oneshot::Receiver<()>>) -> Result<(), ServeError> {
        let Self { runtime, listener, tls, shared, .. } = self;
        let router = Router::new().route("/v1/policy", get(policy)).fallback(nothing_else).with_state(shared);
        runtime.block_on(async move {
            let stopped = async move {
                match stop {
                    Some(stop) => drop(stop.await),
                    None => std::future::pending().await,
                }
            };
            let served = async move {
                match tls {
                    Some(acceptor) => axum::serve(tls::Listener::start(listener, acceptor), router).await,
                    None => axum::serve(listener, router).await,
                }
            };
            tokio::select! {
                result = served => result.map_err(ServeError::Ended),
                () = stopped => Ok(()),
            }
        })
    }
}

impl Shared {
    /// The bundle's bytes, if they are a bundle. Nothing else is ever handed out.
    fn read(&self) -> Result<Vec<u8>, String> {
        let bytes = files::read_bounded(&self.bundle, MAX_BUNDLE).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or_else(|| "it doesn't exist".to_owned())?;
        Bundle::parse(&bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Digests are compared, so the time taken says nothing about a token.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = given.and_then(|value| value.split_once(' ')) else { return false };
        if !token.0.eq_ignore_ascii_case("bearer") {
            return false;
        }
        let digest: [u8; 32] = Sha256::digest(token.1.trim()).into();
        self.tokens.contains(&digest)
    }
}

async fn policy(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let (response, why) = answer(&shared, &headers);
    (shared.log)(Answered { status: response.status().as_u16(), why });
    response
}

async fn nothing_else(State(shared): State<Arc<Shared>>) -> Response {
    (shared.log)(Answered { status: 404, why: "another path".to_owned() });
    plain(StatusCode::NOT_FOUND, "only /v1/policy is served here\n")
}

fn answer(shared: &Shared, headers: &HeaderMap) -> (Response, String) {
    if !shared.admits(headers) {
        let mut response = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return (response, "no known token".to_owned());
    }
    let bytes = match shared.read() {
        Ok(bytes) => bytes,
        Err(why) => return (plain(StatusCode::SERVICE_UNAVAILABLE, "no policy can be served now\n"), why),
    };
    let etag = etag(&bytes);
    let asked = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known = asked.flat_map(|value| value.split(',')).map(str::trim).any(|tag| tag == etag || tag == "*");
    let (mut response, why) = if known {
        (plain(StatusCode::NOT_MODIFIED, ""), "unchanged")
    } else {
        let mut response = Response::new(Body::from(bytes));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (response, "policy")
    };
    if let Ok(value) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    (response, why.to_owned())
}

fn etag(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);
