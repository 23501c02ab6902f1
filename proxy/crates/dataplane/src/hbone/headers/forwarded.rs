//! Who the connection is carried for (RFC 7239).
use super::is_name;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The source as its own proxy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The application's end of the connection.
    pub client: SocketAddr,
    /// The service that was addressed.
    pub host: Option<Arc<str>>,
}

impl Forwarded {
    /// Reads the first element; `None` when it does not say for whom.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut client, mut host) = (None, None);
        let mut rest = text;
        loop {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = value(after)?;
            match name.trim_matches(' ') {
                name if name.eq_ignore_ascii_case("for") => client = Some(address(value)?),
                name if name.eq_ignore_ascii_case("host") => {
                    host = Some(value).filter(|host| is_name(host)).map(Arc::from);
                }
                _ => {}
            }
            match after.trim_start_matches(' ').strip_prefix(';') {
                Some(after) => rest = after,
                None => break,
            }
        }
        client.map(|client| Self { client, host })
    }
}

impl fmt::Display for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, host } = self;
        write!(f, "for=\"{client}\"")?;
        match host {
            Some(host) => write!(f, ";host={host}"),
            None => Ok(()),
        }
    }
}

/// A token or a quoted string without escapes, and what comes after it.
fn value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"')?;
        return (!value.contains('\\')).then_some((value, rest));
    }
    let end = text.find([';', ',', ' ']).unwrap_or(text.len());
    Some(text.split_at(end))
}

fn address(text: &str) -> Option<SocketAddr> {
    let addr: SocketAddr = text.parse().ok()?;
    let zoned = matches!(addr, SocketAddr::V6(v6) if v6.scope_id() != 0);
    let ip: IpAddr = addr.ip().to_canonical();
    (!zoned).then(|| SocketAddr::new(ip, addr.port()))
}
