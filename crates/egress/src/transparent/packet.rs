//! Packets: what decides about one, the same one under other addresses, and answers to it. Values only; the formats are
//! the library's.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, Icmpv6DstUnreachable, Icmpv6Packet, Icmpv6Repr, IpAddress,
    IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket,
};
use std::net::{IpAddr, SocketAddr};

/// What a packet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) kind: Kind,
}

/// What it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Part of a connection, and the flags that begin and end one.
    Tcp {
        /// The first packet of a connection.
        begins: bool,
        /// This side sends no more.
        finishes: bool,
        /// It is over.
        resets: bool,
    },
    /// A datagram.
    Udp,
}

/// How a connection or datagram is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It isn't allowed.
    Prohibited,
    /// The other side refuses it.
    Refused,
    /// The other side can't be reached.
    Unreachable,
}

/// Reads a packet. None: it isn't whole, a fragment, or of a protocol that isn't carried.
pub(super) fn read(packet: &[u8]) -> Option<Seen> {
    let (from, to, protocol, payload) = match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            if ip.header_len() < 20 || ip.more_frags() || ip.frag_offset() != 0 {
                return None;
            }
            (IpAddr::from(ip.src_addr()), IpAddr::from(ip.dst_addr()), ip.next_header(), ip.payload())
        }
        6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            (IpAddr::from(ip.src_addr()), IpAddr::from(ip.dst_addr()), ip.next_header(), ip.payload())
        }
        _ => return None,
    };
    let (from_port, to_port, kind) = match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            let kind = Kind::Tcp { begins: tcp.syn() && !tcp.ack(), finishes: tcp.fin(), resets: tcp.rst() };
            (tcp.src_port(), tcp.dst_port(), kind)
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            (udp.src_port(), udp.dst_port(), Kind::Udp)
        }
        _ => return None,
    };
    Some(Seen { from: SocketAddr::new(from, from_port), to: SocketAddr::new(to, to_port), kind })
}

/// What a datagram carries, of a packet that [`read`] has found to be one.
pub(super) fn datagram(packet: &[u8]) -> Option<&[u8]> {
    Some(UdpPacket::new_checked(carried(packet)?).ok()?.payload())
}

/// What an IP packet that [`read`] has read carries.
fn carried(packet: &[u8]) -> Option<&[u8]> {
    Some(match packet.first()? >> 4 {
        4 => Ipv4Packet::new_checked(packet).ok()?.payload(),
        _ => Ipv6Packet::new_checked(packet).ok()?.payload(),
    })
}

/// Gives a TCP packet that [`read`] has read other addresses, of the same family.
pub(super) fn readdress(packet: &mut [u8], from: SocketAddr, to: SocketAddr) -> Option<()> {
    let mut changed = Changed::default();
    let payload = match (packet.first()? >> 4, from.ip(), to.ip()) {
        (4, IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = Ipv4Packet::new_checked(&mut *packet).ok()?;
            changed.add(&ip.src_addr().octets(), &from.octets());
            changed.add(&ip.dst_addr().octets(), &to.octets());
            ip.set_src_addr(from);
            ip.set_dst_addr(to);
            let checksum = changed.apply(ip.checksum());
            ip.set_checksum(checksum);
            let header = usize::from(ip.header_len());
            packet.get_mut(header..)?
        }
        (6, IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut ip = Ipv6Packet::new_checked(&mut *packet).ok()?;
            changed.add(&ip.src_addr().octets(), &from.octets());
            changed.add(&ip.dst_addr().octets(), &to.octets());
            ip.set_src_addr(from);
            ip.set_dst_addr(to);
            let header = ip.header_len();
            packet.get_mut(header..)?
        }
        _ => return None,
    };
    let mut tcp = TcpPacket::new_checked(payload).ok()?;
    changed.add(&tcp.src_port().to_be_bytes(), &from.port().to_be_bytes());
    changed.add(&tcp.dst_port().to_be_bytes(), &to.port().to_be_bytes());
    tcp.set_src_port(from.port());
    tcp.set_dst_port(to.port());
    let checksum = changed.apply(tcp.checksum());
    tcp.set_checksum(checksum);
    Some(())
}

/// What changed, for checksums over it (RFC 1624): a large packet isn't summed again for a few bytes of it.
#[derive(Debug, Default)]
struct Changed(u32);

impl Changed {
    fn add(&mut self, old: &[u8], new: &[u8]) {
        for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
            let word = |bytes: &[u8]| bytes.iter().fold(0u16, |word, byte| word << 8 | u16::from(*byte));
            self.0 += u32::from(!word(old)) + u32::from(word(new));
        }
    }

    fn apply(&self, checksum: u16) -> u16 {
        let mut sum = u32::from(!checksum) + (self.0 & 0xffff) + (self.0 >> 16);
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(u16::try_from(sum).unwrap_or(u16::MAX))
    }
}

/// The packet that turns this one away.
pub(super) fn refusal(packet: &[u8], seen: &Seen, answer: Answer) -> Option<Vec<u8>> {
    match (seen.kind, answer) {
        (Kind::Tcp { .. }, Answer::Refused) => reset(packet, seen),
        _ => unreachable(packet, seen, answer),
    }
}

/// The end of a connection, as its other side would send it.
fn reset(packet: &[u8], seen: &Seen) -> Option<Vec<u8>> {
    let tcp = TcpPacket::new_checked(carried(packet)?).ok()?;
    let (seq_number, ack_number) = if tcp.ack() {
        (tcp.ack_number(), None)
    } else {
        (TcpSeqNumber(0), Some(tcp.seq_number() + tcp.segment_len()))
    };
    let reply = TcpRepr {
        src_port: seen.to.port(),
        dst_port: seen.from.port(),
        control: TcpControl::Rst,
        seq_number,
        ack_number,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let (from, to) = (IpAddress::from(seen.to.ip()), IpAddress::from(seen.from.ip()));
    build(seen.to.ip(), seen.from.ip(), IpProtocol::Tcp, reply.buffer_len(), |bytes, sums| {
        reply.emit(&mut TcpPacket::new_unchecked(bytes), &from, &to, sums);
    })
}

/// That the destination isn't reached, with the reason, and with the beginning of the packet that it is about.
fn unreachable(packet: &[u8], seen: &Seen, answer: Answer) -> Option<Vec<u8>> {
    let sums = ChecksumCapabilities::default();
    match packet.first()? >> 4 {
        4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            let header = smoltcp::wire::Ipv4Repr::parse(&ip, &ChecksumCapabilities::ignored()).ok()?;
            let reason = match answer {
                Answer::Prohibited => Icmpv4DstUnreachable::CommProhibited,
                Answer::Refused => Icmpv4DstUnreachable::PortUnreachable,
                Answer::Unreachable => Icmpv4DstUnreachable::HostUnreachable,
            };
            let data = ip.payload().get(..8)?;
            let reply = Icmpv4Repr::DstUnreachable { reason, header, data };
            build(seen.to.ip(), seen.from.ip(), IpProtocol::Icmp, reply.buffer_len(), |bytes, _| {
                reply.emit(&mut Icmpv4Packet::new_unchecked(bytes), &sums);
            })
        }
        _ => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            let header = smoltcp::wire::Ipv6Repr::parse(&ip).ok()?;
            let reason = match answer {
                Answer::Prohibited => Icmpv6DstUnreachable::AdminProhibit,
                Answer::Refused => Icmpv6DstUnreachable::PortUnreachable,
                Answer::Unreachable => Icmpv6DstUnreachable::AddrUnreachable,
            };
            let (IpAddr::V6(from), IpAddr::V6(to)) = (seen.to.ip(), seen.from.ip()) else { return None };
            let data = ip.payload().get(..8)?;
            let reply = Icmpv6Repr::DstUnreachable { reason, header, data };
            build(seen.to.ip(), seen.from.ip(), IpProtocol::Icmpv6, reply.buffer_len(), |bytes, _| {
                reply.emit(&from, &to, &mut Icmpv6Packet::new_unchecked(bytes), &sums);
            })
        }
    }
}

/// A datagram as a packet.
pub(super) fn datagram_packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let header = smoltcp::wire::UdpRepr { src_port: from.port(), dst_port: to.port() };
    let (source, destination) = (IpAddress::from(from.ip()), IpAddress::from(to.ip()));
    build(from.ip(), to.ip(), IpProtocol::Udp, header.header_len() + payload.len(), |bytes, sums| {
        let mut packet = UdpPacket::new_unchecked(bytes);
        header.emit(&mut packet, &source, &destination, payload.len(), |space| space.copy_from_slice(payload), sums);
    })
}

fn build(
    from: IpAddr,
    to: IpAddr,
    protocol: IpProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8], &ChecksumCapabilities),
) -> Option<Vec<u8>> {
    if from.is_ipv4() != to.is_ipv4() || length > usize::from(u16::MAX) - 64 {
        return None;
    }
    let sums = ChecksumCapabilities::default();
    let ip = IpRepr::new(from.into(), to.into(), protocol, length, 64);
    let mut bytes = vec![0; ip.buffer_len()];
    ip.emit(bytes.as_mut_slice(), &sums);
    fill(bytes.get_mut(ip.header_len()..)?, &sums);
    Some(bytes)
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
