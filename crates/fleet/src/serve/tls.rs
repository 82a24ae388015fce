//! TLS for the server, from two PEM files. Handshakes run beside each other, so a slow client holds up nobody.

use super::{HANDSHAKE, ServeError};
use crate::files;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Certificate chain and key, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl TlsFiles {
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, ServeError> {
        let chain = read(&self.certificate)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| bad(&self.certificate, &error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, "it has no certificate"));
        }
        let key = read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| bad(&self.key, &error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ServeError::Tls { what: error.to_string() })?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| bad(&self.certificate, &error.to_string()))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    let bytes = files::read_bounded(path, 1 << 20).map_err(|error| bad(path, &error.to_string()))?;
    bytes.ok_or_else(|| bad(path, "it doesn't exist"))
}

fn bad(path: &Path, why: &str) -> ServeError {
    ServeError::Tls { what: format!("{}: {why}", path.display()) }
}

/// Hands out connections whose handshake is done.
pub(super) struct Listener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: io::Result<SocketAddr>,
}

impl Listener {
    /// Begins to accept; needs a runtime around it.
    pub(super) fn start(listener: TcpListener, acceptor: TlsAcceptor) -> Self {
        let (sender, ready) = mpsc::channel(64);
        let address = listener.local_addr();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let (acceptor, sender) = (acceptor.clone(), sender.clone());
                        tokio::spawn(async move {
                            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                                // Closed: the server is stopping.
                                let _ = sender.send((stream, peer)).await;
                            }
                        });
                    }
                    // Out of descriptors, most likely; others need a moment to give some back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        Self { ready, address }
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task lives as long as the runtime; with it gone, nothing comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(io::Error::from(error.kind())),
        }
    }
}
