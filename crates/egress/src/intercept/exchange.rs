//! Requests inside a connection whose TLS was opened: each judged for itself, for the one host it was opened for.

use super::origin::{self, Link};
use super::{Interceptor, Prefixed};
use crate::event::Record;
use crate::gate::{Gate, MAX_HEAD, STAND_IN_HOST};
use crate::host::Target;
use crate::policy::Refusal;
use crate::proxy::phases::in_time;
use crate::proxy::request::{self, Wish};
use crate::proxy::{Body, Failure, Pinned, Stop, Visit, answer, finish, malformed, note, server};
use answer::After;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ringfence_model::network::NetworkProtocol;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio_rustls::server::TlsStream;

/// Streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 128;

/// A connection whose TLS was opened.
struct Opened {
    interceptor: Arc<Interceptor>,
    visit: Visit,
    target: Target,
    pinned: Pinned,
    /// Connections to the origin that wait for the next request.
    idle: Mutex<Vec<(Link, Option<IpAddr>)>>,
}

/// Serves the connection until it ends.
pub(super) async fn serve(
    interceptor: Arc<Interceptor>,
    visit: Visit,
    target: Target,
    pinned: Pinned,
    tls: TlsStream<Prefixed>,
    outer: Record,
) {
    let head = visit.session.limits.head;
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let opened = Arc::new(Opened { interceptor, visit, target, pinned, idle: Mutex::default() });
    if is_http2 {
        let service = service_fn(move |request| {
            let opened = Arc::clone(&opened);
            async move { Ok::<_, Infallible>(handle(&opened, request, None).await) }
        });
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(tls), service)
            .await;
    } else {
        let gate = Gate::new(tls);
        let fault = gate.fault();
        let service = service_fn(move |request| {
            let (opened, fault) = (Arc::clone(&opened), Arc::clone(&fault));
            async move { Ok::<_, Infallible>(handle(&opened, request, Some(&fault)).await) }
        });
        let _ = server(head).serve_connection(TokioIo::new(gate), service).with_upgrades().await;
    }
    drop(outer);
}

async fn handle(
    opened: &Opened,
    mut request: Request<Incoming>,
    fault: Option<&OnceLock<&'static str>>,
) -> Response<Body> {
    let (visit, target) = (&opened.visit, &opened.target);
    let fault = || fault.and_then(OnceLock::get).copied();
    if let Some(why) = fault()
        && request.uri().host() == Some(STAND_IN_HOST)
    {
        return malformed(visit, &target.to_string(), why);
    }
    if !agrees(&request, target) {
        return malformed(visit, &target.to_string(), "the request names another host than the tunnel");
    }
    let mut record = visit.proxy.recorder.open(&visit.session.name, NetworkProtocol::Https, target);
    record.event.method = Some(request.method().to_string());
    record.event.rule = "opened TLS".to_owned();
    let is_http2 = request.version() == Version::HTTP_2;
    let stop = |mut record: Record, stopped: Stop, after| {
        note(&mut record, &stopped);
        let response = answer::stopped(&stopped, after);
        record.event.status = Some(response.status().as_u16());
        response
    };
    let refuse = |text: &str| Box::new(Refusal::of_policy(&target.to_string(), text, "opened TLS", None));
    let after = if request.headers().contains_key(header::UPGRADE) { After::Close } else { After::Keep };
    let after = if is_http2 { After::Keep } else { after };
    let judged = match *request.method() {
        Method::CONNECT => Err(refuse("a tunnel inside a tunnel isn't carried")),
        // It would send the credential back.
        Method::TRACE if opened.interceptor.secrets.belong_to(target) => {
            Err(refuse("`TRACE` isn't carried to a host that gets a credential"))
        }
        _ => request::judge(&visit.session.policy, target, &request),
    };
    let wish = match judged {
        Ok(wish) => wish,
        Err(refusal) => return stop(record, Stop::Refused(refusal), after),
    };
    let wants_trailers = request.headers().get(header::TE).is_some_and(|te| te.as_bytes() == b"trailers");
    let upgrade = (wish == Wish::WebSocket).then(|| hyper::upgrade::on(&mut request));
    let mut prepared = request::prepare(request, target, 443, wish, &record.bytes);
    opened.interceptor.secrets.put_into(target, &mut prepared);
    match send(opened, prepared, wish, wants_trailers, &mut record).await {
        Ok(response) => finish(visit, response, upgrade, record),
        Err(stopped) => match fault() {
            Some(why) => {
                record.malformed(why);
                answer::malformed(why)
            }
            None => stop(record, stopped, after),
        },
    }
}

/// Whether every name in the request is the one the tunnel was asked for.
fn agrees(request: &Request<Incoming>, target: &Target) -> bool {
    let same = |text: &str| Target::parse(text, Some(443)).is_ok_and(|named| named == *target);
    let in_uri = request.uri().authority().map(|authority| same(authority.as_str()));
    let scheme_fits = request.uri().scheme().is_none_or(|scheme| *scheme == http::uri::Scheme::HTTPS);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let in_header = hosts.next().map(|host| host.to_str().is_ok_and(same));
    let only_one = hosts.next().is_none();
    scheme_fits
        && only_one
        && in_uri != Some(false)
        && in_header != Some(false)
        && (in_uri.is_some() || in_header.is_some())
}

async fn send(
    opened: &Opened,
    mut request: Request<Body>,
    wish: Wish,
    wants_trailers: bool,
    record: &mut Record,
) -> Result<Response<Incoming>, Stop> {
    let kept = (wish == Wish::Answer).then(|| opened.take_idle()).flatten();
    let mut again = kept.is_some();
    let (mut link, mut address) = match kept {
        Some(kept) => kept,
        None => opened.connect(wish == Wish::WebSocket).await?,
    };
    loop {
        record.event.address = address;
        address_to(&mut request, &opened.target, &link, wants_trailers);
        let answer = opened.visit.session.limits.answer;
        match in_time(answer, &record.bytes, link.send(request)).await? {
            Ok(response) => {
                record.allowed();
                if wish == Wish::Answer {
                    opened.keep(link, address);
                }
                return Ok(response);
            }
            // A kept connection that the origin closed meanwhile: once more on a fresh one.
            Err((_, Some(unsent))) if again => {
                again = false;
                request = unsent;
                (link, address) = opened.connect(false).await?;
            }
            Err((error, _)) => return Err(Failure::Connect(std::io::Error::other(error)).into()),
        }
    }
}

impl Opened {
    fn take_idle(&self) -> Option<(Link, Option<IpAddr>)> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(link, _)| match link {
            Link::Http1(sender) => !sender.is_closed(),
            Link::Http2(sender) => !sender.is_closed(),
        });
        let at = idle.iter().position(|(link, _)| link.is_free())?;
        match idle.get(at) {
            Some((Link::Http2(sender), address)) => Some((Link::Http2(sender.clone()), *address)),
            Some(_) => Some(idle.swap_remove(at)),
            None => None,
        }
    }

    fn keep(&self, link: Link, address: Option<IpAddr>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let has_http2 = idle.iter().any(|(link, _)| matches!(link, Link::Http2(_)));
        if !has_http2 || matches!(link, Link::Http1(_)) {
            idle.push((link, address));
        }
    }

    async fn connect(&self, http1_only: bool) -> Result<(Link, Option<IpAddr>), Stop> {
        origin::open(&self.interceptor, &self.visit, &self.target, &self.pinned, http1_only).await
    }
}

/// Puts the request in the form of the origin's version of HTTP.
fn address_to(request: &mut Request<Body>, target: &Target, link: &Link, wants_trailers: bool) {
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(
        path.filter(|path| !path.as_str().is_empty()).unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")),
    );
    let authority = target.authority(443);
    match link {
        Link::Http1(_) => {
            *request.version_mut() = Version::HTTP_11;
            if let Ok(host) = HeaderValue::try_from(authority) {
                request.headers_mut().insert(header::HOST, host);
            }
            join_cookies(request.headers_mut());
        }
        Link::Http2(_) => {
            *request.version_mut() = Version::HTTP_2;
            parts.scheme = Some(http::uri::Scheme::HTTPS);
            parts.authority = authority.parse().ok();
            request.headers_mut().remove(header::HOST);
            if wants_trailers {
                request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
            }
        }
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// HTTP/2 may send cookies in pieces; HTTP/1.1 has one header (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut http::HeaderMap) {
    let pieces: Vec<_> = headers.get_all(header::COOKIE).iter().map(|piece| piece.as_bytes().to_vec()).collect();
    if pieces.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&pieces.join(b"; ".as_slice()))
    {
        headers.insert(header::COOKIE, joined);
    }
}
