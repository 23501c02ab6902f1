//! The chunked coding, read (RFC 9112 §7.1).
//!
//! Lines end by CR LF and in no other way, extensions are skipped and bounded, trailers are held to
//! a limit of their own: wherever two readers could disagree, the body is malformed.
use super::{head, inbox::Inbox};
use crate::body::{BodyError, Frame};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// How many bytes of extensions a whole body may have: they carry nothing for us.
const EXTENSIONS_MAX: usize = 16 << 10;

/// How large trailers may be, and how many.
const TRAILERS_BYTES_MAX: usize = 16 << 10;
const TRAILERS_MAX: usize = 64;

/// More digits do not fit into any body.
const DIGITS_MAX: u8 = 15;

/// Where in a chunked body its reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of extensions so far.
    extensions: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        size: u64,
        digits: u8,
    },
    /// White space after the size, which must be followed by an extension.
    Space(u64),
    Extension(u64),
    /// The LF after a size.
    SizeEnd(u64),
    Data(u64),
    /// The CR and LF after the data.
    DataCr,
    DataLf,
    Trailers,
}

/// What reading came to.
#[derive(Debug)]
pub(super) enum Step {
    Frame(Frame),
    /// More bytes are needed.
    More,
    /// The body is over, without trailers.
    End,
}

const START: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    pub(super) const fn new() -> Self {
        Self { state: START, extensions: 0 }
    }

    /// How much data of this chunk is still to come.
    pub(super) const fn wants(&self) -> u64 {
        if let State::Data(left) = self.state { left } else { 0 }
    }

    /// Reads on in `inbox`.
    pub(super) fn step(&mut self, inbox: &mut Inbox) -> Result<Step, BodyError> {
        loop {
            match self.state {
                State::Data(left) => {
                    let data = inbox.take_up_to(left);
                    if data.is_empty() {
                        return Ok(Step::More);
                    }
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                    return Ok(Step::Frame(Frame::Data(data)));
                }
                State::Trailers => return trailers(inbox),
                State::Size { .. }
                | State::Space(_)
                | State::Extension(_)
                | State::SizeEnd(_)
                | State::DataCr
                | State::DataLf => {
                    let Some(byte) = inbox.take_byte() else { return Ok(Step::More) };
                    self.state = self.next(byte).map_err(BodyError::Malformed)?;
                }
            }
        }
    }

    fn next(&mut self, byte: u8) -> Result<State, &'static str> {
        match (self.state, byte) {
            (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeEnd(size)),
            (State::Size { digits: 1.., size }, b';') => Ok(State::Extension(size)),
            (State::Size { digits: 1.., size }, b' ' | b'\t') => Ok(State::Space(size)),
            (State::Size { size, digits }, byte) => {
                let digit = char::from(byte).to_digit(16).ok_or("no chunk size")?;
                if digits == DIGITS_MAX {
                    return Err("chunk too large");
                }
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Space(size), b' ' | b'\t') => self.extension(size, false),
            (State::Space(size), b';') => Ok(State::Extension(size)),
            (State::Extension(size), b'\r') => Ok(State::SizeEnd(size)),
            (State::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => self.extension(size, true),
            (State::SizeEnd(0), b'\n') => Ok(State::Trailers),
            (State::SizeEnd(size), b'\n') => Ok(State::Data(size)),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(START),
            (
                State::Space(_)
                | State::Extension(_)
                | State::SizeEnd(_)
                | State::DataCr
                | State::DataLf
                | State::Data(_)
                | State::Trailers,
                _,
            ) => Err("bad end of a chunk"),
        }
    }

    fn extension(&mut self, size: u64, begun: bool) -> Result<State, &'static str> {
        self.extensions += 1;
        if EXTENSIONS_MAX < self.extensions {
            return Err("chunk extensions too large");
        }
        Ok(if begun { State::Extension(size) } else { State::Space(size) })
    }
}

/// The lines after the last chunk.
fn trailers(inbox: &mut Inbox) -> Result<Step, BodyError> {
    const MALFORMED: BodyError = BodyError::Malformed("bad trailers");
    let data = inbox.bytes();
    if data.starts_with(b"\r\n") {
        inbox.advance(2);
        return Ok(Step::End);
    }
    let mut room = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let (len, parsed) = match httparse::parse_headers(data, &mut room) {
        Ok(httparse::Status::Complete(done)) => done,
        Ok(httparse::Status::Partial) if data.len() < TRAILERS_BYTES_MAX => return Ok(Step::More),
        Ok(httparse::Status::Partial) => return Err(BodyError::Malformed("trailers too large")),
        Err(_) => return Err(MALFORMED),
    };
    let limits = super::Limits {
        headers: TRAILERS_MAX,
        bytes: TRAILERS_BYTES_MAX,
        ..super::Limits::default()
    };
    head::check_lines(&data[..len], limits).map_err(|_why| MALFORMED)?;
    let mut trailers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_why| MALFORMED)?;
        let value = Bytes::copy_from_slice(header.value);
        let value = HeaderValue::from_maybe_shared(value).map_err(|_why| MALFORMED)?;
        if is_allowed(&name) {
            trailers.append(name, value);
        }
    }
    inbox.advance(len);
    Ok(Step::Frame(Frame::Trailers(trailers)))
}

/// Whether it may come after the body: nothing that says how to read the message.
pub(super) fn is_allowed(name: &HeaderName) -> bool {
    use http::header::{
        CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    };
    ![CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE]
        .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Data, trailers, and what was left.
    type Read = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

    /// Reads a body that comes in pieces of `piece` bytes.
    fn read(body: &[u8], piece: usize) -> Result<Read, BodyError> {
        let (mut inbox, mut chunked) = (Inbox::default(), Chunked::new());
        let (mut data, mut pieces) = (Vec::new(), body.chunks(piece));
        loop {
            let trailers = match chunked.step(&mut inbox)? {
                Step::Frame(Frame::Data(bytes)) => {
                    data.extend_from_slice(&bytes);
                    continue;
                }
                Step::More => {
                    inbox.push(pieces.next().ok_or(BodyError::Closed)?.into());
                    continue;
                }
                Step::Frame(Frame::Trailers(trailers)) => Some(trailers),
                Step::End => None,
            };
            let rest = pieces.flatten().copied();
            return Ok((data, trailers, inbox.bytes().iter().copied().chain(rest).collect()));
        }
    }

    #[test]
    fn chunks_extensions_trailers_and_what_follows() {
        let body =
            b"3;a=b\r\nabc\r\n00A ; x=\"y\"\r\n0123456789\r\n0\r\nX-Sum: 1\r\nhost: x\r\n\r\nGET";
        for piece in [1, 2, 3, 7, 100] {
            let (data, trailers, rest) = read(body, piece).unwrap();
            let trailers = trailers.unwrap();
            assert_eq!(data, b"abc0123456789");
            assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &HeaderValue::from_static("1")));
            assert_eq!(rest, b"GET");
        }
        assert_eq!(read(b"0\r\n\r\nx", 9).unwrap(), (vec![], None, b"x".to_vec()));
    }

    #[test]
    fn what_others_would_read_otherwise_is_malformed() {
        for body in [
            "\r\n",
            "x\r\n",
            ";\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "-1\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "3\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
            "3;a\nb\r\nabc\r\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "0\r\nx: 1\n\n",
            "0\r\nx: 1\r\n y\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "10000000000000000\r\n",
            "0000000000000000000001\r\na\r\n",
        ] {
            let error = read(body.as_bytes(), 100).expect_err(body);
            assert!(matches!(error, BodyError::Malformed(_)), "{body}: {error}");
        }
    }

    #[test]
    fn what_carries_nothing_is_bounded() {
        let extension = format!("1;{}\r\na\r\n", "x".repeat(1000));
        assert!(read(extension.repeat(17).as_bytes(), 4096).is_err());
        let trailers = format!("0\r\nx: {}\r\n\r\n", "x".repeat(TRAILERS_BYTES_MAX));
        assert!(read(trailers.as_bytes(), 4096).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_somehow(body: Vec<u8>, piece in 1..9_usize) {
            let _outcome = read(&body, piece);
        }

        #[test]
        fn what_was_written_is_read(chunks: Vec<Vec<u8>>, piece in 1..999_usize) {
            let mut body = Vec::new();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\nrest");
            let (data, trailers, rest) = read(&body, piece).unwrap();
            prop_assert_eq!((data, trailers, &*rest), (chunks.concat(), None, &b"rest"[..]));
        }
    }
}
