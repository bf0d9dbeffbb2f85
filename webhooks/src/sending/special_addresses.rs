//! Addresses that are not somebody's public server: an own table, made from IANA's special-purpose address registries
//! (iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry) and the multicast registries.
//!
//! The table refuses more than what is not globally reachable: whatever has a special purpose is no receiver of webhooks.
//! Of IPv6 only global unicast (2000::/3) is considered at all, so that blocks which are not assigned yet are refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::network::Network;

/// A block of addresses with the purpose that it is registered for.
struct Block(Network, &'static str);

const fn v4(address: [u8; 4], prefix: u8, purpose: &'static str) -> Block {
    Block(Network::v4(address, prefix), purpose)
}

const fn v6(segments: [u16; 4], prefix: u8, purpose: &'static str) -> Block {
    Block(Network::v6(segments, prefix), purpose)
}

const IPV4: [Block; 20] = [
    v4([0, 0, 0, 0], 8, "this network"),
    v4([10, 0, 0, 0], 8, "private use"),
    v4([100, 64, 0, 0], 10, "shared address space of carriers"),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([169, 254, 0, 0], 16, "link local, where clouds keep their metadata"),
    v4([172, 16, 0, 0], 12, "private use"),
    v4([192, 0, 0, 0], 24, "protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation"),
    v4([192, 31, 196, 0], 24, "AS112"),
    v4([192, 52, 193, 0], 24, "automatic multicast tunnelling"),
    v4([192, 88, 99, 0], 24, "relays of 6to4, withdrawn"),
    v4([192, 168, 0, 0], 16, "private use"),
    v4([192, 175, 48, 0], 24, "AS112"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([255, 255, 255, 255], 32, "broadcast"),
    v4([240, 0, 0, 0], 4, "reserved"),
    // Answers only machines of Azure, with their metadata; not in IANA's registry.
    v4([168, 63, 129, 16], 32, "a cloud's metadata"),
];

const GLOBAL_UNICAST: Network = Network::v6([0x2000, 0, 0, 0], 3);

/// Within global unicast.
const IPV6: [Block; 6] = [
    // Teredo, benchmarking, AMT, AS112, ORCHID, drone identifiers ..
    v6([0x2001, 0, 0, 0], 23, "protocol assignments"),
    v6([0x2001, 0xdb8, 0, 0], 32, "documentation"),
    v6([0x2002, 0, 0, 0], 16, "6to4"),
    v6([0x2620, 0x4f, 0x8000, 0], 48, "AS112"),
    v6([0x3ffe, 0, 0, 0], 16, "6bone, withdrawn"),
    v6([0x3fff, 0, 0, 0], 20, "documentation"),
];

/// The prefix under which translators show IPv4 to networks without it (RFC 6052).
const NAT64: Network = Network::v6([0x64, 0xff9b, 0, 0], 96);

/// What an address is for, if it has a special purpose; none for a public server's.
///
/// IPv4 addresses in IPv6 clothes are judged as what they are: IPv4-mapped ones (`::ffff:127.0.0.1`) and those behind a
/// NAT64 translator (`64:ff9b::7f00:1`). The tunnels 6to4 and Teredo are refused whole, whatever address they carry.
pub fn special_purpose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => purpose_in(&IPV4, address.into()),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => purpose_in(&IPV4, inner.into()),
            None if !GLOBAL_UNICAST.contains(address.into()) => Some("not global unicast"),
            None => purpose_in(&IPV6, address.into()),
        },
    }
}

/// The address that packets reach: an IPv4-mapped one goes to its IPv4 address.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn purpose_in(blocks: &[Block], address: IpAddr) -> Option<&'static str> {
    blocks.iter().find(|Block(network, _)| network.contains(address)).map(|Block(_, purpose)| *purpose)
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    address.to_ipv4_mapped().or_else(|| {
        let [.., first, second, third, fourth] = address.octets();
        NAT64.contains(address.into()).then(|| Ipv4Addr::new(first, second, third, fourth))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_special(text: &str) -> bool {
        special_purpose(text.parse().expect("an address")).is_some()
    }

    #[test]
    fn the_first_and_the_last_address_of_each_block_are_refused_and_their_neighbours_are_not() {
        for (inside, outside) in [
            (["0.0.0.0", "0.255.255.255"], &["1.0.0.0"][..]),
            (["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0"]),
            (["100.64.0.0", "100.127.255.255"], &["100.63.255.255", "100.128.0.0"]),
            (["127.0.0.0", "127.255.255.255"], &["126.255.255.255", "128.0.0.0"]),
            (["169.254.0.0", "169.254.255.255"], &["169.253.255.255", "169.255.0.0"]),
            (["172.16.0.0", "172.31.255.255"], &["172.15.255.255", "172.32.0.0"]),
            (["192.0.0.0", "192.0.0.255"], &["191.255.255.255", "192.0.1.0"]),
            (["192.0.2.0", "192.0.2.255"], &["192.0.1.255", "192.0.3.0"]),
            (["192.31.196.0", "192.31.196.255"], &["192.31.195.255", "192.31.197.0"]),
            (["192.52.193.0", "192.52.193.255"], &["192.52.192.255", "192.52.194.0"]),
            (["192.88.99.0", "192.88.99.255"], &["192.88.98.255", "192.88.100.0"]),
            (["192.168.0.0", "192.168.255.255"], &["192.167.255.255", "192.169.0.0"]),
            (["192.175.48.0", "192.175.48.255"], &["192.175.47.255", "192.175.49.0"]),
            (["198.18.0.0", "198.19.255.255"], &["198.17.255.255", "198.20.0.0"]),
            (["198.51.100.0", "198.51.100.255"], &["198.51.99.255", "198.51.101.0"]),
            (["203.0.113.0", "203.0.113.255"], &["203.0.112.255", "203.0.114.0"]),
            (["224.0.0.0", "255.255.255.255"], &["223.255.255.255"]),
            (["168.63.129.16", "168.63.129.16"], &["168.63.129.15", "168.63.129.17"]),
            (["::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &["2000::"]),
            (["2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"], &["2000:ffff::", "2001:200::"]),
            (["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"], &["2001:db7::", "2001:db9::"]),
            (["2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &["2001:ffff::", "2003::"]),
            (["2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"], &["2620:4f:7fff::", "2620:4f:8001::"]),
            (["3ffe::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"], &["3ffd:ffff::", "3fff:1000::"]),
            (["4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &["3fff:ffff::"]),
        ] {
            assert!(inside.iter().all(|address| is_special(address)), "{inside:?}");
            for neighbour in outside {
                assert!(!is_special(neighbour), "{neighbour}");
            }
        }
    }

    #[test]
    fn what_everyone_tries_is_refused() {
        for address in [
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "100:0:0:1::1",
            "5f00::1",
            "64:ff9b:1::1",
            // IPv4 in IPv6 clothes: mapped, compatible (withdrawn), NAT64, 6to4, Teredo.
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "2002:7f00:1::",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
        ] {
            assert!(is_special(address), "{address}");
        }
    }

    #[test]
    fn public_servers_are_not_refused() {
        for address in ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::1.1.1.1"] {
            assert!(!is_special(address), "{address}");
        }
        assert!(!is_special("::ffff:1.1.1.1"));
    }
}
