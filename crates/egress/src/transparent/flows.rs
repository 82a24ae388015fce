//! Connections on their way: which place of the proxy's side stands for which connection of the sandbox's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A connection as the sandbox sees it: from where, to where.
pub(super) type Key = (SocketAddr, SocketAddr);

/// What is remembered of a connection that both sides have closed.
const CLOSED: Duration = Duration::from_secs(5);
/// And of one that ended outside while the inside may still be reading: longer than TCP waits between two probes.
const ENDED: Duration = Duration::from_secs(130);
/// The lowest port that stands for a connection.
const FIRST: u16 = 1024;

/// One connection.
#[derive(Debug)]
struct Flow<T> {
    state: State<T>,
    seen: Instant,
    finished: [bool; 2],
    reset: bool,
    /// Nobody outside has to do with it any more.
    ended: bool,
}

#[derive(Debug)]
enum State<T> {
    /// Being decided about; the packet that begins it is kept.
    Held(Vec<u8>),
    /// Under way, under this port; where its proxy's side is wanted, until it is there.
    Open(u16, Option<oneshot::Sender<T>>),
}

/// Which side of a connection sent a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Inside,
    Proxy,
}

/// What becomes of a packet from inside.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on, under this port.
    Pass(u16),
    /// It waits, or is one of a connection that is being decided about.
    Hold,
    /// It begins a connection.
    Begin,
    /// It belongs to none.
    Stray,
}

/// All connections of a sandbox. `T` is the proxy's side of one.
#[derive(Debug)]
pub(super) struct Flows<T> {
    flows: HashMap<Key, Flow<T>>,
    ports: HashMap<(bool, u16), Key>,
    next: u16,
}

impl<T> Default for Flows<T> {
    fn default() -> Self {
        Self { flows: HashMap::new(), ports: HashMap::new(), next: FIRST }
    }
}

impl<T> Flows<T> {
    /// Judges a packet from inside. One that begins a connection is kept: [`Flows::open`] gives it back.
    pub(super) fn judge(&mut self, key: Key, begins: bool, packet: &[u8], now: Instant) -> Fate {
        if begins && self.flows.get(&key).is_some_and(|flow| flow.ended) {
            // The inside uses its port again.
            self.forget(&key);
        }
        match self.flows.get_mut(&key) {
            Some(flow) => {
                flow.seen = now;
                match &mut flow.state {
                    State::Open(port, _) => Fate::Pass(*port),
                    State::Held(first) => {
                        if begins {
                            packet.clone_into(first);
                        }
                        Fate::Hold
                    }
                }
            }
            None if begins => {
                let state = State::Held(packet.to_vec());
                let flow = Flow { state, seen: now, finished: [false; 2], reset: false, ended: false };
                self.flows.insert(key, flow);
                Fate::Begin
            }
            None => Fate::Stray,
        }
    }

    /// The connection that a packet of the proxy's side belongs to.
    pub(super) fn find(&mut self, v6: bool, port: u16, now: Instant) -> Option<Key> {
        let key = *self.ports.get(&(v6, port))?;
        self.flows.get_mut(&key)?.seen = now;
        Some(key)
    }

    /// Takes note of the ends of a connection.
    pub(super) fn note(&mut self, key: &Key, side: Side, finishes: bool, resets: bool) {
        let Some(flow) = self.flows.get_mut(key) else { return };
        let [inside, proxy] = &mut flow.finished;
        *(if side == Side::Inside { inside } else { proxy }) |= finishes;
        flow.reset |= resets;
    }

    /// Lets a held connection go on: the packet that begins it, the port that stands for it, and where its proxy's side
    /// will come. None if no port is free.
    pub(super) fn open(&mut self, key: &Key) -> Option<(Vec<u8>, u16, oneshot::Receiver<T>)> {
        let v6 = key.0.is_ipv6();
        let port = self.free_port(v6)?;
        let flow = self.flows.get_mut(key)?;
        let State::Held(first) = &mut flow.state else { return None };
        let first = std::mem::take(first);
        let (sender, receiver) = oneshot::channel();
        flow.state = State::Open(port, Some(sender));
        self.ports.insert((v6, port), *key);
        Some((first, port, receiver))
    }

    /// The packet that begins a connection which is refused. It stays held, so that [`Flows::end`] forgets it.
    pub(super) fn refuse(&mut self, key: &Key) -> Option<Vec<u8>> {
        match &mut self.flows.get_mut(key)?.state {
            State::Held(first) => Some(std::mem::take(first)),
            State::Open(..) => None,
        }
    }

    fn free_port(&mut self, v6: bool) -> Option<u16> {
        (FIRST..=u16::MAX).find_map(|_| {
            let port = self.next;
            self.next = self.next.checked_add(1).unwrap_or(FIRST);
            (!self.ports.contains_key(&(v6, port))).then_some(port)
        })
    }

    /// Hands the proxy's side of a connection to whoever waits for it; nobody may.
    pub(super) fn deliver(&mut self, v6: bool, port: u16, proxy_side: T) {
        let flow = self.ports.get(&(v6, port)).and_then(|key| self.flows.get_mut(key));
        if let Some(Flow { state: State::Open(_, waiting), .. }) = flow
            && let Some(waiting) = waiting.take()
        {
            let _ = waiting.send(proxy_side);
        }
    }

    /// The connection ended outside. One that was refused is forgotten, one that was open still has packets.
    pub(super) fn end(&mut self, key: &Key) {
        match self.flows.get_mut(key) {
            Some(Flow { state: State::Held(_), .. }) => self.forget(key),
            Some(flow) => flow.ended = true,
            None => {}
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(Flow { state: State::Open(port, _), .. }) = self.flows.remove(key) {
            self.ports.remove(&(key.0.is_ipv6(), port));
        }
    }

    /// Forgets what is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        let over: Vec<Key> = self
            .flows
            .iter()
            .filter(|(_, flow)| {
                let limit = if flow.reset || flow.finished == [true; 2] { CLOSED } else { ENDED };
                flow.ended && now.duration_since(flow.seen) > limit
            })
            .map(|(key, _)| *key)
            .collect();
        for key in &over {
            self.forget(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        (SocketAddr::from(([198, 18, 0, 1], port)), SocketAddr::from(([93, 184, 216, 34], 443)))
    }

    #[test]
    fn a_connection_is_held_then_passes_under_a_port_of_its_own_then_is_forgotten() {
        let (mut flows, now) = (Flows::<&str>::default(), Instant::now());
        assert_eq!(flows.judge(key(1), false, b"data", now), Fate::Stray);
        assert_eq!(flows.judge(key(1), true, b"first", now), Fate::Begin);
        assert_eq!(flows.judge(key(1), true, b"again", now), Fate::Hold);
        let (first, port, mut side) = flows.open(&key(1)).unwrap();
        assert_eq!(first, b"again");
        assert!(flows.open(&key(1)).is_none(), "twice");
        assert_eq!(flows.judge(key(1), false, b"data", now), Fate::Pass(port));
        assert_eq!(flows.find(false, port, now), Some(key(1)));
        assert_eq!(flows.find(true, port, now), None);
        flows.deliver(false, port, "side");
        flows.deliver(false, port, "another");
        assert_eq!(side.try_recv(), Ok("side"));
        flows.note(&key(1), Side::Inside, true, false);
        flows.end(&key(1));
        flows.sweep(now + ENDED - CLOSED);
        assert_eq!(flows.find(false, port, now), Some(key(1)), "the inside may still be reading");
        flows.note(&key(1), Side::Proxy, true, false);
        flows.sweep(now + CLOSED * 2);
        assert!(flows.flows.is_empty() && flows.ports.is_empty());
    }

    #[test]
    fn a_refused_connection_leaves_nothing_and_a_port_used_again_is_a_new_one() {
        let (mut flows, now) = (Flows::<()>::default(), Instant::now());
        assert_eq!(flows.judge(key(1), true, b"first", now), Fate::Begin);
        assert_eq!(flows.refuse(&key(1)).as_deref(), Some(&b"first"[..]));
        flows.end(&key(1));
        assert!(flows.flows.is_empty() && flows.ports.is_empty());
        assert_eq!(flows.judge(key(1), true, b"", now), Fate::Begin);
        let (_, first, _side) = flows.open(&key(1)).unwrap();
        assert_eq!(flows.judge(key(1), true, b"", now), Fate::Pass(first), "a repeated packet");
        flows.end(&key(1));
        assert_eq!(flows.judge(key(1), true, b"", now), Fate::Begin);
        let (_, second, _side) = flows.open(&key(1)).unwrap();
        assert_ne!(first, second);
        assert_eq!(flows.find(false, first, now), None);
    }

    #[test]
    fn ports_run_out_without_harm() {
        let (mut flows, now) = (Flows::<()>::default(), Instant::now());
        let place = |index: u32| {
            let [_, _, a, b] = index.to_be_bytes();
            (SocketAddr::from(([198, 18, a, b], 9)), SocketAddr::from(([1, 1, 1, 1], 1)))
        };
        for index in 0..u32::from(u16::MAX - FIRST) + 1 {
            flows.judge(place(index), true, b"", now);
            assert!(flows.open(&place(index)).is_some(), "{index}");
        }
        flows.judge(key(1), true, b"", now);
        assert!(flows.open(&key(1)).is_none());
    }
}
