//! A question as a person writes it.
use culvert_model::name::ObjectName;
use std::{fmt, net::IpAddr};

/// May this reach that?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub source: Party,
    pub destination: Party,
    /// Of the destination.
    pub port: Option<u16>,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// `pod/<namespace>/<name>`, or without the first word.
    Pod(ObjectName),
    /// `sa/<namespace>/<name>`: whoever runs as this service account.
    Account(ObjectName),
    Ip(IpAddr),
    /// A service's host name, or what stands for it within a namespace.
    Host(Box<str>),
}

/// Why a text is not an end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAParty {
    #[error(
        "{0:?} is none of pod/NAMESPACE/NAME, sa/NAMESPACE/NAME, an IP address and a host name"
    )]
    Form(String),
    #[error("{0:?} is not a port")]
    Port(String),
    #[error("the source, {0:?}, has no port that matters")]
    SourcePort(String),
}

impl Question {
    /// Reads the source, and the destination with or without a port.
    ///
    /// # Errors
    ///
    /// When one of them has not the form of an end of a connection.
    pub fn parse(source: &str, destination: &str) -> Result<Self, NotAParty> {
        let (from, source_port) = split(source)?;
        if source_port.is_some() {
            return Err(NotAParty::SourcePort(source.to_owned()));
        }
        let (to, port) = split(destination)?;
        Ok(Self { source: party(from)?, destination: party(to)?, port })
    }
}

/// Takes the port off: `10.0.0.1:80`, `[fd00::1]:80`, `cart:80`.
fn split(text: &str) -> Result<(&str, Option<u16>), NotAParty> {
    // An IPv6 address without brackets has no port.
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    let (party, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((party, "")) => return Ok((party, None)),
        Some((party, rest)) => (party, rest.strip_prefix(':').unwrap_or(rest)),
        None => match text.rsplit_once(':') {
            Some(parts) => parts,
            None => return Ok((text, None)),
        },
    };
    match port.parse() {
        Ok(port) if port != 0 => Ok((party, Some(port))),
        Ok(_) | Err(_) => Err(NotAParty::Port(port.to_owned())),
    }
}

fn party(text: &str) -> Result<Party, NotAParty> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Party::Ip(ip.to_canonical()));
    }
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        _ if parts.contains(&"") => Err(NotAParty::Form(text.to_owned())),
        ["pod", namespace, name] => Ok(Party::Pod(ObjectName::new(namespace, name))),
        ["sa", namespace, name] => Ok(Party::Account(ObjectName::new(namespace, name))),
        ["pod" | "sa", _] => Err(NotAParty::Form(text.to_owned())),
        [namespace, name] => Ok(Party::Pod(ObjectName::new(namespace, name))),
        [host] if !host.contains(':') => Ok(Party::Host(host.to_ascii_lowercase().into())),
        _ => Err(NotAParty::Form(text.to_owned())),
    }
}

/// As it is parsed.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(name) => write!(f, "pod/{name}"),
            Self::Account(name) => write!(f, "sa/{name}"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Host(host) => f.write_str(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(to: &str, party: &str, port: Option<u16>) {
        let question = Question::parse("10.0.0.1", to).unwrap();
        assert_eq!((question.destination.to_string(), question.port), (party.to_owned(), port));
    }

    #[test]
    fn reads_every_form_with_and_without_a_port() {
        check("pod/shop/cart", "pod/shop/cart", None);
        check("pod/shop/cart:80", "pod/shop/cart", Some(80));
        check("shop/cart:80", "pod/shop/cart", Some(80));
        check("sa/shop/cart", "sa/shop/cart", None);
        check("10.0.0.1:80", "10.0.0.1", Some(80));
        check("fd00::1", "fd00::1", None);
        check("[fd00::1]", "fd00::1", None);
        check("[fd00::1]:80", "fd00::1", Some(80));
        check("::ffff:10.0.0.1", "10.0.0.1", None);
        check("Cart.shop.svc.cluster.local:443", "cart.shop.svc.cluster.local", Some(443));
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |from: &str, to: &str| Question::parse(from, to).unwrap_err().to_string();
        assert_eq!(wrong("10.0.0.1", "cart:http"), "\"http\" is not a port");
        assert_eq!(wrong("10.0.0.1", "cart:0"), "\"0\" is not a port");
        assert_eq!(
            wrong("10.0.0.1:1", "cart"),
            "the source, \"10.0.0.1:1\", has no port that matters"
        );
        let form =
            "is none of pod/NAMESPACE/NAME, sa/NAMESPACE/NAME, an IP address and a host name";
        assert_eq!(wrong("10.0.0.1", "pod/cart"), format!("\"pod/cart\" {form}"));
        assert_eq!(wrong("10.0.0.1", "a/b/c"), format!("\"a/b/c\" {form}"));
        assert_eq!(wrong("", "cart"), format!("\"\" {form}"));
    }

    proptest! {
        #[test]
        fn reads_anything_without_harm(from in ".{0,20}", to in "[a-z:/\\[\\]0-9]{0,12}") {
            drop(Question::parse(&from, &to));
        }
    }
}
