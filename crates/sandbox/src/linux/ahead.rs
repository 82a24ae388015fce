//! Namespaces that are being made before the plan is known, for a front end that reads its settings meanwhile.

use super::spawn::{First, Memory, STACK, Started, Streams, end, namespaces, owned};
use crate::child::{Making, Maps, Shared, make_beside};
use crate::plan::Plan;
use crate::sys::memory::Region;
use crate::sys::processors::Processors;
use crate::sys::{process, security, signal};
use std::ops::Range;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The namespaces of a command with the network off.
const WANTED: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Not 0 while a thread makes them; the kernel clears it when the thread has ended. There is one at a time.
static MAKER: AtomicU32 = AtomicU32::new(0);

/// Namespaces that are being made. They are those of a command with the network off; if the plan turns out to want others,
/// they are thrown away.
#[derive(Debug)]
pub struct Ahead(Option<Begun>);

#[derive(Debug)]
struct Begun {
    making: Box<Making>,
    /// The maker's own comes last, behind those of process 1, its helper and the command.
    stacks: Region,
    mask: signal::Mask,
    maker: i32,
}

impl Ahead {
    /// Begins. None if it can't be done here: the later start says why.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let stacks = Region::new(4 * STACK).ok()?;
        let mut shared = Box::new(Shared::new(-1, -1, WANTED, [stacks.address(2 * STACK), stacks.address(3 * STACK)]));
        shared.makes_early = true;
        // Left to itself, the kernel may well queue a new thread behind its maker while another processor idles, until a tick
        // moves it.
        shared.processors = Processors::allowed().ok();
        let flags = libc::CLONE_VM | libc::CLONE_PIDFD | (WANTED & !shared.helper_namespaces);
        let heap = heap();
        let making = Box::new(Making {
            heap,
            stack: (&raw const flags).addr(),
            shared,
            stack_top: stacks.address(STACK),
            flags,
            maps: Maps::of_ours(process::identity().0 == 0),
            pid: AtomicI32::new(-1),
            pidfd: AtomicI32::new(-1),
            socket: AtomicI32::new(-1),
            errno: AtomicI32::new(0),
        });
        // It leaves us as we shall be after this start.
        let _turn = Dumpable::turn();
        let _ = security::prctl(libc::PR_SET_DUMPABLE, 1);
        MAKER.store(1, SeqCst);
        // Process 1 takes its mask from the thread.
        let mask = signal::set_mask(signal::ALL);
        let maker = make_beside(&making, stacks.address(4 * STACK), &MAKER);
        signal::set_mask(mask);
        let Ok(maker) = maker else {
            MAKER.store(0, SeqCst);
            let _ = security::prctl(libc::PR_SET_DUMPABLE, 0);
            return None;
        };
        making.shared.send_elsewhere(maker);
        Some(Self(Some(Begun { making, stacks, mask, maker })))
    }

    /// Whether a plan wants exactly these. Streams opened since then are unknown inside.
    pub(super) fn fits(&self, plan: &Plan, streams: &Streams) -> bool {
        namespaces(plan) == WANTED && streams.theirs.is_empty()
    }

    /// Process 1, when it is made; none if it couldn't be.
    pub(super) fn finish(mut self) -> Option<First> {
        self.0.take().and_then(Begun::finish)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        drop(self.0.take().and_then(Begun::finish));
    }
}

impl Begun {
    fn finish(self) -> Option<First> {
        let Self { making, stacks, mask, maker } = self;
        if MAKER.load(SeqCst) != 0
            && let Some(processors) = &making.shared.processors
        {
            // It may still wait for the one it was sent to.
            let _ = processors.give_to(maker);
        }
        await_maker();
        let Making { shared, pid, pidfd, socket, errno, .. } = *making;
        let descriptor = |number: AtomicI32| Some(number.into_inner()).filter(|number| *number >= 0).map(owned);
        let (pidfd, socket) = (descriptor(pidfd), descriptor(socket));
        let pidfd = pidfd?;
        if errno.into_inner() != 0 {
            end(&pidfd);
            return None;
        }
        let memory = Memory { shared, stacks, work: None, launch: None };
        Some(First::of(Started { memory, pid: pid.into_inner(), pidfd, socket: socket?, mask }))
    }
}

/// Memory that the allocator will hand out next: it was just given back to it. In one piece, it costs one call of the kernel.
fn heap() -> Range<usize> {
    const LIKELY: usize = 240 << 10;
    let some = std::hint::black_box(Vec::<u8>::with_capacity(LIKELY));
    let start = some.as_ptr().addr();
    start..start + some.capacity()
}

fn await_maker() {
    loop {
        let running = MAKER.load(SeqCst);
        if running == 0 {
            return;
        }
        let _ = process::futex_wait(&MAKER, running, 1000);
    }
}

/// This process is dumpable as long as it is there; one start at a time, or another's end would come too early.
///
/// The files through which identities are mapped belong to root while this process isn't dumpable. Afterwards nothing of the
/// same user may look into it, nor into process 1, which shares its memory.
pub(super) struct Dumpable {
    _turn: MutexGuard<'static, ()>,
}

impl Dumpable {
    pub(super) fn begin() -> Self {
        let turn = Self::turn();
        let _ = security::prctl(libc::PR_SET_DUMPABLE, 1);
        Self { _turn: turn }
    }

    /// Nobody else starts anything while this is held.
    fn turn() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        await_maker();
        turn
    }
}

impl Drop for Dumpable {
    fn drop(&mut self) {
        let _ = security::prctl(libc::PR_SET_DUMPABLE, 0);
    }
}
