//! The caller of a trapped call: its memory, directories, descriptors, umask, as it sees them itself.
//!
//! Everything here is found by its thread's number, which may belong to somebody else once the caller is dead. So whoever
//! acts on it first asks [`Caller::alive`]: while the notification is valid, the number was the caller's.

use super::call::At;
use super::place::{Place, file_id};
use super::procfs;
use super::shared::Shared;
use super::umask::Umasks;
use crate::sys::{notify, peek};
use ringfence_model::facts::FileId;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longest path with its final NUL.
const PATH_MAX: usize = 4096;
/// How long what was read about a thread is believed: numbers don't come round again in this time.
const BELIEVED: Duration = Duration::from_secs(1);
/// Bound on remembered threads.
const REMEMBERED: usize = 256;

/// What stays the same for a thread, or is told to us when it changes.
pub struct View {
    /// Its directory under our `/proc`.
    proc: OwnedFd,
    /// Its root directory.
    pub root: OwnedFd,
    born: Instant,
    status: std::cell::OnceCell<Status>,
}

/// From `/proc/TID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Process, as we number it.
    pub process: u32,
    /// Process, as its own namespace does.
    pub inner_process: u32,
    /// Thread, as its own namespace does.
    pub inner_thread: u32,
    /// Its umask.
    pub umask: u32,
}

/// What each worker remembers of callers.
#[derive(Default)]
pub struct Memory {
    views: HashMap<u32, Rc<View>>,
    umasks: HashMap<u32, (u32, Instant)>,
    /// As of which change of umasks.
    generation: u64,
    /// The umask this thread has put on.
    worn: Option<u32>,
}

impl Memory {
    /// Forgets everybody's umask if one has changed since.
    pub fn up_to(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.umasks.clear();
            self.views.clear();
        }
    }

    /// Forgets a thread.
    pub fn forget(&mut self, thread: u32) {
        self.views.remove(&thread);
        self.umasks.remove(&thread);
    }

    /// Gives this thread, whose umask is its own, this one.
    pub fn wear_umask(&mut self, umask: u32) {
        if self.worn != Some(umask) {
            rustix::process::umask(Mode::from_raw_mode(umask));
            self.worn = Some(umask);
        }
    }
}

/// One caller, for the time of one call.
pub struct Caller<'broker> {
    listener: BorrowedFd<'broker>,
    /// Our own `/proc`.
    pub proc: BorrowedFd<'broker>,
    /// In it, the directory of our own descriptors.
    pub descriptors: BorrowedFd<'broker>,
    /// Device number of our own `/proc`.
    pub proc_device: u64,
    id: u64,
    /// Thread, as we number it.
    pub thread: u32,
    view: Rc<View>,
}

/// A path or name in the memory of a thread: copied once, at most to the first NUL.
pub(super) fn string_of(thread: u32, address: u64) -> Result<CString, Errno> {
    let mut buffer = [0u8; PATH_MAX];
    let mut have = 0;
    while have < PATH_MAX {
        let at = address.checked_add(have as u64).ok_or(Errno::FAULT)?;
        // Up to the end of the page: what follows may not be mapped.
        let page = 4096 - usize::try_from(at & 4095).unwrap_or(0);
        let end = have.saturating_add(page).min(PATH_MAX);
        let Some(into) = buffer.get_mut(have..end) else { return Err(Errno::FAULT) };
        let count = peek::process_vm_readv(thread, at, into).map_err(|error| errno(&error))?;
        if count == 0 {
            return Err(Errno::FAULT);
        }
        let read = into.get(..count).unwrap_or_default();
        if let Some(nul) = read.iter().position(|byte| *byte == 0) {
            let text = buffer.get(..have + nul).unwrap_or_default();
            return CString::new(text).map_err(|_| Errno::INVAL);
        }
        have += count;
    }
    Err(Errno::NAMETOOLONG)
}

impl<'broker> Caller<'broker> {
    /// Looks the caller of `notification` up.
    pub fn new(
        shared: &'broker Shared,
        notification: &notify::Notification,
        memory: &mut Memory,
    ) -> Result<Self, Errno> {
        let proc = shared.proc.as_fd();
        let thread = notification.pid;
        let remembered = memory.views.get(&thread).filter(|view| view.born.elapsed() < BELIEVED).map(Rc::clone);
        let view = match remembered {
            Some(view) => view,
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let dir = openat(proc, thread.to_string(), flags, Mode::empty())?;
                let root = openat(&dir, "root", flags, Mode::empty())?;
                let view = Rc::new(View { proc: dir, root, born: Instant::now(), status: std::cell::OnceCell::new() });
                if memory.views.len() >= REMEMBERED {
                    memory.views.clear();
                }
                memory.views.insert(thread, Rc::clone(&view));
                view
            }
        };
        Ok(Self {
            listener: shared.listener.as_fd(),
            proc,
            descriptors: shared.descriptors.as_fd(),
            proc_device: shared.proc_device,
            id: notification.id,
            thread,
            view,
        })
    }

    /// Whether the call still waits: what was read of its thread until now was the caller's.
    #[must_use]
    pub fn alive(&self) -> bool {
        notify::id_valid(self.listener, self.id)
    }

    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> BorrowedFd<'_> {
        self.view.root.as_fd()
    }

    /// Its directory under our `/proc`; a dead thread's stays dead, whoever has its number now.
    #[must_use]
    pub fn own_proc(&self) -> BorrowedFd<'_> {
        self.view.proc.as_fd()
    }

    /// Its status.
    pub fn status(&self) -> Result<Status, Errno> {
        if let Some(status) = self.view.status.get() {
            return Ok(*status);
        }
        let status = self.read_status()?;
        Ok(*self.view.status.get_or_init(|| status))
    }

    fn read_status(&self) -> Result<Status, Errno> {
        parse_status(&procfs::text(self.own_proc(), "status")?).ok_or(Errno::SRCH)
    }

    /// A path or name in its memory: copied once, at most to the first NUL.
    pub fn string(&self, address: u64) -> Result<CString, Errno> {
        string_of(self.thread, address)
    }

    /// `length` bytes of its memory.
    pub fn bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; length];
        let mut have = 0;
        while have < length {
            let at = address.checked_add(have as u64).ok_or(Errno::FAULT)?;
            let into = buffer.get_mut(have..).ok_or(Errno::FAULT)?;
            match peek::process_vm_readv(self.thread, at, into).map_err(|error| errno(&error))? {
                0 => return Err(Errno::FAULT),
                count => have += count,
            }
        }
        Ok(buffer)
    }

    /// The directory that `at` starts from when its path is relative.
    pub fn start(&self, at: At) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        if at.dir == libc::AT_FDCWD {
            return openat(&self.view.proc, "cwd", flags, Mode::empty());
        }
        self.descriptor(at.dir)
    }

    /// What its descriptor `fd` is open on, as a path.
    pub fn descriptor(&self, fd: RawFd) -> Result<OwnedFd, Errno> {
        if fd < 0 {
            return Err(Errno::BADF);
        }
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match openat(&self.view.proc, format!("fd/{fd}"), flags, Mode::empty()) {
            Err(Errno::NOENT) => Err(Errno::BADF),
            other => other,
        }
    }

    /// A copy of its descriptor `fd` itself.
    pub fn take(&self, fd: RawFd) -> Result<OwnedFd, Errno> {
        if fd < 0 {
            return Err(Errno::BADF);
        }
        let taken = notify::take_fd(self.thread, fd, true).or_else(|_| {
            let process = self.status().map_err(io::Error::from)?.process;
            notify::take_fd(process, fd, false)
        });
        taken.map_err(|error| errno(&error))
    }

    /// Wraps a directory reached for it.
    #[must_use]
    pub fn place(&self, dir: OwnedFd) -> Place<'broker> {
        Place::new(dir, self.descriptors)
    }

    /// Whether the process file system of this device number is what it has for `/proc`.
    #[must_use]
    pub fn has_for_proc(&self, device: u64) -> bool {
        let own = statat(self.root(), "proc", AtFlags::SYMLINK_NOFOLLOW);
        own.is_ok_and(|own| file_id(&own).device == device)
    }

    /// Whether the process or thread that we number so is one of those it has numbers for.
    #[must_use]
    pub fn sees(&self, number: u32) -> bool {
        let space = |dir: BorrowedFd<'_>, path: &str| readlinkat(dir, path, Vec::with_capacity(32));
        let own = space(self.own_proc(), "ns/pid");
        own.is_ok_and(|own| space(self.proc, &format!("{number}/ns/pid")) == Ok(own))
    }

    /// The device number of the terminal that controls it; none if there is none.
    pub fn terminal(&self) -> Result<Option<u32>, Errno> {
        let fields = procfs::behind_name(self.own_proc(), "stat")?;
        let number: i32 = fields.split_whitespace().nth(4).and_then(|field| field.parse().ok()).ok_or(Errno::SRCH)?;
        Ok((number != 0).then(|| number.cast_unsigned()))
    }

    /// Its umask. It is remembered if nobody was changing one when it was read.
    pub fn umask(&self, umasks: &Umasks, memory: &mut Memory) -> Result<u32, Errno> {
        if !umasks.are_settled(self.proc) {
            return Ok(self.read_status()?.umask);
        }
        if let Some((umask, born)) = memory.umasks.get(&self.thread)
            && born.elapsed() < BELIEVED
        {
            return Ok(*umask);
        }
        // Not from what was read for another purpose, maybe while one was changing.
        let umask = self.read_status()?.umask;
        if memory.umasks.len() >= REMEMBERED {
            memory.umasks.clear();
        }
        memory.umasks.insert(self.thread, (umask, Instant::now()));
        Ok(umask)
    }
}

/// Our own `/proc`, the directory of our descriptors in it, and its device number.
pub fn own_proc() -> io::Result<(OwnedFd, OwnedFd, u64)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = openat(CWD, "/proc", flags, Mode::empty())?;
    let descriptors = openat(&proc, "self/fd", flags, Mode::empty())?;
    let FileId { device, .. } = file_id(&fstat(&proc)?);
    Ok((proc, descriptors, device))
}

/// The errno of an I/O error.
#[must_use]
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn parse_status(text: &[u8]) -> Option<Status> {
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let last = |name: &str| field(name)?.split_whitespace().last()?.parse().ok();
    let process = field("Tgid:")?.parse().ok()?;
    let thread = field("Pid:")?.parse().ok()?;
    Some(Status {
        process,
        inner_process: last("NStgid:").unwrap_or(process),
        inner_thread: last("NSpid:").unwrap_or(thread),
        umask: u32::from_str_radix(field("Umask:")?, 8).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_by_field_not_by_place() {
        let text =
            b"Name:\tUmask:\t0777\nUmask:\t0027\nState:\tR\nTgid:\t40\nPid:\t41\nNStgid:\t40\t3\nNSpid:\t41\t4\n";
        let status = parse_status(text).unwrap();
        assert_eq!(status, Status { process: 40, inner_process: 3, inner_thread: 4, umask: 0o027 });
        assert_eq!(parse_status(b"Tgid:\t1\n"), None);
    }
}
