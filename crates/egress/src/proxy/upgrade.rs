//! WebSockets: after both sides agreed, a tunnel.

use super::Visit;
use super::answer::Body;
use super::forward;
use crate::event::Record;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::atomic::Ordering::Relaxed;

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
        let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
        let copied = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut origin, 4096, 4096).await;
        if let Ok((up, down)) = copied {
            record.bytes.up.fetch_add(up, Relaxed);
            record.bytes.down.fetch_add(down, Relaxed);
        }
        drop(held);
    });
    let (mut parts, _) = response.into_parts();
    super::request::strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Response::from_parts(parts, Empty::new().map_err(|never| match never {}).boxed_unsync())
}
