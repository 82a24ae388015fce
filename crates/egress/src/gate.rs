//! A gate in front of the HTTP parser: lets a request through only in the one shape that every reader reads alike.
//!
//! The HTTP library is lenient where the standard lets it be (bare line feeds, a length beside a chunked body, chunk
//! extensions, trailers). Behind this gate it only ever sees what needs no leniency. The gate changes no byte: it passes
//! a message on, or it puts a harmless request in its place that the proxy answers with 400 and closes. Heads are read
//! with the parser that the HTTP library itself uses.

use bytes::BytesMut;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Longest head: request line and headers.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Longest request line.
const MAX_LINE: usize = 16 * 1024;
/// How long, and over how many bytes, a refused client is heard out.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 << 20;
/// Most headers.
pub(crate) const MAX_HEADERS: usize = 128;

/// Put in place of a request that was refused. The proxy knows it by the fault, never by its text.
pub(crate) const STAND_IN: &[u8] = b"GET http://malformed.invalid/ HTTP/1.1\r\nHost: malformed.invalid\r\n\r\n";
/// The host of [`STAND_IN`].
pub(crate) const STAND_IN_HOST: &str = "malformed.invalid";

/// Why a request was refused by the gate, once it was.
pub(crate) type Fault = Arc<OnceLock<&'static str>>;

/// The gate around one client connection.
pub(crate) struct Gate<S> {
    io: S,
    buffer: BytesMut,
    /// Bytes at the front of the buffer that may pass.
    ready: usize,
    scan: Scan,
    state: State,
    fault: Fault,
    lingering: Option<(Pin<Box<tokio::time::Sleep>>, usize)>,
    watch: Option<Watch<S>>,
}

/// Looks whether a client that is being answered has closed its end: one that only says that it sent everything, and one
/// that is gone, look the same until something is written.
struct Watch<S> {
    /// Ready with 0: it has.
    peek: fn(&S, &mut Context<'_>) -> Poll<io::Result<usize>>,
    /// How long it may then be silent.
    limit: Duration,
    closed: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// How far an incomplete head was looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Scan {
    line_start: usize,
    from: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    LastEnd,
    /// A tunnel, or about to be one. The connection is closed after a refusal, so no request follows.
    Opaque,
    Refused,
}

impl<S> Gate<S> {
    pub(crate) fn new(io: S) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
            ready: 0,
            scan: Scan::default(),
            state: State::Head,
            fault: Fault::default(),
            lingering: None,
            watch: None,
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        Arc::clone(&self.fault)
    }

    /// Takes the connection out, with what was read and not yet passed on.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.buffer)
    }

    fn refuse(&mut self, why: &'static str) {
        let _ = self.fault.set(why);
        self.buffer.clear();
        self.buffer.extend_from_slice(STAND_IN);
        self.ready = STAND_IN.len();
        self.state = State::Refused;
    }

    /// Looks at the buffered bytes and says how many may pass now; 0: more are needed.
    fn advance(&mut self) -> io::Result<()> {
        match self.state {
            State::Head => match head_length(&self.buffer, &mut self.scan) {
                Err(why) => self.refuse(why),
                Ok(None) => {}
                Ok(Some(length)) => match self.buffer.get(..length).map(check_head) {
                    Some(Ok(next)) => {
                        self.scan = Scan::default();
                        self.ready = length;
                        self.state = next;
                    }
                    Some(Err(why)) => self.refuse(why),
                    None => {}
                },
            },
            State::Body(left) | State::ChunkData(left) => {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                self.ready = take;
                self.pass(take as u64, left);
            }
            State::ChunkSize => {
                if let Some((length, size)) = chunk_size(&self.buffer).map_err(|why| self.broken(why))? {
                    self.ready = length;
                    self.state = if size == 0 { State::LastEnd } else { State::ChunkData(size) };
                }
            }
            State::ChunkEnd => self.line_end(State::ChunkSize, "a chunk is longer than it says")?,
            State::LastEnd => self.line_end(State::Head, "trailers after a chunked body")?,
            State::Opaque => self.ready = self.buffer.len(),
            State::Refused => self.buffer.clear(),
        }
        Ok(())
    }

    /// Counts body bytes that pass.
    fn pass(&mut self, count: u64, left: u64) {
        let left = left.saturating_sub(count);
        self.state = match (self.state, left) {
            (State::Body(_), 0) => State::Head,
            (State::Body(_), left) => State::Body(left),
            (_, 0) => State::ChunkEnd,
            (_, left) => State::ChunkData(left),
        };
    }

    fn line_end(&mut self, next: State, why: &'static str) -> io::Result<()> {
        match self.buffer.get(..2) {
            Some(b"\r\n") => {
                self.ready = 2;
                self.state = next;
                Ok(())
            }
            Some(_) => Err(self.broken(why)),
            None if self.buffer.first().is_some_and(|byte| *byte != b'\r') => Err(self.broken(why)),
            None => Ok(()),
        }
    }

    /// A body can't be taken back: the error breaks off the request that is on its way.
    fn broken(&mut self, why: &'static str) -> io::Error {
        let _ = self.fault.set(why);
        self.state = State::Refused;
        self.buffer.clear();
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

/// The length of a complete head, or none yet. Refuses bytes that end lines in two ways as soon as they are seen.
fn head_length(bytes: &[u8], scan: &mut Scan) -> Result<Option<usize>, &'static str> {
    let special = |byte: &u8| matches!(byte, b'\n' | b'\r' | 0);
    while let Some(offset) = bytes.get(scan.from..).and_then(|rest| rest.iter().position(special)) {
        let at = scan.from + offset;
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => {}
            (Some(b'\r'), None) => {
                scan.from = at;
                return too_long(bytes, scan);
            }
            (Some(b'\r'), _) => return Err("a carriage return within a line"),
            (Some(b'\n'), _) => return Err("a line that ends with a bare line feed"),
            _ => return Err("a NUL byte in the head"),
        }
        if at == scan.line_start {
            return if at == 0 { Err("an empty line before the request") } else { Ok(Some(at + 2)) };
        }
        if scan.line_start == 0 && at > MAX_LINE {
            return Err("a request line that is too long");
        }
        if scan.line_start != 0 && bytes.get(scan.line_start).is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Err("a header folded over lines");
        }
        *scan = Scan { line_start: at + 2, from: at + 2 };
    }
    scan.from = bytes.len();
    too_long(bytes, scan)
}

fn too_long(bytes: &[u8], scan: &Scan) -> Result<Option<usize>, &'static str> {
    if scan.line_start == 0 && bytes.len() > MAX_LINE {
        return Err("a request line that is too long");
    }
    if bytes.len() >= MAX_HEAD { Err("a head that is too long") } else { Ok(None) }
}

/// Reads a complete head and says what follows it.
fn check_head(head: &[u8]) -> Result<State, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err("a head that ends early"),
        Err(httparse::Error::TooManyHeaders) => return Err("too many headers"),
        Err(httparse::Error::Version) => return Err("not HTTP/1.0 or HTTP/1.1"),
        Err(_) => return Err("not an HTTP request"),
    }
    let version = request.version.unwrap_or(0);
    let method = request.method.unwrap_or_default();
    let (mut length, mut chunked, mut hosts, mut upgrade) = (None, false, 0, None);
    for header in request.headers.iter() {
        let odd = header.name.contains('_');
        if is_named(header.name, "content-length") {
            if odd || length.is_some() {
                return Err("two lengths");
            }
            length = Some(content_length(header.value).ok_or("a length that is no plain number")?);
        } else if is_named(header.name, "transfer-encoding") {
            if odd || chunked {
                return Err("two transfer encodings");
            }
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err("a transfer encoding other than `chunked`");
            }
            chunked = true;
        } else if is_named(header.name, "host") {
            hosts += 1;
        } else if is_named(header.name, "upgrade") {
            if upgrade.is_some() {
                return Err("two `Upgrade` headers");
            }
            upgrade = Some(header.value.eq_ignore_ascii_case(b"websocket"));
        }
    }
    if chunked && length.is_some() {
        return Err("a length beside a chunked body");
    }
    if chunked && version == 0 {
        return Err("a chunked body in HTTP/1.0");
    }
    if hosts > 1 {
        return Err("two `Host` headers");
    }
    if hosts == 0 && version == 1 && method != "CONNECT" {
        return Err("no `Host` header");
    }
    // Other upgrades are offers that the proxy never takes up: those are plain requests.
    if method == "CONNECT" || upgrade == Some(true) {
        if chunked || length.is_some_and(|length| length > 0) {
            return Err("a body on a request for a tunnel");
        }
        return Ok(State::Opaque);
    }
    Ok(match (chunked, length) {
        (true, _) => State::ChunkSize,
        (false, Some(length)) if length > 0 => State::Body(length),
        _ => State::Head,
    })
}

/// Whether a header has this name for somebody: some servers take `_` for `-`.
fn is_named(header: &str, name: &str) -> bool {
    let mut pairs = header.bytes().zip(name.bytes());
    header.len() == name.len()
        && pairs.all(|(byte, wanted)| byte.to_ascii_lowercase() == wanted || (byte == b'_' && wanted == b'-'))
}

fn content_length(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

/// A chunk's size line: hexadecimal digits and the end of the line, nothing else.
fn chunk_size(bytes: &[u8]) -> Result<Option<(usize, u64)>, &'static str> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > 15 {
        return Err("a chunk size that is too long");
    }
    match (bytes.get(digits), bytes.get(digits + 1)) {
        (None, _) => Ok(None),
        (Some(b'\r'), None) if digits > 0 => Ok(None),
        (Some(b'\r'), Some(b'\n')) if digits > 0 => {
            let size = bytes
                .get(..digits)
                .and_then(|text| std::str::from_utf8(text).ok())
                .and_then(|text| u64::from_str_radix(text, 16).ok());
            size.map(|size| Some((digits + 2, size))).ok_or("a chunk size that is no number")
        }
        (Some(b';' | b' ' | b'\t'), _) => Err("a chunk extension"),
        _ => Err("a chunk size that is no number"),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                let take = this.ready.min(out.remaining()).min(this.buffer.len());
                out.put_slice(&this.buffer.split_to(take));
                this.ready -= take;
                return Poll::Ready(Ok(()));
            }
            if !this.buffer.is_empty() {
                this.advance()?;
                if this.ready > 0 {
                    continue;
                }
            }
            match this.state {
                State::Refused => return Poll::Ready(Ok(())),
                // What needs no look goes straight through.
                State::Opaque => return Pin::new(&mut this.io).poll_read(cx, out),
                State::Body(left) | State::ChunkData(left) if left > 0 => {
                    let count = ready!(poll_limited(&mut this.io, cx, out, left))?;
                    this.pass(count, left);
                    return Poll::Ready(Ok(()));
                }
                _ => {}
            }
            if ready!(poll_fill(&mut this.io, cx, &mut this.buffer))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Reads at most `limit` bytes straight into `out`.
fn poll_limited<S: AsyncRead + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    out: &mut ReadBuf<'_>,
    limit: u64,
) -> Poll<io::Result<u64>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(out.remaining());
    let mut part = ReadBuf::new(out.initialize_unfilled_to(limit));
    ready!(Pin::new(io).poll_read(cx, &mut part))?;
    let count = part.filled().len();
    out.advance(count);
    Poll::Ready(Ok(count as u64))
}

/// Reads what is there behind the buffer.
fn poll_fill<S: AsyncRead + Unpin>(io: &mut S, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
    let mut space = [0; 8192];
    let mut part = ReadBuf::new(&mut space);
    ready!(Pin::new(io).poll_read(cx, &mut part))?;
    buffer.extend_from_slice(part.filled());
    Poll::Ready(Ok(part.filled().len()))
}

impl Gate<TcpStream> {
    /// A gate that gives up on a client which has closed its end, and to which nothing is written for `limit`.
    pub(crate) fn watching(io: TcpStream, limit: Duration) -> Self {
        let peek = |io: &TcpStream, cx: &mut Context<'_>| io.poll_peek(cx, &mut ReadBuf::new(&mut [0]));
        Self { watch: Some(Watch { peek, limit, closed: None }), ..Self::new(io) }
    }
}

impl<S> Watch<S> {
    /// Fails when the time is over. Pending or not, the task is woken for it.
    fn check(&mut self, io: &S, cx: &mut Context<'_>) -> io::Result<()> {
        if self.closed.is_none() {
            let Poll::Ready(seen) = (self.peek)(io, cx) else { return Ok(()) };
            if seen? > 0 {
                return Ok(());
            }
        }
        let limit = self.limit;
        let closed = self.closed.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match closed.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl<S> Gate<S> {
    fn written(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.closed = None;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written();
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written();
        Pin::new(&mut this.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(watch) = &mut this.watch {
            watch.check(&this.io, cx)?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// After a refusal the rest of what the client sends is read and dropped for a moment: closing with unread bytes
    /// would reset the connection, and the client would never see why.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            let wait = if this.fault.get().is_some() { LINGER } else { Duration::ZERO };
            this.lingering = Some((Box::pin(tokio::time::sleep(wait)), LINGER_BYTES));
        }
        let Some((timer, left)) = &mut this.lingering else { return Poll::Ready(Ok(())) };
        if this.fault.get().is_none() {
            return Poll::Ready(Ok(()));
        }
        loop {
            if timer.as_mut().poll(cx).is_ready() || *left == 0 {
                return Poll::Ready(Ok(()));
            }
            this.buffer.clear();
            match ready!(poll_fill(&mut this.io, cx, &mut this.buffer)) {
                Ok(0) | Err(_) => return Poll::Ready(Ok(())),
                Ok(count) => *left = left.saturating_sub(count),
            }
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
