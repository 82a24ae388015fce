//! Datagrams to an address, where there is no network namespace: copied and sent for the caller, to loopback ports bound
//! inside, or to unix sockets made inside where the kernel lets there be unix datagram sockets. Messages on sockets that have
//! their peer already carry no address; they are sent on without one.

use super::call::Call;
use super::caller::errno;
use super::net;
use super::reply::{Job, Reply};
use super::socket::Judged;
use super::wait;
use crate::sys::{address as socket, peek};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketType, sendmsg,
    sendmsg_addr, sockopt,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Largest datagram there is.
const DATA_MAX: u64 = 65536;
/// `UIO_MAXIOV`, and as many messages as one call may carry.
const VECTORS_MAX: u64 = 1024;
const MESSAGE_SIZE: u64 = 56;
const MMSG_SIZE: u64 = 64;

/// Performs `sendto`, `sendmsg` or `sendmmsg`.
pub(super) fn send(job: &mut Job<'_, '_>, call: Call) -> Reply {
    let done = match call {
        Call::SendTo { socket, data, size, flags, address, length } => {
            send_to(job, socket, (data, size), flags, (address, length))
        }
        Call::SendMsg { socket, message, flags } => send_message(job, socket, message, flags),
        Call::SendMmsg { socket, messages, count, flags } => send_messages(job, socket, messages, count, flags),
        _ => Err(Errno::NOSYS),
    };
    done.unwrap_or_else(Reply::Fail)
}

fn value(count: usize) -> Reply {
    Reply::Value(i64::try_from(count).unwrap_or(i64::MAX))
}

fn send_to(
    job: &mut Job<'_, '_>,
    fd: i32,
    (data, size): (u64, u64),
    flags: i32,
    (address, length): (u64, u32),
) -> Result<Reply, Errno> {
    if size > DATA_MAX {
        return Err(Errno::MSGSIZE);
    }
    let taken = job.caller.take(fd)?;
    let data = job.caller.bytes(data, usize::try_from(size).map_err(|_| Errno::MSGSIZE)?)?;
    let address = job.caller.bytes(address, length.min(128) as usize)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    if is_unix_datagram(&taken) {
        return post(job, taken, Outgoing { data, carried: Vec::new(), address, entry: None, flags });
    }
    transmit(job, &taken, &data, flags, &address)
}

/// Sends what was copied to the address that was copied, if it may be reached.
fn transmit(job: &Job<'_, '_>, taken: &OwnedFd, data: &[u8], flags: i32, address: &[u8]) -> Result<Reply, Errno> {
    if !address.is_empty() {
        if let Some(refusal) = net::judge(job, taken, address, net::Way::Send)? {
            return Ok(job.refuse(refusal, "send", net::display(address).as_bytes()));
        }
        // Data along with a connection that isn't made yet.
        if flags & libc::MSG_FASTOPEN != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        net::bind_source(job, taken, address)?;
    }
    net::remember_source(job.shared, taken);
    let outgoing = Outgoing { data: data.to_vec(), carried: Vec::new(), address: address.to_vec(), entry: None, flags };
    let sent = outgoing.send(taken);
    net::remember_source(job.shared, taken);
    sent.map(value)
}

/// What is sent, copied.
struct Outgoing {
    data: Vec<u8>,
    carried: Vec<OwnedFd>,
    address: Vec<u8>,
    /// What the address goes through.
    entry: Option<OwnedFd>,
    flags: i32,
}

impl Outgoing {
    /// Sends it without waiting.
    fn send(&self, taken: &OwnedFd) -> Result<usize, Errno> {
        let flags = self.flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        if self.carried.is_empty() {
            return socket::sendto(taken.as_fd(), &self.data, flags, &self.address).map_err(|error| errno(&error));
        }
        let borrowed: Vec<_> = self.carried.iter().map(AsFd::as_fd).collect();
        let mut space = vec![std::mem::MaybeUninit::uninit(); 64 + borrowed.len() * 8];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(Errno::NOBUFS);
        }
        let flags = SendFlags::from_bits_retain(flags.cast_unsigned());
        if let Some(address) = self.unix_address()? {
            return sendmsg_addr(taken, &address, &[std::io::IoSlice::new(&self.data)], &mut ancillary, flags);
        }
        sendmsg(taken, &[std::io::IoSlice::new(&self.data)], &mut ancillary, flags)
    }
}

impl Outgoing {
    /// The unix socket it goes to; none if it goes to its socket's peer.
    fn unix_address(&self) -> Result<Option<SocketAddrUnix>, Errno> {
        match (&self.entry, self.address.get(2..)) {
            (Some(entry), _) => SocketAddrUnix::new(format!("/proc/self/fd/{}", entry.as_raw_fd())).map(Some),
            (None, Some([0, name @ ..])) => SocketAddrUnix::new_abstract_name(name).map(Some),
            (None, _) => Ok(None),
        }
    }
}

/// Sends; where the caller would wait for room, on a thread of its own.
fn deliver(job: &Job<'_, '_>, taken: OwnedFd, outgoing: Outgoing) -> Result<Reply, Errno> {
    let waits = outgoing.flags & libc::MSG_DONTWAIT == 0 && !fcntl_getfl(&taken)?.contains(OFlags::NONBLOCK);
    match outgoing.send(&taken) {
        Err(Errno::AGAIN) if waits => {}
        done => return done.map(value),
    }
    let gone = Arc::new(AtomicBool::new(false));
    let woken = Arc::clone(&gone);
    wait::elsewhere(
        job,
        move || loop {
            let mut fds = [PollFd::new(&taken, PollFlags::OUT)];
            let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let _ = poll(&mut fds, Some(&moment));
            if gone.load(Ordering::Acquire) {
                return Reply::Fail(Errno::INTR);
            }
            match outgoing.send(&taken) {
                // A socket without a peer has room; whom it sends to hasn't.
                Err(Errno::AGAIN) => std::thread::sleep(std::time::Duration::from_millis(1)),
                Ok(sent) => return value(sent),
                Err(errno) => return Reply::Fail(errno),
            }
        },
        move || woken.store(true, Ordering::Release),
    )
}

fn word(bytes: &[u8], at: usize) -> Result<u64, Errno> {
    let bytes: [u8; 8] = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).ok_or(Errno::FAULT)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// One `struct msghdr`, copied.
struct Message {
    address: Vec<u8>,
    data: Vec<u8>,
    control: bool,
}

fn copy(job: &Job<'_, '_>, at: u64) -> Result<Message, Errno> {
    let header = job.caller.bytes(at, usize::try_from(MESSAGE_SIZE).map_err(|_| Errno::FAULT)?)?;
    let (name, vectors, count) = (word(&header, 0)?, word(&header, 16)?, word(&header, 24)?);
    let name_length = usize::try_from(word(&header, 8)? & 0xffff_ffff).map_err(|_| Errno::INVAL)?;
    let control = word(&header, 32)? != 0 && word(&header, 40)? != 0;
    if count > VECTORS_MAX {
        return Err(Errno::MSGSIZE);
    }
    let address = if name == 0 { Vec::new() } else { job.caller.bytes(name, name_length.min(128))? };
    let table = job.caller.bytes(vectors, usize::try_from(count * 16).map_err(|_| Errno::MSGSIZE)?)?;
    let mut data = Vec::new();
    for entry in table.as_chunks::<16>().0 {
        let (base, length) = (word(entry, 0)?, word(entry, 8)?);
        if length > DATA_MAX || data.len() as u64 + length > DATA_MAX {
            return Err(Errno::MSGSIZE);
        }
        data.extend(job.caller.bytes(base, usize::try_from(length).map_err(|_| Errno::MSGSIZE)?)?);
    }
    Ok(Message { address, data, control })
}

/// Whether a message on this socket can carry nothing but to its peer.
///
/// A unix stream or packet socket ignores addresses, and that of a datagram socket is judged; the message is copied and sent
/// by us, so that the descriptor can't be exchanged for another once it was looked at.
fn ignores_addresses(taken: &OwnedFd) -> bool {
    sockopt::socket_domain(taken).is_ok_and(|domain| domain == AddressFamily::UNIX)
}

/// Whether it is a unix socket whose messages may say where they go.
fn is_unix_datagram(taken: &OwnedFd) -> bool {
    ignores_addresses(taken) && sockopt::socket_type(taken).is_ok_and(|kind| kind == SocketType::DGRAM)
}

/// Sends to a unix socket, if its address says one that may be reached.
fn post(job: &mut Job<'_, '_>, taken: OwnedFd, outgoing: Outgoing) -> Result<Reply, Errno> {
    if outgoing.address.is_empty() {
        return deliver(job, taken, outgoing);
    }
    match super::socket::judge(job, outgoing.address)? {
        Judged::Gone => Ok(Reply::Later),
        Judged::Refused { refusal, target } => Ok(job.refuse(refusal, "send", &target)),
        Judged::Inside { address, entry } | Judged::Listed { address, entry } => {
            deliver(job, taken, Outgoing { address, entry, ..outgoing })
        }
    }
}

fn send_message(job: &mut Job<'_, '_>, fd: i32, message: u64, flags: i32) -> Result<Reply, Errno> {
    let taken = job.caller.take(fd)?;
    if ignores_addresses(&taken) {
        return relay(job, taken, message, flags);
    }
    let message = copy(job, message)?;
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    let _ = message.control;
    transmit(job, &taken, &message.data, flags, &message.address)
}

fn send_messages(job: &mut Job<'_, '_>, fd: i32, messages: u64, count: u32, flags: i32) -> Result<Reply, Errno> {
    let taken = job.caller.take(fd)?;
    let mut sent = 0usize;
    for number in 0..u64::from(count).min(VECTORS_MAX) {
        let at = messages.checked_add(number * MMSG_SIZE).ok_or(Errno::FAULT)?;
        let one = if ignores_addresses(&taken) {
            // One after the other: none may wait by itself.
            taken
                .try_clone()
                .map_err(|error| errno(&error))
                .and_then(|taken| relay(job, taken, at, flags | libc::MSG_DONTWAIT))
        } else {
            copy(job, at).and_then(|message| {
                if job.caller.alive() {
                    transmit(job, &taken, &message.data, flags, &message.address)
                } else {
                    Ok(Reply::Later)
                }
            })
        };
        let length = match one {
            Ok(Reply::Value(length)) => length,
            // What was sent counts; the rest fails when it is tried again.
            _ if sent > 0 => break,
            other => return other,
        };
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes();
        // Its number may be somebody else's by now.
        if !job.caller.alive() {
            return Ok(Reply::Later);
        }
        peek::process_vm_writev(job.caller.thread, at + MESSAGE_SIZE, &length).map_err(|error| errno(&error))?;
        sent += 1;
    }
    Ok(value(sent))
}

/// A message between unix sockets, with the descriptors it may carry.
fn relay(job: &mut Job<'_, '_>, taken: OwnedFd, at: u64, flags: i32) -> Result<Reply, Errno> {
    let header = job.caller.bytes(at, usize::try_from(MESSAGE_SIZE).map_err(|_| Errno::FAULT)?)?;
    let (control, size) = (word(&header, 32)?, word(&header, 40)?);
    let message = copy(job, at)?;
    let mut carried: Vec<OwnedFd> = Vec::new();
    if control != 0 && size != 0 {
        let size = usize::try_from(size).ok().filter(|size| *size <= 4096).ok_or(Errno::NOBUFS)?;
        for number in rights(&job.caller.bytes(control, size)?)? {
            carried.push(job.caller.take(number)?);
        }
    }
    if !job.caller.alive() {
        return Ok(Reply::Later);
    }
    // Sockets with a peer ignore addresses.
    let address = if is_unix_datagram(&taken) { message.address } else { Vec::new() };
    post(job, taken, Outgoing { data: message.data, carried, address, entry: None, flags })
}

/// The descriptors of `SCM_RIGHTS` in control data; other kinds are left out.
fn rights(control: &[u8]) -> Result<Vec<i32>, Errno> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while at + 16 <= control.len() {
        let length = usize::try_from(word(control, at)?).map_err(|_| Errno::INVAL)?;
        if length < 16 || at.checked_add(length).is_none_or(|end| end > control.len()) {
            return Err(Errno::INVAL);
        }
        let kind = word(control, at + 8)?;
        let (level, kind) = ((kind & 0xffff_ffff) as u32, (kind >> 32) as u32);
        if level == libc::SOL_SOCKET.cast_unsigned() && kind == libc::SCM_RIGHTS.cast_unsigned() {
            let data = control.get(at + 16..at + length).unwrap_or_default();
            numbers.extend(data.as_chunks::<4>().0.iter().map(|bytes| i32::from_ne_bytes(*bytes)));
        }
        at += length.next_multiple_of(8);
    }
    if numbers.len() > 253 { Err(Errno::INVAL) } else { Ok(numbers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_data_that_lies_about_its_length_is_refused() {
        let mut control = vec![0u8; 24];
        control[..8].copy_from_slice(&20u64.to_ne_bytes());
        control[8..12].copy_from_slice(&1i32.to_ne_bytes());
        control[12..16].copy_from_slice(&1i32.to_ne_bytes());
        control[16..20].copy_from_slice(&7i32.to_ne_bytes());
        assert_eq!(rights(&control), Ok(vec![7]));
        control[..8].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert_eq!(rights(&control), Err(Errno::INVAL));
        control[..8].copy_from_slice(&3u64.to_ne_bytes());
        assert_eq!(rights(&control), Err(Errno::INVAL));
    }
}
