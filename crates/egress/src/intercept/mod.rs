//! Opening TLS, where a session's settings say so: methods and paths become visible, credentials can be put in.
//!
//! Each session has its own certificate authority. Its key never leaves this process; its certificate is for the inside
//! of that sandbox only, and dies with the session. Towards the origin the proxy verifies like any client. The name in
//! `CONNECT`, the server name of the TLS hello and the authority of every request must be one and the same.

mod authority;
mod exchange;
mod origin;
mod secrets;
mod trust;

use crate::event::Record;
use crate::hello::{self, Hello};
use crate::host::{Host, Target};
use crate::policy::{Policy, Refusal};
use crate::proxy::{Pinned, Visit, phases, tunnel};
use authority::Authority;
use ringfence_model::settings::ManagedNetwork;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
pub use secrets::SecretError;
use secrets::Secrets;
use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Why TLS can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterceptError {
    /// The session's authority can't be made.
    #[error("make the session's certificate authority")]
    Authority(#[from] rcgen::Error),
    /// A key or certificate that TLS doesn't take.
    #[error("set up TLS")]
    Tls(#[from] rustls::Error),
    /// This machine has no certificates to verify origins with.
    #[error("no certificates to verify origins with were found on this machine: {0}")]
    NoRoots(String),
    /// A certificate that a key store has no room for.
    #[error("write the certificates to trust as a key store of Java: one is too long")]
    Store,
    /// A credential can't be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Opens TLS for one session.
pub struct Interceptor {
    authority: Authority,
    trusted: Trusted,
    secrets: Secrets,
    /// How origins are spoken to: both versions of HTTP, or the older only.
    to_origin: Arc<rustls::ClientConfig>,
    to_origin_http1: Arc<rustls::ClientConfig>,
    /// Clients that refuse the session's certificate get a tunnel from then on.
    tunnel_pinned: bool,
    pinned: Mutex<HashSet<Target>>,
}

/// What programs inside must trust: the machine's certificates, and the session's own.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// As text, one after the other.
    pub pem: String,
    /// As a key store of Java.
    pub java: Vec<u8>,
}

/// Most destinations remembered as pinned.
const MAX_PINNED: usize = 256;

impl Interceptor {
    /// Prepares a session that opens TLS; none if it opens none.
    ///
    /// # Errors
    /// When anything it needs can't be had.
    pub fn new(policy: &Policy, managed: &ManagedNetwork) -> Result<Option<Self>, InterceptError> {
        if !policy.intercepts_anything() {
            return Ok(None);
        }
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        for certificate in &found.certs {
            let _ = roots.add(certificate.clone());
        }
        if roots.is_empty() {
            let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
            return Err(InterceptError::NoRoots(causes.join(", ")));
        }
        Self::with_roots(managed, roots, found.certs).map(Some)
    }

    /// As [`Interceptor::new`], with the certificates to verify origins with.
    pub(crate) fn with_roots(
        managed: &ManagedNetwork,
        roots: RootCertStore,
        mut certificates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, InterceptError> {
        let secrets = Secrets::load(&managed.secrets)?;
        let authority = Authority::new()?;
        certificates.push(authority.certificate().clone());
        let pem = certificates.iter().map(authority::pem).collect();
        let java = trust::store(certificates.iter()).ok_or(InterceptError::Store)?;
        let base = rustls::ClientConfig::builder_with_provider(authority::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut both = base.clone();
        both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut older = base;
        older.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            authority,
            trusted: Trusted { pem, java },
            secrets,
            to_origin: Arc::new(both),
            to_origin_http1: Arc::new(older),
            tunnel_pinned: managed.tunnel_pinned.value,
            pinned: Mutex::default(),
        })
    }

    /// Certificates that programs inside must trust.
    #[must_use]
    pub fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// What the command sees in place of credentials: a variable's name and its placeholder.
    #[must_use]
    pub fn placeholders(&self) -> Vec<(String, String)> {
        self.secrets.placeholders()
    }

    /// Serves one connection that was meant to be a tunnel.
    pub(crate) async fn serve(
        self: Arc<Self>,
        visit: Visit,
        target: Target,
        pinned: Pinned,
        mut stream: TcpStream,
        mut early: Vec<u8>,
        mut record: Record,
    ) {
        let limit = visit.session.limits.hello;
        let hello = tokio::time::timeout(limit, first_hello(&mut stream, &mut early)).await;
        let wrong = match hello {
            Ok(Ok(Hello::Whole(Some(ref name)))) if *name != target.host => {
                Some("its TLS hello asks for another server")
            }
            Ok(Ok(Hello::Whole(_))) => None,
            Ok(Ok(Hello::Other)) => Some("only TLS is carried to a host whose TLS is opened"),
            Ok(Ok(Hello::Partial)) => return,
            Ok(Err(_)) => Some("its TLS hello can't be read"),
            Err(_) => Some("its TLS hello didn't come in time"),
        };
        if let Some(why) = wrong {
            let mut refusal = Refusal::of_policy(&target.to_string(), why, "opening TLS", None);
            if matches!(hello, Ok(Ok(Hello::Other))) {
                let named =
                    format!("\"{}:443\" rather than \"{0}\" in `network.tls` and `network.secrets`", target.host);
                refusal = refusal.or_allow_with(named);
            }
            record.refused(&refusal);
            return;
        }
        if self.is_pinned(&target) && visit.session.policy.check_tunnel(&target).is_ok() {
            match phases::connect(&visit, &pinned, true).await {
                Ok(connected) => tunnel::run(visit, target, stream, early, connected, record).await,
                Err(stopped) => crate::proxy::note(&mut record, &stopped),
            }
            return;
        }
        let config = match self.authority.config_for(&target.host) {
            Ok(config) => config,
            Err(error) => return record.failed(error.to_string()),
        };
        let io = Prefixed { early, at: 0, io: stream };
        match tokio::time::timeout(limit, TlsAcceptor::from(config).accept(io)).await {
            Ok(Ok(tls)) => exchange::serve(self, visit, target, pinned, tls, record).await,
            Ok(Err(error)) => self.distrusted(&target, &error, &mut record),
            Err(_) => record.failed("the TLS handshake didn't end in time"),
        }
    }

    fn is_pinned(&self, target: &Target) -> bool {
        self.tunnel_pinned && self.pinned.lock().unwrap_or_else(PoisonError::into_inner).contains(target)
    }

    /// A client that breaks off the handshake most often doesn't trust the session's certificate.
    fn distrusted(&self, target: &Target, error: &io::Error, record: &mut Record) {
        let text = format!("the client didn't accept the session's certificate: {error}");
        let refusal = Refusal::of_policy(&target.to_string(), text, "opening TLS", None);
        record.refused(
            &refusal.or_allow_with("[network.tls] tunnel_pinned = true, or no `intercept` entry for this host"),
        );
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tunnel_pinned && pinned.len() < MAX_PINNED {
            pinned.insert(target.clone());
        }
    }
}

async fn first_hello(stream: &mut TcpStream, early: &mut Vec<u8>) -> io::Result<Hello> {
    loop {
        match hello::read(early).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Hello::Partial if early.len() > hello::MAX_HELLO * 2 => return Err(io::ErrorKind::InvalidData.into()),
            Hello::Partial => {}
            known => return Ok(known),
        }
        if stream.read_buf(early).await? == 0 {
            return Ok(Hello::Partial);
        }
    }
}

/// The name that certificates and origins go by.
fn server_name(host: &Host) -> Option<rustls::pki_types::ServerName<'static>> {
    match host {
        Host::Name(name) => rustls::pki_types::ServerName::try_from(name.to_string()).ok(),
        Host::Address(address) => Some(rustls::pki_types::ServerName::IpAddress((*address).into())),
    }
}

/// A connection of which the first bytes were read already.
pub(crate) struct Prefixed {
    early: Vec<u8>,
    at: usize,
    io: TcpStream,
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.early.get(this.at..) {
            Some(rest) if !rest.is_empty() => {
                let take = rest.len().min(out.remaining());
                out.put_slice(rest.get(..take).unwrap_or_default());
                this.at += take;
                if this.at == this.early.len() {
                    this.early = Vec::new();
                    this.at = 0;
                }
                Poll::Ready(Ok(()))
            }
            _ => Pin::new(&mut this.io).poll_read(cx, out),
        }
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
