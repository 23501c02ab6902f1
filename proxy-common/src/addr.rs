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
