//! The host's own proxy: used only by sessions that allow it, and only as a carrier. Everything is judged before.

use super::Proxy;
use crate::host::{HostError, Target};
use crate::text::{base64, percent_decode};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where the host's own proxy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamProxy {
    target: Target,
    /// Value of `Proxy-Authorization`, from the user information of its address.
    authorization: Option<http::HeaderValue>,
}

/// Why the host's own proxy can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Its address can't be read.
    #[error("the host's proxy address can't be read: {0}")]
    Address(HostError),
    /// Its address isn't one of an HTTP proxy.
    #[error("the host's proxy is no plain HTTP proxy")]
    Scheme,
    /// It can't be reached.
    #[error("could not reach the host's proxy: {0}")]
    Connect(#[source] std::io::Error),
    /// It broke the protocol.
    #[error("the host's proxy broke off: {0}")]
    Protocol(#[source] hyper::Error),
    /// It wants credentials, or others.
    #[error("the host's proxy asks for credentials (407)")]
    Credentials,
    /// It refused.
    #[error("the host's proxy refused with status {0}")]
    Refused(u16),
}

impl UpstreamProxy {
    /// Reads an address as `HTTP_PROXY` has it: `http://user:password@host:port/`, or without scheme.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(UpstreamError::Scheme),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        let target = Target::parse(authority, Some(80)).map_err(UpstreamError::Address)?;
        let authorization = user.and_then(|user| {
            let basic = basic(user);
            let mut value = http::HeaderValue::try_from(format!("Basic {basic}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Self { target, authorization })
    }

    /// A connection through it, with what came back beyond its answer. For a tunnel it is told where to; requests each
    /// say so themselves.
    pub(crate) async fn connect(
        &self,
        proxy: &Proxy,
        target: &Target,
        tunnel: bool,
    ) -> Result<(TcpStream, Vec<u8>), UpstreamError> {
        let stream = TcpStream::connect((self.target.host.to_string().trim_matches(['[', ']']), self.target.port))
            .await
            .map_err(UpstreamError::Connect)?;
        let _ = stream.set_nodelay(true);
        if !tunnel {
            return Ok((stream, Vec::new()));
        }
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Empty<bytes::Bytes>>(TokioIo::new(stream))
                .await
                .map_err(UpstreamError::Protocol)?;
        tokio::spawn(connection.with_upgrades());
        let authority = target.to_string();
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = authority.parse::<Uri>().map_err(|_| UpstreamError::Scheme)?;
        let headers = request.headers_mut();
        if let Ok(host) = authority.try_into() {
            headers.insert(http::header::HOST, host);
        }
        if let Ok(via) = format!("1.1 {}", proxy.pseudonym).try_into() {
            headers.insert(http::header::VIA, via);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(http::header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let response = sender.send_request(request).await.map_err(UpstreamError::Protocol)?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(UpstreamError::Credentials),
            status => return Err(UpstreamError::Refused(status.as_u16())),
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(UpstreamError::Protocol)?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| UpstreamError::Scheme)?;
        Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
    }

    /// Credentials for requests that go through it.
    pub(crate) fn authorization(&self) -> Option<&http::HeaderValue> {
        self.authorization.as_ref()
    }
}

/// What stands after `Basic` in a header, for the user information of a proxy's address.
#[must_use]
pub fn basic(userinfo: &str) -> String {
    base64(&percent_decode(userinfo))
}
