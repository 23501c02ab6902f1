//! Names as Kubernetes allows them (RFC 1123).
use serde::Deserialize;

/// One label: a namespace's name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DnsLabel(String);

/// Labels joined by dots: most other names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DnsSubdomain(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAName {
    #[error("a name is empty")]
    Empty,
    #[error("a name is longer than {0} characters")]
    TooLong(usize),
    #[error("`{0}` is no name: want lower-case letters, digits and inner hyphens")]
    Letters(String),
}

impl DnsLabel {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl DnsSubdomain {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DnsLabel {
    type Error = NotAName;

    fn try_from(name: String) -> Result<Self, NotAName> {
        check(&name, 63, [name.as_str()])?;
        Ok(Self(name))
    }
}

impl TryFrom<String> for DnsSubdomain {
    type Error = NotAName;

    fn try_from(name: String) -> Result<Self, NotAName> {
        check(&name, 253, name.split('.'))?;
        Ok(Self(name))
    }
}

fn check<'a>(
    name: &str,
    longest: usize,
    labels: impl IntoIterator<Item = &'a str>,
) -> Result<(), NotAName> {
    if name.is_empty() {
        return Err(NotAName::Empty);
    }
    if name.len() > longest {
        return Err(NotAName::TooLong(longest));
    }
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(is_fine)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if labels.into_iter().all(is_label) { Ok(()) } else { Err(NotAName::Letters(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_kubernetes_takes() {
        let label = |name: &str| DnsLabel::try_from(name.to_owned());
        let subdomain = |name: &str| DnsSubdomain::try_from(name.to_owned());
        assert!(label("shop-1").is_ok());
        assert!(subdomain("reviews.v1-7f9").is_ok());
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "a.b", &"a".repeat(64)] {
            assert!(label(bad).is_err(), "{bad}");
        }
        for bad in ["a..b", ".a", "a.", &"a".repeat(254)] {
            assert!(subdomain(bad).is_err(), "{bad}");
        }
    }
}
