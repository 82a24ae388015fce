//! WebSockets: after both sides agreed, a tunnel.

use super::Visit;
use super::answer::Body;
use super::forward;
use crate::event::Record;
use crate::relay;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Finishes an exchange. `client` is there if the request asked for a WebSocket.
pub(crate) fn finish(
    visit: &Visit,
    mut response: Response<Incoming>,
    client: Option<OnUpgrade>,
    mut record: Record,
) -> Response<Body> {
    let Some(client) = client else { return forward::answered(response, record) };
    let agreed = response.status() == StatusCode::SWITCHING_PROTOCOLS
        && response.headers().get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !agreed {
        let mut response = forward::answered(response, record);
        // The gate let everything pass behind the request: nothing more may be read from this connection.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    record.event.status = Some(101);
    let origin = hyper::upgrade::on(&mut response);
    let held = visit.clone();
    visit.spawn(async move {
        let (Ok(client), Ok(origin)) = tokio::join!(client, origin) else {
            record.failed("the upgrade was broken off");
            return;
        };
        let (client_read, client_write) = tokio::io::split(TokioIo::new(client));
        let (origin_read, origin_write) = tokio::io::split(TokioIo::new(origin));
        let bytes = Arc::clone(&record.bytes);
        let up = relay::copy(client_read, origin_write, &bytes.up);
        let down = relay::copy(origin_read, client_write, &bytes.down);
        if let Err(error) = relay::join(up, down, &bytes, held.session.limits.half_open).await {
            record.event.detail = format!("broken off: {error}");
        }
        drop(held);
    });
    let (mut parts, _) = response.into_parts();
    super::request::strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Response::from_parts(parts, Empty::new().map_err(|never| match never {}).boxed_unsync())
}
