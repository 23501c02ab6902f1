//! `envoy.filters.http.grpc_web`: gRPC for browsers, which know no trailers.
//!
//! The request's body is as it is, or in base64; the response's trailers become its last message.
use super::{Kept, Place};
use crate::{
    body::{Body, BodyError, Frame, Pull},
    manager::record::Record,
    message::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::task::{Context, Poll, ready};

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct GrpcWeb;

/// What a client of gRPC-Web wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The answer's body in base64.
    text: bool,
}

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const TRAILERS: u8 = 0x80;

impl GrpcWeb {
    pub(super) fn request(&self, place: Place<'_>, record: &mut Record, body: &mut Body) {
        let headers = &mut record.head.headers;
        let Some(asked) = kind(headers, &header::CONTENT_TYPE) else { return };
        let answer = kind(headers, &header::ACCEPT).unwrap_or(Kind { text: false });
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.remove(header::CONTENT_LENGTH);
        if asked.text {
            *body = Body::boxed(Decoded { body: std::mem::take(body), rest: Vec::new() });
        }
        record.keep(place.at, Kept::GrpcWeb(answer));
    }
}

fn kind(headers: &HeaderMap, name: &HeaderName) -> Option<Kind> {
    match headers.get(name)?.as_bytes() {
        b"application/grpc-web" | b"application/grpc-web+proto" => Some(Kind { text: false }),
        b"application/grpc-web-text" | b"application/grpc-web-text+proto" => {
            Some(Kind { text: true })
        }
        _ => None,
    }
}

pub(super) fn response(place: Place<'_>, record: &mut Record, response: &mut Response) {
    let Some(Kept::GrpcWeb(Kind { text })) = record.take_kept(place.at) else { return };
    let kind = if text { "application/grpc-web-text+proto" } else { "application/grpc-web+proto" };
    let headers = &mut response.head.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if response.head.status != StatusCode::OK || response.body.is_empty() {
        return;
    }
    headers.remove(header::CONTENT_LENGTH);
    let body = std::mem::take(&mut response.body);
    response.body = Body::boxed(Encoded { body, text, rest: BytesMut::new(), over: false });
}

/// A request's body out of base64.
struct Decoded {
    body: Body,
    rest: Vec<u8>,
}

impl Pull for Decoded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        const BAD: BodyError = BodyError::Malformed("the body is not base64");
        loop {
            let next = ready!(self.body.poll_frame(cx));
            let Some(Ok(Frame::Data(data))) = next else {
                if !self.rest.is_empty() {
                    self.rest.clear();
                    return Poll::Ready(Some(Err(BAD)));
                }
                return Poll::Ready(next);
            };
            self.rest.extend_from_slice(&data);
            let whole = self.rest.len() / 4 * 4;
            let text: Vec<u8> = self.rest.drain(..whole).collect();
            let mut out = Vec::with_capacity(text.len());
            // Each message may be encoded by itself: padding may stand between them.
            for four in text.chunks(4) {
                match STANDARD.decode(four) {
                    Ok(bytes) => out.extend(bytes),
                    Err(_) => return Poll::Ready(Some(Err(BAD))),
                }
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::Data(out.into()))));
            }
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }
}

/// A response's body with its trailers as a message.
struct Encoded {
    body: Body,
    text: bool,
    /// Not yet three bytes of base64.
    rest: BytesMut,
    over: bool,
}

impl Encoded {
    /// As it is, or in base64 as far as whole groups go; all of it at the end.
    fn pass(&mut self, data: &[u8], last: bool) -> Bytes {
        self.rest.extend_from_slice(data);
        if !self.text {
            return self.rest.split().freeze();
        }
        let whole = if last { self.rest.len() } else { self.rest.len() / 3 * 3 };
        STANDARD.encode(self.rest.split_to(whole)).into()
    }
}

impl Pull for Encoded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        while !self.over {
            let out = match ready!(self.body.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) => self.pass(&data, false),
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.over = true;
                    let message = message(&trailers);
                    self.pass(&message, true)
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.over = true;
                    self.pass(b"", true)
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::Data(out))));
            }
        }
        Poll::Ready(None)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }
}

/// Trailers as the last message.
fn message(trailers: &HeaderMap) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in trailers {
        text.put_slice(name.as_str().as_bytes());
        text.push(b':');
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut all = vec![TRAILERS];
    all.extend(length.to_be_bytes());
    all.extend(text);
    all
}
