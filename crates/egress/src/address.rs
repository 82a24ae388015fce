//! What an address is: public, or one of the many kinds that must not be reached through a name.
//!
//! One table, most specific range first, each row with where it is written. Whatever no row names is public; for IPv6
//! only `2000::/3` can be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kinds of addresses that aren't public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// One link only.
    LinkLocal,
    /// Shared address space of a provider.
    CarrierNat,
    /// A cloud's metadata or platform service: credentials for the asking.
    Metadata,
    /// Many receivers.
    Multicast,
    /// Everyone on the link.
    Broadcast,
    /// "This host", which the kernel connects to itself.
    Unspecified,
    /// For texts and tests only.
    Documentation,
    /// An IPv6 address with an IPv4 address inside.
    Embedded,
    /// Nothing that is assigned.
    Reserved,
    /// An address of this very machine, found by asking the kernel.
    Own,
}

impl Kind {
    /// Its name in messages and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::CarrierNat => "carrier-nat",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unspecified => "unspecified",
            Self::Documentation => "documentation",
            Self::Embedded => "embedded-ipv4",
            Self::Reserved => "reserved",
            Self::Own => "own-address",
        }
    }

    /// Whether `allow_local_binding = true` opens it: the local networks, but never metadata services, nor what no
    /// honest server has.
    #[must_use]
    pub fn is_local(self) -> bool {
        matches!(self, Self::Loopback | Self::Private | Self::LinkLocal | Self::CarrierNat | Self::Own)
    }
}

struct V4(Ipv4Addr, u32, Kind, &'static str);
struct V6(Ipv6Addr, u32, Kind, &'static str);

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u32, kind: Kind, source: &'static str) -> V4 {
    V4(Ipv4Addr::new(a, b, c, d), bits, kind, source)
}

const fn v6(segments: [u16; 8], bits: u32, kind: Kind, source: &'static str) -> V6 {
    let [a, b, c, d, e, f, g, h] = segments;
    V6(Ipv6Addr::new(a, b, c, d, e, f, g, h), bits, kind, source)
}

/// The IANA IPv4 special-purpose registry, and the fixed addresses of cloud platforms.
const V4_TABLE: [V4; 25] = [
    v4(169, 254, 169, 254, 32, Kind::Metadata, "AWS, Azure, Google Cloud, OpenStack instance metadata"),
    v4(169, 254, 170, 2, 32, Kind::Metadata, "AWS task credentials"),
    v4(169, 254, 170, 23, 32, Kind::Metadata, "AWS pod identity credentials"),
    v4(100, 100, 100, 200, 32, Kind::Metadata, "Alibaba Cloud instance metadata"),
    v4(168, 63, 129, 16, 32, Kind::Metadata, "Azure platform service, outside every private range"),
    v4(192, 0, 0, 192, 32, Kind::Metadata, "Oracle Cloud instance metadata"),
    v4(0, 0, 0, 0, 32, Kind::Unspecified, "RFC 1122"),
    v4(255, 255, 255, 255, 32, Kind::Broadcast, "RFC 8190"),
    v4(0, 0, 0, 0, 8, Kind::Reserved, "RFC 791, this network"),
    v4(10, 0, 0, 0, 8, Kind::Private, "RFC 1918"),
    v4(100, 64, 0, 0, 10, Kind::CarrierNat, "RFC 6598"),
    v4(127, 0, 0, 0, 8, Kind::Loopback, "RFC 1122"),
    v4(169, 254, 0, 0, 16, Kind::LinkLocal, "RFC 3927"),
    v4(172, 16, 0, 0, 12, Kind::Private, "RFC 1918"),
    v4(192, 0, 0, 0, 24, Kind::Reserved, "RFC 6890"),
    v4(192, 0, 2, 0, 24, Kind::Documentation, "RFC 5737"),
    v4(192, 88, 99, 0, 24, Kind::Embedded, "RFC 7526, 6to4 relay"),
    v4(192, 168, 0, 0, 16, Kind::Private, "RFC 1918"),
    v4(198, 18, 0, 0, 15, Kind::Reserved, "RFC 2544, benchmarking"),
    v4(198, 51, 100, 0, 24, Kind::Documentation, "RFC 5737"),
    v4(203, 0, 113, 0, 24, Kind::Documentation, "RFC 5737"),
    v4(233, 252, 0, 0, 24, Kind::Documentation, "RFC 6676"),
    v4(224, 0, 0, 0, 4, Kind::Multicast, "RFC 5771"),
    v4(240, 0, 0, 0, 4, Kind::Reserved, "RFC 1112"),
    v4(192, 52, 193, 0, 24, Kind::Reserved, "RFC 7450, tunnels"),
];

/// The IANA IPv6 special-purpose registry, and the fixed addresses of cloud platforms.
const V6_TABLE: [V6; 22] = [
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Kind::Metadata, "AWS instance metadata"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, Kind::Metadata, "Google Cloud instance metadata"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, Kind::Unspecified, "RFC 4291"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, Kind::Loopback, "RFC 4291"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, Kind::Embedded, "RFC 4291, IPv4-mapped"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, Kind::Embedded, "RFC 2765, IPv4-translated"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, Kind::Embedded, "RFC 4291, IPv4-compatible"),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Kind::Embedded, "RFC 6052, NAT64"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Kind::Embedded, "RFC 8215, local NAT64"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Kind::Reserved, "RFC 6666, discard"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Kind::Embedded, "RFC 4380, Teredo"),
    v6([0x2001, 0x2, 0, 0, 0, 0, 0, 0], 48, Kind::Reserved, "RFC 5180, benchmarking"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Kind::Documentation, "RFC 3849"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Kind::Reserved, "RFC 2928, protocol assignments"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Kind::Embedded, "RFC 3056, 6to4"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Kind::Documentation, "RFC 9637"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Kind::Reserved, "RFC 9602, segment routing"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Kind::Private, "RFC 4193, unique local"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Kind::LinkLocal, "RFC 4291"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Kind::Private, "RFC 3879, site-local"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Kind::Multicast, "RFC 4291"),
    v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, Kind::Reserved, "RFC 3701, 6bone"),
];

/// What kind of address this is, and where that is written; none: it is public.
#[must_use]
pub fn classify(address: IpAddr) -> Option<(Kind, &'static str)> {
    match address {
        IpAddr::V4(address) => V4_TABLE
            .iter()
            .find(|V4(base, bits, ..)| same_prefix(base.to_bits().into(), address.to_bits().into(), 96 + bits))
            .map(|V4(_, _, kind, source)| (*kind, *source)),
        IpAddr::V6(address) => V6_TABLE
            .iter()
            .find(|V6(base, bits, ..)| same_prefix(base.to_bits(), address.to_bits(), *bits))
            .map(|V6(_, _, kind, source)| (*kind, *source))
            .or_else(|| {
                let global = same_prefix(0x2000 << 112, address.to_bits(), 3);
                (!global).then_some((Kind::Reserved, "outside the global unicast range of RFC 4291"))
            }),
    }
}

fn same_prefix(a: u128, b: u128, bits: u32) -> bool {
    (a ^ b).checked_shr(128 - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(text: &str) -> Option<Kind> {
        classify(text.parse().unwrap()).map(|(kind, _)| kind)
    }

    #[test]
    fn px_01_each_kind_is_known() {
        for (text, expected) in [
            ("127.0.0.1", Kind::Loopback),
            ("127.255.255.254", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("10.0.0.1", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("fc00::1", Kind::Private),
            ("fd12:3456::1", Kind::Private),
            ("fec0::1", Kind::Private),
            ("169.254.0.1", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("100.64.0.1", Kind::CarrierNat),
            ("100.127.255.255", Kind::CarrierNat),
            ("169.254.169.254", Kind::Metadata),
            ("100.100.100.200", Kind::Metadata),
            ("168.63.129.16", Kind::Metadata),
            ("fd00:ec2::254", Kind::Metadata),
            ("224.0.0.251", Kind::Multicast),
            ("239.255.255.250", Kind::Multicast),
            ("ff02::1", Kind::Multicast),
            ("255.255.255.255", Kind::Broadcast),
            ("0.0.0.0", Kind::Unspecified),
            ("::", Kind::Unspecified),
            ("0.1.2.3", Kind::Reserved),
            ("240.0.0.1", Kind::Reserved),
            ("198.18.0.1", Kind::Reserved),
            ("192.0.2.1", Kind::Documentation),
            ("198.51.100.7", Kind::Documentation),
            ("203.0.113.9", Kind::Documentation),
            ("2001:db8::1", Kind::Documentation),
            ("3fff::1", Kind::Documentation),
            ("::ffff:8.8.8.8", Kind::Embedded),
            ("::ffff:127.0.0.1", Kind::Embedded),
            ("::127.0.0.1", Kind::Embedded),
            ("64:ff9b::7f00:1", Kind::Embedded),
            ("64:ff9b:1::1", Kind::Embedded),
            ("2002:7f00:1::", Kind::Embedded),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Kind::Embedded),
            ("4000::1", Kind::Reserved),
            ("100::1", Kind::Reserved),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
        }
        for text in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "11.0.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert_eq!(kind(text), None, "{text}");
        }
    }

    proptest! {
        /// The standard library's own notions, where it has them.
        #[test]
        fn nothing_the_standard_library_calls_special_is_public(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_documentation() || address.is_unspecified()
            {
                prop_assert!(classify(IpAddr::V4(address)).is_some());
            }
            prop_assert!(classify(IpAddr::V6(address.to_ipv6_mapped())).is_some());
        }

        #[test]
        fn nothing_outside_global_unicast_is_public(bits in any::<u128>()) {
            let address = Ipv6Addr::from_bits(bits);
            prop_assert!(classify(IpAddr::V6(address)).is_some() || (bits >> 125) == 1);
        }
    }
}
