//! Opens: performed for the caller, which gets the descriptor.

use super::call::At;
use super::place::{file_id, is_memory, path_of};
use super::plan::Holds;
use super::procfs::{is_foreign_process, is_own_process};
use super::reply::{Job, Reply};
use super::rules::{Answer, Deed, is_below};
use super::walk::{self, Found, Named};
use super::{terminal, wait};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatVfsMountFlags, fstat, fstatvfs, openat, openat2, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// How often an open starts again because names changed under it.
const TRIES: u32 = 16;

/// The flags of one open, as the caller gave them.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) flags: OFlags,
    mode: u32,
}

impl Wish {
    fn creates(self) -> bool {
        self.flags.contains(OFlags::CREATE)
    }

    fn writes(self) -> bool {
        let access = self.flags.bits() & libc::O_ACCMODE.cast_unsigned();
        access != libc::O_RDONLY.cast_unsigned() || self.flags.contains(OFlags::TRUNC)
    }

    fn follows(self) -> bool {
        let only_new = self.creates() && self.flags.contains(OFlags::EXCL);
        !only_new && !self.flags.contains(OFlags::NOFOLLOW)
    }

    /// For our own open: never inherited, never our controlling terminal.
    fn ours(self) -> OFlags {
        self.flags | OFlags::CLOEXEC | OFlags::NOCTTY
    }

    /// Whether a file of this mode could be opened once more as this open wants it, which may do more with a file it makes.
    fn can_be_opened_again(self, umask: u32) -> bool {
        !self.flags.contains(OFlags::EXCL) && self.is_granted(self.mode & !umask)
    }

    /// Whether the owner of a file of this mode may open it like this.
    fn is_granted(self, mode: u32) -> bool {
        let wanted = match self.flags.bits().cast_signed() & libc::O_ACCMODE {
            libc::O_RDONLY if !self.flags.contains(OFlags::TRUNC) => libc::S_IRUSR,
            libc::O_WRONLY => libc::S_IWUSR,
            _ => libc::S_IRUSR | libc::S_IWUSR,
        };
        mode & wanted == wanted
    }

    fn close_on_exec(self) -> bool {
        self.flags.contains(OFlags::CLOEXEC)
    }
}

/// Performs an open.
pub(super) fn open(job: &mut Job<'_, '_>, at: At, flags: i32, mode: u32) -> Reply {
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    if flags.contains(OFlags::PATH) {
        // The flags are in a register; what is done with such a descriptor is judged by its path.
        return Reply::GoOn;
    }
    let path = match job.caller.string(at.path) {
        Ok(path) => path,
        Err(errno) => return errno.into(),
    };
    if mode & (libc::S_ISUID | libc::S_ISGID) != 0 && (flags.contains(OFlags::CREATE) || is_tmpfile(flags)) {
        return Reply::Fail(Errno::PERM);
    }
    if flags.contains(OFlags::CREATE | OFlags::DIRECTORY) && !is_tmpfile(flags) {
        return Reply::Fail(Errno::INVAL);
    }
    let wish = Wish { flags, mode: mode & 0o1777 };
    if let Some(reply) = fresh(job, at, &path, wish) {
        return reply;
    }
    carefully(job, at, &path, wish)
}

pub(super) fn is_tmpfile(flags: OFlags) -> bool {
    flags.contains(OFlags::from_bits_retain(libc::O_TMPFILE.cast_unsigned()))
}

/// Where an open begins.
enum Start {
    /// In the caller's root, whatever the path says.
    Root,
    /// In its working directory: a bare name there, as seen from its directory under `/proc`.
    Cwd(Vec<u8>),
    /// Below a directory.
    Below(OwnedFd),
}

impl Start {
    /// Opens what `path` leads to from here. No link leads out of it, and none of `/proc` is followed.
    fn open(&self, job: &Job<'_, '_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        match self {
            Self::Root => {
                openat2(job.caller.root(), path, flags, mode, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
            }
            Self::Cwd(name) => openat(job.caller.own_proc(), OsStr::from_bytes(name), flags, mode),
            Self::Below(dir) => openat2(dir, path, flags, mode, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS),
        }
    }
}

/// The common case in one step: a new file, of a name that no rule is about, where mounts hold the rest. The kernel opens
/// it only if there was nothing, so no link, device or FIFO is in play; anything else is left to [`carefully`].
fn fresh(job: &mut Job<'_, '_>, at: At, path: &CStr, wish: Wish) -> Option<Reply> {
    let rules = job.rules();
    if rules.plan.holds != Holds::Names || !wish.creates() || !rules.plan.denied.is_empty() {
        return None;
    }
    let bytes = path.to_bytes();
    let (lead, name, slash) = walk::split(bytes);
    if slash || matches!(name, b"" | b"." | b"..") || rules.concerns(name) {
        return None;
    }
    let umask = job.wear_umask().ok()?;
    let start = if bytes.first() == Some(&b'/') {
        Start::Root
    } else if lead.is_empty() && at.dir == libc::AT_FDCWD {
        let mut direct = Vec::with_capacity(4 + name.len());
        direct.extend_from_slice(b"cwd/");
        direct.extend_from_slice(name);
        Start::Cwd(direct)
    } else {
        Start::Below(job.caller.start(at).ok()?)
    };
    if !job.caller.alive() {
        return Some(Reply::Later);
    }
    let goes_on = rules.plan.only_opens && wish.can_be_opened_again(umask);
    let access = if goes_on { OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY } else { wish.ours() };
    match start.open(job, path, access | OFlags::EXCL | OFlags::NOFOLLOW, Mode::from_raw_mode(wish.mode)) {
        // The caller opens it itself: it may open whatever is there, and make nothing. That costs it less than being given
        // a descriptor, for which it would be woken twice.
        Ok(made) if goes_on => match fstat(&made) {
            Ok(stat) if stat.st_uid == geteuid().as_raw() && wish.is_granted(stat.st_mode) => Some(Reply::GoOn),
            // The directory takes rights away from what is made in it, or a server gives it to somebody else.
            _ => take_back(job, at, path, &made),
        },
        Ok(made) => Some(Reply::Descriptor(made, wish.close_on_exec())),
        Err(Errno::EXIST) if goes_on && wish.flags.contains(OFlags::TRUNC) && wish.writes() => {
            let there = start.open(job, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
            let file = FileType::from_raw_mode(fstat(&there).ok()?.st_mode) == FileType::RegularFile;
            // What mounts hold is explained elsewhere.
            let writable = !fstatvfs(&there).ok()?.f_flag.contains(StatVfsMountFlags::RDONLY);
            (file && writable).then_some(Reply::GoOn)
        }
        Err(_) => None,
    }
}

/// Removes the file that was just made, so that it is made anew for a descriptor.
fn take_back(job: &Job<'_, '_>, at: At, path: &CStr, made: &OwnedFd) -> Option<Reply> {
    let found = walk::find(&job.caller, at, path).ok()?;
    let there = statat(found.parent.fd(), OsStr::from_bytes(&found.name), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if file_id(&there) == file_id(&fstat(made).ok()?) {
        unlinkat(found.parent.fd(), OsStr::from_bytes(&found.name), AtFlags::empty()).ok()?;
    }
    None
}

fn carefully(job: &mut Job<'_, '_>, at: At, path: &CStr, wish: Wish) -> Reply {
    for _ in 0..TRIES {
        let named = walk::find(&job.caller, at, path).and_then(|found| walk::name(&job.caller, found, wish.follows()));
        if !job.caller.alive() {
            return Reply::Later;
        }
        let done = match named {
            Err(errno) => return errno.into(),
            Ok(Named::Missing(found)) => create(job, &found, wish),
            Ok(Named::There(found, entry)) => existing(job, Some(&found), entry, wish),
            Ok(Named::Nameless(entry)) => existing(job, None, entry, wish),
        };
        if let Some(reply) = done {
            return reply;
        }
    }
    Reply::Fail(Errno::AGAIN)
}

/// Makes a file that isn't there. None: it is there by now.
fn create(job: &mut Job<'_, '_>, found: &Found<'_>, wish: Wish) -> Option<Reply> {
    if !wish.creates() {
        return Some(Reply::Fail(Errno::NOENT));
    }
    if found.slash {
        return Some(Reply::Fail(Errno::ISDIR));
    }
    let rules = job.rules();
    let _order = rules.order(rules.concerns(&found.name));
    let path = found.parent.path_to(&found.name).unwrap_or_else(|_| found.name.clone());
    if let Some(refusal) = rules.denied_read(&path) {
        return Some(job.refuse(refusal, "create", &path));
    }
    match rules.judge(&found.parent, &found.name, Deed::Make, None) {
        Err(refusal) => return Some(job.refuse(refusal, "create", &path)),
        Ok(Answer::Exists) => return None,
        Ok(Answer::Go | Answer::Missing) => {}
    }
    if let Err(errno) = job.wear_umask() {
        return Some(errno.into());
    }
    let flags = wish.ours() | OFlags::EXCL | OFlags::NOFOLLOW;
    match openat(found.parent.fd(), OsStr::from_bytes(&found.name), flags, Mode::from_raw_mode(wish.mode)) {
        Ok(fd) => {
            if rules.is_shared_memory(&path)
                && let Ok(entry) = openat(
                    &job.shared.descriptors,
                    fd.as_raw_fd().to_string(),
                    OFlags::PATH | OFlags::CLOEXEC,
                    Mode::empty(),
                )
            {
                job.shared.inside.add_file(entry);
            }
            Some(Reply::Descriptor(fd, wish.close_on_exec()))
        }
        Err(Errno::EXIST) => None,
        Err(errno) => Some(job.answer(Err(errno), "create", &found.parent, &found.name)),
    }
}

/// Opens what is there: exactly the file that was looked at.
fn existing(job: &mut Job<'_, '_>, found: Option<&Found<'_>>, entry: OwnedFd, wish: Wish) -> Option<Reply> {
    Some(open_existing(job, found, entry, wish).unwrap_or_else(Reply::Fail))
}

fn open_existing(job: &mut Job<'_, '_>, found: Option<&Found<'_>>, entry: OwnedFd, wish: Wish) -> Result<Reply, Errno> {
    if wish.creates() && wish.flags.contains(OFlags::EXCL) {
        return Err(Errno::EXIST);
    }
    let stat = fstat(&entry)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let directory = kind == FileType::Directory;
    if !directory && (found.is_some_and(|found| found.slash) || wish.flags.contains(OFlags::DIRECTORY)) {
        return Err(Errno::NOTDIR);
    }
    if kind == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    if directory && !is_tmpfile(wish.flags) && (wish.creates() || wish.writes()) {
        return Err(Errno::ISDIR);
    }
    let rules = job.rules();
    let path = path_of(job.shared.descriptors.as_fd(), entry.as_fd())?;
    if let Some(refusal) = rules.denied_read(&path) {
        return Ok(job.refuse(refusal, "open", &path));
    }
    if is_foreign_process(job, &entry, &stat, &path, wish.writes())? {
        return Err(Errno::ACCESS);
    }
    if job.is_foreign_memory(&path, &stat) {
        return Ok(job.refuse(rules.foreign_memory(), "open", &path));
    }
    if wish.writes()
        && let Some(reply) = judge_write(job, found, &path, &stat)
    {
        return Ok(reply);
    }
    if kind == FileType::CharacterDevice && terminal::is_own_terminal(stat.st_rdev) {
        return terminal::open(job, wish.ours(), wish.close_on_exec());
    }
    if kind == FileType::CharacterDevice
        && rules.plan.holds == Holds::Everything
        && let Some(reply) = terminal::shared(job, &entry, stat.st_rdev, wish.ours(), wish.close_on_exec())?
    {
        return Ok(reply);
    }
    if kind == FileType::CharacterDevice
        && rules.plan.holds == Holds::Everything
        && !wish.creates()
        && rules.plan.denied.is_empty()
    {
        // A session's first terminal becomes its own by being opened by itself. The caller's own Landlock rules let it
        // write to nothing but devices and the like, whatever its path says by then.
        return Ok(Reply::GoOn);
    }
    if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice)
        && rules.plan.holds == Holds::Names
        && wish.writes()
        && !is_below(&path, b"/dev")
    {
        // Nor does it stop writing to a device, which Landlock does where we don't open it.
        job.note_mount("open for writing", &path, || false);
        return Err(Errno::ACCESS);
    }
    if kind == FileType::Fifo {
        let read_only = fstatvfs(&entry)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        // A read-only mount doesn't stop writing into a FIFO; the promise about outside does.
        if wish.writes() && read_only {
            job.note_mount("open for writing", &path, || false);
            return Err(Errno::ACCESS);
        }
        if !wish.flags.contains(OFlags::NONBLOCK) {
            return wait::open_fifo(job, entry, wish.ours(), wish.close_on_exec());
        }
    }
    if is_tmpfile(wish.flags) {
        job.wear_umask()?;
        let made = openat(&entry, ".", wish.ours(), Mode::from_raw_mode(wish.mode));
        let fd = job.explained(made, "create", &path)?;
        return Ok(Reply::Descriptor(fd, wish.close_on_exec()));
    }
    let opened = reopen(job.shared.descriptors.as_fd(), entry.as_fd(), wish.ours());
    let fd = job.explained(opened, "open for writing", &path)?;
    Ok(Reply::Descriptor(fd, wish.close_on_exec()))
}

/// Opens the very file that `entry` is, with other flags.
pub(super) fn reopen(descriptors: BorrowedFd<'_>, entry: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags - OFlags::CREATE - OFlags::EXCL - OFlags::NOFOLLOW;
    openat(descriptors, entry.as_raw_fd().to_string(), flags, Mode::empty())
}

fn judge_write(job: &Job<'_, '_>, found: Option<&Found<'_>>, path: &[u8], stat: &Stat) -> Option<Reply> {
    let rules = job.rules();
    if is_own_process(job, stat, path) || terminal::is_pseudo(stat) {
        return None;
    }
    let verdict = match found {
        Some(found) => rules.judge(&found.parent, &found.name, Deed::Write, None).map(|_| ()),
        None if is_memory(path, stat) => Ok(()),
        None => rules.forbids_nameless(path).map_or(Ok(()), Err),
    };
    if let Err(refusal) = verdict {
        return Some(job.refuse(refusal, "open for writing", path));
    }
    let refusal = rules.is_protected_elsewhere(stat, found.is_some())?;
    Some(job.refuse(refusal, "open for writing", path))
}
