//! Calls that make, link, rename or remove a name.

use super::call::At;
use super::reply::{Job, Reply};
use super::rules::{Answer, Deed, Refusal};
use super::walk::{self, Found, Named};
use rustix::fs::{
    AtFlags, FileType, Mode, RenameFlags, fstat, linkat, mkdirat, mknodat, renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use super::place::{file_id, path_of};

/// The operation of `mkdir`.
pub(super) const MAKE_DIR: &str = "create a directory";

/// `mkdir`.
pub(super) fn make_dir(job: &mut Job<'_, '_>, at: At, mode: u32) -> Reply {
    let rules = job.rules();
    make(job, at, Deed::MakeDir, MAKE_DIR, |found| {
        mkdirat(found.parent.fd(), name(found), Mode::from_raw_mode(mode))?;
        rules.made_dir(&found.parent, &found.name);
        Ok(())
    })
}

/// `mknod`.
pub(super) fn make_node(job: &mut Job<'_, '_>, at: At, mode: u32, device: u64) -> Reply {
    if mode & (libc::S_ISUID | libc::S_ISGID) != 0 {
        return Reply::Fail(Errno::PERM);
    }
    let kind = match mode & libc::S_IFMT {
        0 => FileType::RegularFile,
        kind => FileType::from_raw_mode(kind),
    };
    if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
        // Also the one that everybody may make, which stands for nothing (0, 0): Landlock, which doesn't bind us, lets the
        // caller make none.
        return Reply::Fail(Errno::PERM);
    }
    make(job, at, Deed::Make, "create a node", |found| {
        if found.slash {
            return Err(Errno::NOENT);
        }
        mknodat(found.parent.fd(), name(found), kind, Mode::from_raw_mode(mode & 0o7777), device)
    })
}

/// `symlink`.
pub(super) fn symlink(job: &mut Job<'_, '_>, target: u64, at: At) -> Reply {
    let target = match job.caller.string(target) {
        Ok(target) if target.is_empty() => return Reply::Fail(Errno::NOENT),
        Ok(target) => target,
        Err(errno) => return errno.into(),
    };
    make(job, at, Deed::Symlink, "create a link", |found| symlinkat(target.as_c_str(), found.parent.fd(), name(found)))
}

fn name<'found>(found: &'found Found<'_>) -> &'found OsStr {
    OsStr::from_bytes(&found.name)
}

fn look<'broker>(job: &Job<'broker, '_>, at: At) -> Result<Found<'broker>, Errno> {
    let path = job.caller.string(at.path)?;
    walk::find(&job.caller, at, &path)
}

fn make(
    job: &mut Job<'_, '_>,
    at: At,
    deed: Deed,
    operation: &str,
    act: impl FnOnce(&Found<'_>) -> Result<(), Errno>,
) -> Reply {
    let found = match look(job, at) {
        Ok(found) => found,
        Err(errno) => return errno.into(),
    };
    if !job.caller.alive() {
        return Reply::Later;
    }
    if found.name.is_empty() {
        return Reply::Fail(Errno::EXIST);
    }
    let rules = job.rules();
    let _order = rules.order(rules.concerns(&found.name));
    match rules.judge(&found.parent, &found.name, deed, None) {
        Err(refusal) => return refuse(job, &found, refusal, operation),
        Ok(Answer::Exists) => return Reply::Fail(Errno::EXIST),
        Ok(Answer::Go | Answer::Missing) => {}
    }
    if let Err(errno) = job.wear_umask() {
        return errno.into();
    }
    let done = act(&found);
    if done.is_ok() {
        job.remember_memory(&found.parent, &found.name);
    }
    job.answer(done, operation, &found.parent, &found.name)
}

fn refuse(job: &Job<'_, '_>, found: &Found<'_>, refusal: Refusal, operation: &str) -> Reply {
    let path = found.parent.path_to(&found.name).unwrap_or_else(|_| found.name.clone());
    job.refuse(refusal, operation, &path)
}

/// `link`.
pub(super) fn link(job: &mut Job<'_, '_>, from: At, to: At, flags: i32) -> Reply {
    perform_link(job, from, to, flags).unwrap_or_else(Reply::Fail)
}

fn perform_link(job: &mut Job<'_, '_>, from: At, to: At, flags: i32) -> Result<Reply, Errno> {
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Errno::INVAL);
    }
    let path = job.caller.string(from.path)?;
    let source = if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        Named::Nameless(job.caller.start(from)?)
    } else {
        let found = walk::find(&job.caller, from, &path)?;
        walk::name(&job.caller, found, flags & libc::AT_SYMLINK_FOLLOW != 0)?
    };
    let target = look(job, to)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    if target.name.is_empty() {
        return Err(Errno::EXIST);
    }
    let rules = job.rules();
    let (found, entry) = match &source {
        Named::Missing(_) => return Err(Errno::NOENT),
        Named::There(found, entry) => (Some(found), entry),
        Named::Nameless(entry) => (None, entry),
    };
    let concerned = rules.concerns(&target.name) || found.is_some_and(|found| rules.concerns(&found.name));
    let _order = rules.order(concerned);
    let stat = fstat(entry)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::PERM);
    }
    let path = path_of(job.shared.descriptors.as_fd(), entry.as_fd())?;
    if let Some(refusal) = rules.denied_read(&path) {
        return Ok(job.refuse(refusal, "link", &path));
    }
    match found {
        // A second name for a protected file would be a way to write to it.
        Some(found) => {
            if let Err(refusal) = rules.judge(&found.parent, &found.name, Deed::Write, None) {
                return Ok(job.refuse(refusal, "link", &path));
            }
        }
        None => {
            let refusal = rules.forbids_nameless(&path).or_else(|| rules.is_protected_file(file_id(&stat)));
            if let Some(refusal) = refusal {
                return Ok(job.refuse(refusal, "link", &path));
            }
        }
    }
    if job.is_foreign_memory(&path, &stat) {
        return Ok(job.refuse(rules.foreign_memory(), "link", &path));
    }
    if let Some(refusal) = rules.is_listed_name(&target.parent, &target.name) {
        return Ok(refuse(job, &target, refusal, "link"));
    }
    let arriving = found.map(|found| (&found.parent, found.name.as_slice()));
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let deed = if is_link { Deed::Link } else { Deed::Make };
    match rules.judge(&target.parent, &target.name, deed, arriving) {
        Err(refusal) => return Ok(refuse(job, &target, refusal, "link")),
        Ok(Answer::Exists) => return Err(Errno::EXIST),
        Ok(Answer::Go | Answer::Missing) => {}
    }
    let done = match found {
        Some(found) if is_link => {
            linkat(found.parent.fd(), name(found), target.parent.fd(), name(&target), AtFlags::empty())
        }
        // The very file that was looked at, whatever its name means by now.
        _ => {
            let ours = entry.as_raw_fd().to_string();
            linkat(&job.shared.descriptors, ours, target.parent.fd(), name(&target), AtFlags::SYMLINK_FOLLOW)
        }
    };
    Ok(job.answer(done, "link", &target.parent, &target.name))
}

/// `rename`.
pub(super) fn rename(job: &mut Job<'_, '_>, from: At, to: At, flags: u32) -> Reply {
    perform_rename(job, from, to, flags).unwrap_or_else(Reply::Fail)
}

fn perform_rename(job: &mut Job<'_, '_>, from: At, to: At, flags: u32) -> Result<Reply, Errno> {
    if flags & libc::RENAME_WHITEOUT != 0 {
        // It leaves a device behind.
        return Err(Errno::PERM);
    }
    let source = look(job, from)?;
    let target = look(job, to)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    if source.name.is_empty() || target.name.is_empty() {
        return Err(Errno::BUSY);
    }
    let rules = job.rules();
    let _order = rules.order(rules.concerns(&source.name) || rules.concerns(&target.name));
    let exchange = flags & libc::RENAME_EXCHANGE != 0;
    if let Some(reply) = judge_move(job, &source, &target) {
        return Ok(reply);
    }
    if exchange && let Some(reply) = judge_move(job, &target, &source) {
        return Ok(reply);
    }
    let mut from_name = source.name.clone();
    let mut to_name = target.name.clone();
    // A slash after a name asks for a directory; the kernel checks.
    if source.slash {
        from_name.push(b'/');
    }
    if target.slash {
        to_name.push(b'/');
    }
    let (from_name, to_name) = (OsStr::from_bytes(&from_name), OsStr::from_bytes(&to_name));
    let done = if flags == 0 {
        renameat(source.parent.fd(), from_name, target.parent.fd(), to_name)
    } else {
        let flags = RenameFlags::from_bits_retain(flags);
        renameat_with(source.parent.fd(), from_name, target.parent.fd(), to_name, flags)
    };
    // Either may be what mounts hold; one is told.
    let _ = done == Err(Errno::ROFS)
        && (job.note_name("rename", &source.parent, &source.name)
            || job.note_name("rename", &target.parent, &target.name));
    Ok(done.into())
}

/// Where everybody's shared memory is, only what was made inside may be moved or removed.
fn foreign_memory(job: &Job<'_, '_>, found: &Found<'_>) -> Option<Reply> {
    let rules = job.rules();
    if rules.plan.holds == super::plan::Holds::Names {
        return None;
    }
    let path = found.parent.path_to(&found.name).ok()?;
    if !rules.is_shared_memory(&path) {
        return None;
    }
    let stat = rustix::fs::statat(found.parent.fd(), name(found), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    job.is_foreign_memory(&path, &stat).then(|| job.refuse(rules.foreign_memory(), "remove", &path))
}

/// Why `source` must not be called `target`.
fn judge_move(job: &Job<'_, '_>, source: &Found<'_>, target: &Found<'_>) -> Option<Reply> {
    let rules = job.rules();
    if let Some(reply) = foreign_memory(job, source).or_else(|| foreign_memory(job, target)) {
        return Some(reply);
    }
    match rules.judge(&source.parent, &source.name, Deed::Leave, None) {
        Err(refusal) => return Some(refuse(job, source, refusal, "rename")),
        Ok(Answer::Missing) => return Some(Reply::Fail(Errno::NOENT)),
        Ok(_) => {}
    }
    let arriving = Some((&source.parent, source.name.as_slice()));
    if rules.plan.holds == super::plan::Holds::Everything && !walk::is_there(&source.parent, &source.name) {
        return Some(Reply::Fail(Errno::NOENT));
    }
    if let Err(refusal) = rules.judge(&target.parent, &target.name, Deed::Arrive, arriving) {
        return Some(refuse(job, target, refusal, "rename"));
    }
    if rules.plan.denied.is_empty() {
        return None;
    }
    let (Ok(from), Ok(to)) = (source.parent.path_to(&source.name), target.parent.path_to(&target.name)) else {
        return Some(Reply::Fail(Errno::ACCESS));
    };
    let refusal = rules.frees_denied(&from, &to)?;
    Some(job.refuse(refusal, "rename", &from))
}

/// `unlink`, `rmdir`.
pub(super) fn remove(job: &mut Job<'_, '_>, at: At, directory: bool) -> Reply {
    let found = match look(job, at) {
        Ok(found) => found,
        Err(errno) => return errno.into(),
    };
    if !job.caller.alive() {
        return Reply::Later;
    }
    if found.name.is_empty() {
        return Reply::Fail(if directory { Errno::INVAL } else { Errno::ISDIR });
    }
    let rules = job.rules();
    let _order = rules.order(rules.concerns(&found.name));
    match rules.judge(&found.parent, &found.name, Deed::Remove, None) {
        Err(refusal) => return refuse(job, &found, refusal, "remove"),
        Ok(Answer::Missing) => return Reply::Fail(Errno::NOENT),
        Ok(_) => {}
    }
    if let Some(reply) = foreign_memory(job, &found) {
        return reply;
    }
    let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
    let mut whole = found.name.clone();
    if found.slash {
        whole.push(b'/');
    }
    let done = unlinkat(found.parent.fd(), OsStr::from_bytes(&whole), flags);
    job.answer(done, "remove", &found.parent, &found.name)
}
