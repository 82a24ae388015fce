//! `CONNECT`: judged like any request, then a tunnel, or TLS that the proxy opens.

use super::answer::{self, After, Body};
use super::http::{ClientIo, malformed};
use super::phases::{self, Stop};
use super::{Visit, tunnel};
use crate::host::Target;
use crate::policy::Refusal;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use ringfence_model::network::NetworkProtocol;
use tokio::net::TcpStream;

/// Serves one `CONNECT`. A refusal closes the connection: what follows was meant for the tunnel.
pub(crate) async fn serve(visit: &Visit, mut request: Request<Incoming>) -> Response<Body> {
    let named = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let target = match Target::parse(named, None) {
        Ok(target) => target,
        Err(error) => return malformed(visit, named, &error.to_string()),
    };
    if let Some(host) = request.headers().get(http::header::HOST)
        && !agrees(host, &target)
    {
        return malformed(visit, named, "`Host` names another host than `CONNECT`");
    }
    if came_from(&request, &visit.proxy.pseudonym) {
        return malformed(visit, named, "the request came back: the proxy would be talking to itself");
    }
    let mut record = visit.proxy.recorder.open(&visit.session.name, NetworkProtocol::Https, &target);
    record.event.method = Some("CONNECT".to_owned());
    let decided = match phases::decide(visit, &target, NetworkProtocol::Https, &mut record).await {
        Ok(decided) => decided,
        Err(refusal) => return stop(&mut record, &Stop::Refused(refusal)),
    };
    let interceptor = visit.session.interceptor.clone().filter(|_| visit.session.policy.intercepts(&target));
    if interceptor.is_none()
        && let Err(fault) = visit.session.policy.check_tunnel(&target)
    {
        let refusal = Refusal::of_method(&target, "CONNECT", fault)
            .or_allow_with(format!("[network.tls] intercept = [\"{}\"]", target.host));
        return stop(&mut record, &Stop::Refused(Box::new(refusal)));
    }
    let pinned = match phases::pin(visit, &decided).await {
        Ok(pinned) => pinned,
        Err(stopped) => return stop(&mut record, &stopped),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let visit = visit.clone();
    if let Some(interceptor) = interceptor {
        record.allowed();
        record.event.status = Some(200);
        visit.clone().spawn(async move {
            let Some((stream, early)) = taken_over(upgrade.await) else { return };
            interceptor.serve(visit, target, pinned, stream, early, record).await;
        });
    } else {
        let connected = match phases::connect(&visit, &pinned, true).await {
            Ok(connected) => connected,
            Err(stopped) => return stop(&mut record, &stopped),
        };
        record.allowed();
        record.event.status = Some(200);
        record.event.address = connected.address;
        visit.clone().spawn(async move {
            let Some((stream, early)) = taken_over(upgrade.await) else { return };
            tunnel::run(visit, target, stream, early, connected, record).await;
        });
    }
    Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// Takes the connection out of the HTTP library, with the bytes that were read beyond the request.
pub(crate) fn taken_over(upgraded: hyper::Result<Upgraded>) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.ok()?.downcast::<ClientIo>().ok()?;
    let (stream, rest) = parts.io.into_inner().into_parts();
    let mut early = parts.read_buf.to_vec();
    early.extend_from_slice(&rest);
    Some((stream, early))
}

fn stop(record: &mut crate::event::Record, stopped: &Stop) -> Response<Body> {
    note(record, stopped);
    let response = answer::stopped(stopped, After::Close);
    record.event.status = Some(response.status().as_u16());
    response
}

/// Puts into the record why a destination wasn't reached.
pub(crate) fn note(record: &mut crate::event::Record, stopped: &Stop) {
    match stopped {
        Stop::Refused(refusal) => record.refused(refusal),
        Stop::Failed(failure) => record.failed(failure.to_string()),
    }
}

/// Whether a `Host` header means this destination; without a port it means any.
fn agrees(host: &http::HeaderValue, target: &Target) -> bool {
    host.to_str().ok().and_then(|host| Target::parse(host, Some(target.port)).ok()).is_some_and(|host| host == *target)
}

/// Whether the request went through this very process before.
pub(crate) fn came_from<B>(request: &Request<B>, pseudonym: &str) -> bool {
    let via = request.headers().get_all(http::header::VIA);
    via.iter().any(|via| String::from_utf8_lossy(via.as_bytes()).contains(pseudonym))
}
