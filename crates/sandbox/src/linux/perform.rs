//! Performs one operation inside: kernel calls on prepared strings and numbered descriptors. The rules of `child` hold
//! here too: no allocation, no locks, no thread-local storage, no unwinding.

use super::ops::{From, Op, Program, Slot};
use crate::sys::{Errno, fs, mount, security, tunnel};
use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering::SeqCst;

/// The descriptor in a slot; −1 if it was skipped.
pub(crate) fn slot(program: &Program, slot: Slot) -> i32 {
    program.slots.get(slot.0).map_or(-1, |slot| slot.load(SeqCst))
}

/// Puts a descriptor into a slot.
pub(crate) fn fill(program: &Program, slot: Slot, fd: i32) {
    if let Some(slot) = program.slots.get(slot.0) {
        slot.store(fd, SeqCst);
    }
}

/// No links at all, neither symbolic nor the kernel's magic ones.
const NO_LINKS: u64 = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;

/// Carries out one operation.
pub(crate) fn perform(program: &Program, op: &Op) -> Result<(), Errno> {
    let fd = |wanted: Slot| slot(program, wanted);
    match op {
        Op::Open { to, from, path, expect } => {
            let (dir, resolve) = match from {
                From::Root => (fs::CWD, NO_LINKS),
                // What it would be below wasn't there.
                From::Slot(dir) if fd(*dir) < 0 => return Err(Errno(libc::ENOENT)),
                From::Slot(dir) => (fd(*dir), NO_LINKS | libc::RESOLVE_BENEATH),
            };
            let opened = fs::openat2(dir, path, libc::O_PATH | libc::O_NOFOLLOW, resolve)?;
            fill(program, *to, opened);
            if let Some(expect) = expect {
                let stat = fs::fstat(opened)?;
                if stat.st_dev as u64 != expect.device || stat.st_ino as u64 != expect.inode {
                    return Err(Errno(libc::ESTALE));
                }
            }
        }
        Op::CloneTree { from, to, recursive } => fill(program, *to, mount::clone_tree(fd(*from), *recursive)?),
        Op::SetAttributes { at, recursive, attributes } => mount::setattr(fd(*at), c"", *recursive, *attributes)?,
        Op::Attach { tree, at } => mount::attach(fd(*tree), fd(*at), c"")?,
        Op::AttachBelow { tree, dir, path } => mount::attach(fd(*tree), fd(*dir), path)?,
        Op::NewFileSystem { to, system } => fill(program, *to, system.make()?),
        Op::MakeDirectory { dir, path, mode } => match fs::mkdirat(fd(*dir), path, *mode) {
            Err(errno) if errno.is(libc::EEXIST) => {}
            other => other?,
        },
        Op::MakeFile { dir, path, mode, content } => {
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW;
            let file = fs::openat(fd(*dir), path, flags, *mode)?;
            let mut rest = content.as_slice();
            while !rest.is_empty() {
                let written = fs::write(file, rest)?;
                rest = rest.get(written..).unwrap_or(&[]);
            }
            fs::close(file);
        }
        Op::MakeLink { dir, path, target } => fs::symlinkat(target, fd(*dir), path)?,
        Op::Cover { at, file, directory } => cover(fd(*at), fd(*file), fd(*directory))?,
        Op::CoverBelow { dir, path, file, directory } => {
            let at = match open_below(fd(*dir), path) {
                Err(errno) if errno.is(libc::ENOENT) => return Ok(()),
                other => other?,
            };
            let covered = cover(at, fd(*file), fd(*directory));
            fs::close(at);
            covered?;
        }
        Op::Rebind { dir, path, attributes } => {
            let tree = match mount::clone_below(fd(*dir), path) {
                Err(errno) if errno.is(libc::ENOENT) => return Ok(()),
                other => other?,
            };
            mount::setattr(tree, c"", false, *attributes)?;
            mount::attach(tree, fd(*dir), path)?;
        }
        Op::BindNode { from, dir, path } => {
            let tree = mount::clone_below(fd(*from), path)?;
            fs::mknod_file(fd(*dir), path, 0o666)?;
            mount::attach(tree, fd(*dir), path)?;
        }
        Op::KeepTree { path, from, to } => {
            let opened = fs::openat2(fs::CWD, path, libc::O_PATH | libc::O_NOFOLLOW, NO_LINKS);
            let Ok(opened) = opened else { return Ok(()) };
            fill(program, *from, opened);
            fill(program, *to, mount::clone_tree(opened, true)?);
        }
        Op::PlaceKept { dir, path, from, tree } => place(fd(*dir), path, fd(*from), fd(*tree))?,
        Op::LandlockCreate { to, files, network, scopes } => {
            fill(program, *to, security::landlock_create(*files, *network, *scopes)?);
        }
        Op::LandlockRule { ruleset, at, rights } => {
            // On a directory it would hold for every socket there.
            let meant = |at| Ok(*rights != security::RESOLVE_UNIX || !is_directory(at)?);
            if fd(*at) >= 0 && meant(fd(*at))? {
                security::landlock_path(fd(*ruleset), *rights, fd(*at))?;
            }
        }
        Op::MakeInterface { devices, to } => {
            let interface = tunnel::open(fd(*devices))?;
            fill(program, *to, interface);
            tunnel::raise()?;
        }
        // The helper's business, which process 1 waits for itself.
        Op::JoinNetwork => {}
    }
    Ok(())
}

fn open_below(dir: i32, path: &CStr) -> Result<i32, Errno> {
    fs::openat2(dir, path, libc::O_PATH | libc::O_NOFOLLOW, NO_LINKS | libc::RESOLVE_BENEATH)
}

fn is_directory(fd: i32) -> Result<bool, Errno> {
    fs::fstat(fd).map(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
}

fn cover(at: i32, file: i32, directory: i32) -> Result<(), Errno> {
    let tree = mount::clone_tree(if is_directory(at)? { directory } else { file }, false)?;
    let attached = mount::attach(tree, at, c"");
    fs::close(tree);
    attached
}

/// Attaches a copy below a private directory; the way to it is made, and the place is of the copy's own kind.
fn place(dir: i32, path: &[CString], from: i32, tree: i32) -> Result<(), Errno> {
    let (Some((last, above)), true) = (path.split_last(), tree >= 0) else { return Ok(()) };
    let existing = |made: Result<(), Errno>| match made {
        Err(errno) if errno.is(libc::EEXIST) => Ok(()),
        other => other,
    };
    for prefix in above {
        existing(fs::mkdirat(dir, prefix, 0o755))?;
    }
    if is_directory(from)? {
        existing(fs::mkdirat(dir, last, 0o755))?;
    } else {
        fs::close(fs::openat(dir, last, libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW, 0o444)?);
    }
    mount::attach(tree, dir, last)
}
