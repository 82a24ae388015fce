//! Sockets: the pair between supervisor and sandbox, and loopback inside.

use super::raw::{Result, call, word};

/// `socketpair(2)`: `AF_UNIX`, `SOCK_SEQPACKET`, closed on exec.
pub(crate) fn pair() -> Result<[i32; 2]> {
    let mut ends = [0i32; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    let args = [word(libc::AF_UNIX), word(kind), 0, ends.as_mut_ptr() as usize, 0, 0];
    // SAFETY: `ends` has room for the two descriptors.
    unsafe { call(libc::SYS_socketpair, args) }?;
    Ok(ends)
}

/// Descriptors that one message may carry.
pub(crate) const CARRIED: usize = 4;

const HEADER: usize = size_of::<libc::cmsghdr>();

/// Space for one control message with as many descriptors as may be carried.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    descriptors: [i32; CARRIED],
}

impl Control {
    fn new(count: usize) -> Self {
        // SAFETY: all-zero bytes are a valid header.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_len = (HEADER + count * size_of::<i32>()) as _;
        header.cmsg_level = libc::SOL_SOCKET;
        header.cmsg_type = libc::SCM_RIGHTS;
        Self { header, descriptors: [-1; CARRIED] }
    }
}

/// `sendmsg(2)`: `bytes`, and with them these descriptors.
pub(crate) fn send(socket: i32, bytes: &[u8], descriptors: &[i32]) -> Result<()> {
    let count = descriptors.len().min(CARRIED);
    let mut control = Control::new(count);
    for (place, fd) in control.descriptors.iter_mut().zip(descriptors) {
        *place = *fd;
    }
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero `msghdr` is valid: no name, no data, no control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    if count > 0 {
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = control.header.cmsg_len;
    }
    let args = [word(socket), &raw const message as usize, libc::MSG_NOSIGNAL as usize, 0, 0, 0];
    // SAFETY: the message and all it points to live on this stack frame or in `bytes`.
    unsafe { call(libc::SYS_sendmsg, args) }.map(drop)
}

/// `recvmsg(2)`: how much was received (0: the other end is gone), and the descriptors that came with it, −1 for none.
pub(crate) fn receive_many(socket: i32, bytes: &mut [u8], flags: i32) -> Result<(usize, [i32; CARRIED])> {
    let mut control = Control::new(0);
    let mut iov = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: an all-zero `msghdr` is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    let args = [word(socket), &raw mut message as usize, word(flags | libc::MSG_CMSG_CLOEXEC), 0, 0, 0];
    // SAFETY: the message and all it points to live on this stack frame or in `bytes`.
    let count = unsafe { call(libc::SYS_recvmsg, args) }?;
    let carried = (message.msg_controllen as usize).saturating_sub(HEADER) / size_of::<i32>();
    let ours = control.header.cmsg_level == libc::SOL_SOCKET && control.header.cmsg_type == libc::SCM_RIGHTS;
    let mut descriptors = [-1; CARRIED];
    if ours {
        for (place, fd) in descriptors.iter_mut().zip(control.descriptors).take(carried) {
            *place = fd;
        }
    }
    Ok((count, descriptors))
}

/// As [`receive_many`], for messages that carry one descriptor at most.
pub(crate) fn receive(socket: i32, bytes: &mut [u8], flags: i32) -> Result<(usize, Option<i32>)> {
    let (count, [first, rest @ ..]) = receive_many(socket, bytes, flags)?;
    for fd in rest {
        if fd >= 0 {
            super::fs::close(fd);
        }
    }
    Ok((count, (first >= 0).then_some(first)))
}

pub(super) fn socket(domain: i32, kind: i32, protocol: i32) -> Result<i32> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_socket, [word(domain), word(kind | libc::SOCK_CLOEXEC), word(protocol), 0, 0, 0]) }
        .map(|fd| fd as i32)
}

/// Raises `lo` in the network namespace of this thread.
pub(crate) fn raise_loopback() -> Result<()> {
    let fd = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // `struct ifreq`: a name of 16 bytes, then flags.
    let mut request = [0u8; 40];
    request[0] = b'l';
    request[1] = b'o';
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    let [low, high] = flags.to_ne_bytes();
    request[16] = low;
    request[17] = high;
    // SAFETY: the request is as large as `struct ifreq` on 64-bit systems; the kernel reads it.
    let result =
        unsafe { call(libc::SYS_ioctl, [word(fd), libc::SIOCSIFFLAGS as usize, request.as_ptr() as usize, 0, 0, 0]) };
    super::fs::close(fd);
    result.map(drop)
}

/// A socket that listens on this port of 127.0.0.1.
pub(crate) fn listen_loopback(port: u16) -> Result<i32> {
    listen_v4([127, 0, 0, 1], port)
}

/// A socket that listens on an address of this network; port 0 takes a free one.
pub(crate) fn listen_v4(address: [u8; 4], port: u16) -> Result<i32> {
    let fd = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    or_close(fd, bind(fd, &v4(address, port)).and_then(|()| listen(fd)))
}

/// A socket that listens for IPv6 on every address of this network.
pub(crate) fn listen_v6() -> Result<i32> {
    let fd = socket(libc::AF_INET6, libc::SOCK_STREAM, 0)?;
    let only: i32 = 1;
    let option = [libc::IPPROTO_IPV6, libc::IPV6_V6ONLY].map(word);
    let args = [word(fd), option[0], option[1], &raw const only as usize, size_of_val(&only), 0];
    // SAFETY: the option's value lives on this stack frame; the kernel only reads it.
    let set = unsafe { call(libc::SYS_setsockopt, args) };
    // SAFETY: all-zero bytes are a valid address: any, port 0.
    let mut any: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    any.sin6_family = libc::AF_INET6 as u16;
    or_close(fd, set.and_then(|_| bind(fd, &any)).and_then(|()| listen(fd)))
}

/// A datagram socket on an address of this network.
pub(crate) fn datagrams_v4(address: [u8; 4], port: u16) -> Result<i32> {
    let fd = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    or_close(fd, bind(fd, &v4(address, port)))
}

fn v4(address: [u8; 4], port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address) },
        sin_zero: [0; 8],
    }
}

fn bind<A>(fd: i32, address: &A) -> Result<()> {
    let args = [word(fd), std::ptr::from_ref(address) as usize, size_of::<A>(), 0, 0, 0];
    // SAFETY: the address is borrowed for the call; the kernel only reads it.
    unsafe { call(libc::SYS_bind, args) }.map(drop)
}

fn listen(fd: i32) -> Result<()> {
    // SAFETY: plain integers.
    unsafe { call(libc::SYS_listen, [word(fd), 1024, 0, 0, 0, 0]) }.map(drop)
}

fn or_close(fd: i32, done: Result<()>) -> Result<i32> {
    match done {
        Ok(()) => Ok(fd),
        Err(errno) => {
            super::fs::close(fd);
            Err(errno)
        }
    }
}
