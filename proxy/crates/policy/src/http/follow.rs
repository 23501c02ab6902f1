//! Redirects of upstreams that are followed here: `internal_redirect_policy`.
use culvert_model::http::route::InternalRedirect;
use http::{Method, StatusCode, Uri, uri::Authority};

use super::facts::Head;

/// The request that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    pub scheme: &'static str,
    pub authority: Authority,
    pub path: String,
    /// 303 makes a GET of it, without a body.
    pub get: bool,
    /// What `x-envoy-original-url` says.
    pub original: String,
}

/// Why a redirect is passed on instead; Envoy's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Passed {
    #[error("passthrough_internal_redirect_bad_location")]
    BadLocation,
    #[error("passthrough_internal_redirect_unsafe_scheme")]
    UnsafeScheme,
    #[error("passthrough_internal_redirect_too_many_redirects")]
    TooMany,
}

/// Whether answers of this status are looked at.
#[must_use]
pub fn concerns(policy: &InternalRedirect, status: StatusCode) -> bool {
    policy.codes.contains(&status)
}

/// The request that follows an answer; `before` is how many redirects were followed already.
///
/// # Errors
///
/// Why the client gets the answer itself.
pub fn next(
    policy: &InternalRedirect,
    head: &Head<'_>,
    status: StatusCode,
    location: &[u8],
    before: u32,
) -> Result<Next, Passed> {
    let target = Uri::try_from(location).map_err(|_malformed| Passed::BadLocation)?;
    let scheme = match target.scheme_str() {
        Some("http") => "http",
        Some("https") => "https",
        _ => return Err(Passed::BadLocation),
    };
    let authority = target.authority().cloned().ok_or(Passed::BadLocation)?;
    if !policy.cross_scheme && scheme != head.scheme {
        return Err(Passed::UnsafeScheme);
    }
    if before >= policy.limit {
        return Err(Passed::TooMany);
    }
    let read_only = *head.method == Method::GET || *head.method == Method::HEAD;
    Ok(Next {
        scheme,
        authority,
        path: target.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        get: status == StatusCode::SEE_OTHER && !read_only,
        original: format!("{}://{}{}", head.scheme, head.authority, head.path),
    })
}

#[cfg(test)]
mod tests {
    use culvert_model::http::route::InternalRedirect;
    use http::{Method, StatusCode};

    use super::{Next, Passed, next};
    use crate::http::{facts::Head, mutate::no_headers};

    fn followed(location: &str, status: StatusCode, before: u32) -> Result<Next, Passed> {
        let policy = InternalRedirect {
            limit: 1,
            codes: [StatusCode::FOUND].into(),
            cross_scheme: false,
            copied: Box::default(),
        };
        let head = Head {
            method: &Method::POST,
            path: "/a?b",
            authority: "h",
            scheme: "http",
            protocol: None,
            headers: no_headers(),
        };
        next(&policy, &head, status, location.as_bytes(), before)
    }

    #[test]
    fn whole_places_of_the_same_scheme_are_followed() {
        let next = followed("http://o:81/c?d", StatusCode::FOUND, 0).unwrap();
        assert_eq!((next.authority.as_str(), &*next.path, next.get), ("o:81", "/c?d", false));
        assert_eq!(next.original, "http://h/a?b");
        assert!(followed("http://o", StatusCode::SEE_OTHER, 0).unwrap().get);
        assert_eq!(followed("/c", StatusCode::FOUND, 0), Err(Passed::BadLocation));
        assert_eq!(followed("https://o/", StatusCode::FOUND, 0), Err(Passed::UnsafeScheme));
        assert_eq!(followed("http://o/", StatusCode::FOUND, 1), Err(Passed::TooMany));
    }
}
