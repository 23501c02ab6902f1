//! Where the far end is to connect.
use culvert_model::tunnel::Authority;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Why a text is not an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthority {
    #[error("there is no port")]
    NoPort,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the address cannot be read")]
    Address,
    #[error("the host is not a DNS name")]
    Host,
}

/// Reads `ip:port`, `[v6]:port` or `host:port`.
///
/// Hosts are lower-cased, v4-mapped addresses become what they stand for.
///
/// # Errors
///
/// When it is anything else.
pub fn authority(text: &str) -> Result<Authority, BadAuthority> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or(BadAuthority::Address)?;
        let port = port(rest.strip_prefix(':').ok_or(BadAuthority::NoPort)?)?;
        let ip: Ipv6Addr = ip.parse().map_err(|_bad| BadAuthority::Address)?;
        return Ok(Authority::Addr(SocketAddr::new(IpAddr::V6(ip).to_canonical(), port)));
    }
    let (host, digits) = text.rsplit_once(':').ok_or(BadAuthority::NoPort)?;
    let port = port(digits)?;
    if host.contains(':') {
        return Err(BadAuthority::Address);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    // What ends in a number is an address, or nothing at all (WHATWG URL, 3.5).
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        let ip = host.parse().map_err(|_bad| BadAuthority::Address)?;
        return Ok(Authority::Addr(SocketAddr::new(ip, port)));
    }
    if !is_host(host) {
        return Err(BadAuthority::Host);
    }
    Ok(Authority::Host(host.to_ascii_lowercase().into(), port))
}

fn port(digits: &str) -> Result<u16, BadAuthority> {
    // The standard library would take a sign, and leading zeros.
    let plain = digits.starts_with(|c: char| ('1'..='9').contains(&c));
    digits.parse().ok().filter(|_| plain).ok_or(BadAuthority::Port)
}

/// A DNS name as services have them; underscores occur in practice.
fn is_host(host: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}
