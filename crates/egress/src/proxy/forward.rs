//! Plain requests: each judged for itself, also the second on a kept connection, then sent on in canonical form.

use super::answer::{self, After, Body};
use super::body;
use super::connect::{came_from, note};
use super::http::malformed;
use super::phases::{self, Decided, Failure, Stop};
use super::request::{self, Through, Wish};
use super::{Visit, unix, upgrade};
use crate::event::{Bytes as Counters, Record};
use crate::gate::Fault;
use crate::host::Target;
use crate::policy::Refusal;
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use ringfence_model::network::NetworkProtocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

/// One client connection, with the connection to an origin that it used last.
pub(crate) struct Client {
    pub(crate) visit: Visit,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    target: Target,
    link: Link,
}

/// A connection that takes requests.
pub(crate) struct Link {
    sender: SendRequest<Body>,
    pub(crate) address: Option<std::net::IpAddr>,
    through_proxy: bool,
}

impl Link {
    /// Begins HTTP/1.1 on a connection.
    pub(crate) async fn open<S>(
        stream: S,
        address: Option<std::net::IpAddr>,
        through_proxy: bool,
    ) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(256)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Connect(std::io::Error::other(error)))?;
        tokio::spawn(connection.with_upgrades());
        Ok(Self { sender, address, through_proxy })
    }

    /// Waits until another request may be sent, or says that the connection is used up.
    async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

impl Client {
    pub(crate) fn new(visit: Visit) -> Self {
        Self { visit, kept: Mutex::new(None) }
    }
}

/// Serves one plain request.
pub(crate) async fn plain(client: &Client, fault: &Fault, mut request: Request<Incoming>) -> Response<Body> {
    let visit = &client.visit;
    if request.headers().contains_key(unix::HEADER) {
        return unix::serve(visit, fault, request).await;
    }
    let shown = request.uri().to_string();
    let target = match destination(&request) {
        Ok(target) => target,
        Err(why) => return malformed(visit, &shown, &why),
    };
    if came_from(&request, &visit.proxy.pseudonym) {
        return malformed(visit, &shown, "the request came back: the proxy would be talking to itself");
    }
    let mut record = visit.proxy.recorder.open(&visit.session.name, NetworkProtocol::Http, &target);
    record.event.method = Some(request.method().to_string());
    let decided = match phases::decide(visit, &target, NetworkProtocol::Http, &mut record).await {
        Ok(decided) => decided,
        Err(refusal) => return stop(record, &Stop::Refused(refusal), &request),
    };
    let wish = match request::judge(&visit.session.policy, &target, &request) {
        Ok(wish) => wish,
        Err(refusal) => return stop(record, &Stop::Refused(refusal), &request),
    };
    let upgrade = (wish == Wish::WebSocket).then(|| hyper::upgrade::on(&mut request));
    let prepared = request::prepare(request, &target, 80, wish, &record.bytes);
    match send(client, &target, &decided, prepared, &mut record).await {
        Ok(response) => upgrade::finish(visit, response, upgrade, record),
        Err(_) if fault.get().is_some() => {
            let why = fault.get().copied().unwrap_or_default();
            record.malformed(why);
            answer::malformed(why)
        }
        Err(stopped) => {
            note(&mut record, &stopped);
            let after = if upgrade.is_some() { After::Close } else { After::Keep };
            let response = answer::stopped(&stopped, after);
            record.event.status = Some(response.status().as_u16());
            response
        }
    }
}

/// The destination of a request in absolute form; `Host` must name the same.
fn destination(request: &Request<Incoming>) -> Result<Target, String> {
    let uri = request.uri();
    match (uri.scheme(), uri.authority()) {
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP || is_plain_websocket(scheme, request) => {
            let target = Target::parse(authority.as_str(), Some(80)).map_err(|error| error.to_string())?;
            match request.headers().get(http::header::HOST) {
                None => Ok(target),
                Some(host) => match host.to_str().ok().map(|host| Target::parse(host, Some(80))) {
                    Some(Ok(host)) if host == target => Ok(target),
                    _ => Err("`Host` names another host than the request".to_owned()),
                },
            }
        }
        (Some(scheme), _) if *scheme == Scheme::HTTPS => {
            Err("`https:` is asked for with `CONNECT`, so that the proxy needn't open it".to_owned())
        }
        (Some(scheme), _) => Err(format!("`{}:` isn't carried", ringfence_model::text::escape(scheme.as_str()))),
        (None, _) => Err("this is a proxy: requests name their host in absolute form".to_owned()),
    }
}

/// `ws:` is HTTP until the answer: some clients ask for a WebSocket in this form, and it is judged like any other.
fn is_plain_websocket(scheme: &Scheme, request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(http::header::UPGRADE);
    scheme.as_str() == "ws" && upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Sends a request to its origin, on the kept connection if it leads there.
async fn send(
    client: &Client,
    target: &Target,
    decided: &Decided,
    mut request: Request<Body>,
    record: &mut Record,
) -> Result<Response<Incoming>, Stop> {
    let visit = &client.visit;
    let kept = client.kept.lock().await.take().filter(|kept| kept.target == *target);
    if let Some(mut kept) = kept
        && kept.link.ready().await
    {
        request::address_to(&mut request, target, through(visit, &kept.link));
        record.event.address = kept.link.address;
        match exchange(visit, &mut kept.link, request, &record.bytes).await {
            Ok(response) => {
                record.allowed();
                *client.kept.lock().await = Some(kept);
                return Ok(response);
            }
            Err(Unsent::Whole(unsent)) => request = *unsent,
            Err(Unsent::Gone(failure)) => return Err(failure.into()),
        }
    }
    let pinned = phases::pin(visit, decided).await?;
    let connected = phases::connect(visit, &pinned, false).await?;
    record.event.address = connected.address;
    let mut link = Link::open(connected.stream, connected.address, connected.through_proxy).await?;
    request::address_to(&mut request, target, through(visit, &link));
    match exchange(visit, &mut link, request, &record.bytes).await {
        Ok(response) => {
            record.allowed();
            *client.kept.lock().await = Some(Kept { target: target.clone(), link });
            Ok(response)
        }
        Err(Unsent::Whole(_)) => Err(Failure::Connect(std::io::ErrorKind::ConnectionReset.into()).into()),
        Err(Unsent::Gone(failure)) => Err(failure.into()),
    }
}

fn through<'v>(visit: &'v Visit, link: &Link) -> Option<Through<'v>> {
    let upstream = visit.upstream().filter(|_| link.through_proxy)?;
    Some(Through { pseudonym: &visit.proxy.pseudonym, authorization: upstream.authorization() })
}

/// A request without an answer.
pub(crate) enum Unsent {
    /// Nothing of it was sent.
    Whole(Box<Request<Body>>),
    /// It can't be sent again.
    Gone(Failure),
}

/// One request, one answer, in time.
pub(crate) async fn exchange(
    visit: &Visit,
    link: &mut Link,
    request: Request<Body>,
    sent: &Counters,
) -> Result<Response<Incoming>, Unsent> {
    let answer = link.sender.try_send_request(request);
    match phases::in_time(visit.session.limits.answer, sent, answer).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(request) => Unsent::Whole(Box::new(request)),
            None => Unsent::Gone(Failure::Connect(std::io::Error::other(error.into_error()))),
        }),
        Err(late) => Err(Unsent::Gone(late)),
    }
}

/// Answers a request that was refused. The connection goes on, unless a tunnel was hoped for.
fn stop(mut record: Record, stopped: &Stop, request: &Request<Incoming>) -> Response<Body> {
    note(&mut record, stopped);
    let after = if request.headers().contains_key(http::header::UPGRADE) { After::Close } else { After::Keep };
    let response = answer::stopped(stopped, after);
    record.event.status = Some(response.status().as_u16());
    response
}

/// Hands an answer on, with its record.
pub(crate) fn answered(mut response: Response<Incoming>, mut record: Record) -> Response<Body> {
    record.event.status = Some(response.status().as_u16());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        record.failed("the origin switched protocols without being asked");
        return answer::broken(
            StatusCode::BAD_GATEWAY,
            "the origin switched protocols without being asked",
            After::Close,
        );
    }
    request::strip_hop_by_hop(response.headers_mut());
    response.map(|inner| body::down(inner, record))
}

/// A refusal that is no destination's.
pub(crate) fn refuse(mut record: Record, refusal: Refusal) -> Response<Body> {
    record.refused(&refusal);
    record.event.status = Some(403);
    answer::refused(&refusal, After::Close)
}
