//! Metadata (modes, owners, times, attributes), truncation and removal's siblings: performed on the very file that was
//! judged. Only where mounts don't hold these.

use super::call::{At, Target, Times};
use super::caller::errno;
use super::place::{is_memory, path_of};
use super::plan::Holds;
use super::reply::{Job, Reply};
use super::rules::{Deed, Refusal};
use super::walk::{self, Named};
use crate::sys::{address as socket, peek};
use ringfence_model::{DenialKind, Origin};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chmodat, chownat, fstat, ftruncate, utimensat,
};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// A file that may be changed.
struct Changeable<'broker> {
    entry: OwnedFd,
    kind: FileType,
    path: Vec<u8>,
    /// Directory and name, when the file is a symbolic link itself.
    link: Option<(super::place::Place<'broker>, Vec<u8>)>,
}

impl Changeable<'_> {
    /// Its name among our own descriptors.
    fn number(&self) -> String {
        self.entry.as_raw_fd().to_string()
    }
}

enum Looked<'broker> {
    May(Changeable<'broker>),
    No(Reply),
}

fn look<'broker>(job: &Job<'broker, '_>, target: Target, operation: &str) -> Result<Looked<'broker>, Errno> {
    let (found, entry) = match target {
        Target::Descriptor(fd) => (None, job.caller.descriptor(fd)?),
        Target::Path(at, flags) => {
            let path = job.caller.string(at.path)?;
            if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                (None, job.caller.start(at)?)
            } else {
                let found = walk::find(&job.caller, at, &path)?;
                match walk::name(&job.caller, found, flags & libc::AT_SYMLINK_NOFOLLOW == 0)? {
                    Named::Missing(_) => return Err(Errno::NOENT),
                    Named::There(found, entry) => (Some(found), entry),
                    Named::Nameless(entry) => (None, entry),
                }
            }
        }
    };
    if !job.caller.alive() {
        return Ok(Looked::No(Reply::Later));
    }
    let path = path_of(job.shared.descriptors.as_fd(), entry.as_fd())?;
    let stat = fstat(&entry)?;
    let rules = job.rules();
    let refusal = match &found {
        Some(found) => rules.judge(&found.parent, &found.name, Deed::Write, None).err(),
        None if is_memory(&path, &stat) => None,
        None if rules.plan.holds == Holds::Names => None,
        None => rules.forbids_nameless(&path),
    };
    let refusal = refusal.or_else(|| rules.keeps_metadata(&path)).or_else(|| {
        if job.is_foreign_memory(&path, &stat) {
            return Some(rules.foreign_memory());
        }
        // Where no mounts hold it, the path that the kernel gives for a descriptor has been judged.
        let judged = found.is_some() || rules.plan.holds == Holds::Everything;
        rules.is_protected_elsewhere(&stat, judged)
    });
    if let Some(refusal) = refusal {
        return Ok(Looked::No(job.refuse(refusal, operation, &path)));
    }
    let kind = FileType::from_raw_mode(stat.st_mode);
    let link = found.filter(|_| kind == FileType::Symlink).map(|found| (found.parent, found.name));
    Ok(Looked::May(Changeable { entry, kind, path, link }))
}

fn change(
    job: &Job<'_, '_>,
    target: Target,
    operation: &str,
    act: impl FnOnce(&Changeable<'_>) -> Result<(), Errno>,
) -> Reply {
    match look(job, target, operation) {
        Err(errno) => errno.into(),
        Ok(Looked::No(reply)) => reply,
        Ok(Looked::May(file)) => job.explained(act(&file), operation, &file.path).into(),
    }
}

/// The refusal of a set-user-id or set-group-id bit, or of a file capability.
pub(super) fn no_setuid() -> Refusal {
    Refusal {
        errno: Errno::PERM,
        kind: DenialKind::FsWrite,
        rule: "no-setuid",
        origin: Origin::builtin("no file that gives rights can be left behind"),
        allow_with: Vec::new(),
    }
}

/// `chmod`, `fchmod`, `fchmodat`.
pub(super) fn chmod(job: &Job<'_, '_>, target: Target, mode: u32) -> Reply {
    if mode & libc::S_ISUID != 0 {
        return job.refuse(no_setuid(), "set the set-user-id bit", b"a file");
    }
    change(job, target, "change the mode", |file| {
        // On a file, the bit lends a group; on a directory it only says which group new files get.
        if mode & libc::S_ISGID != 0 && file.kind != FileType::Directory {
            return Err(Errno::PERM);
        }
        if file.link.is_some() {
            return Err(Errno::OPNOTSUPP);
        }
        chmodat(&job.shared.descriptors, file.number(), Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())
    })
}

/// `chown`, `lchown`, `fchown`, `fchownat`.
pub(super) fn chown(job: &Job<'_, '_>, target: Target, user: u32, group: u32) -> Reply {
    let user = (user != u32::MAX).then(|| Uid::from_raw(user));
    let group = (group != u32::MAX).then(|| Gid::from_raw(group));
    change(job, target, "change the owner", |file| {
        chownat(&file.entry, "", user, group, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW)
    })
}

/// `utime`, `utimes`, `futimesat`, `utimensat`.
pub(super) fn utimes(job: &Job<'_, '_>, target: Target, times: Times) -> Reply {
    let times = match read_times(job, times) {
        Ok(times) => times,
        Err(errno) => return errno.into(),
    };
    change(job, target, "change the times", |file| match &file.link {
        Some((parent, name)) => utimensat(parent.fd(), OsStr::from_bytes(name), &times, AtFlags::SYMLINK_NOFOLLOW),
        None => utimensat(&file.entry, "", &times, AtFlags::EMPTY_PATH),
    })
}

fn read_times(job: &Job<'_, '_>, times: Times) -> Result<Timestamps, Errno> {
    let words = |address: u64, count: usize| -> Result<Vec<i64>, Errno> {
        let bytes = job.caller.bytes(address, count * 8)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| i64::from_ne_bytes(*chunk)).collect())
    };
    let time = |seconds: i64, nanos: i64| Timespec { tv_sec: seconds, tv_nsec: nanos };
    let now = time(0, libc::UTIME_NOW);
    let (access, change) = match times {
        Times::Seconds(0) | Times::Micros(0) | Times::Nanos(0) => (now, now),
        Times::Seconds(address) => match words(address, 2)?[..] {
            [access, change] => (time(access, 0), time(change, 0)),
            _ => return Err(Errno::FAULT),
        },
        Times::Micros(address) => match words(address, 4)?[..] {
            [a, a_micros, c, c_micros] => {
                if !(0..1_000_000).contains(&a_micros) || !(0..1_000_000).contains(&c_micros) {
                    return Err(Errno::INVAL);
                }
                (time(a, a_micros * 1000), time(c, c_micros * 1000))
            }
            _ => return Err(Errno::FAULT),
        },
        Times::Nanos(address) => match words(address, 4)?[..] {
            [a, a_nanos, c, c_nanos] => (time(a, a_nanos), time(c, c_nanos)),
            _ => return Err(Errno::FAULT),
        },
    };
    Ok(Timestamps { last_access: access, last_modification: change })
}

/// Longest extended attribute value (`XATTR_SIZE_MAX`).
const XATTR_MAX: u64 = 65536;

/// `setxattr` and its like.
pub(super) fn set_xattr(job: &Job<'_, '_>, target: Target, name: u64, value: u64, size: u64, flags: i32) -> Reply {
    let copied = job.caller.string(name).and_then(|name| {
        let size = usize::try_from(size).ok().filter(|_| size <= XATTR_MAX).ok_or(Errno::TOOBIG)?;
        Ok((name, job.caller.bytes(value, size)?))
    });
    let (name, value) = match copied {
        Ok(copied) => copied,
        Err(errno) => return errno.into(),
    };
    if name.to_bytes().starts_with(b"security.") || name.to_bytes().starts_with(b"trusted.") {
        return job.refuse(no_setuid(), "set an attribute", name.to_bytes());
    }
    change(job, target, "set an attribute", |file| {
        let path = absolute(file)?;
        socket::setxattr(&path, &name, &value, flags).map_err(|error| errno(&error))
    })
}

/// `removexattr` and its like.
pub(super) fn remove_xattr(job: &Job<'_, '_>, target: Target, name: u64) -> Reply {
    let name = match job.caller.string(name) {
        Ok(name) => name,
        Err(errno) => return errno.into(),
    };
    change(job, target, "remove an attribute", |file| {
        let path = absolute(file)?;
        socket::removexattr(&path, &name).map_err(|error| errno(&error))
    })
}

fn absolute(file: &Changeable<'_>) -> Result<CString, Errno> {
    if file.link.is_some() {
        return Err(Errno::PERM);
    }
    CString::new(format!("/proc/self/fd/{}", file.number())).map_err(|_| Errno::INVAL)
}

/// `truncate`.
pub(super) fn truncate(job: &Job<'_, '_>, path: u64, length: i64) -> Reply {
    let Ok(length) = u64::try_from(length) else { return Reply::Fail(Errno::INVAL) };
    let target = Target::Path(At { dir: libc::AT_FDCWD, path }, 0);
    change(job, target, "truncate", |file| {
        match file.kind {
            FileType::RegularFile => {}
            FileType::Directory => return Err(Errno::ISDIR),
            _ => return Err(Errno::INVAL),
        }
        let limit = peek::file_size_limit(job.caller.thread).map_err(|error| errno(&error))?;
        if length > limit {
            return Err(Errno::FBIG);
        }
        let open = super::open::reopen(
            job.shared.descriptors.as_fd(),
            file.entry.as_fd(),
            OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        )?;
        ftruncate(&open, length)
    })
}
