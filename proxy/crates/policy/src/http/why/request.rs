//! A request as a person writes it, and as it changes on its way.
use crate::http::facts::Head;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::HOST};

/// Its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub scheme: &'static str,
    /// Its host, with a port or without.
    pub authority: String,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
}

/// Why words are no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    #[error("{0:?} is not a method")]
    Method(String),
    #[error("{0:?} is not a path: it begins with / and has no spaces")]
    Path(String),
    #[error("{0:?} is not a host")]
    Host(String),
    #[error("{0:?} is not a header: write NAME:VALUE")]
    Header(String),
}

impl Request {
    /// Reads one; `headers` are `NAME:VALUE`, and `host` is what they do not say.
    ///
    /// # Errors
    ///
    /// What cannot be part of a request.
    pub fn parse<'a>(
        method: &str,
        path: &str,
        host: &str,
        headers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NotARequest> {
        let mut request = Self {
            method: method.parse().map_err(|_bad| NotARequest::Method(method.to_owned()))?,
            scheme: "http",
            authority: host.to_owned(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
        };
        for header in headers {
            let bad = || NotARequest::Header(header.to_owned());
            let (name, value) = header.split_once(':').ok_or_else(bad)?;
            let name: HeaderName = name.trim().parse().map_err(|_bad| bad())?;
            let value = HeaderValue::from_str(value.trim()).map_err(|_bad| bad())?;
            if name == HOST {
                value.to_str().map_err(|_bad| bad())?.clone_into(&mut request.authority);
            } else {
                request.headers.append(name, value);
            }
        }
        let is_path = request.path.parse::<http::uri::PathAndQuery>().is_ok();
        if !path.starts_with('/') || !is_path {
            return Err(NotARequest::Path(path.to_owned()));
        }
        if request.authority.parse::<http::uri::Authority>().is_err() {
            return Err(NotARequest::Host(request.authority));
        }
        Ok(request)
    }

    /// As decisions see it.
    #[must_use]
    pub fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            path: &self.path,
            authority: &self.authority,
            scheme: self.scheme,
            protocol: None,
            headers: &self.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_request_or_are_refused_by_name() {
        let read = |path: &str, headers: &[&str]| {
            Request::parse("GET", path, "shop", headers.iter().copied())
        };
        let request = read("/a?b=c", &["x-user: tester", "Host: other:8080", "x-user:b"]).unwrap();
        assert_eq!((&*request.authority, &*request.path), ("other:8080", "/a?b=c"));
        let users: Vec<_> = request.headers.get_all("x-user").iter().collect();
        assert_eq!(users, ["tester", "b"]);
        assert_eq!(read("a", &[]), Err(NotARequest::Path("a".to_owned())));
        assert_eq!(read("/", &["x"]), Err(NotARequest::Header("x".to_owned())));
        let host = Request::parse("GET", "/", "a b", []);
        assert_eq!(host, Err(NotARequest::Host("a b".to_owned())));
        let method = Request::parse("G T", "/", "a", []);
        assert_eq!(method, Err(NotARequest::Method("G T".to_owned())));
    }
}
