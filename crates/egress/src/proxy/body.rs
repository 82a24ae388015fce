//! Bodies on their way through: counted, and the record closed when the last one is done.

use super::answer::{Body, BoxError};
use crate::event::{Bytes as Counters, Record};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

/// A request body: counted as bytes up.
pub(crate) fn up<B>(inner: B, bytes: Arc<Counters>) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Passing { inner, bytes, is_up: true, _record: None }.boxed_unsync()
}

/// A response body: counted as bytes down; the record is closed with it.
pub(crate) fn down<B>(inner: B, record: Record) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Passing { inner, bytes: Arc::clone(&record.bytes), is_up: false, _record: Some(record) }.boxed_unsync()
}

struct Passing<B> {
    inner: B,
    bytes: Arc<Counters>,
    is_up: bool,
    _record: Option<Record>,
}

impl<B> HttpBody for Passing<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let counter = if self.is_up { &self.bytes.up } else { &self.bytes.down };
            counter.fetch_add(data.len() as u64, Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
