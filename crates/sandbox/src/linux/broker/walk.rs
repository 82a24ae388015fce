//! From a path to the directory its last name is in, as the caller would get there.
//!
//! Short paths without links are one `openat2`. Else the path is walked name by name: absolute links start at the caller's
//! root, and the links of `/proc` that lead to "myself" mean the caller, never the supervisor.

use super::call::At;
use super::caller::Caller;
use super::place::{Place, file_id, path_of};
use ringfence_model::facts::FileId;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2, readlinkat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// As many links as the kernel follows.
const MAX_LINKS: u32 = 40;
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

const DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const ENTRY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A name and the directory it is in.
pub struct Found<'broker> {
    /// The directory.
    pub parent: Place<'broker>,
    /// The last name; empty when the path names the directory itself (`/`, `.`, `x/..`).
    pub name: Vec<u8>,
    /// The path ended in a slash: only a directory will do.
    pub slash: bool,
    links: u32,
}

/// What a path names.
pub enum Named<'broker> {
    /// Nothing yet.
    Missing(Found<'broker>),
    /// This, by this name.
    There(Found<'broker>, OwnedFd),
    /// This, which has no name that was walked over: a link of `/proc`, or a directory named by itself.
    Nameless(OwnedFd),
}

/// Finds the directory of the last name of `path`.
pub fn find<'broker>(caller: &Caller<'broker>, at: At, path: &CStr) -> Result<Found<'broker>, Errno> {
    let path = path.to_bytes();
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let start = if path.first() == Some(&b'/') { open_root(caller)? } else { caller.start(at)? };
    go(caller, start, path, 0)
}

/// Splits a path into what leads to its last name, that name, and whether a slash follows it.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8], bool) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let slash = end < path.len();
    let trimmed = path.get(..end).unwrap_or_default();
    let at = trimmed.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (lead, name) = trimmed.split_at(at);
    (lead, name, slash)
}

fn go<'broker>(caller: &Caller<'broker>, start: OwnedFd, path: &[u8], links: u32) -> Result<Found<'broker>, Errno> {
    let (lead, name, slash) = split(path);
    let lead = lead.iter().position(|byte| *byte != b'/').and_then(|from| lead.get(from..)).unwrap_or_default();
    let mut links = links;
    if matches!(name, b"" | b"." | b"..") {
        let whole = path.iter().position(|byte| *byte != b'/').and_then(|from| path.get(from..)).unwrap_or_default();
        let parent = descend(caller, start, whole, &mut links)?;
        return Ok(Found { parent: caller.place(parent), name: Vec::new(), slash, links });
    }
    let parent = descend(caller, start, lead, &mut links)?;
    Ok(Found { parent: caller.place(parent), name: name.to_vec(), slash, links })
}

fn open_root(caller: &Caller<'_>) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(caller.root(), 0)
}

/// Follows every name of `path`, which has no leading slash.
fn descend(caller: &Caller<'_>, start: OwnedFd, path: &[u8], links: &mut u32) -> Result<OwnedFd, Errno> {
    if path.is_empty() {
        return Ok(start);
    }
    let straight = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&start, OsStr::from_bytes(path), DIR, Mode::empty(), straight) {
        Err(Errno::LOOP | Errno::AGAIN | Errno::NOSYS) => step_by_step(caller, start, path, links),
        other => other,
    }
}

fn step_by_step(caller: &Caller<'_>, start: OwnedFd, path: &[u8], links: &mut u32) -> Result<OwnedFd, Errno> {
    let mut names: VecDeque<Vec<u8>> = components(path);
    let mut at = start;
    while let Some(name) = names.pop_front() {
        if name == b".." {
            at = openat(&at, "..", DIR, Mode::empty())?;
            continue;
        }
        let entry = openat(&at, OsStr::from_bytes(&name), ENTRY, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&entry)?.st_mode) {
            FileType::Directory => at = entry,
            FileType::Symlink => {
                *links += 1;
                if *links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                match read_link(caller, at.as_fd(), &name, entry.as_fd())? {
                    Link::To(target) => {
                        if target.first() == Some(&b'/') {
                            at = open_root(caller)?;
                        }
                        for part in components(&target).into_iter().rev() {
                            names.push_front(part);
                        }
                    }
                    Link::Jump(target) => at = target,
                }
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    if FileType::from_raw_mode(fstat(&at)?.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    Ok(at)
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec).collect()
}

enum Link {
    To(Vec<u8>),
    Jump(OwnedFd),
}

/// What a symbolic link leads to.
fn read_link(caller: &Caller<'_>, dir: BorrowedFd<'_>, name: &[u8], link: BorrowedFd<'_>) -> Result<Link, Errno> {
    if is_on_proc(dir)? {
        return read_proc_link(caller, dir, name, link);
    }
    forbid_foreign_link(dir, link)?;
    let target = readlinkat(link, "", Vec::with_capacity(256))?.into_bytes();
    if target.is_empty() { Err(Errno::NOENT) } else { Ok(Link::To(target)) }
}

/// As `fs.protected_symlinks`: somebody else's link in a directory where everybody may put one isn't followed.
fn forbid_foreign_link(dir: BorrowedFd<'_>, link: BorrowedFd<'_>) -> Result<(), Errno> {
    let (dir, link) = (fstat(dir)?, fstat(link)?);
    let shared = dir.st_mode & (libc::S_ISVTX | libc::S_IWOTH) == libc::S_ISVTX | libc::S_IWOTH;
    if shared && link.st_uid != dir.st_uid && link.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Errno::ACCESS);
    }
    Ok(())
}

fn read_proc_link(caller: &Caller<'_>, dir: BorrowedFd<'_>, name: &[u8], link: BorrowedFd<'_>) -> Result<Link, Errno> {
    let status = caller.status()?;
    let FileId { device, .. } = file_id(&fstat(dir)?);
    let ours = device == caller.proc_device;
    if !ours && !caller.has_for_proc(device) {
        // There, the same numbers mean other processes.
        return Err(Errno::ACCESS);
    }
    let (process, thread) =
        if ours { (status.process, caller.thread) } else { (status.inner_process, status.inner_thread) };
    let path = path_of(caller.descriptors, dir)?;
    let owner = proc_owner(&path);
    match (name, owner) {
        (b"self", None) => Ok(Link::To(process.to_string().into_bytes())),
        (b"thread-self", None) => Ok(Link::To(format!("{process}/task/{thread}").into_bytes())),
        (_, None) => Ok(Link::To(readlinkat(link, "", Vec::with_capacity(64))?.into_bytes())),
        // A link to what a process has open. Only its own: the supervisor may look where the caller may not.
        (_, Some(owner)) if owner == process || owner == thread => {
            let target = openat(dir, OsStr::from_bytes(name), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            Ok(Link::Jump(target))
        }
        (_, Some(_)) => Err(Errno::ACCESS),
    }
}

/// The process or thread whose directory under some `/proc` this path is in. What stands before that `/proc` has no say:
/// on the way to one that is mounted elsewhere, directories may be called by numbers as well.
pub(super) fn proc_owner(path: &[u8]) -> Option<u32> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let proc = names.iter().rposition(|name| *name == b"proc")?;
    let process = number(names.get(proc + 1)?)?;
    match (names.get(proc + 2), names.get(proc + 3)) {
        (Some(&b"task"), Some(thread)) => number(thread),
        _ => Some(process),
    }
}

/// Whether some name of this path is `proc`.
pub(super) fn has_proc(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|name| name == b"proc")
}

/// Whether some name of this path is a number.
pub(super) fn has_number(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|name| number(name).is_some())
}

/// Whether this is in a process file system.
pub(super) fn is_on_proc(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let kind = fstatfs(fd)?.f_type as u64;
    Ok(kind == PROC_SUPER_MAGIC)
}

fn number(name: &[u8]) -> Option<u32> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// Finds what `found` names, following links if `follow`.
pub fn name<'broker>(caller: &Caller<'broker>, found: Found<'broker>, follow: bool) -> Result<Named<'broker>, Errno> {
    let mut found = found;
    loop {
        if found.name.is_empty() {
            return Ok(Named::Nameless(found.parent.into_fd()));
        }
        let entry = match openat(found.parent.fd(), OsStr::from_bytes(&found.name), ENTRY, Mode::empty()) {
            Ok(entry) => entry,
            Err(Errno::NOENT) => return Ok(Named::Missing(found)),
            Err(error) => return Err(error),
        };
        let link = FileType::from_raw_mode(fstat(&entry)?.st_mode) == FileType::Symlink;
        if !link || !(follow || found.slash) {
            return Ok(Named::There(found, entry));
        }
        let links = found.links + 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        match read_link(caller, found.parent.fd(), &found.name, entry.as_fd())? {
            Link::Jump(target) => return Ok(Named::Nameless(target)),
            Link::To(target) => {
                let slash = found.slash;
                let absolute = target.first() == Some(&b'/');
                let start = if absolute { open_root(caller)? } else { found.parent.into_fd() };
                found = go(caller, start, &target, links)?;
                found.slash |= slash;
            }
        }
    }
}

/// Whether `name` is in `parent` at all.
#[must_use]
pub fn is_there(parent: &Place<'_>, name: &[u8]) -> bool {
    statat(parent.fd(), OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_of_a_path() {
        assert_eq!(split(b"/a/b"), (&b"/a/"[..], &b"b"[..], false));
        assert_eq!(split(b"b"), (&b""[..], &b"b"[..], false));
        assert_eq!(split(b"a/b//"), (&b"a/"[..], &b"b"[..], true));
        assert_eq!(split(b"///"), (&b""[..], &b""[..], true));
        assert_eq!(split(b"a/.."), (&b"a/"[..], &b".."[..], false));
    }

    #[test]
    fn whose_directory_a_path_under_proc_is_in() {
        assert_eq!(proc_owner(b"/proc/12/fd"), Some(12));
        assert_eq!(proc_owner(b"/proc/12/task/13/fd"), Some(13));
        assert_eq!(proc_owner(b"/proc"), None);
        assert_eq!(proc_owner(b"/proc/sys/net"), None);
        assert_eq!(proc_owner(b"/proc/irq/12"), None);
        assert_eq!(proc_owner(b"/proc/12/fdinfo/5"), Some(12));
    }

    #[test]
    fn proc_04_what_stands_before_a_proc_says_nothing_of_whose_directory_it_is() {
        // Once taken for that of process 100, which was then let through the links of process 777.
        assert_eq!(proc_owner(b"/srv/100/proc/777/root"), Some(777));
        assert_eq!(proc_owner(b"/srv/100/p/777/root"), None);
        assert!(has_number(b"/srv/100/p/777/root") && !has_proc(b"/srv/100/p/777/root"));
        assert!(!has_number(b"/srv/p/cpuinfo"));
    }
}
