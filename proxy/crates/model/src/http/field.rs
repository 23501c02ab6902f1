//! Names of headers, the ones with a colon included.
use std::{fmt, str::FromStr};

use http::HeaderName;

/// What a configuration may name where it names a header.
///
/// Pseudo-headers are fields of their own, because the engine keeps them apart from the header map;
/// `host` is [`Authority`](Self::Authority), in every version of HTTP, as in Envoy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `:authority`, `host`.
    Authority,
    /// `:method`.
    Method,
    /// `:path`, with its query.
    Path,
    /// `:scheme`.
    Scheme,
    /// `:protocol` of an extended CONNECT.
    Protocol,
    /// `:status`, of responses only.
    Status,
    Header(HeaderName),
}

/// Why a string names no header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAField {
    #[error("the name of a header is empty")]
    Empty,
    #[error("{0:?} is not a pseudo-header of HTTP")]
    Pseudo(Box<str>),
    #[error("{0:?} cannot be the name of a header")]
    Header(Box<str>),
}

impl Field {
    /// As it is written on the wire of HTTP/2.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Scheme => ":scheme",
            Self::Protocol => ":protocol",
            Self::Status => ":status",
            Self::Header(name) => name.as_str(),
        }
    }

    /// Whether its name begins with a colon.
    #[must_use]
    pub fn is_pseudo(&self) -> bool {
        !matches!(self, Self::Header(_))
    }
}

impl FromStr for Field {
    type Err = NotAField;

    fn from_str(name: &str) -> Result<Self, NotAField> {
        let lower = name.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "" => return Err(NotAField::Empty),
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::Path,
            ":scheme" => Self::Scheme,
            ":protocol" => Self::Protocol,
            ":status" => Self::Status,
            pseudo if pseudo.starts_with(':') => return Err(NotAField::Pseudo(name.into())),
            header => Self::Header(
                HeaderName::try_from(header)
                    .map_err(|_malformed| NotAField::Header(name.into()))?,
            ),
        })
    }
}

impl From<HeaderName> for Field {
    fn from(name: HeaderName) -> Self {
        if name == http::header::HOST { Self::Authority } else { Self::Header(name) }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, NotAField};

    #[test]
    fn host_is_the_authority_and_case_does_not_matter() {
        assert_eq!("Host".parse(), Ok(Field::Authority));
        assert_eq!(":METHOD".parse(), Ok(Field::Method));
        assert_eq!("X-A".parse::<Field>().unwrap().as_str(), "x-a");
    }

    #[test]
    fn what_no_request_can_carry_is_refused() {
        assert_eq!("".parse::<Field>(), Err(NotAField::Empty));
        assert_eq!(":what".parse::<Field>(), Err(NotAField::Pseudo(":what".into())));
        assert_eq!("a b".parse::<Field>(), Err(NotAField::Header("a b".into())));
    }
}
