//! Tunnels that are talked over, on a thread of their own: it waits for what is ready, reads and writes, and does nothing
//! else. A message costs three system calls and next to nothing beside them; on the runtime it costs several times that.
//!
//! A tunnel comes here when some messages went to and fro, and goes back, with what is left over, for everything that
//! isn't small talk: what comes in bulk, a receiver that doesn't keep up, the end of a direction, an error.
//!
//! Where both ends are near, the next message comes sooner than a sleeping thread is woken. So after several sleeps that
//! ended at once the thread asks without waiting, as long as messages come within [`NEAR`] of each other. A longer gap
//! ends that: where answers come from afar it never begins, and no gap costs more than [`NEAR`].

use crate::event::Bytes;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A message that fills this is no small talk.
const SCRATCH: usize = 64 * 1024;
/// A gap that isn't worth a sleep: a few times what a waking takes.
const NEAR: Duration = Duration::from_micros(50);
/// So many sleeps in a row that were too short, before the next gap is waited for awake.
const ENOUGH: u32 = 4;
/// Events taken at once.
const BATCH: usize = 256;
/// Stands for the bell among the tunnels' sides.
const BELL: u64 = u64::MAX;

/// A tunnel that comes back: both connections, and what was read from one and didn't fit into the other.
#[derive(Debug)]
pub(crate) struct Back {
    /// The client's connection, and the one to the destination.
    pub(crate) streams: [TcpStream; 2],
    /// Read from the connection with this index.
    pub(crate) rest: Option<(usize, Vec<u8>)>,
}

/// The thread, once there is one. Dropping it closes its tunnels.
#[derive(Default)]
pub(crate) struct Talk(OnceLock<Option<Running>>);

struct Running {
    desk: Arc<Desk>,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// Where orders are left, with a bell.
struct Desk {
    orders: Mutex<Vec<Order>>,
    bell: OwnedFd,
}

enum Order {
    Take(Tunnel),
    /// Nobody waits for this tunnel any more.
    Close(u64),
    Stop,
}

struct Tunnel {
    id: u64,
    streams: [TcpStream; 2],
    bytes: Arc<Bytes>,
    back: oneshot::Sender<io::Result<Back>>,
}

impl Talk {
    /// Whether there is such a thread, or may be.
    pub(crate) fn may_be(&self) -> bool {
        self.0.get().is_none_or(Option::is_some)
    }

    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.0.get(), Some(Some(_)))
    }

    /// Starts the thread the first time. False: there can be none.
    pub(crate) fn starts(&self) -> bool {
        self.running().is_some()
    }

    fn running(&self) -> Option<&Running> {
        self.0.get_or_init(|| Running::start().ok()).as_ref()
    }

    /// Leaves a tunnel to the thread until it is more than small talk. Dropping the future closes both connections.
    pub(crate) async fn carry(&self, streams: [TcpStream; 2], bytes: &Arc<Bytes>) -> io::Result<Back> {
        let gone = || io::Error::from(ErrorKind::BrokenPipe);
        let running = self.running().ok_or_else(gone)?;
        let id = running.next.fetch_add(1, Relaxed);
        let (back, waiting) = oneshot::channel();
        running.desk.leave(Order::Take(Tunnel { id, streams, bytes: Arc::clone(bytes), back }));
        let mut closing = Closing { desk: &running.desk, id, is_over: false };
        let back = waiting.await;
        closing.is_over = true;
        back.map_err(|_| gone())?
    }
}

/// Closes a tunnel for which nobody waits any more.
struct Closing<'d> {
    desk: &'d Desk,
    id: u64,
    is_over: bool,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.desk.leave(Order::Close(self.id));
        }
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &bell, EventData::new_u64(BELL), EventFlags::IN)?;
        let desk = Arc::new(Desk { orders: Mutex::default(), bell });
        let tunnels = Tunnels { poll, desk: Arc::clone(&desk), list: Vec::new(), free: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("ringfence-talk".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || tunnels.serve())?;
        Ok(Self { desk, next: AtomicU64::new(0), thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.desk.leave(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn leave(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// The tunnels of the thread, each at a place of its own.
struct Tunnels {
    poll: OwnedFd,
    desk: Arc<Desk>,
    list: Vec<Option<Tunnel>>,
    free: Vec<usize>,
}

/// What became of a turn.
enum Turn {
    Passed,
    /// It is more than small talk; read from that connection, and not yet written.
    Back(Option<(usize, Vec<u8>)>),
}

impl Tunnels {
    fn serve(mut self) {
        let mut buffer = vec![0; SCRATCH];
        let mut ready = Vec::with_capacity(BATCH);
        let mut watch = Watch::new();
        while watch.wait(&self.poll, &mut ready).is_ok() {
            for &Event { data, flags } in &ready {
                if data.u64() != BELL {
                    self.turn(data.u64(), flags, &mut buffer);
                } else if !self.take_orders() {
                    return;
                }
            }
        }
    }

    /// False: this is the end.
    fn take_orders(&mut self) -> bool {
        let _ = rustix::io::read(&self.desk.bell, &mut [0; 8]);
        let orders = std::mem::take(&mut *self.desk.orders.lock().unwrap_or_else(PoisonError::into_inner));
        for order in orders {
            match order {
                Order::Take(tunnel) => self.take(tunnel),
                Order::Close(id) => {
                    let is_it = |tunnel: &Option<Tunnel>| tunnel.as_ref().is_some_and(|tunnel| tunnel.id == id);
                    if let Some(place) = self.list.iter().position(is_it) {
                        let _ = self.remove(place);
                    }
                }
                Order::Stop => return false,
            }
        }
        true
    }

    fn take(&mut self, tunnel: Tunnel) {
        let place = self.free.pop().unwrap_or(self.list.len());
        for (index, stream) in tunnel.streams.iter().enumerate() {
            // A place is used again. An event of the one before that is still on its way finds nothing to read, or ends the
            // small talk early.
            let token = (place * 2 + index) as u64;
            let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
            if let Err(error) = epoll::add(&self.poll, stream, EventData::new_u64(token), flags) {
                let _ = tunnel.back.send(Err(error.into()));
                self.free.push(place);
                return;
            }
        }
        match self.list.get_mut(place) {
            Some(free) => *free = Some(tunnel),
            None => self.list.push(Some(tunnel)),
        }
    }

    fn remove(&mut self, place: usize) -> Option<Tunnel> {
        let tunnel = self.list.get_mut(place)?.take()?;
        self.free.push(place);
        for stream in &tunnel.streams {
            let _ = epoll::delete(&self.poll, stream);
        }
        Some(tunnel)
    }

    /// Passes on what one side of a tunnel has.
    fn turn(&mut self, token: u64, flags: EventFlags, buffer: &mut [u8]) {
        let (place, index) = (usize::try_from(token / 2).unwrap_or(usize::MAX), usize::from(token % 2 == 1));
        let Some(tunnel) = self.list.get_mut(place).and_then(Option::as_mut) else { return };
        let ends = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        match tunnel.pass(index, ends, buffer) {
            Ok(Turn::Passed) => {}
            Ok(Turn::Back(rest)) => {
                if let Some(Tunnel { streams, back, .. }) = self.remove(place) {
                    // Nobody waits: both are closed.
                    let _ = back.send(Ok(Back { streams, rest }));
                }
            }
            Err(error) => {
                if let Some(tunnel) = self.remove(place) {
                    let _ = tunnel.back.send(Err(error));
                }
            }
        }
    }
}

impl Tunnel {
    fn pass(&mut self, index: usize, ends: bool, buffer: &mut [u8]) -> io::Result<Turn> {
        let [first, second] = &mut self.streams;
        let (from, to, count) =
            if index == 0 { (first, second, &self.bytes.up) } else { (second, first, &self.bytes.down) };
        let size = buffer.len();
        let taken = match from.read(buffer) {
            // The end stays to be seen.
            Ok(0) => return Ok(Turn::Back(None)),
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock && !ends => return Ok(Turn::Passed),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {
                return Ok(Turn::Back(None));
            }
            Err(error) => return Err(error),
        };
        count.fetch_add(taken as u64, Relaxed);
        let written = match to.write(buffer.get(..taken).unwrap_or_default()) {
            Ok(written) => written,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => 0,
            Err(error) => return Err(error),
        };
        if written < taken {
            return Ok(Turn::Back(Some((index, buffer.get(written..taken).unwrap_or_default().to_vec()))));
        }
        // One that didn't fill the buffer was all there was: an event tells when there is more.
        Ok(if ends || taken == size { Turn::Back(None) } else { Turn::Passed })
    }
}

/// How the thread waits.
struct Watch {
    /// Whether somebody else can run meanwhile.
    can_stay_awake: bool,
    /// Sleeps in a row that were too short.
    short: u32,
}

impl Watch {
    fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { can_stay_awake: processors > 1, short: 0 }
    }

    /// Waits for events.
    fn wait(&mut self, poll: &OwnedFd, ready: &mut Vec<Event>) -> io::Result<()> {
        let began = Instant::now();
        if self.short >= ENOUGH {
            loop {
                // Whoever has something to do on this processor goes first: it may be the one that is waited for.
                std::thread::yield_now();
                take(poll, ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
                if !ready.is_empty() {
                    return Ok(());
                }
                if began.elapsed() >= NEAR {
                    break;
                }
            }
        }
        take(poll, ready, None)?;
        let is_short = self.can_stay_awake && began.elapsed() < NEAR;
        self.short = if is_short { self.short.saturating_add(1) } else { 0 };
        Ok(())
    }
}

fn take(poll: &OwnedFd, ready: &mut Vec<Event>, limit: Option<&Timespec>) -> io::Result<()> {
    ready.clear();
    match epoll::wait(poll, rustix::buffer::spare_capacity(ready), limit) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
