//! Addresses as the maps hold them.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 address, or an IPv4 address as v4-mapped IPv6, in network order.
pub type Addr = [u32; 4];

/// The third word of every v4-mapped address.
pub const V4_MAPPED: u32 = 0x0000_ffff_u32.to_be();

/// `ip` (network order) as v4-mapped.
#[must_use]
pub const fn mapped(ip_be: u32) -> Addr {
    [0, 0, V4_MAPPED, ip_be]
}

/// Whether `addr` is an IPv4 address.
#[must_use]
pub const fn is_mapped(addr: &Addr) -> bool {
    addr[0] == 0 && addr[1] == 0 && addr[2] == V4_MAPPED
}

/// Whether `addr` is this host's own: 127.0.0.0/8 or `::1`.
#[must_use]
pub const fn is_loopback(addr: &Addr) -> bool {
    if is_mapped(addr) {
        return addr[3].to_ne_bytes()[0] == 127;
    }
    addr[0] == 0 && addr[1] == 0 && addr[2] == 0 && addr[3] == 1_u32.to_be()
}

/// Whether `addr` is 0.0.0.0 or `::`, which a connect takes for the loopback address.
#[must_use]
pub const fn is_unspecified(addr: &Addr) -> bool {
    addr[0] == 0 && addr[1] == 0 && (addr[2] == 0 || addr[2] == V4_MAPPED) && addr[3] == 0
}

/// Whether `addr` is of `fe80::/10`, which means nothing without an interface.
#[must_use]
pub const fn is_link_local6(addr: &Addr) -> bool {
    let [a, b, _, _] = addr[0].to_ne_bytes();
    a == 0xfe && b & 0xc0 == 0x80
}

/// The map form of an address.
#[must_use]
pub const fn from_ip(ip: IpAddr) -> Addr {
    let octets = match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let mut addr = [0; 4];
    let mut i = 0;
    while i < 4 {
        addr[i] = u32::from_ne_bytes([
            octets[i * 4],
            octets[i * 4 + 1],
            octets[i * 4 + 2],
            octets[i * 4 + 3],
        ]);
        i += 1;
    }
    addr
}

/// The address a map holds; v4-mapped comes back as IPv4.
#[must_use]
pub const fn to_ip(addr: &Addr) -> IpAddr {
    if is_mapped(addr) {
        let [a, b, c, d] = addr[3].to_ne_bytes();
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    let mut octets = [0; 16];
    let mut i = 0;
    while i < 4 {
        let word = addr[i].to_ne_bytes();
        octets[i * 4] = word[0];
        octets[i * 4 + 1] = word[1];
        octets[i * 4 + 2] = word[2];
        octets[i * 4 + 3] = word[3];
        i += 1;
    }
    IpAddr::V6(Ipv6Addr::from_octets(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        from_ip(text.parse().expect("an address"))
    }

    #[test]
    fn an_address_survives_the_map_form() {
        for text in ["10.1.2.3", "255.255.255.255", "2001:db8::1:2:3", "::1", "fe80::1"] {
            assert_eq!(Ok(to_ip(&addr(text))), text.parse());
        }
    }

    #[test]
    fn a_v4_address_and_its_v4_mapped_form_are_the_same() {
        assert_eq!(addr("::ffff:10.1.2.3"), addr("10.1.2.3"));
        assert_eq!(mapped(u32::from_ne_bytes([10, 1, 2, 3])), addr("10.1.2.3"));
    }

    #[test]
    fn loopback_is_all_of_127_and_one_v6_address() {
        assert!(["127.0.0.1", "127.255.0.9", "::1"].iter().all(|t| is_loopback(&addr(t))));
        let others = ["128.0.0.1", "0.0.0.127", "::", "::2", "1::1", "10.0.0.127"];
        assert!(others.iter().all(|t| !is_loopback(&addr(t))));
    }

    #[test]
    fn unspecified_is_zero_in_either_family() {
        assert!(["0.0.0.0", "::"].iter().all(|t| is_unspecified(&addr(t))));
        assert!(["0.0.0.1", "::1", "1::", "0:0:0:1::"].iter().all(|t| !is_unspecified(&addr(t))));
    }

    #[test]
    fn link_local_ends_at_the_tenth_bit() {
        assert!(["fe80::1", "febf:ffff::1"].iter().all(|t| is_link_local6(&addr(t))));
        let others = ["fec0::1", "fe40::1", "ff80::1", "169.254.1.1"];
        assert!(others.iter().all(|t| !is_link_local6(&addr(t))));
    }
}
