//! Names and values as the schemas allow them.
use serde::Deserialize;
use std::{
    fmt,
    ops::{Deref, RangeInclusive},
};

/// A text that is checked when it is read.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $lengths:expr, $fits:expr, $want:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(written: String) -> Result<Self, String> {
                length(&written, &$lengths)?;
                let fits: fn(&str) -> bool = $fits;
                if fits(&written) { Ok(Self(written)) } else {
                    Err(format!(concat!("`{}` is not ", $want), written))
                }
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts! {
    /// An API group; empty: the core.
    Group: 0..=253, |text| text.is_empty() || is_subdomain(text), "an API group";
    /// A kind of object.
    Kind: 1..=63, is_kind, "the name of a kind: want letters, digits and inner hyphens";
    /// The name of an object.
    Name: 1..=253, |_| true, "a name";
    Namespace: 1..=63, is_label, "a namespace: want lower-case letters, digits and inner hyphens";
    /// The name of a listener, a port or a rule.
    SectionName: 1..=253, is_subdomain, "a name: want lower-case letters, digits, inner hyphens and dots";
    /// A host name, of which the first label may be `*`.
    Hostname: 1..=253, |text| is_subdomain(text.strip_prefix("*.").unwrap_or(text)),
        "a host name: want lower-case labels, the first of which may be *";
    /// A host name without `*`.
    PreciseHostname: 1..=253, is_subdomain, "a host name: want lower-case labels, none of them *";
    /// The name of a header, a cookie or a query parameter.
    HeaderName: 1..=256, |text| text.bytes().all(is_token), "the name of a header";
    /// What headers and query parameters say.
    HeaderValue: 1..=4096, |_| true, "a value";
    QueryValue: 1..=1024, |_| true, "a value";
    /// `DOMAIN/PATH`: who is responsible.
    ControllerName: 1..=253, is_domain_prefixed_path, "a controller: want DOMAIN/PATH";
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP` or `DOMAIN/NAME`.
    Protocol: 1..=255, is_protocol, "a protocol: want HTTP, HTTPS, TLS, TCP, UDP or DOMAIN/NAME";
    /// A path that replaces another.
    NewPath: 0..=1024, |_| true, "a path";
    /// Where a browser may come from.
    CorsOrigin: 1..=253, is_origin, "an origin: want *, or http:// or https:// with a host and no path";
    /// `URI` of a certificate.
    Uri: 1..=253, is_uri, "a URI: want SCHEME://HOST";
    /// Which roots are believed without naming them.
    WellKnownCertificates: 1..=253, |text| text == "System" || is_domain_prefixed_name(text),
        "a set of certificates: want System or DOMAIN/NAME";
    /// What an implementation understands.
    OptionValue: 0..=4096, |_| true, "a value";
    OptionKey: 1..=253, is_qualified, "a key: want NAME or DOMAIN/NAME";
    /// The value of a label.
    LabelValue: 0..=63, |text| text.is_empty() || is_qualified_name(text), "the value of a label";
    Description: 0..=64, |_| true, "a description";
    /// Of a service of gRPC, or of one of its methods.
    GrpcName: 0..=1024, |_| true, "a name";
}

fn length(text: &str, lengths: &RangeInclusive<usize>) -> Result<(), String> {
    match text.chars().count() {
        0 if !lengths.contains(&0) => Err("want text that is not empty".to_owned()),
        long if long > *lengths.end() => {
            Err(format!("{long} characters are too many: at most {} fit", lengths.end()))
        }
        _ => Ok(()),
    }
}

fn is_label(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(fine) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether it is labels, joined by dots.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_kind(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(fine)
        && !text.ends_with('-')
}

/// A character of an HTTP token.
fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

fn is_domain_prefixed_path(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&c);
    let parts = text.split_once('/');
    parts.is_some_and(|(domain, path)| {
        is_subdomain(domain) && !path.is_empty() && path.bytes().all(fine)
    })
}

fn is_domain_prefixed_name(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(domain, name)| is_subdomain(domain) && is_qualified_name(name))
}

fn is_protocol(text: &str) -> bool {
    let is_word = |text: &str| {
        let fine = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        !text.is_empty() && text.bytes().all(fine) && !text.starts_with('-') && !text.ends_with('-')
    };
    match text.split_once('/') {
        None => is_word(text),
        Some((domain, name)) => {
            is_subdomain(domain)
                && !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric())
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return text == "*";
    };
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let digits =
        |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|c| c.is_ascii_digit());
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    port.is_none_or(digits)
        && (host == "*" || host.strip_prefix("*.").unwrap_or(host).split('.').all(part))
}

/// `SCHEME://HOST…`, as RFC 3986 takes it apart.
fn is_uri(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains(['/', '?', '#', ':']))
}

/// The part of a label's key behind the slash, or the value of a label.
fn is_qualified_name(text: &str) -> bool {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let is_edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (1..=63).contains(&text.len())
        && text.bytes().all(fine)
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
}

/// The key of a label or an annotation.
pub(super) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        None => is_qualified_name(text),
        Some((domain, name)) => {
            domain.len() < 253 && is_subdomain(domain) && is_qualified_name(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_patterns_take() {
        for (check, good, bad) in [
            (
                is_subdomain as fn(&str) -> bool,
                &["a", "a-b.c1"][..],
                &["", "A", "a.", "-a", "a..b"][..],
            ),
            (is_kind, &["Service", "HTTPRoute", "a-1"], &["", "1a", "a-", "a.b"]),
            (is_domain_prefixed_path, &["a.b/c", "a/b/c~:"], &["a", "a/", "A/b", "/b", "a/b c"]),
            (is_protocol, &["HTTP", "x-1", "a.b/Cd"], &["", "a_b", "a/", "-a", "a.b/c-d"]),
            (
                is_origin,
                &["*", "https://*", "http://a-b.c:80", "https://*.c", "http://A"],
                &[
                    "",
                    "a.b",
                    "http://",
                    "http://a/",
                    "http://a:123456",
                    "ftp://a",
                    "http://a.*.b",
                    "http://a:",
                ],
            ),
            (is_uri, &["spiffe://a/b", "x://"], &["", "a", "a:b", "://a", "/x://"]),
            (is_qualified, &["a", "a.b/C_d"], &["", "a/", "A/b", "-a", "a/b/c"]),
        ] {
            good.iter().for_each(|text| assert!(check(text), "{text}"));
            bad.iter().for_each(|text| assert!(!check(text), "{text}"));
        }
    }

    #[test]
    fn says_what_is_wanted() {
        let told = |text: &str| Hostname::try_from(text.to_owned()).unwrap_err();
        assert!(told("a.*.b").starts_with("`a.*.b` is not a host name"));
        assert_eq!(told(""), "want text that is not empty");
        assert_eq!(told(&"a".repeat(254)), "254 characters are too many: at most 253 fit");
        assert!(Hostname::try_from("*.example.com".to_owned()).is_ok());
        assert!(PreciseHostname::try_from("*.example.com".to_owned()).is_err());
    }
}
