//! Heads, chunks and trailers on their way out.
//!
//! The length of a body is said by the body: what a header says of it is passed on only where there
//! is no body to say otherwise (responses to HEAD, and 304).
use super::{chunked, client::ClientOptions, names::Names};
use crate::{
    body::Length,
    message::{RequestHead, ResponseHead},
};
use bytes::BytesMut;
use culvert_model::http::protocol::HeaderFormat;
use http::{HeaderMap, Method, StatusCode, Version, header};

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// There is no body, whatever its length.
    None,
    /// By its length; so much is left.
    Exactly(u64),
    Chunked,
    /// By closing, or never: a tunnel.
    Raw,
}

/// How a request is written.
pub(super) fn request(
    out: &mut BytesMut,
    head: &RequestHead,
    length: Length,
    options: ClientOptions,
) -> Coding {
    let RequestHead { method, authority, path, headers, version, upgrade, spelling, .. } = head;
    let names = Names::of(spelling.as_ref(), options.names);
    put(out, method.as_str().as_bytes());
    put(out, b" ");
    let host = authority.as_ref().map_or("", |authority| authority.as_str()).as_bytes();
    if options.whole_url && path.is_some() {
        put(out, head.scheme.name().as_bytes());
        put(out, b"://");
        put(out, host);
    }
    put(out, path.as_ref().map_or(host, |path| path.as_str().as_bytes()));
    put(out, b" HTTP/1.1\r\n");
    line(out, names, "host", host);
    fields(out, names, headers, false);
    let coding = if let Some(upgrade) = upgrade {
        let two = *version == Version::HTTP_2;
        line(out, names, "connection", if two { b"upgrade" } else { b"Upgrade" });
        line(out, names, "upgrade", upgrade.as_bytes());
        Coding::Raw
    } else if *method == Method::CONNECT {
        Coding::Raw
    } else {
        // A method that usually comes without a body says nothing when it does.
        let bare = [Method::GET, Method::HEAD, Method::DELETE, Method::TRACE];
        match length {
            Length::Exactly(0) if bare.contains(method) => Coding::Exactly(0),
            Length::Exactly(_) | Length::Unknown => announce(out, names, length),
        }
    };
    put(out, b"\r\n");
    coding
}

/// What a response is to, and what becomes of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The client's version.
    pub(super) version: Version,
    /// Nothing follows the head.
    pub(super) to_head: bool,
    /// The request asked for a tunnel, and this may grant it.
    pub(super) to_tunnel: bool,
    pub(super) keep_alive: bool,
    pub(super) names: HeaderFormat,
}

/// How a response is written; [`Coding::Raw`] ends the connection.
pub(super) fn response(
    out: &mut BytesMut,
    head: &ResponseHead,
    length: Length,
    manner: Manner,
) -> Coding {
    let ResponseHead { status, headers, version: _, upgrade, spelling } = head;
    let names = Names::of(spelling.as_ref(), manner.names);
    status_line(out, head, manner.version);
    let bodiless = manner.to_head || *status == StatusCode::NOT_MODIFIED;
    fields(out, names, headers, bodiless);
    let coding = if *status == StatusCode::SWITCHING_PROTOCOLS {
        if let Some(upgrade) = upgrade {
            line(out, names, "connection", b"upgrade");
            line(out, names, "upgrade", upgrade.as_bytes());
        }
        Coding::Raw
    } else if manner.to_tunnel && status.is_success() {
        Coding::Raw
    } else if bodiless || *status == StatusCode::NO_CONTENT {
        if manner.to_head
            && manner.version == Version::HTTP_11
            && *status != StatusCode::NO_CONTENT
            && *status != StatusCode::NOT_MODIFIED
            && !headers.contains_key(header::CONTENT_LENGTH)
        {
            // How the body would have come.
            line(out, names, "transfer-encoding", b"chunked");
        }
        Coding::None
    } else if manner.version == Version::HTTP_10 && length == Length::Unknown {
        Coding::Raw
    } else {
        announce(out, names, length)
    };
    let closes = !manner.keep_alive || coding == Coding::Raw && !manner.to_tunnel;
    if closes && *status != StatusCode::SWITCHING_PROTOCOLS {
        line(out, names, "connection", b"close");
    } else if manner.version == Version::HTTP_10 {
        line(out, names, "connection", b"keep-alive");
    }
    put(out, b"\r\n");
    coding
}

/// A response before the response.
pub(super) fn interim(out: &mut BytesMut, head: &ResponseHead, format: HeaderFormat) {
    status_line(out, head, Version::HTTP_11);
    fields(out, Names::of(head.spelling.as_ref(), format), &head.headers, false);
    put(out, b"\r\n");
}

/// The line before a chunk of `len` bytes; after the data comes a line end.
pub(super) fn chunk(out: &mut BytesMut, len: usize) {
    let mut digits = [0; 2 * size_of::<usize>()];
    let mut at = digits.len();
    let mut rest = len;
    while at == digits.len() || 0 < rest {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
    }
    put(out, &digits[at..]);
    put(out, b"\r\n");
}

/// The end of a chunked body.
pub(super) fn end(out: &mut BytesMut, trailers: Option<&HeaderMap>) {
    put(out, b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if chunked::is_allowed(name) {
            line(out, Names::Lower, name.as_str(), value.as_bytes());
        }
    }
    put(out, b"\r\n");
}

/// What the number means, in Envoy's words.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        203 => "Non-Authoritative Information",
        103 | 418 | 451 => "Unknown",
        _ => status.canonical_reason().unwrap_or("Unknown"),
    }
}

fn status_line(out: &mut BytesMut, head: &ResponseHead, version: Version) {
    let ResponseHead { status, spelling, .. } = head;
    let said = spelling.as_ref().and_then(|spelling| spelling.reason());
    put(out, if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    put(out, status.as_str().as_bytes());
    put(out, b" ");
    put(out, said.unwrap_or_else(|| reason(*status).as_bytes()));
    put(out, b"\r\n");
}

fn fields(out: &mut BytesMut, names: Names<'_>, headers: &HeaderMap, with_length: bool) {
    for (name, value) in headers {
        let skipped = *name == header::TRANSFER_ENCODING
            || *name == header::CONNECTION
            || *name == header::UPGRADE
            || (*name == header::CONTENT_LENGTH && !with_length);
        if !skipped {
            line(out, names, name.as_str(), value.as_bytes());
        }
    }
}

fn line(out: &mut BytesMut, names: Names<'_>, name: &str, value: &[u8]) {
    names.write(out, name);
    put(out, b": ");
    put(out, value);
    put(out, b"\r\n");
}

fn announce(out: &mut BytesMut, names: Names<'_>, length: Length) -> Coding {
    match length {
        Length::Exactly(length) => {
            line(out, names, "content-length", itoa::Buffer::new().format(length).as_bytes());
            Coding::Exactly(length)
        }
        Length::Unknown => {
            line(out, names, "transfer-encoding", b"chunked");
            Coding::Chunked
        }
    }
}

fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}
