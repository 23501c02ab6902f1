//! The four forms of a request's target (RFC 9112 §3.2).
use super::head::INVALID;
use crate::{message::Scheme, outcome::Refusal};
use bytes::Bytes;
use http::{
    Method,
    uri::{Authority, PathAndQuery},
};

/// Where a request goes, as its first line says.
#[derive(Debug)]
pub(super) struct Target {
    /// Said by the absolute form only.
    pub(super) scheme: Option<Scheme>,
    /// Of the absolute form and of CONNECT; stands above `host`.
    pub(super) authority: Option<Authority>,
    pub(super) path: Option<PathAndQuery>,
}

const BAD: Refusal = Refusal::bad("http1.invalid_url");

impl Target {
    /// With `whole_url`, the absolute form is one; without, it is no path of ours.
    pub(super) fn parse(method: &Method, target: Bytes, whole_url: bool) -> Result<Self, Refusal> {
        if *method == Method::CONNECT {
            let authority = authority(target)?;
            // Where to connect to is a port, too.
            if authority.port_u16().is_none() {
                return Err(BAD);
            }
            return Ok(Self { scheme: None, authority: Some(authority), path: None });
        }
        match &*target {
            [b'/', ..] => {}
            b"*" if *method == Method::OPTIONS => {}
            _ if whole_url => return absolute(&target),
            // Nobody serves it, whatever it is.
            _ => {
                let path = Some(PathAndQuery::from_static("*"));
                return Ok(Self { scheme: None, authority: None, path });
            }
        }
        Ok(Self { scheme: None, authority: None, path: Some(path(target)?) })
    }
}

/// A host, with or without a port.
pub(super) fn authority(bytes: Bytes) -> Result<Authority, Refusal> {
    // Who somebody is, is not part of where they want to go.
    if bytes.contains(&b'@') {
        return Err(Refusal::bad("http1.invalid_host"));
    }
    Authority::from_maybe_shared(bytes).map_err(|_why| Refusal::bad("http1.invalid_host"))
}

fn absolute(target: &Bytes) -> Result<Target, Refusal> {
    let split = target.windows(3).position(|bytes| bytes == b"://").ok_or(BAD)?;
    let scheme = match &target[..split] {
        scheme if scheme.eq_ignore_ascii_case(b"http") => Scheme::Http,
        scheme if scheme.eq_ignore_ascii_case(b"https") => Scheme::Https,
        _ => return Err(BAD),
    };
    let rest = target.slice(split + 3..);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = end.unwrap_or(rest.len());
    let path = match &rest[end..] {
        [] => PathAndQuery::from_static("/"),
        [b'/', ..] => path(rest.slice(end..))?,
        rest => path([b"/", rest].concat().into())?,
    };
    if end == 0 {
        return Err(BAD);
    }
    let authority = authority(rest.slice(..end))?;
    Ok(Target { scheme: Some(scheme), authority: Some(authority), path: Some(path) })
}

fn path(bytes: Bytes) -> Result<PathAndQuery, Refusal> {
    // Where a fragment is cut off is another place for every reader.
    if memchr::memchr(b'#', &bytes).is_some() {
        return Err(Refusal::bad("path_normalization_failed"));
    }
    PathAndQuery::from_maybe_shared(bytes).map_err(|_why| INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, target: &'static str) -> Result<String, &'static str> {
        let Target { scheme, authority, path } =
            Target::parse(method, target.into(), true).map_err(|refusal| refusal.details)?;
        let scheme = scheme.map_or("-", Scheme::name);
        let authority = authority.map_or_else(|| "-".to_owned(), |host| host.to_string());
        Ok(format!("{scheme} {authority} {}", path.as_ref().map_or("-", PathAndQuery::as_str)))
    }

    #[test]
    fn all_forms() {
        let get = |target| parse(&Method::GET, target).unwrap();
        assert_eq!(get("/a?b=c"), "- - /a?b=c");
        assert_eq!(get("http://a:8080/b"), "http a:8080 /b");
        assert_eq!(get("HTTPS://a"), "https a /");
        assert_eq!(get("http://[::1]?x"), "http [::1] /?x");
        assert_eq!(get("//a/b"), "- - //a/b");
        assert_eq!(parse(&Method::OPTIONS, "*").unwrap(), "- - *");
        assert_eq!(parse(&Method::CONNECT, "a:443").unwrap(), "- a:443 -");
    }

    #[test]
    fn where_no_url_is_taken_it_is_no_path() {
        for target in ["http://a:8080/b", "a"] {
            let target = Target::parse(&Method::GET, target.into(), false).unwrap();
            assert!(target.authority.is_none() && target.path.is_some_and(|path| path == "*"));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for target in ["*", "a", "a:80", "ftp://a/", "http://", "http:///a", "http://u@a/", "?a"] {
            assert!(parse(&Method::GET, target).is_err(), "{target}");
        }
        for target in ["a", "/a", "http://a/", "a:99999", "u@a:1"] {
            assert!(parse(&Method::CONNECT, target).is_err(), "{target}");
        }
        assert_eq!(parse(&Method::GET, "/a#b"), Err("path_normalization_failed"));
    }
}
