//! What becomes of a request's host before it is matched, and what is said of it when it is replaced.
use std::borrow::Cow;

use culvert_model::http::manager::{HostOptions, StripPort};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::route::port_start;

/// The host that a request had before.
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A host without the dot at its end, and without its port, as far as that is wanted. `listener` is
/// the port that the connection came to.
#[must_use]
pub fn normalize(host: &str, options: HostOptions, listener: Option<u16>) -> Cow<'_, str> {
    let mut now = Cow::Borrowed(host);
    if options.strip_trailing_dot
        && let Some(dot) = host.rfind('.')
    {
        let (before, after) = (host.get(..dot), host.get(dot + 1..));
        if let (Some(before), Some(after)) = (before, after)
            && (after.is_empty() || after.starts_with(':'))
        {
            now = Cow::Owned(format!("{before}{after}"));
        }
    }
    let port = port_start(&now)
        .and_then(|colon| Some((colon, now.get(colon + 1..)?.parse::<u16>().ok()?)));
    let Some((colon, port)) = port else { return now };
    let strip = match options.strip_port {
        StripPort::Never => false,
        StripPort::Matching => listener == Some(port),
        StripPort::Any => true,
    };
    if strip { Cow::Owned(now.get(..colon).unwrap_or_default().to_owned()) } else { now }
}

/// Where it is said which host was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// `x-forwarded-host`
    pub forwarded: bool,
    /// `x-envoy-original-host`
    pub original: bool,
}

/// Says which host was replaced.
pub fn tell_replaced(old: &str, replaced: Replaced, headers: &mut HeaderMap) {
    let Ok(old) = HeaderValue::from_str(old) else { return };
    if replaced.forwarded {
        let joined = headers.get(FORWARDED_HOST).and_then(|before| {
            HeaderValue::from_bytes(&[before.as_bytes(), b",", old.as_bytes()].concat()).ok()
        });
        headers.insert(FORWARDED_HOST, joined.unwrap_or_else(|| old.clone()));
    }
    if replaced.original {
        headers.insert(ORIGINAL_HOST, old);
    }
}

#[cfg(test)]
mod tests {
    use culvert_model::http::manager::{HostOptions, StripPort};

    use super::normalize;

    #[test]
    fn ports_and_dots_go_as_wanted() {
        let all = HostOptions { strip_port: StripPort::Any, strip_trailing_dot: true };
        let own = HostOptions { strip_port: StripPort::Matching, strip_trailing_dot: false };
        for (host, options, wanted) in [
            ("a.b.:80", all, "a.b"),
            ("a.b.", all, "a.b"),
            ("[::1]:80", all, "[::1]"),
            ("[::1]", all, "[::1]"),
            ("a:x", all, "a:x"),
            ("a:80", own, "a"),
            ("a:81", own, "a:81"),
            ("a.:81", own, "a.:81"),
            ("a:80", HostOptions::default(), "a:80"),
        ] {
            assert_eq!(normalize(host, options, Some(80)), wanted, "{host}");
        }
    }
}
