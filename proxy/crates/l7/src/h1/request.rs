//! The head of a request.
use super::{
    Framing, Limits,
    head::{self, Encoding, Hop, MALFORMED, check_lines, may_grow},
    target::{Target, authority},
};
use crate::{
    message::{RequestHead, Scheme},
    outcome::Refusal,
};
use bytes::Bytes;
use http::{Method, StatusCode, Version};
use std::mem::MaybeUninit;

/// How many headers need no memory beside the stack.
const USUAL: usize = 100;

/// A request's head and what it says about the connection.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) head: RequestHead,
    pub(super) framing: Framing,
    /// How many bytes it was.
    pub(super) len: usize,
    pub(super) keep_alive: bool,
    /// Waits for a 100 before it sends its body.
    pub(super) expect: bool,
}

/// The head at the beginning of `data`; `None` while it is not whole.
pub(super) fn parse(
    data: &Bytes,
    scheme: Scheme,
    limits: Limits,
) -> Result<Option<Parsed>, Refusal> {
    if limits.headers <= USUAL {
        parse_with(&mut [const { MaybeUninit::uninit() }; USUAL], data, scheme, limits)
    } else {
        parse_with(&mut vec![MaybeUninit::uninit(); limits.headers], data, scheme, limits)
    }
}

fn parse_with<'a>(
    room: &mut [MaybeUninit<httparse::Header<'a>>],
    data: &'a Bytes,
    scheme: Scheme,
    limits: Limits,
) -> Result<Option<Parsed>, Refusal> {
    let room = &mut room[..limits.headers];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(data, room) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return may_grow(data.len(), limits).map(|()| None),
        Err(error) => return Err(head::refusal(error)),
    };
    check_lines(&data[..len], limits)?;
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(MALFORMED);
    };
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_why| MALFORMED)?;
    let target = Target::parse(&method, data.slice_ref(target.as_bytes()), limits.whole_url)?;
    let (mut hop, mut headers) = Hop::read(data, request.headers)?;

    if limits.chunks_with_length {
        hop.chunks_count(&mut headers);
    }
    let framing = framing(&mut hop, &method, version)?;
    let keep_alive = hop.stays(version);
    let has_body = !matches!(framing, Framing::Exactly(0));
    // A body before the upgrade and bytes after it cannot be told from each other by everybody.
    let upgrade = hop.upgrade().filter(|_| !has_body && version == Version::HTTP_11);
    let framing =
        if upgrade.is_some() || method == Method::CONNECT { Framing::Tunnel } else { framing };
    if framing == Framing::Tunnel {
        headers.remove(http::header::CONTENT_LENGTH);
    }
    let host = hop.host.take();
    if host.is_none() && version == Version::HTTP_11 {
        return Err(Refusal::bad("missing_host_header"));
    }
    let Target { scheme: said, authority: named, path } = target;
    // Refused even where the target stands above it.
    let host = host.map(authority).transpose()?;
    let head = RequestHead {
        method,
        scheme: said.unwrap_or(scheme),
        authority: named.or(host),
        path,
        headers,
        version,
        upgrade,
        spelling: None,
    };
    Ok(Some(Parsed { head, framing, len, keep_alive, expect: hop.expect && has_body }))
}

/// What of the bytes after the head is its body.
fn framing(hop: &mut Hop, method: &Method, version: Version) -> Result<Framing, Refusal> {
    const BOTH: Refusal = Refusal::bad("http1.content_length_and_chunked_not_allowed");
    const UNKNOWN: Refusal =
        Refusal::new(StatusCode::NOT_IMPLEMENTED, "http1.invalid_transfer_encoding");
    let connect = *method == Method::CONNECT;
    match (hop.encoding, hop.length) {
        (Some(Encoding::Unknown), _) => Err(UNKNOWN),
        (Some(Encoding::Chunked), Some(_)) => Err(BOTH),
        (Some(Encoding::Chunked), None) if connect || version == Version::HTTP_10 => {
            Err(Refusal::bad("http1.transfer_encoding_not_allowed"))
        }
        (Some(Encoding::Chunked), None) => Ok(Framing::Chunked),
        (None, Some(length)) if connect && length != 0 => {
            Err(Refusal::bad("http1.content_length_not_allowed"))
        }
        (None, length) => Ok(Framing::Exactly(length.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests;
