//! Where a control plane is.
use std::{fmt, net::IpAddr};

/// Over TLS unless something else is said.
const TLS_PORT: u16 = 15012;

/// In plain text.
const PLAIN_PORT: u16 = 15010;

/// `https://HOST:PORT`, or `http://` for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Url {
    /// What is dialled.
    pub(crate) fn address(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            Ok(IpAddr::V4(_)) | Err(_) => format!("{}:{}", self.host, self.port),
        }
    }

    fn is_here(&self) -> bool {
        let ip: Result<IpAddr, _> = self.host.parse();
        ip.map_or(self.host == "localhost", |ip| ip.is_loopback())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.address())
    }
}

/// The URL that `text` is; if it is none, why.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let not = || format!("{text:?} is not an address such as https://control.example:15012");
    let (scheme, rest) = text.split_once("://").ok_or_else(not)?;
    let (tls, default) = match scheme {
        "https" => (true, TLS_PORT),
        "http" => (false, PLAIN_PORT),
        _ => return Err(not()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split(rest).ok_or_else(not)?;
    let port = match port {
        None => default,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(not)?,
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(fits) {
        return Err(not());
    }
    let url = Url { tls, host: host.to_owned(), port };
    if !tls && !url.is_here() {
        return Err(format!(
            "{text:?} is not on this machine; what decides who may talk to whom does not travel in plain text: use https"
        ));
    }
    Ok(url)
}

/// Host and port of `host`, `host:port`, `v4:port`, `[v6]`, `[v6]:port`.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = rest.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => port.is_empty().then_some((host, None)),
        };
    }
    match rest.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((rest, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expect: &str, address: &str) {
        let url = url(text).unwrap();
        assert_eq!((url.to_string(), url.address()), (expect.to_owned(), address.to_owned()));
    }

    #[test]
    fn a_port_is_not_needed() {
        reads("https://control.example", "https://control.example:15012", "control.example:15012");
        reads("https://10.0.0.1:443/", "https://10.0.0.1:443", "10.0.0.1:443");
        reads("https://[fd00::1]", "https://[fd00::1]:15012", "[fd00::1]:15012");
        reads("http://localhost", "http://localhost:15010", "localhost:15010");
        reads("http://[::1]:1", "http://[::1]:1", "[::1]:1");
    }

    #[test]
    fn what_is_no_url_is_refused_and_plain_text_stays_on_the_machine() {
        for text in [
            "",
            "control:15012",
            "https://",
            "https://a:0",
            "https://a:b",
            "https://a/b",
            "ftp://a",
            "https://[fd00::1]x",
            "https://fd00::1",
            "http://10.0.0.1",
            "https://a b",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
