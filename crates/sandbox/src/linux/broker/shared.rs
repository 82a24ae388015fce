//! What the workers of one broker share.

use super::crew::Crew;
use super::forks::Forks;
use super::inside::Inside;
use super::ipc::Ipc;
use super::record::Record;
use super::rules::Rules;
use super::sockname::Names;
use super::umask::Umasks;
use ringfence_model::Voucher;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// Shared by the workers of one broker.
pub struct Shared {
    /// The listener.
    pub listener: OwnedFd,
    /// Process 1 of the sandbox, below which all others are.
    pub first: u32,
    /// Our own `/proc`.
    pub proc: OwnedFd,
    /// In it, the directory of what we have open.
    pub descriptors: OwnedFd,
    /// Its device number.
    pub proc_device: u64,
    /// What is held.
    pub rules: Arc<Rules>,
    /// What was refused.
    pub record: Record,
    /// Sockets made inside.
    pub inside: Inside,
    /// What sockets made inside are called.
    pub(super) sockets: Names,
    /// Processes that may still be started; none: as many as one likes.
    pub forks: Option<Forks>,
    /// Objects of System V made inside; none where a namespace separates them.
    pub ipc: Option<Ipc>,
    /// What connections to the proxy begin with, where it listens on the machine's loopback.
    pub voucher: Option<Arc<Voucher>>,
    /// A random number, by which a process is known that shares this memory.
    pub secret: [u8; 16],
    /// The command has executed its program.
    pub launched: AtomicBool,
    /// Changes of umasks.
    pub umasks: Umasks,
    /// Threads that wait for a caller's blocking open or connect.
    pub waiting: AtomicUsize,
    /// The broker is to end.
    pub ending: AtomicBool,
    /// Who answers.
    pub(super) crew: Crew,
}

impl Shared {
    /// Whether a call waits that nobody has taken up.
    pub fn has_waiting_callers(&self) -> bool {
        self.listener_is(PollFlags::IN)
    }

    /// Whether no process can make such a call any more.
    pub fn is_over(&self) -> bool {
        self.listener_is(PollFlags::HUP)
    }

    fn listener_is(&self, state: PollFlags) -> bool {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok() && fds.iter().any(|fd| fd.revents().contains(state))
    }
}
