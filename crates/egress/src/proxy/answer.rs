//! What the proxy itself answers: refusals, malformed requests, failures.

use super::phases::{Failure, Stop};
use crate::policy::Refusal;
use crate::resolve::ResolveError;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

const X_PROXY_ERROR: HeaderName = HeaderName::from_static("x-proxy-error");

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Whether the connection goes on after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Close,
    Keep,
}

fn answer(status: StatusCode, code: &'static str, body: String, after: After) -> Response<Body> {
    let mut response = Response::new(full(body + "\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(X_PROXY_ERROR, HeaderValue::from_static(code));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if after == After::Close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// 403, with the reason as a header and one line of JSON.
pub(crate) fn refused(refusal: &Refusal, after: After) -> Response<Body> {
    answer(StatusCode::FORBIDDEN, refusal.error.name(), refusal.body(), after)
}

/// 400, and the connection is closed.
pub(crate) fn malformed(why: &str) -> Response<Body> {
    answer(StatusCode::BAD_REQUEST, "malformed-request", json("malformed-request", why), After::Close)
}

/// 403 for a connection that isn't the sandbox's, whatever it asked for. As text: no request was read.
pub(crate) fn strange() -> String {
    let why = "this proxy serves the commands of one run alone, and none of them made this connection";
    let body = json("another-run", why) + "\n";
    let length = body.len();
    format!(
        "HTTP/1.1 403 Forbidden\r\n{X_PROXY_ERROR}: another-run\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// 502 or 504.
pub(crate) fn failed(failure: &Failure, after: After) -> Response<Body> {
    let status = match failure {
        Failure::TimedOut | Failure::Resolve(ResolveError::TimedOut) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    answer(status, "upstream-failed", json("upstream-failed", &failure.to_string()), after)
}

/// 502 or 504 for a connection that stood.
pub(crate) fn broken(status: StatusCode, why: &str, after: After) -> Response<Body> {
    answer(status, "upstream-failed", json("upstream-failed", why), after)
}

/// The answer to a destination that wasn't reached.
pub(crate) fn stopped(stop: &Stop, after: After) -> Response<Body> {
    match stop {
        Stop::Refused(refusal) => refused(refusal, after),
        Stop::Failed(failure) => failed(failure, after),
    }
}

fn json(error: &str, text: &str) -> String {
    serde_json::json!({ "error": error, "text": text }).to_string()
}
