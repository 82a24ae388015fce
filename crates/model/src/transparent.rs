//! Addresses of a transparent network: what the sandbox's side and the proxy's side of its interface agree on.
//!
//! The IPv4 ones are of the block that is set aside for measuring networks (RFC 2544), the IPv6 ones of a random private
//! prefix: neither is anybody's on the internet.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The sandbox's own address.
pub const INSIDE_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// From where connections come back to the sandbox.
pub const BEYOND_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// Length of the IPv4 prefix.
pub const PREFIX_V4: u8 = 15;
/// The first address that stands for a name, and the one behind the last.
pub const NAMES_V4: [u32; 2] = [0xc612_0100, 0xc614_0000];
/// The first IPv6 address that stands for a name; the number of the name is added to it.
pub const NAMES_V6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x696e, 0x6766, 1, 0, 0, 0, 0);
/// The sandbox's own IPv6 address.
pub const INSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x696e, 0x6766, 0, 0, 0, 0, 1);
/// From where IPv6 connections come back to the sandbox.
pub const BEYOND_V6: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x696e, 0x6766, 0, 0, 0, 0, 2);
/// Loopback addresses that systems name as their name server: what they ask, the proxy answers.
pub const NAME_SERVERS: [Ipv4Addr; 5] = [
    Ipv4Addr::new(127, 0, 0, 1),
    Ipv4Addr::new(127, 0, 0, 11),
    Ipv4Addr::new(127, 0, 0, 53),
    Ipv4Addr::new(127, 0, 0, 54),
    Ipv4Addr::new(127, 0, 1, 1),
];
/// Where name servers answer.
pub const NAME_PORT: u16 = 53;
