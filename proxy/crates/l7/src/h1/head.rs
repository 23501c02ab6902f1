//! What the heads of requests and responses have in common: headers, and which of them belong to
//! the connection alone.
use super::Limits;
use crate::outcome::Refusal;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use httparse::Header;

/// How many headers a `connection` header may name.
const NAMED_MAX: usize = 10;

/// What a head says about its connection and the length of its body.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a token that may be there or not")]
pub(super) struct Hop {
    pub(super) length: Option<u64>,
    /// `transfer-encoding`, when there is one.
    pub(super) encoding: Option<Encoding>,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expect: bool,
    /// The first `host`.
    pub(super) host: Option<Bytes>,
    /// `connection` names `upgrade`.
    upgrades: bool,
    upgrade: Option<HeaderValue>,
    /// Other headers that `connection` names.
    named: Vec<HeaderName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Chunked,
    /// Another, or several.
    Unknown,
}

impl Hop {
    /// The headers of `parsed`, whose bytes are in `data`, but for those of the connection.
    pub(super) fn read(data: &Bytes, parsed: &[Header<'_>]) -> Result<(Self, HeaderMap), Refusal> {
        let mut hop = Self::default();
        // What is empty needs no memory.
        let mut headers = HeaderMap::with_capacity(parsed.len());
        for Header { name, value } in parsed {
            if hop.take(data, name, value)? {
                continue;
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_why| INVALID)?;
            let value =
                HeaderValue::from_maybe_shared(data.slice_ref(value)).map_err(|_why| INVALID)?;
            headers.try_append(name, value).map_err(|_why| TOO_MANY)?;
        }
        hop.tidy(&mut headers);
        Ok((hop, headers))
    }

    /// A length beside chunks is forgotten.
    pub(super) fn chunks_count(&mut self, headers: &mut HeaderMap) {
        if self.encoding == Some(Encoding::Chunked) && self.length.take().is_some() {
            headers.remove(header::CONTENT_LENGTH);
        }
    }

    /// What the connection is asked to become.
    pub(super) fn upgrade(&mut self) -> Option<HeaderValue> {
        self.upgrade.take().filter(|_| self.upgrades)
    }

    /// Whether the connection outlives this message.
    pub(super) const fn stays(&self, version: http::Version) -> bool {
        match version {
            http::Version::HTTP_11 => !self.close,
            _ => self.keep_alive && !self.close,
        }
    }

    /// Reads a header that is about the connection; false when it is none.
    fn take(&mut self, data: &Bytes, name: &str, value: &[u8]) -> Result<bool, Refusal> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => {
                let host = data.slice_ref(value);
                if self.host.replace(host).is_some() {
                    return Err(Refusal::bad("http1.multiple_host_headers"));
                }
            }
            6 if is("expect") => {
                self.expect = value.eq_ignore_ascii_case(b"100-continue");
                return Ok(self.expect);
            }
            7 if is("upgrade") => {
                let value = HeaderValue::from_maybe_shared(data.slice_ref(value));
                self.upgrade = value.ok().filter(|value| !value.is_empty());
            }
            10 if is("connection") => self.connection(value)?,
            10 if is("keep-alive") => {}
            14 if is("content-length") => {
                if self.length.replace(length(value)?).is_some() {
                    return Err(Refusal::bad("http1.multiple_content_lengths"));
                }
                // Stays readable for whoever asks how large a body is.
                return Ok(false);
            }
            16 if is("proxy-connection") => {}
            17 if is("transfer-encoding") => {
                let only = self.encoding.is_none() && value.eq_ignore_ascii_case(b"chunked");
                self.encoding = Some(if only { Encoding::Chunked } else { Encoding::Unknown });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let is = |other: &[u8]| token.eq_ignore_ascii_case(other);
            if is(b"close") {
                self.close = true;
            } else if is(b"keep-alive") {
                self.keep_alive = true;
            } else if is(b"upgrade") {
                self.upgrades = true;
            } else if !token.is_empty() && !is(b"te") {
                self.name(token)?;
            }
        }
        Ok(())
    }

    /// Notes a header that is for this connection only.
    fn name(&mut self, token: &[u8]) -> Result<(), Refusal> {
        const REJECTED: Refusal = Refusal::bad("http1.connection_header_rejected");
        let Ok(name) = HeaderName::from_bytes(token) else { return Err(REJECTED) };
        // Taking these away would hide from the next hop who asked for what.
        let kept = name == header::HOST || name.as_str().starts_with("x-forwarded-");
        if kept || self.named.len() == NAMED_MAX {
            return Err(REJECTED);
        }
        self.named.push(name);
        Ok(())
    }

    /// Takes away what `connection` names, and what of `te` the next hop has no use for.
    fn tidy(&mut self, headers: &mut HeaderMap) {
        for name in self.named.drain(..) {
            // The framing is not for the client to choose.
            if name != header::CONTENT_LENGTH {
                headers.remove(name);
            }
        }
        if headers.contains_key(header::TE) {
            let trailers = headers.get_all(header::TE).iter().any(|value| {
                let mut tokens = value.as_bytes().split(|byte| *byte == b',');
                tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"trailers"))
            });
            headers.remove(header::TE);
            if trailers {
                headers.insert(header::TE, HeaderValue::from_static("trailers"));
            }
        }
        // HTTP/2 begins with its preface or in the handshake of TLS, not by an upgrade.
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.as_bytes() == b"h2c") {
            self.upgrade = None;
            headers.remove("http2-settings");
        }
    }
}

pub(super) const INVALID: Refusal = Refusal::bad("http1.invalid_characters");
pub(super) const MALFORMED: Refusal = Refusal::bad("http1.codec_error");
pub(super) const TOO_MANY: Refusal =
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "http1.too_many_headers");
pub(super) const TOO_LARGE: Refusal =
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "http1.headers_too_large");

/// What `httparse` found, in our words.
pub(super) const fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => INVALID,
        httparse::Error::TooManyHeaders => TOO_MANY,
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => MALFORMED,
    }
}

/// Whether a head that is not whole yet may go on.
pub(super) const fn may_grow(read: usize, limits: Limits) -> Result<(), Refusal> {
    if limits.bytes <= read { Err(TOO_LARGE) } else { Ok(()) }
}

/// Refuses what ends a line otherwise than by CR LF: others might see another line there.
pub(super) fn check_lines(head: &[u8], limits: Limits) -> Result<(), Refusal> {
    if limits.bytes < head.len() {
        return Err(TOO_LARGE);
    }
    let whole = |at: usize| 0 < at && head[at - 1] == b'\r';
    if memchr::memchr_iter(b'\n', head).all(whole) { Ok(()) } else { Err(MALFORMED) }
}

/// Digits, nothing else.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    const BAD: Refusal = Refusal::bad("http1.invalid_content_length");
    if value.is_empty() || 19 < value.len() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
