//! `VirtualHost.domains`.
use std::{fmt, str::FromStr, sync::Arc};

/// Which hosts a virtual host is for; in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// `www.foo.com`, `www.foo.com:8080`.
    Exact(Arc<str>),
    /// `*.foo.com`, `*-bar.foo.com`: what follows the asterisk. The longest counts.
    Suffix(Arc<str>),
    /// `foo.*`, `foo-*`: what comes before the asterisk. The longest counts.
    Prefix(Arc<str>),
    /// `*`.
    Any,
}

/// Why a string is not a [`Domain`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADomain {
    #[error("a domain is empty")]
    Empty,
    #[error("{0:?} has a character that no host has")]
    Character(Box<str>),
}

impl FromStr for Domain {
    type Err = NotADomain;

    fn from_str(text: &str) -> Result<Self, NotADomain> {
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(NotADomain::Character(text.into()));
        }
        let lower = text.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "" => return Err(NotADomain::Empty),
            "*" => Self::Any,
            domain => match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
                (Some(suffix), _) => Self::Suffix(suffix.into()),
                (None, Some(prefix)) => Self::Prefix(prefix.into()),
                (None, None) => Self::Exact(domain.into()),
            },
        })
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Domain;

    #[test]
    fn says_what_it_was_read_from() {
        for text in ["*", "*.foo.com", "foo.*", "foo.com:80", "[::1]:80"] {
            assert_eq!(text.parse::<Domain>().unwrap().to_string(), text);
        }
        assert_eq!("A.B".parse(), Ok(Domain::Exact("a.b".into())));
        "".parse::<Domain>().unwrap_err();
        "a b".parse::<Domain>().unwrap_err();
    }
}
