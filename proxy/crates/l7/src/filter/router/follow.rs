//! Redirects of upstreams that are followed here.
use crate::{
    manager::record::Record,
    message::{RequestHead, ResponseHead, Scheme},
};
use bytes::Bytes;
use culvert_model::http::{field::Field, route::Forward};
use culvert_policy::http::follow;
use http::{HeaderName, HeaderValue, Method, header, uri::PathAndQuery};

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-envoy-original-url");

/// The head of the request that follows an answer, if one does.
pub(super) fn next(
    record: &Record,
    forward: &Forward,
    answer: &ResponseHead,
) -> Option<RequestHead> {
    let policy = forward.internal_redirect.as_deref()?;
    if !follow::concerns(policy, answer.status) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?;
    let request = record.request();
    let next = follow::next(policy, &request, answer.status, location.as_bytes(), record.redirects);
    let next = match next {
        Ok(next) => next,
        Err(why) => {
            // Counted by the words that Envoy has for it.
            record.manager.tally().scope().counter(&why.to_string()).inc();
            return None;
        }
    };
    let mut head = record.head.clone();
    head.scheme = if next.scheme == "https" { Scheme::Https } else { Scheme::Http };
    head.authority = Some(next.authority);
    head.path = Some(PathAndQuery::from_maybe_shared(Bytes::from(next.path)).ok()?);
    if next.get {
        head.method = Method::GET;
        head.headers.remove(header::CONTENT_LENGTH);
    }
    if let Ok(original) = HeaderValue::try_from(next.original) {
        head.headers.insert(ORIGINAL_URL, original);
    }
    for field in &policy.copied {
        let Field::Header(name) = field else { continue };
        match answer.headers.get(name) {
            Some(value) => head.headers.insert(name.clone(), value.clone()),
            None => head.headers.remove(name),
        };
    }
    Some(head)
}
