//! The counters for whoever collects them: the text format of Prometheus, over plain HTTP on loopback. They are numbers
//! alone: no host, no rule, nothing of what was sent.

use crate::event::Metrics;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Collectors at once; further ones are closed.
const COLLECTORS: usize = 8;
/// Time for a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// The counters as text.
#[must_use]
pub fn text(metrics: &Metrics) -> String {
    let decided = |verdict: &'static str, counter| (Some(("verdict", verdict)), counter);
    let passed = |direction: &'static str, counter| (Some(("direction", direction)), counter);
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, values: &[(Option<(&str, &str)>, &AtomicU64)]| {
        // Writing to a string can't fail.
        let _ = writeln!(out, "# HELP ringfence_proxy_{name} {help}\n# TYPE ringfence_proxy_{name} {kind}");
        for (label, value) in values {
            let label = label.map(|(label, text)| format!("{{{label}=\"{text}\"}}")).unwrap_or_default();
            let _ = writeln!(out, "ringfence_proxy_{name}{label} {}", value.load(Relaxed));
        }
    };
    let plain = |counter| (None, counter);
    family("connections_total", "counter", "Connections accepted.", &[plain(&metrics.connections)]);
    family("connections_open", "gauge", "Connections open now.", &[plain(&metrics.open)]);
    family(
        "connections_turned_away_total",
        "counter",
        "Connections closed at once: too many were open, or the sandbox didn't make them.",
        &[plain(&metrics.turned_away)],
    );
    family(
        "decisions_total",
        "counter",
        "Requests, tunnels and datagrams, by what became of them.",
        &[
            decided("allowed", &metrics.allowed),
            decided("refused", &metrics.refused),
            decided("malformed", &metrics.malformed),
            decided("failed", &metrics.failed),
        ],
    );
    family("questions_total", "counter", "Questions asked about unknown hosts.", &[plain(&metrics.asked)]);
    family(
        "bytes_total",
        "counter",
        "Bytes of what is over, from sandboxes and to them.",
        &[passed("up", &metrics.bytes_up), passed("down", &metrics.bytes_down)],
    );
    out
}

/// Serves the counters until the task is dropped.
pub(crate) async fn serve(metrics: Arc<Metrics>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(COLLECTORS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
            // A collector that goes away is its own affair.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, text(metrics)),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, "the counters are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}
