//! The HTTP front: one client connection, served by the HTTP library behind the gate.

use super::answer::{self, Body};
use super::{Visit, connect, forward};
use crate::gate::{Fault, Gate, MAX_HEAD, MAX_HEADERS, STAND_IN_HOST};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ringfence_model::network::NetworkProtocol;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// What the HTTP library reads from.
pub(crate) type ClientIo = TokioIo<Gate<TcpStream>>;

/// Serves one client connection until it ends or becomes a tunnel.
pub(crate) async fn serve(visit: Visit, stream: TcpStream) {
    let limits = visit.session.limits;
    let gate = Gate::watching(stream, limits.half_open);
    let fault = gate.fault();
    let client = Arc::new(forward::Client::new(visit));
    let service = service_fn(|request| {
        let (client, fault) = (Arc::clone(&client), Arc::clone(&fault));
        async move { Ok::<_, Infallible>(handle(client, &fault, request).await) }
    });
    // An error here is the client's own end of the connection: what it asked for is recorded by then.
    let _ = server(limits.head).half_close(true).serve_connection(TokioIo::new(gate), service).with_upgrades().await;
}

/// HTTP/1 towards clients, in the open and inside opened TLS: `head` is the time for a request's head.
pub(crate) fn server(head: Duration) -> hyper::server::conn::http1::Builder {
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(head).max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD * 2);
    server.auto_date_header(false);
    server
}

async fn handle(client: Arc<forward::Client>, fault: &Fault, request: Request<Incoming>) -> Response<Body> {
    if let Some(why) = fault.get()
        && request.uri().host() == Some(STAND_IN_HOST)
    {
        return malformed(&client.visit, "", why);
    }
    if request.method() == Method::CONNECT {
        connect::serve(&client.visit, request).await
    } else {
        forward::plain(&client, fault, request).await
    }
}

/// Records and answers what can't be judged.
pub(crate) fn malformed(visit: &Visit, what: &str, why: &str) -> Response<Body> {
    let text = ringfence_model::text::escape(what);
    let mut record = visit.proxy.recorder.open_text(&visit.session.name, NetworkProtocol::Http, text, 0);
    record.malformed(why);
    record.event.status = Some(400);
    answer::malformed(why)
}
