//! What a request may be, and the canonical form it leaves in.

use super::answer::{Body, BoxError};
use super::body;
use crate::event::Bytes as Counters;
use crate::host::Target;
use crate::policy::{Policy, Refusal};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};
use hyper::body::Body as HttpBody;
use std::sync::Arc;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An answer.
    Answer,
    /// A WebSocket.
    WebSocket,
}

/// Headers by which frameworks let a request be another method than it says.
const OVERRIDES: [&str; 4] = ["x-http-method-override", "x-http-method", "x-method-override", "x-original-http-method"];

/// Headers that are about one connection (RFC 9110, 7.6.1), and those meant for the proxy.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Judges method, path and upgrade of a request whose destination is allowed.
pub(crate) fn judge<B: HttpBody>(policy: &Policy, target: &Target, request: &Request<B>) -> Result<Wish, Box<Refusal>> {
    let method = request.method().as_str();
    let has_body = !request.body().is_end_stream();
    let overrides = OVERRIDES.iter().any(|name| request.headers().contains_key(*name));
    policy
        .check_method(target, method, has_body, overrides)
        .map_err(|fault| Box::new(Refusal::of_method(target, method, fault)))?;
    policy.check_path(target, request.uri().path()).map_err(|fault| Box::new(Refusal::of_path(target, fault)))?;
    let Some(upgrade) = request.headers().get(header::UPGRADE) else { return Ok(Wish::Answer) };
    // Where requests must be seen, what leads away from them is refused; elsewhere an offer of another protocol may be
    // left unanswered (RFC 9110, 7.8), and only WebSockets are taken up.
    policy.check_tunnel(target).map_err(|fault| Box::new(Refusal::of_method(target, "upgrade", fault)))?;
    if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return Ok(Wish::Answer);
    }
    if request.method() != Method::GET || request.version() == Version::HTTP_10 {
        let text = "only a `GET` may become a WebSocket";
        return Err(Box::new(Refusal::of_policy(&target.to_string(), text, "protocol upgrades", None)));
    }
    Ok(Wish::WebSocket)
}

/// Removes what is about the client's own connection, and makes `Host` say what was judged.
pub(crate) fn prepare<B>(
    request: Request<B>,
    target: &Target,
    default_port: u16,
    wish: Wish,
    bytes: &Arc<Counters>,
) -> Request<Body>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, inner) = request.into_parts();
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    strip_hop_by_hop(&mut parts.headers);
    // The client was told to go on by the proxy already.
    parts.headers.remove(header::EXPECT);
    if wish == Wish::WebSocket {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    if let Ok(host) = HeaderValue::try_from(target.authority(default_port)) {
        parts.headers.insert(header::HOST, host);
    }
    Request::from_parts(parts, body::up(inner, Arc::clone(bytes)))
}

/// What a request through the host's own proxy carries.
pub(crate) struct Through<'a> {
    pub(crate) pseudonym: &'a str,
    pub(crate) authorization: Option<&'a HeaderValue>,
}

/// Puts the request line in the form its receiver expects: a path for an origin, the whole for a proxy.
pub(crate) fn address_to(request: &mut Request<Body>, target: &Target, through: Option<Through<'_>>) {
    let path = request.uri().path_and_query().cloned();
    let path = match path {
        Some(path) if request.method() == Method::OPTIONS && path.as_str() == "*" => path,
        Some(path) if !path.as_str().is_empty() => path,
        _ => http::uri::PathAndQuery::from_static("/"),
    };
    let mut parts = http::uri::Parts::default();
    if let Some(through) = through {
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = target.authority(80).parse().ok();
        if let Ok(via) = HeaderValue::try_from(format!("1.1 {}", through.pseudonym)) {
            request.headers_mut().append(header::VIA, via);
        }
        if let Some(authorization) = through.authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
    }
    parts.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Removes headers about one connection, those that `Connection` names among them. Headers that decide where a message
/// goes or ends stay, whatever `Connection` says.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| !matches!(*name, header::HOST | header::CONTENT_LENGTH | header::AUTHORIZATION | header::COOKIE))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
