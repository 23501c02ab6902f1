//! The head of a response.
use super::{
    Framing, Limits,
    head::{self, Encoding, Hop, MALFORMED, check_lines, may_grow},
};
use crate::{message::ResponseHead, outcome::Refusal};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version};
use std::mem::MaybeUninit;

/// How many headers need no memory beside the stack.
const USUAL: usize = 100;

/// What the response is to.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) upgrade: Option<HeaderValue>,
}

/// A response's head and what it says about the connection.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) head: ResponseHead,
    pub(super) framing: Framing,
    /// How many bytes it was.
    pub(super) len: usize,
    pub(super) keep_alive: bool,
}

/// The head at the beginning of `data`; `None` while it is not whole.
pub(super) fn parse(
    data: &Bytes,
    asked: &Asked,
    limits: Limits,
) -> Result<Option<Parsed>, Refusal> {
    if limits.headers <= USUAL {
        parse_with(&mut [const { MaybeUninit::uninit() }; USUAL], data, asked, limits)
    } else {
        parse_with(&mut vec![MaybeUninit::uninit(); limits.headers], data, asked, limits)
    }
}

fn parse_with<'a>(
    room: &mut [MaybeUninit<httparse::Header<'a>>],
    data: &'a Bytes,
    asked: &Asked,
    limits: Limits,
) -> Result<Option<Parsed>, Refusal> {
    let room = &mut room[..limits.headers];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut response, data, room) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return may_grow(data.len(), limits).map(|()| None),
        Err(error) => return Err(head::refusal(error)),
    };
    check_lines(&data[..len], limits)?;
    let (Some(version), Some(code)) = (response.version, response.code) else {
        return Err(MALFORMED);
    };
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let status = StatusCode::from_u16(code).map_err(|_why| MALFORMED)?;
    let (mut hop, mut headers) = Hop::read(data, response.headers)?;
    if limits.chunks_with_length {
        hop.chunks_count(&mut headers);
    }

    let upgrade = hop.upgrade().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS);
    if status == StatusCode::SWITCHING_PROTOCOLS && (asked.upgrade.is_none() || upgrade.is_none()) {
        // Nobody asked for it.
        return Err(MALFORMED);
    }
    let framing = framing(&hop, asked, status)?;
    let keep_alive = hop.stays(version) && !matches!(framing, Framing::Rest | Framing::Tunnel);
    let head = ResponseHead { status, headers, version, upgrade, spelling: None };
    Ok(Some(Parsed { head, framing, len, keep_alive }))
}

/// What of the bytes after the head is its body (RFC 9112 §6.3).
fn framing(hop: &Hop, asked: &Asked, status: StatusCode) -> Result<Framing, Refusal> {
    const BOTH: Refusal = Refusal::bad("http1.content_length_and_chunked_not_allowed");
    if status == StatusCode::SWITCHING_PROTOCOLS
        || (asked.method == Method::CONNECT && status.is_success())
    {
        return Ok(Framing::Tunnel);
    }
    let none = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
        || asked.method == Method::HEAD;
    match (hop.encoding, hop.length) {
        (Some(_), Some(_)) => Err(BOTH),
        (Some(Encoding::Unknown), None) => Err(Refusal::bad("http1.invalid_transfer_encoding")),
        _ if none => Ok(Framing::Exactly(0)),
        (Some(Encoding::Chunked), None) => Ok(Framing::Chunked),
        (None, Some(length)) => Ok(Framing::Exactly(length)),
        (None, None) => Ok(Framing::Rest),
    }
}

#[cfg(test)]
mod tests;
