//! Which addresses are public: those that anybody on the internet has, and none that leads to this machine, to its
//! neighbours or to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are not public, with their lengths: IANA's registry of special-purpose addresses, and
/// multicast.
const CLOSED_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carriers' NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, where clouds keep their metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocols
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// The part of IPv6 that is given out at all; all else (loopback, mapped IPv4, unique local, link-local,
/// multicast) is not public.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What in it is not public.
const CLOSED_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocols, with Teredo, which carries IPv4
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, which carries IPv4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];
/// How networks without IPv4 write an IPv4 address: as public as that one is.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is public.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if within_v6(address, NAT64) => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            within_v6(address, GLOBAL_V6) && !CLOSED_V6.iter().any(|network| within_v6(address, *network))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !CLOSED_V4.iter().any(|(network, length)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        (address.to_bits() ^ network.to_bits()) & mask == 0
    })
}

fn within_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    (address.to_bits() ^ network.to_bits()) & mask == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    /// The closed networks once more, read by another hand.
    const NETWORKS_V4: &[&str] = &[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    ];
    const NETWORKS_V6: &[&str] = &[
        "::/128",
        "::1/128",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2001:2::/48",
        "2001:10::/28",
        "2001:20::/28",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];

    fn v4(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_push_services_are_public() {
        for address in ["142.250.74.10", "34.107.243.93", "17.188.143.1", "100.63.255.255", "172.32.0.1"] {
            assert!(v4(address), "{address}");
        }
        for address in ["2a00:1450:4001:80f::200a", "2620:149:a0c::1", "64:ff9b::8efa:4a0a"] {
            assert!(v4(address), "{address}");
        }
    }

    #[test]
    fn the_first_and_the_last_address_of_each_closed_network_are_not_public() {
        for network in NETWORKS_V4 {
            let network: Ipv4Net = network.parse().unwrap();
            assert!(!is_public(network.network().into()), "{network}");
            assert!(!is_public(network.broadcast().into()), "{network}");
        }
        for network in NETWORKS_V6 {
            let network: Ipv6Net = network.parse().unwrap();
            assert!(!is_public(network.network().into()), "{network}");
            assert!(!is_public(network.broadcast().into()), "{network}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_public_unless_a_network_closes_it(bits: u32, index in 0..NETWORKS_V4.len(), inside: bool) {
            let networks: Vec<Ipv4Net> = NETWORKS_V4.iter().map(|text| text.parse().unwrap()).collect();
            // Half of them are drawn from within a closed network: few of all addresses are.
            let network = networks[index];
            let mask = network.netmask().to_bits();
            let bits = if inside { (network.network().to_bits() & mask) | (bits & !mask) } else { bits };
            let address = Ipv4Addr::from_bits(bits);
            let is_closed = networks.iter().any(|network| network.contains(&address));
            prop_assert_eq!(is_public(address.into()), !is_closed);
            prop_assert_eq!(is_public(IpAddr::V6(address.to_ipv6_mapped())), false);
            prop_assert_eq!(is_public(IpAddr::V6(address.to_ipv6_compatible())), false);
            let [a, b, c, d] = address.octets().map(u16::from);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, (a << 8) | b, (c << 8) | d);
            prop_assert_eq!(is_public(nat64.into()), !is_closed);
        }

        #[test]
        fn no_address_of_a_closed_ipv6_network_is_public(bits: u128, index in 0..NETWORKS_V6.len()) {
            let network: Ipv6Net = NETWORKS_V6[index].parse().unwrap();
            let mask = network.netmask().to_bits();
            let address = Ipv6Addr::from_bits((network.network().to_bits() & mask) | (bits & !mask));
            prop_assert!(!is_public(address.into()), "{}", address);
        }

        #[test]
        fn only_what_is_given_out_of_ipv6_is_public(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            let given_out: Ipv6Net = "2000::/3".parse().unwrap();
            let nat64: Ipv6Net = "64:ff9b::/96".parse().unwrap();
            if is_public(address.into()) {
                prop_assert!(given_out.contains(&address) || nat64.contains(&address), "{}", address);
            }
        }
    }
}
