//! Ports and addresses as manifests write them.
use culvert_model::service::AppProtocol;
use ipnet::IpNet;
use serde::{
    Deserialize,
    de::{Deserializer, Error, Visitor},
};
use std::{fmt, net::IpAddr, num::NonZeroU16};

/// A port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u16")]
pub struct Port(pub(crate) NonZeroU16);

/// A port as text, in policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PortText(pub(crate) NonZeroU16);

/// Where a service's port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    Number(NonZeroU16),
    /// Each endpoint says which one it is.
    Name(String),
}

/// What a port is spoken by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Protocol {
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "SCTP")]
    Sctp,
}

/// An address, in brackets nowhere and without prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Ip(pub(crate) IpAddr);

/// An address or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Block(pub(crate) IpNet);

struct TargetPortVisitor;

impl Port {
    pub(crate) fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<u16> for Port {
    type Error = &'static str;

    fn try_from(port: u16) -> Result<Self, &'static str> {
        NonZeroU16::new(port).map(Self).ok_or("0 is not a port")
    }
}

impl TryFrom<String> for PortText {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let digits = written.bytes().all(|byte| byte.is_ascii_digit());
        let port = written.parse().ok().filter(|_| digits);
        port.map(Self).ok_or_else(|| format!("`{written}` is not a port"))
    }
}

impl TryFrom<String> for Ip {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let parsed = written.parse().map(|ip: IpAddr| Self(ip.to_canonical()));
        parsed.ok().ok_or_else(|| format!("`{written}` is not an IP address"))
    }
}

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let parsed = match written.contains('/') {
            true => written.parse().ok(),
            false => written.parse::<IpAddr>().ok().map(IpNet::from),
        };
        parsed.map(Self).ok_or_else(|| format!("`{written}` is neither an IP address nor a range"))
    }
}

impl<'de> Deserialize<'de> for TargetPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetPortVisitor)
    }
}

impl Visitor<'_> for TargetPortVisitor {
    type Value = TargetPort;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number or the name of a port")
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<TargetPort, E> {
        let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
        port.map(TargetPort::Number).ok_or_else(|| E::custom(format!("{number} is not a port")))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<TargetPort, E> {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = (1..=63).contains(&name.len())
            && name.chars().all(fine)
            && name.contains(|c: char| c.is_ascii_lowercase());
        if is_name {
            return Ok(TargetPort::Name(name.to_owned()));
        }
        Err(E::custom(format!("`{name}` is no name of a port")))
    }
}

/// Ports of SMTP, DNS, `MySQL` and `MongoDB`: servers that speak first, and whoever waited for a word of
/// their clients would wait for ever. Istio takes them for bytes, too.
const BYTES: [u16; 4] = [25, 53, 3306, 27017];

/// What is spoken on a port, by what it is declared as and by the beginning of its name; by its number
/// where neither says.
pub(crate) fn app_protocol(declared: Option<&str>, name: &str, number: NonZeroU16) -> AppProtocol {
    let named = name.split('-').next().unwrap_or_default();
    match declared.unwrap_or(named).to_ascii_lowercase().as_str() {
        "http" | "kubernetes.io/ws" => AppProtocol::Http1,
        "http2" | "kubernetes.io/h2c" => AppProtocol::Http2,
        "grpc" => AppProtocol::Grpc,
        "tcp" | "mongo" | "mysql" | "redis" => AppProtocol::Tcp,
        "https" | "tls" | "kubernetes.io/wss" => AppProtocol::Tls,
        _ if BYTES.contains(&number.get()) => AppProtocol::Tcp,
        _ => AppProtocol::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_ranges_and_ports_and_nothing_like_them() {
        let block = |s: &str| Block::try_from(s.to_owned()).map(|block| block.0.to_string());
        assert_eq!(block("1.2.3.4").unwrap(), "1.2.3.4/32");
        assert_eq!(block("fd00::/8").unwrap(), "fd00::/8");
        for bad in ["", "1.2.3", "1.2.3.4/33", "/8", "a", "1.2.3.4/08x", "::/129"] {
            assert!(block(bad).is_err(), "{bad}");
        }
        let port = |s: &str| PortText::try_from(s.to_owned()).map(|port| port.0.get());
        assert_eq!(port("80"), Ok(80));
        for bad in ["", "0", "-1", "+80", "65536", "http", " 80"] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_spoken_follows_the_declaration_then_the_name() {
        for (declared, name, expect) in [
            (None, "http", AppProtocol::Http1),
            (None, "http-web", AppProtocol::Http1),
            (None, "grpc-web", AppProtocol::Grpc),
            (None, "httpx", AppProtocol::Unknown),
            (Some("kubernetes.io/h2c"), "http", AppProtocol::Http2),
            (Some("HTTPS"), "", AppProtocol::Tls),
            (Some("example.org/own"), "http", AppProtocol::Unknown),
        ] {
            let port = NonZeroU16::new(8080).unwrap();
            assert_eq!(app_protocol(declared, name, port), expect, "{declared:?} {name}");
        }
        let mysql = NonZeroU16::new(3306).unwrap();
        assert_eq!(app_protocol(None, "", mysql), AppProtocol::Tcp);
        assert_eq!(app_protocol(None, "db", mysql), AppProtocol::Tcp);
        assert_eq!(app_protocol(None, "http-odd", mysql), AppProtocol::Http1);
    }
}
