//! The interface of a transparent network: a packet that leaves the sandbox's network arrives at its descriptor.
//!
//! Made with the old `ioctl` interface: fixed structures on the stack, no messages to build.

use super::raw::{Errno, Result, call, word};
use super::socket::socket;
use ringfence_model::transparent::{INSIDE_V4, INSIDE_V6, PREFIX_V4};

/// The interface's name, padded as `struct ifreq` has it.
const NAME: [u8; 16] = *b"ringfence0\0\0\0\0\0\0";
/// Packets may be as large as they get: each crosses to the proxy and back by two copies.
const MTU: i32 = 65_535;

/// `struct ifreq`: the name, then 24 bytes of which each request uses its own part.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

impl Request {
    fn new(value: &[u8]) -> Self {
        let mut request = Self { name: NAME, value: [0; 24] };
        for (place, byte) in request.value.iter_mut().zip(value) {
            *place = *byte;
        }
        request
    }

    /// With an IPv4 address, as a `struct sockaddr_in`.
    fn address(octets: [u8; 4]) -> Self {
        let [family, zero] = (libc::AF_INET as u16).to_ne_bytes();
        let [a, b, c, d] = octets;
        Self::new(&[family, zero, 0, 0, a, b, c, d])
    }
}

/// `struct in6_rtmsg`; all zero: to anywhere, by no gateway.
#[repr(C)]
#[derive(Default)]
struct RouteV6 {
    to: [u32; 4],
    from: [u32; 4],
    gateway: [u32; 4],
    kind: u32,
    to_length: u16,
    from_length: u16,
    metric: u32,
    info: libc::c_ulong,
    flags: u32,
    interface: i32,
}

fn ioctl<T>(fd: i32, request: usize, argument: &mut T) -> Result<()> {
    let args = [word(fd), request, std::ptr::from_mut(argument) as usize, 0, 0, 0];
    // SAFETY: each caller gives the structure that its request reads and writes, on its own stack frame.
    unsafe { call(libc::SYS_ioctl, args) }.map(drop)
}

/// Opens `tun` below a descriptor of `/dev/net` and makes the interface in the network namespace of this process. Needs
/// its `CAP_NET_ADMIN`.
pub(crate) fn open(devices: i32) -> Result<i32> {
    let fd = super::fs::openat(devices, c"tun", libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK, 0)?;
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as u16;
    match ioctl(fd, libc::TUNSETIFF as usize, &mut Request::new(&flags.to_ne_bytes())) {
        Ok(()) => Ok(fd),
        Err(errno) => {
            super::fs::close(fd);
            Err(errno)
        }
    }
}

/// Gives the interface its addresses, raises it, and leads everything through it that isn't loopback.
pub(crate) fn raise() -> Result<()> {
    let fd = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let raised = raise_v4(fd);
    // A kernel without IPv6 has no way out by it either.
    if raised.is_ok() {
        let _ = raise_v6(fd);
    }
    super::fs::close(fd);
    raised
}

fn raise_v4(fd: i32) -> Result<()> {
    let mask = (!0u32).checked_shl(32 - u32::from(PREFIX_V4)).unwrap_or(0);
    ioctl(fd, SIOCSIFMTU, &mut Request::new(&MTU.to_ne_bytes()))?;
    ioctl(fd, SIOCSIFADDR, &mut Request::address(INSIDE_V4.octets()))?;
    ioctl(fd, SIOCSIFNETMASK, &mut Request::address(mask.to_be_bytes()))?;
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    ioctl(fd, SIOCSIFFLAGS, &mut Request::new(&flags.to_ne_bytes()))?;
    // SAFETY: all-zero bytes are a valid route: to anywhere, by no gateway.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst.sa_family = libc::AF_INET as u16;
    route.rt_genmask.sa_family = libc::AF_INET as u16;
    route.rt_flags = libc::RTF_UP;
    let mut name = NAME;
    route.rt_dev = name.as_mut_ptr().cast();
    ioctl(fd, SIOCADDRT, &mut route)
}

fn raise_v6(fd: i32) -> Result<()> {
    let mut request = Request::new(&[]);
    ioctl(fd, SIOCGIFINDEX, &mut request)?;
    let [a, b, c, d, ..] = request.value;
    let index = i32::from_ne_bytes([a, b, c, d]);
    let v6 = socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    let mut address = libc::in6_ifreq {
        ifr6_addr: libc::in6_addr { s6_addr: INSIDE_V6.octets() },
        ifr6_prefixlen: 64,
        ifr6_ifindex: index,
    };
    let mut route = RouteV6 { metric: 1, flags: u32::from(libc::RTF_UP), interface: index, ..RouteV6::default() };
    let done = ioctl(v6, SIOCSIFADDR, &mut address).and_then(|()| ioctl(v6, SIOCADDRT, &mut route));
    super::fs::close(v6);
    done
}

const SIOCADDRT: usize = libc::SIOCADDRT as usize;
const SIOCSIFFLAGS: usize = libc::SIOCSIFFLAGS as usize;
const SIOCSIFADDR: usize = libc::SIOCSIFADDR as usize;
const SIOCSIFNETMASK: usize = libc::SIOCSIFNETMASK as usize;
const SIOCSIFMTU: usize = libc::SIOCSIFMTU as usize;
const SIOCGIFINDEX: usize = libc::SIOCGIFINDEX as usize;

/// Whether this failure means that the host offers no such interface.
pub(crate) fn unavailable(errno: Errno) -> bool {
    [libc::ENOENT, libc::ENODEV, libc::ENXIO].contains(&errno.0)
}
