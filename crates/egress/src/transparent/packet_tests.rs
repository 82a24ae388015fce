use super::*;
use proptest::prelude::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn tcp(from: SocketAddr, to: SocketAddr, control: TcpControl, payload: &[u8]) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: from.port(),
        dst_port: to.port(),
        control,
        seq_number: TcpSeqNumber(77),
        ack_number: None,
        window_len: 1000,
        window_scale: Some(7),
        max_seg_size: Some(1400),
        sack_permitted: true,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let (source, destination) = (IpAddress::from(from.ip()), IpAddress::from(to.ip()));
    build(from.ip(), to.ip(), IpProtocol::Tcp, repr.buffer_len(), |bytes, sums| {
        repr.emit(&mut TcpPacket::new_unchecked(bytes), &source, &destination, sums);
    })
    .unwrap()
}

/// Whether the sums of a TCP packet are right, by the library's own reckoning.
fn sums_hold(packet: &[u8]) -> bool {
    let seen = read(packet).unwrap();
    let (source, destination) = (seen.from.ip().into(), seen.to.ip().into());
    if packet[0] >> 4 == 4 {
        let ip = Ipv4Packet::new_checked(packet).unwrap();
        ip.verify_checksum() && TcpPacket::new_checked(ip.payload()).unwrap().verify_checksum(&source, &destination)
    } else {
        let ip = Ipv6Packet::new_checked(packet).unwrap();
        TcpPacket::new_checked(ip.payload()).unwrap().verify_checksum(&source, &destination)
    }
}

#[test]
fn other_addresses_keep_the_sums_right_and_the_rest_as_it_is() {
    for [from, to, other_from, other_to] in [
        ["198.18.0.1:40000", "198.18.1.0:443", "198.18.0.2:1024", "198.18.0.1:33000"],
        ["[fd72::1]:40000", "[2606:2800::1]:443", "[fd72::2]:65535", "[fd72::1]:1"],
        ["0.0.0.0:0", "255.255.255.255:65535", "255.255.255.255:65535", "0.0.0.0:0"],
    ] {
        let mut packet = tcp(at(from), at(to), TcpControl::Syn, b"odd");
        assert!(sums_hold(&packet));
        readdress(&mut packet, at(other_from), at(other_to)).unwrap();
        let seen = read(&packet).unwrap();
        assert_eq!((seen.from, seen.to), (at(other_from), at(other_to)));
        assert_eq!(seen.kind, Kind::Tcp { begins: true, finishes: false, resets: false });
        assert!(sums_hold(&packet), "{from}");
        assert!(packet.ends_with(b"odd"));
    }
    let mut packet = tcp(at("198.18.0.1:1"), at("1.1.1.1:1"), TcpControl::Fin, b"");
    assert_eq!(readdress(&mut packet, at("[::1]:1"), at("[::2]:1")), None, "another family");
}

#[test]
fn refusals_go_back_to_whoever_sent_the_packet() {
    for (from, to) in [("198.18.0.1:40000", "198.18.1.0:443"), ("[fd72::1]:40000", "[2606:2800::1]:443")] {
        let packet = tcp(at(from), at(to), TcpControl::Syn, b"");
        let seen = read(&packet).unwrap();
        let reset = refusal(&packet, &seen, Answer::Refused).unwrap();
        assert!(sums_hold(&reset));
        let answer = read(&reset).unwrap();
        assert_eq!((answer.from, answer.to), (at(to), at(from)));
        assert_eq!(answer.kind, Kind::Tcp { begins: false, finishes: false, resets: true });
        for answer in [Answer::Prohibited, Answer::Unreachable] {
            let packet = refusal(&packet, &seen, answer).unwrap();
            assert_eq!(read(&packet), None, "it is neither a connection nor a datagram");
            assert_eq!(packet[0] >> 4, if from.starts_with('[') { 6 } else { 4 });
        }
    }
}

#[test]
fn datagrams_are_read_and_made() {
    for (from, to) in [("198.18.0.1:40000", "8.8.8.8:53"), ("[fd72::1]:40000", "[2001:4860::1]:53")] {
        let packet = datagram_packet(at(from), at(to), b"query").unwrap();
        let seen = read(&packet).unwrap();
        assert_eq!((seen.from, seen.to, seen.kind), (at(from), at(to), Kind::Udp));
        assert_eq!(datagram(&packet), Some(&b"query"[..]));
        assert!(refusal(&packet, &seen, Answer::Prohibited).is_some());
    }
    assert_eq!(datagram_packet(at("1.1.1.1:1"), at("[::1]:1"), b""), None);
    assert_eq!(datagram_packet(at("1.1.1.1:1"), at("1.1.1.1:1"), &[0; 65_535]), None);
}

#[test]
fn fragments_and_strange_headers_are_not_read() {
    let whole = tcp(at("198.18.0.1:1"), at("1.1.1.1:443"), TcpControl::Syn, b"");
    for (place, value) in [(0, 0x40), (0, 0x44), (0, 0x55), (2, 0xff), (6, 0x20), (7, 1), (9, 1), (32, 0xf0), (32, 0)] {
        let mut packet = whole.clone();
        packet[place] = value;
        assert_eq!(read(&packet), None, "byte {place} is {value:#x}");
    }
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]), None);
    }
}

proptest! {
    #[test]
    fn no_packet_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..120), version in 0u8..3, proto in 0u8..4) {
        if let Some(first) = bytes.first_mut() {
            *first = [0x45, 0x46, 0x60][usize::from(version)];
        }
        let protocol = [6, 17, 1, 58][usize::from(proto)];
        for place in [6, 9] {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = if place == 6 && version < 2 { 0 } else { protocol };
            }
        }
        // Lengths that fit, so that more than the first look happens.
        let length = u16::try_from(bytes.len()).unwrap();
        let (at, value) = if version < 2 { (2, length) } else { (4, length.saturating_sub(40)) };
        if bytes.len() > at + 1 {
            bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
        if let Some(seen) = read(&bytes) {
            for answer in [Answer::Prohibited, Answer::Refused, Answer::Unreachable] {
                let _ = refusal(&bytes, &seen, answer);
            }
            let _ = datagram(&bytes);
            let _ = readdress(&mut bytes, seen.to, seen.from);
        }
    }
}
