//! The cheap hold on protected names that don't exist (`absent_protected = "watch"`): no call is judged; the directories such
//! names would be in are watched, and what takes one is given another name at once, and once more when the last process has
//! ended. Until then it is there: weaker than the broker's refusal, and said to be.
//!
//! Nothing is removed: who made it isn't known, and it may have been somebody outside.

use super::fold::fold;
use super::rules::{Refusal, Rules, protected_path};
use super::shared::Shared;
use crate::linux::quiet;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What follows the name of something that was moved aside.
const ASIDE: &str = ".held-back";
/// As many things of one name as are moved aside in one look.
const TRIES: u32 = 1000;
const DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A watch at work.
pub(super) struct Watch {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
    watcher: Arc<Watcher>,
}

struct Watcher {
    inotify: OwnedFd,
    shared: Arc<Shared>,
    /// Folded names that matter, at whatever depth.
    names: HashSet<Vec<u8>>,
}

impl Watch {
    /// Starts watching; none if nothing is to be watched.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Option<Self>> {
        if shared.rules.watched().next().is_none() {
            return Ok(None);
        }
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let names = shared.rules.watched().flat_map(|held| held.names).map(|name| fold(name.as_bytes())).collect();
        let watcher = Arc::new(Watcher { inotify, shared: Arc::clone(shared), names });
        // What is there by now was made since the plan was: it is as unwelcome.
        watcher.sweep()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (theirs, ends) = (Arc::clone(&watcher), stop.try_clone()?);
        let thread = Some(quiet::thread("ringfence-watch", move || theirs.work(&ends))?);
        Ok(Some(Self { stop, thread, watcher }))
    }

    /// Ends it, after a last look. Every process inside has ended, but for background work that goes on.
    pub(super) fn finish(mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = self.watcher.sweep();
    }
}

impl Watcher {
    fn work(&self, stop: &OwnedFd) {
        loop {
            let mut fds = [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !fds[1].revents().is_empty() {
                return;
            }
            if self.concerned() {
                // A directory that can't be watched any more is looked at with the others, as long as there are events.
                let _ = self.sweep();
            }
        }
    }

    /// Whether anything that happened is about a name that matters. Too much to tell counts as well.
    fn concerned(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut concerned = false;
        while let Ok(event) = reader.next() {
            concerned |= event.events().contains(ReadFlags::QUEUE_OVERFLOW)
                || event.file_name().is_some_and(|name| self.names.contains(&fold(name.to_bytes())));
        }
        concerned
    }

    /// Looks at every watched path, watches the directories on the way, and moves aside what must not be there.
    fn sweep(&self) -> io::Result<()> {
        for held in self.shared.rules.watched() {
            let mut dir = rustix::io::fcntl_dupfd_cloexec(held.root, 0)?;
            for (depth, name) in held.names.iter().enumerate() {
                // First watched, then looked at: what comes in between is told.
                self.watch(dir.as_fd())?;
                let Ok(stat) = statat(&dir, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else { break };
                let kind = FileType::from_raw_mode(stat.st_mode);
                let last = depth + 1 == held.names.len();
                if last || kind == FileType::Symlink {
                    self.move_aside(dir.as_fd(), name, &held.refusal, held.path);
                    break;
                }
                match openat(&dir, name.as_c_str(), DIR, Mode::empty()) {
                    Ok(next) => dir = next,
                    Err(_) => break,
                }
            }
        }
        Ok(())
    }

    fn watch(&self, dir: BorrowedFd<'_>) -> io::Result<()> {
        let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
        let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        Ok(add_watch(&self.inotify, path, events).map(|_| ())?)
    }

    fn move_aside(&self, dir: BorrowedFd<'_>, name: &CString, refusal: &Refusal, path: &[u8]) {
        for number in 1..TRIES {
            let mut aside = name.as_bytes().to_vec();
            aside.extend_from_slice(ASIDE.as_bytes());
            if number > 1 {
                aside.extend_from_slice(format!("-{number}").as_bytes());
            }
            match renameat_with(dir, name.as_c_str(), dir, OsStr::from_bytes(&aside), RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Ok(()) => {
                    let shown = ringfence_model::text::escape_bytes(&aside);
                    self.shared.record.add(refusal.clone(), &format!("create, moved aside to {shown},"), path);
                    return;
                }
                // It went by itself.
                Err(Errno::NOENT) => return,
                Err(_) => {
                    self.shared.record.add(refusal.clone(), "create, still there,", path);
                    return;
                }
            }
        }
    }
}

/// A path that is watched.
pub(super) struct Watched<'rules> {
    /// The root it lies in.
    pub(super) root: BorrowedFd<'rules>,
    /// Its names below that.
    pub(super) names: &'rules [CString],
    /// All of it.
    pub(super) path: &'rules [u8],
    /// What is said of it.
    pub(super) refusal: Refusal,
}

impl Rules {
    /// Protected names that don't exist and aren't judged call by call.
    pub(super) fn watched(&self) -> impl Iterator<Item = Watched<'_>> {
        self.watches().map(|(root, names, protected)| Watched {
            root,
            names,
            path: protected.path.as_path().as_os_str().as_bytes(),
            refusal: protected_path(protected),
        })
    }
}
