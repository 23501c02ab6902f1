//! PROXY headers: who really connects, told to an endpoint before anything else.
use culvert_model::http::tls::ProxyVersion;
use std::net::{IpAddr, SocketAddr};

/// The first bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The two ends of the connection downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// The header for a connection; without ends it is our own.
pub(super) fn bytes(version: ProxyVersion, ends: Option<Ends>) -> Vec<u8> {
    match (version, ends.map(alike)) {
        (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyVersion::V1, Some(Ends { source, destination })) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            let ports = (source.port(), destination.port());
            format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
        }
        (ProxyVersion::V2, None) => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
        (ProxyVersion::V2, Some(ends)) => second(ends),
    }
}

fn second(Ends { source, destination }: Ends) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    let (family, length) = if source.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    out.extend([0x21, family, 0, length]);
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    out
}

/// Both of one family: IPv6 where they differ.
fn alike(Ends { source, destination }: Ends) -> Ends {
    let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return Ends { source, destination };
    }
    let mapped = |at: SocketAddr| match at.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), at.port()),
        IpAddr::V6(_) => at,
    };
    Ends { source: mapped(source), destination: mapped(destination) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Option<Ends> {
        Some(Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    #[test]
    fn headers_are_as_the_protocol_has_them() {
        let four = ends("192.0.2.1:4000", "192.0.2.2:80");
        assert_eq!(
            bytes(ProxyVersion::V1, four),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\n".to_vec()
        );
        let two = bytes(ProxyVersion::V2, four);
        assert_eq!(two[12..16], [0x21, 0x11, 0, 12]);
        assert_eq!(two[16..], [192, 0, 2, 1, 192, 0, 2, 2, 0x0f, 0xa0, 0, 80]);
        let mixed = bytes(ProxyVersion::V2, ends("192.0.2.1:1", "[2001:db8::1]:2"));
        assert_eq!((mixed[13], mixed.len()), (0x21, 52));
        assert_eq!(bytes(ProxyVersion::V2, None)[12..], [0x20, 0, 0, 0]);
    }
}
