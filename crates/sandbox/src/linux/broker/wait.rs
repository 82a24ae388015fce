//! Calls that may wait for somebody else: each on a thread of its own, so that no other caller waits with it.

use super::reply::{Job, Reply};
use crate::sys::notify;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// As many calls as may wait at once; further ones fail with EAGAIN.
const WAITING: usize = 256;
/// How often it is asked whether the caller of a waiting call still lives.
const INTERVAL: Duration = Duration::from_millis(50);

/// Performs `act` on a thread of its own and answers with what comes of it. `wake` is called when the caller is gone, and
/// must make `act` return.
pub(super) fn elsewhere(
    job: &Job<'_, '_>,
    act: impl FnOnce() -> Reply + Send + 'static,
    wake: impl Fn() + Send + 'static,
) -> Result<Reply, Errno> {
    let shared = Arc::clone(job.shared);
    if shared.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        return Err(Errno::AGAIN);
    }
    let id = job.id;
    let done = Arc::new(AtomicBool::new(false));
    let watched = (Arc::clone(&shared), Arc::clone(&done));
    let answerer =
        std::thread::Builder::new().name("ringfence-wait".to_owned()).stack_size(128 << 10).spawn(move || {
            let reply = act();
            done.store(true, Ordering::Release);
            super::serve::answer(&shared, id, reply);
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
        });
    let Ok(answerer) = answerer else {
        watched.0.waiting.fetch_sub(1, Ordering::Relaxed);
        return Err(Errno::AGAIN);
    };
    let watcher =
        std::thread::Builder::new().name("ringfence-watch".to_owned()).stack_size(128 << 10).spawn(move || {
            let (shared, done) = watched;
            while !done.load(Ordering::Acquire) {
                std::thread::park_timeout(INTERVAL);
                if done.load(Ordering::Acquire) {
                    break;
                }
                if shared.ending.load(Ordering::Acquire) || !notify::id_valid(shared.listener.as_fd(), id) {
                    wake();
                }
            }
            let _ = answerer.join();
        });
    if watcher.is_err() {
        // The call is being performed; only its caller's death goes unnoticed until it returns by itself.
        return Ok(Reply::Later);
    }
    Ok(Reply::Later)
}

/// Opens a FIFO, which waits for its other end.
pub(super) fn open_fifo(job: &Job<'_, '_>, entry: OwnedFd, flags: OFlags, close_on_exec: bool) -> Result<Reply, Errno> {
    let entry = Arc::new(entry);
    let (opened, woken) = (Arc::clone(&entry), entry);
    let (ours, theirs) = (Arc::clone(job.shared), Arc::clone(job.shared));
    elsewhere(
        job,
        move || match super::open::reopen(ours.descriptors.as_fd(), opened.as_fd(), flags) {
            Ok(fd) => Reply::Descriptor(fd, close_on_exec),
            Err(errno) => Reply::Fail(errno),
        },
        move || {
            // Being both ends for a moment ends every wait on it.
            drop(super::open::reopen(
                theirs.descriptors.as_fd(),
                woken.as_fd(),
                OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC,
            ));
        },
    )
}
