//! Who answers requests.
use crate::{
    body::Body,
    message::{Request, Response},
    outcome::{Exchanged, Refusal},
};
use http::{HeaderValue, header};
use std::{
    future::Future,
    task::{Context, Poll},
};

/// Answers the requests of one connection, whatever its version of HTTP.
///
/// One per connection, so that it can hold what is known of it.
pub trait Service: Send + Sync + 'static {
    /// What is kept of a request until its response is written.
    type Record: Send + 'static;

    /// Answers one request.
    ///
    /// Dropped before its end when the client goes away.
    fn call(&self, request: Request) -> impl Future<Output = (Response, Self::Record)> + Send;

    /// Ready when something is to be told of a request whose response is on its way out.
    fn poll_due(&self, record: &mut Self::Record, cx: &mut Context<'_>) -> Poll<()> {
        let _nothing = (record, cx);
        Poll::Pending
    }

    /// So many bytes have gone in and out so far.
    fn report(&self, record: &mut Self::Record, received: u64, sent: u64) {
        let _nobody = (record, received, sent);
    }

    /// The response was written, or could not be.
    fn ended(&self, record: Self::Record, exchanged: Exchanged);

    /// What is answered to what is no request; the connection is closed after it.
    fn refused(&self, refusal: Refusal) -> Response {
        plain(refusal)
    }
}

/// The status in words, as text.
pub fn plain(refusal: Refusal) -> Response {
    let text = refusal.status.canonical_reason().unwrap_or_default();
    let mut response = Response::new(refusal.status, Body::full(text));
    response.head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
