//! Host names, with wildcards and namespaces.
use crate::object::fault::advice;
use serde::Deserialize;
use std::{fmt, net::IpAddr};

/// A host, or with `*` in the place of its first label or the beginning of that, many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern(String);

/// The host of a destination: a name as it is written, short or whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

/// A host of a gateway, and which namespaces may use it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct GatewayHost {
    pub namespaces: Namespaces,
    pub host: HostPattern,
}

/// Some namespaces, as objects of one say them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespaces {
    /// `*`
    All,
    /// `.`
    Own,
    One(String),
    /// `~`
    None,
}

/// An item of `exportTo`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ExportTo(pub Namespaces);

impl HostPattern {
    /// In lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether `host`, or everything that `host` stands for when it has a wildcard, is meant.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(end) => host.ends_with(end) && (host.len() > end.len() || host.starts_with('*')),
            None => self.0 == host,
        }
    }

    /// Whether some host is meant by both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.covers(&other.0) || other.covers(&self.0)
    }
}

impl HostName {
    /// In lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Namespaces {
    /// Whether `namespace` is among them, as an object of `own` says it.
    #[must_use]
    pub fn include(&self, namespace: &str, own: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own => namespace == own,
            Self::One(one) => one == namespace,
            Self::None => false,
        }
    }

    fn read(written: &str) -> Result<Self, String> {
        match written {
            "*" => Ok(Self::All),
            "." => Ok(Self::Own),
            "~" => Ok(Self::None),
            name if is_label(name) => Ok(Self::One(name.to_owned())),
            other => Err(advice(
                format_args!("`{other}` is no namespace"),
                "write a name, `.` for this namespace, or `*` for all",
            )),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let name = written.to_ascii_lowercase();
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name.as_str(), None),
        };
        let bare = first.strip_prefix('*').unwrap_or(first);
        let bare = if first.len() > bare.len() { bare.trim_start_matches('-') } else { bare };
        let is_first = is_label(bare) || first == "*";
        let is_name = is_first && rest.is_none_or(is_dotted) && name.len() <= 253;
        if is_name || name.parse::<IpAddr>().is_ok() {
            return Ok(Self(name));
        }
        if written.contains("://") || written.contains('/') {
            let message = format!("`{written}` is no host name");
            return Err(advice(message, "write the host only, without scheme and path"));
        }
        Err(format!("`{written}` is no host name (`*` may stand for its first label)"))
    }
}

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if written.contains('*') {
            let message = format!("`{written}` stands for many hosts");
            return Err(advice(message, "write one of them"));
        }
        let HostPattern(name) = HostPattern::try_from(written)?;
        Ok(Self(name))
    }
}

impl TryFrom<String> for GatewayHost {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let (namespaces, host) = match written.split_once('/') {
            Some((namespaces, host)) => (Namespaces::read(namespaces)?, host.to_owned()),
            None => (Namespaces::All, written),
        };
        Ok(Self { namespaces, host: HostPattern::try_from(host)? })
    }
}

impl TryFrom<String> for ExportTo {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Namespaces::read(&written).map(Self)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels joined by dots; a dot at the end says that nothing follows.
fn is_dotted(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(fine)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(written: &str) -> Result<HostPattern, String> {
        HostPattern::try_from(written.to_owned())
    }

    #[test]
    fn reads_hosts_and_nothing_like_them() {
        for good in
            ["*", "*.a.b", "*-x.a", "A.b", "reviews", "10.0.0.1", "fd00::1", "a.b.", "a_b.c"]
        {
            assert!(pattern(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.*.b", "a*", "http://a", "a/b", "-a", "a-.b", "**", "a b"] {
            assert!(pattern(bad).is_err(), "{bad}");
        }
        assert_eq!(pattern("Reviews.Shop").unwrap().as_str(), "reviews.shop");
        assert!(HostName::try_from("*.a".to_owned()).is_err());
    }

    #[test]
    fn a_wildcard_covers_what_ends_so() {
        let any = pattern("*.example.com").unwrap();
        assert!(any.covers("a.example.com") && any.covers("b.a.example.com"));
        assert!(any.covers("*.a.example.com") && any.covers("*.example.com"));
        assert!(!any.covers("example.com") && !any.covers(".example.com") && !any.covers("*"));
        assert!(pattern("*").unwrap().covers("a") && any.meets(&pattern("*").unwrap()));
        assert!(!any.meets(&pattern("*.example.org").unwrap()));
    }

    #[test]
    fn a_gateways_hosts_say_whose_they_are() {
        let read = |written: &str| GatewayHost::try_from(written.to_owned()).unwrap();
        assert_eq!(read("*.a").namespaces, Namespaces::All);
        assert_eq!(read("./*").namespaces, Namespaces::Own);
        assert_eq!(read("shop/a.b").namespaces, Namespaces::One("shop".into()));
        assert!(read("./a").namespaces.include("shop", "shop"));
        assert!(!read("./a").namespaces.include("bank", "shop"));
        assert!(GatewayHost::try_from("a/b/c".to_owned()).is_err());
    }
}
