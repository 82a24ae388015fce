//! `connect` and `bind`: performed on a copy of the caller's socket, towards the very file that was judged.

use super::call::At;
use super::caller::errno;
use super::place::file_id;
use super::reply::{Job, Reply};
use super::rules::{Answer, Deed, Refusal, open_any_at};
use super::vouch::{self, Said};
use super::walk::{self, Named};
use super::{net, wait};
use crate::sys::{address as socket, diag, notify, peek};
use ringfence_model::text::{escape_bytes, shell_word};
use ringfence_model::{DenialKind, Origin, Voucher};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, getsockname, socketpair, sockopt};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Longest address of any family: `struct sockaddr_storage`.
const ADDRESS_MAX: u32 = 128;
const UNIX_PATH_MAX: usize = 108;

/// What a unix address means.
enum UnixName {
    Path(CString),
    Abstract(Vec<u8>),
    None,
}

fn unix_name(address: &[u8]) -> Result<UnixName, Errno> {
    let Some(path) = address.get(2..) else { return Err(Errno::INVAL) };
    match path.first() {
        None => Ok(UnixName::None),
        Some(0) => Ok(UnixName::Abstract(path.to_vec())),
        Some(_) => {
            let path = path.get(..path.len().min(UNIX_PATH_MAX)).unwrap_or_default();
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            let path = path.get(..end).unwrap_or_default();
            CString::new(path).map(UnixName::Path).map_err(|_| Errno::INVAL)
        }
    }
}

pub(super) fn family(address: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(address.get(..2)?.try_into().ok()?))
}

pub(super) fn unix_address(path: &[u8]) -> Vec<u8> {
    let mut address = AddressFamily::UNIX.as_raw().to_ne_bytes().to_vec();
    address.extend_from_slice(path);
    address.push(0);
    address
}

/// The caller's address and a copy of its socket.
fn look(job: &Job<'_, '_>, fd: i32, address: u64, length: u32) -> Result<(OwnedFd, Vec<u8>), Errno> {
    if length > ADDRESS_MAX {
        return Err(Errno::INVAL);
    }
    let taken = job.caller.take(fd)?;
    let address = job.caller.bytes(address, length as usize)?;
    Ok((taken, address))
}

/// `connect`.
pub(super) fn connect(job: &mut Job<'_, '_>, fd: i32, address: u64, length: u32) -> Reply {
    perform_connect(job, fd, address, length).unwrap_or_else(Reply::Fail)
}

fn perform_connect(job: &mut Job<'_, '_>, fd: i32, address: u64, length: u32) -> Result<Reply, Errno> {
    let (taken, address) = look(job, fd, address, length)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    if sockopt::socket_domain(&taken)? != AddressFamily::UNIX {
        if let Some(refusal) = net::judge(job, &taken, &address, net::Way::Connect)? {
            return Ok(job.refuse(refusal, "connect", net::display(&address).as_bytes()));
        }
        if job.rules().plan.may_go_on() {
            return Ok(Reply::GoOn);
        }
        if let Some(voucher) = net::voucher(job, &taken, &address) {
            return connect_to_proxy(job, taken, address, voucher);
        }
        net::bind_source(job, &taken, &address)?;
        return connect_to(job, taken, address, None);
    }
    match judge(job, address)? {
        Judged::Gone => Ok(Reply::Later),
        Judged::Refused { refusal, target } => Ok(job.refuse(refusal, "connect", &target)),
        Judged::Inside { .. } if job.rules().plan.may_go_on() => Ok(Reply::GoOn),
        Judged::Inside { address, entry } | Judged::Listed { address, entry } => connect_to(job, taken, address, entry),
    }
}

/// What is known of the unix socket that an address means.
pub(super) enum Judged {
    /// It may be reached, as everything made inside.
    Inside {
        /// The very socket that was judged, whatever its name means by now.
        address: Vec<u8>,
        /// What that address goes through.
        entry: Option<OwnedFd>,
    },
    /// It was made outside, and may be reached since it is listed.
    Listed {
        /// As above.
        address: Vec<u8>,
        /// As above.
        entry: Option<OwnedFd>,
    },
    /// It was made outside.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What it is called.
        target: Vec<u8>,
    },
    /// Whoever asked is gone.
    Gone,
}

/// Judges a copied address of a unix socket.
pub(super) fn judge(job: &mut Job<'_, '_>, address: Vec<u8>) -> Result<Judged, Errno> {
    let inside = &job.shared.inside;
    if family(&address) != Some(AddressFamily::UNIX.as_raw()) {
        return Ok(Judged::Inside { address, entry: None });
    }
    let path = match unix_name(&address)? {
        UnixName::None => return Ok(Judged::Inside { address, entry: None }),
        UnixName::Abstract(name) => {
            // The scope that Landlock has for such names binds the caller. It doesn't bind us, who may connect for it.
            if job.rules().plan.shares_network && !inside.has_name(&name) {
                let target = [b"@", name.get(1..).unwrap_or_default()].concat();
                return Ok(Judged::Refused { refusal: made_outside(None), target });
            }
            return Ok(Judged::Inside { address, entry: None });
        }
        UnixName::Path(path) => path,
    };
    let at = At { dir: libc::AT_FDCWD, path: 0 };
    let found = walk::find(&job.caller, at, &path)?;
    let entry = match walk::name(&job.caller, found, true)? {
        Named::Missing(_) => return Err(Errno::NOENT),
        Named::There(_, entry) | Named::Nameless(entry) => entry,
    };
    if !job.caller.alive() {
        return Ok(Judged::Gone);
    }
    let stat = fstat(&entry)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(Errno::CONNREFUSED);
    }
    let id = file_id(&stat);
    let address = unix_address(format!("/proc/self/fd/{}", entry.as_raw_fd()).as_bytes());
    let entry = Some(entry);
    // Of so many that not all are remembered, the kernel knows each.
    if inside.has_file(id) || (inside.is_full() && job.rules().plan.may_go_on()) {
        return Ok(Judged::Inside { address, entry });
    }
    if job.rules().lists_socket(job.shared.descriptors.as_fd(), id) {
        return Ok(Judged::Listed { address, entry });
    }
    if is_left_behind(&stat) {
        // There is nobody to be kept from. Who finds it so removes it, and makes one of its own.
        return Err(Errno::CONNREFUSED);
    }
    let target = match &entry {
        Some(entry) => super::place::path_of(job.shared.descriptors.as_fd(), entry.as_fd())?,
        None => Vec::new(),
    };
    Ok(Judged::Refused { refusal: made_outside(Some(&target)), target })
}

/// Whether nobody is bound to this file any more, that could be seen. Somebody in another network namespace can't, and isn't
/// reached either.
fn is_left_behind(stat: &rustix::fs::Stat) -> bool {
    #[allow(clippy::unnecessary_cast)]
    let (device, inode) = (stat.st_dev as u64, stat.st_ino as u64);
    diag::is_bound((libc::major(device), libc::minor(device)), inode).is_ok_and(|bound| !bound)
}

fn made_outside(path: Option<&[u8]>) -> Refusal {
    Refusal {
        errno: Errno::ACCESS,
        kind: DenialKind::UnixSocket,
        rule: "unix-socket-outside",
        origin: Origin::builtin("unix sockets made outside are not reachable"),
        allow_with: path
            .map(|path| format!("-c {}", shell_word(&format!("allow_unix_sockets=[\"{}\"]", escape_bytes(path)))))
            .into_iter()
            .collect(),
    }
}

/// Connects; where that may wait, on a thread of its own. `entry` is kept open meanwhile.
fn connect_to(job: &Job<'_, '_>, taken: OwnedFd, address: Vec<u8>, entry: Option<OwnedFd>) -> Result<Reply, Errno> {
    let waits = !fcntl_getfl(&taken)?.contains(OFlags::NONBLOCK);
    let datagram = sockopt::socket_type(&taken)? == SocketType::DGRAM;
    if !waits || datagram {
        let done = socket::connect(taken.as_fd(), &address).map_err(|error| errno(&error));
        remember_source(job, &taken);
        drop(entry);
        return Ok(done.into());
    }
    let taken = Arc::new(taken);
    let (ours, theirs, shared) = (Arc::clone(&taken), taken, Arc::clone(job.shared));
    wait::elsewhere(
        job,
        move || {
            let done = socket::connect(ours.as_fd(), &address).map_err(|error| errno(&error));
            net::remember_source(&shared, &ours);
            drop(entry);
            done.into()
        },
        move || {
            let _ = rustix::net::shutdown(&*theirs, rustix::net::Shutdown::Both);
        },
    )
}

/// Connects to the proxy, and says first by what it knows who connects.
fn connect_to_proxy(
    job: &Job<'_, '_>,
    taken: OwnedFd,
    address: Vec<u8>,
    voucher: Arc<Voucher>,
) -> Result<Reply, Errno> {
    if vouch::is_connected(&taken) {
        return connect_to(job, taken, address, None);
    }
    let is_under_way = |done: Result<(), Errno>| matches!(done, Ok(()) | Err(Errno::INPROGRESS));
    let connect = move |taken: &OwnedFd| socket::connect(taken.as_fd(), &address).map_err(|error| errno(&error));
    let waits = !fcntl_getfl(&taken)?.contains(OFlags::NONBLOCK);
    let begun = (!waits).then(|| connect(&taken));
    if let Some(done) = begun
        && (!is_under_way(done) || vouch::say(&taken, &voucher) == Said::Done)
    {
        return Ok(done.into());
    }
    let taken = Arc::new(taken);
    let (ours, theirs) = (Arc::clone(&taken), taken);
    wait::elsewhere(
        job,
        move || {
            let done = begun.unwrap_or_else(|| connect(&ours));
            if is_under_way(done) {
                vouch::say_when_connected(&ours, &voucher);
            }
            done.into()
        },
        move || {
            let _ = rustix::net::shutdown(&*theirs, rustix::net::Shutdown::Both);
        },
    )
}

fn remember_source(job: &Job<'_, '_>, taken: &OwnedFd) {
    net::remember_source(job.shared, taken);
}

/// The abstract name that the kernel chose for a socket, as addresses have it.
fn given_name(taken: &OwnedFd) -> Option<Vec<u8>> {
    let address = SocketAddrUnix::try_from(getsockname(taken).ok()?).ok()?;
    Some([b"\0", address.abstract_name()?].concat())
}

/// `bind`.
pub(super) fn bind(job: &mut Job<'_, '_>, fd: i32, address: u64, length: u32) -> Reply {
    perform_bind(job, fd, address, length).unwrap_or_else(Reply::Fail)
}

fn perform_bind(job: &mut Job<'_, '_>, fd: i32, address: u64, length: u32) -> Result<Reply, Errno> {
    let (taken, address) = look(job, fd, address, length)?;
    let plain = |address: &[u8]| socket::bind(taken.as_fd(), address).map_err(|error| errno(&error));
    let domain = sockopt::socket_domain(&taken)?;
    if domain == AddressFamily::NETLINK && address.get(8..12).is_some_and(|groups| groups != [0; 4]) {
        // Groups need a right that the supervisor may have and the caller hasn't.
        return Err(Errno::PERM);
    }
    if domain != AddressFamily::UNIX {
        if !job.caller.alive() {
            return Ok(Reply::Later);
        }
        return Ok(net::bind(job, &taken, &address).into());
    }
    match unix_name(&address)? {
        UnixName::None => {
            if !job.caller.alive() {
                return Ok(Reply::Later);
            }
            let done = plain(&address);
            if let Some(name) = given_name(&taken).filter(|_| done.is_ok()) {
                job.shared.inside.add_name(name);
            }
            Ok(done.into())
        }
        UnixName::Abstract(name) => {
            if !job.caller.alive() {
                return Ok(Reply::Later);
            }
            let done = plain(&address);
            if done.is_ok() {
                job.shared.inside.add_name(name);
            }
            Ok(done.into())
        }
        UnixName::Path(path) => {
            let at = At { dir: libc::AT_FDCWD, path: 0 };
            let found = walk::find(&job.caller, at, &path)?;
            if !job.caller.alive() {
                return Ok(Reply::Later);
            }
            if found.name.is_empty() || walk::is_there(&found.parent, &found.name) {
                return Err(Errno::ADDRINUSE);
            }
            let rules = job.rules();
            // Alone, whatever the name: between its being bound and its being remembered, nothing else may take it.
            let _order = rules.order(true);
            match rules.judge(&found.parent, &found.name, Deed::Make, None) {
                Ok(Answer::Exists) => return Err(Errno::ADDRINUSE),
                Ok(Answer::Go | Answer::Missing) => {}
                Err(refusal) => {
                    let target = found.parent.path_to(&found.name)?;
                    return Ok(job.refuse(refusal, "bind a socket", &target));
                }
            }
            job.wear_umask()?;
            // This thread's working directory is its own: so the name is looked up in the directory that was judged.
            rustix::process::fchdir(found.parent.fd())?;
            let done = plain(&unix_address(&found.name));
            let _ = rustix::process::fchdir(&job.shared.proc);
            if done.is_ok() {
                if let Ok(file) = open_any_at(found.parent.fd(), OsStr::from_bytes(&found.name)) {
                    job.shared.inside.add_file(file);
                }
                if let Ok(stat) = fstat(&taken) {
                    job.shared.sockets.add(stat.st_ino, &found.name, path.to_bytes());
                }
            }
            Ok(done.into())
        }
    }
}

/// `socket` of the unix datagram type: it could send to any path, and every message would have to be looked at.
pub(super) fn datagram_socket(job: &Job<'_, '_>) -> Reply {
    let refusal = Refusal { rule: "unix-datagram", ..made_outside(None) };
    job.refuse(refusal, "make a datagram socket", b"AF_UNIX SOCK_DGRAM")
}

/// `socketpair` of the unix datagram type: the caller gets a pair that keeps messages apart just as well, but whose ends
/// ignore addresses.
pub(super) fn pair(job: &Job<'_, '_>, kind: i32, protocol: i32, out: u64) -> Reply {
    perform_pair(job, kind, protocol, out).unwrap_or_else(Reply::Fail)
}

fn perform_pair(job: &Job<'_, '_>, kind: i32, protocol: i32, out: u64) -> Result<Reply, Errno> {
    if protocol != 0 && protocol != libc::AF_UNIX {
        return Err(Errno::PROTONOSUPPORT);
    }
    let mut flags = SocketFlags::CLOEXEC;
    if kind & libc::SOCK_NONBLOCK != 0 {
        flags |= SocketFlags::NONBLOCK;
    }
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let close = kind & libc::SOCK_CLOEXEC != 0;
    let listener = job.shared.listener.as_fd();
    let give = |fd: &OwnedFd| notify::add_fd(listener, job.id, fd.as_fd(), close).map_err(|error| errno(&error));
    let (one, other) = (give(&one)?, give(&other)?);
    let mut numbers = one.to_ne_bytes().to_vec();
    numbers.extend_from_slice(&other.to_ne_bytes());
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    peek::process_vm_writev(job.caller.thread, out, &numbers).map_err(|error| errno(&error))?;
    Ok(Reply::Value(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unterminated_address_of_full_length_is_a_path() {
        let mut address = 1u16.to_ne_bytes().to_vec();
        address.extend_from_slice(&[b'a'; 120]);
        let Ok(UnixName::Path(path)) = unix_name(&address) else { panic!("not a path") };
        assert_eq!(path.to_bytes().len(), UNIX_PATH_MAX);
        assert!(matches!(unix_name(&1u16.to_ne_bytes()), Ok(UnixName::None)));
        assert!(matches!(unix_name(b"\x01\x00\x00x"), Ok(UnixName::Abstract(_))));
        assert!(unix_name(b"\x01").is_err());
    }
}
