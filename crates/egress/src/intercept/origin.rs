//! The other half: TLS to the origin, verified, in the version of HTTP it prefers.

use super::{Interceptor, server_name};
use crate::host::Target;
use crate::proxy::phases::{self, Failure, Stop};
use crate::proxy::{Body, Pinned, Visit};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// A connection to an origin that takes requests.
pub(super) enum Link {
    /// One at a time.
    Http1(http1::SendRequest<Body>),
    /// Many at once.
    Http2(http2::SendRequest<Body>),
}

/// Connects to the pinned addresses and verifies the origin.
pub(super) async fn open(
    interceptor: &Interceptor,
    visit: &Visit,
    target: &Target,
    pinned: &Pinned,
    http1_only: bool,
) -> Result<(Link, Option<IpAddr>), Stop> {
    let connected = phases::connect(visit, pinned, true).await?;
    let failed = |error: io::Error| Failure::Connect(error);
    let name = server_name(&target.host).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let config = if http1_only { &interceptor.to_origin_http1 } else { &interceptor.to_origin };
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, connected.stream);
    let tls = tokio::time::timeout(visit.session.limits.connect, handshake)
        .await
        .map_err(|_| Failure::TimedOut)?
        .map_err(failed)?;
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let protocol = |error: hyper::Error| failed(io::Error::other(error));
    let link = if is_http2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.map_err(protocol)?;
        visit.spawn(async move { _ = connection.await });
        Link::Http2(sender)
    } else {
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(protocol)?;
        visit.spawn(async move { _ = connection.with_upgrades().await });
        Link::Http1(sender)
    };
    Ok((link, connected.address))
}

impl Link {
    /// Whether a request can be sent now.
    pub(super) fn is_free(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready() && !sender.is_closed(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }

    /// Sends a request. An error gives it back if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<Body>>)> {
        let sent = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
    }
}
