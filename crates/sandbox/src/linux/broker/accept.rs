//! `listen` and `accept` where there is no network namespace: on loopback alone, and only for connections made inside.

use super::caller::errno;
use super::net;
use super::reply::{Job, Reply};
use super::shared::Shared;
use super::wait;
use crate::sys::{notify, peek};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, acceptfrom_with, sockopt};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `listen`. A socket that has no address yet would get one of every interface.
pub(super) fn listen(job: &Job<'_, '_>, fd: i32, backlog: i32) -> Reply {
    let done = job.caller.take(fd).and_then(|taken| {
        if !job.caller.alive() {
            return Ok(());
        }
        net::bind_if_not(job, &taken)?;
        rustix::net::listen(&taken, backlog)
    });
    done.into()
}

/// `accept`, `accept4`.
pub(super) fn accept(job: &Job<'_, '_>, fd: i32, place: (u64, u64), flags: i32) -> Reply {
    perform(job, fd, place, flags).unwrap_or_else(Reply::Fail)
}

fn perform(job: &Job<'_, '_>, fd: i32, place: (u64, u64), flags: i32) -> Result<Reply, Errno> {
    let taken = job.caller.take(fd)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    let domain = sockopt::socket_domain(&taken)?;
    if domain != AddressFamily::INET && domain != AddressFamily::INET6 {
        // Only the caller's own sockets can have been reached there. Nothing but the answer goes to its memory.
        return Ok(Reply::GoOn);
    }
    let mut socket_flags = SocketFlags::CLOEXEC;
    if flags & libc::SOCK_NONBLOCK != 0 {
        socket_flags |= SocketFlags::NONBLOCK;
    }
    let close = flags & libc::SOCK_CLOEXEC != 0;
    let caller = job.caller.thread;
    if fcntl_getfl(&taken)?.contains(OFlags::NONBLOCK) {
        return next(job.shared, &taken, socket_flags).and_then(|(made, peer)| {
            tell(caller, place, &peer)?;
            Ok(Reply::Descriptor(made, close))
        });
    }
    let (shared, gone, id) = (Arc::clone(job.shared), Arc::new(AtomicBool::new(false)), job.id);
    let woken = Arc::clone(&gone);
    wait::elsewhere(
        job,
        move || loop {
            let mut fds = [PollFd::new(&taken, PollFlags::IN)];
            let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let ready = poll(&mut fds, Some(&moment)).unwrap_or(0) > 0;
            if gone.load(Ordering::Acquire) {
                return Reply::Fail(Errno::INTR);
            }
            if !ready {
                continue;
            }
            match accept_one(&shared, &taken, socket_flags) {
                // Its number may be somebody else's by now.
                Ok(Some(_)) if !notify::id_valid(shared.listener.as_fd(), id) => return Reply::Later,
                Ok(Some((made, peer))) => match tell(caller, place, &peer) {
                    Ok(()) => return Reply::Descriptor(made, close),
                    Err(errno) => return Reply::Fail(errno),
                },
                Ok(None) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Reply::Fail(errno),
            }
        },
        move || woken.store(true, Ordering::Release),
    )
}

type Accepted = (OwnedFd, Option<SocketAddrAny>);

/// The next connection that was made inside.
fn next(shared: &Shared, taken: &OwnedFd, flags: SocketFlags) -> Result<Accepted, Errno> {
    loop {
        if let Some(made) = accept_one(shared, taken, flags)? {
            return Ok(made);
        }
    }
}

/// One connection; none if it came from outside and was dropped.
fn accept_one(shared: &Shared, taken: &OwnedFd, flags: SocketFlags) -> Result<Option<Accepted>, Errno> {
    if shared.rules.plan.loopback.as_ref().is_none_or(|loopback| loopback.every_port.value) {
        return acceptfrom_with(taken, flags).map(Some);
    }
    let (made, peer) = acceptfrom_with(taken, flags)?;
    let port = peer.clone().and_then(|peer| SocketAddr::try_from(peer).ok()).map(|peer| peer.port());
    Ok(port.is_some_and(|port| shared.inside.has_source(port)).then_some((made, peer)))
}

/// Writes the peer's address where the caller wants it.
fn tell(caller: u32, (address, length): (u64, u64), peer: &Option<SocketAddrAny>) -> Result<(), Errno> {
    if address == 0 || length == 0 {
        return Ok(());
    }
    let Some(peer) = peer.clone().and_then(|peer| SocketAddr::try_from(peer).ok()) else { return Ok(()) };
    let bytes = net::encode(peer);
    let mut room = [0; 4];
    peek::process_vm_readv(caller, length, &mut room).map_err(|error| errno(&error))?;
    let room = usize::try_from(u32::from_ne_bytes(room)).unwrap_or(0).min(bytes.len());
    let written = bytes.get(..room).unwrap_or_default();
    peek::process_vm_writev(caller, address, written).map_err(|error| errno(&error))?;
    let whole = u32::try_from(bytes.len()).unwrap_or(0).to_ne_bytes();
    peek::process_vm_writev(caller, length, &whole).map_err(|error| errno(&error))
}
