//! Carrying bytes between two connections, in both directions, each closed on its own.
//!
//! Idle tunnels cost no buffer: a buffer is borrowed from the thread while bytes pass. A direction that keeps filling it
//! is moved on by the kernel (`splice(2)`), without the bytes coming up. A tunnel with many small messages is left to a
//! thread of its own ([`talk`]).

#[cfg(target_os = "linux")]
pub(crate) mod talk;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};

const SCRATCH: usize = 64 * 1024;
const SMALL: usize = 4096;
/// So many small messages in a row make a talk.
const TALK: u32 = 16;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// How a direction, or a whole connection, was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The sender is done.
    Ended,
    /// Small messages go to and fro, and nothing is under way.
    Talking,
}

/// What the directions of a tunnel know of each other.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    /// One of them is done.
    one_done: AtomicBool,
    /// Small messages in a row, of both.
    messages: AtomicU32,
    /// By direction: it waits for its sender, with nothing under way.
    at_rest: [AtomicBool; 2],
    /// Whether somebody takes a tunnel that is talked over.
    can_talk: bool,
}

impl Pair {
    pub(crate) fn new(can_talk: bool) -> Self {
        Self { can_talk, ..Self::default() }
    }

    fn rest(&self, direction: usize, is_at_rest: bool) {
        if let Some(flag) = self.at_rest.get(direction) {
            flag.store(is_at_rest, Relaxed);
        }
    }

    /// Counts a small message; whether the two are talking, and nothing would be lost by stopping here.
    fn is_talk(&self, direction: usize) -> bool {
        let messages = self.messages.load(Relaxed).saturating_add(1);
        self.messages.store(messages, Relaxed);
        let other = self.at_rest.get(1 - direction.min(1)).is_some_and(|flag| flag.load(Relaxed));
        self.can_talk && messages >= TALK && other && !self.one_done.load(Relaxed)
    }
}

/// What one turn did.
enum Turn {
    /// The sender is done.
    End,
    /// Everything read was passed on; whether the buffer was full.
    Passed { full: bool },
    /// The receiver took only a part; the rest.
    Rest(Vec<u8>),
}

/// Passes bytes on until the sender is done, then closes that direction of the receiver: where the other direction is done
/// already, closing the connections will do that. `direction` is 0 or 1.
pub(crate) async fn pump(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    count: &AtomicU64,
    pair: &Pair,
    direction: usize,
) -> io::Result<Left> {
    loop {
        pair.rest(direction, true);
        let turn = turn(from, to, count).await?;
        pair.rest(direction, false);
        match turn {
            Turn::End => break,
            Turn::Passed { full: false } if pair.is_talk(direction) => return Ok(Left::Talking),
            Turn::Passed { full: false } => {}
            Turn::Passed { full: true } => {
                pair.messages.store(0, Relaxed);
                if bulk::pass(from.as_ref(), to.as_ref(), count).await? == bulk::Stopped::End {
                    break;
                }
            }
            Turn::Rest(rest) => to.write_all(&rest).await?,
        }
    }
    if !pair.one_done.swap(true, Relaxed) {
        to.shutdown().await?;
    }
    Ok(Left::Ended)
}

/// The same for connections that the kernel can't move bytes between, with a small buffer of its own.
pub(crate) async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
) -> io::Result<Left> {
    let mut buffer = [0; SMALL];
    loop {
        let taken = from.read(&mut buffer).await?;
        if taken == 0 {
            return to.shutdown().await.map(|()| Left::Ended);
        }
        to.write_all(buffer.get(..taken).unwrap_or_default()).await?;
        to.flush().await?;
        count.fetch_add(taken as u64, Relaxed);
    }
}

async fn turn(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, count: &AtomicU64) -> io::Result<Turn> {
    std::future::poll_fn(|cx| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut space = ReadBuf::new(buffer);
            std::task::ready!(Pin::new(&mut *from).poll_read(cx, &mut space))?;
            let full = space.remaining() == 0;
            let mut bytes = space.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Turn::End));
            }
            count.fetch_add(bytes.len() as u64, Relaxed);
            while !bytes.is_empty() {
                match to.try_write(bytes) {
                    Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Poll::Ready(Ok(Turn::Rest(bytes.to_vec())));
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(Turn::Passed { full }))
        })
    })
    .await
}

/// Runs both directions until both are done, one fails, or they are talking. The one left over must go on moving: it may
/// be silent for `half_open` at most.
pub(crate) async fn join(
    up: impl Future<Output = io::Result<Left>>,
    down: impl Future<Output = io::Result<Left>>,
    bytes: &crate::event::Bytes,
    half_open: std::time::Duration,
) -> io::Result<Left> {
    tokio::pin!(up, down);
    tokio::select! {
        left = &mut up => match left? {
            Left::Talking => Ok(Left::Talking),
            Left::Ended => while_moving(down, &bytes.down, half_open).await,
        },
        left = &mut down => match left? {
            Left::Talking => Ok(Left::Talking),
            Left::Ended => while_moving(up, &bytes.up, half_open).await,
        },
    }
}

async fn while_moving(
    mut direction: Pin<&mut impl Future<Output = io::Result<Left>>>,
    count: &AtomicU64,
    limit: std::time::Duration,
) -> io::Result<Left> {
    loop {
        let before = count.load(Relaxed);
        match tokio::time::timeout(limit, direction.as_mut()).await {
            Ok(done) => return done,
            Err(_) if count.load(Relaxed) == before => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

#[cfg(target_os = "linux")]
mod bulk {
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::net::TcpStream;

    /// Wished for; the kernel may grant less.
    const PIPE: usize = 1 << 20;
    /// A direction that pauses this long gives its pipe back.
    const PAUSE: Duration = Duration::from_millis(100);
    /// Pipes kept for reuse.
    const KEPT: usize = 16;
    /// Pipes at once: two descriptors each. Directions that get none are served by the buffer.
    const MOST: usize = 128;

    static POOL: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());
    static PIPES: AtomicUsize = AtomicUsize::new(0);

    /// A pipe, empty between turns.
    struct Pipe {
        read: OwnedFd,
        write: OwnedFd,
        _made: Made,
    }

    #[derive(PartialEq, Eq)]
    pub(super) enum Stopped {
        End,
        Pause,
    }

    fn take() -> io::Result<Pipe> {
        if let Some(pipe) = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(pipe);
        }
        let made = Made::one()?;
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let _ = fcntl_setpipe_size(&write, PIPE);
        Ok(Pipe { read, write, _made: made })
    }

    /// One of the pipes there may be.
    struct Made;

    impl Made {
        fn one() -> io::Result<Self> {
            if PIPES.fetch_add(1, Relaxed) < MOST {
                return Ok(Self);
            }
            PIPES.fetch_sub(1, Relaxed);
            Err(io::ErrorKind::QuotaExceeded.into())
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            PIPES.fetch_sub(1, Relaxed);
        }
    }

    fn give_back(pipe: Pipe) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(pipe);
        }
    }

    /// Moves bytes through a pipe until the sender is done or pauses. On an error the pipe, which may hold bytes, is
    /// dropped.
    pub(super) async fn pass(from: &TcpStream, to: &TcpStream, count: &AtomicU64) -> io::Result<Stopped> {
        let Ok(pipe) = take() else { return Ok(Stopped::Pause) };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let stopped = loop {
            match tokio::time::timeout(PAUSE, from.readable()).await {
                Err(_) => break Stopped::Pause,
                Ok(ready) => ready?,
            }
            let taken = from.try_io(Interest::READABLE, || Ok(splice(from, None, &pipe.write, None, PIPE, flags)?));
            let mut left = match taken {
                Ok(0) => break Stopped::End,
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            count.fetch_add(left as u64, Relaxed);
            while left > 0 {
                to.writable().await?;
                match to.try_io(Interest::WRITABLE, || Ok(splice(&pipe.read, None, to, None, left, flags)?)) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(moved) => left = left.saturating_sub(moved),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        give_back(pipe);
        Ok(stopped)
    }
}

#[cfg(not(target_os = "linux"))]
mod bulk {
    use std::io;
    use std::sync::atomic::AtomicU64;
    use tokio::net::TcpStream;

    #[derive(PartialEq, Eq)]
    pub(super) enum Stopped {
        #[allow(dead_code)]
        End,
        Pause,
    }

    /// Without `splice(2)` the borrowed buffer is all there is.
    pub(super) async fn pass(_: &TcpStream, _: &TcpStream, _: &AtomicU64) -> io::Result<Stopped> {
        Ok(Stopped::Pause)
    }
}
