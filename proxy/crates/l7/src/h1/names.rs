//! How names of headers are written: `header_key_format`.
//!
//! Names are compared in small letters everywhere. Peers that cannot are written to as they are used
//! to: as trains (`Content-Type`), or as the other side wrote them.
use bytes::{BufMut as _, Bytes, BytesMut};
use culvert_model::http::protocol::{HeaderFormat, PreserveOthers};
use http::HeaderName;
use std::sync::Arc;

/// Names as their sender wrote them, where that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Those that are not in small letters, once each.
    names: Vec<(HeaderName, Bytes)>,
    /// How those are written that he did not.
    others: PreserveOthers,
    /// What a server said beside its status.
    reason: Option<Bytes>,
}

/// How the names of one message are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'a> {
    Lower,
    Trains,
    As(&'a Spelling),
}

impl Spelling {
    /// That of `head`, which is a whole one, if the connection keeps it.
    pub(super) fn kept(format: HeaderFormat, head: &[u8]) -> Option<Arc<Self>> {
        let HeaderFormat::Preserve { others, reason } = format else { return None };
        let mut names: Vec<(HeaderName, Bytes)> = Vec::new();
        let mut lines = head.split(|byte| *byte == b'\n');
        let reason = lines.next().filter(|_| reason).and_then(reason_of);
        for line in lines {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if !name.iter().any(u8::is_ascii_uppercase) {
                continue;
            }
            if let Ok(found) = HeaderName::from_bytes(name)
                && names.iter().all(|(one, _)| *one != found)
            {
                names.push((found, Bytes::copy_from_slice(name)));
            }
        }
        Some(Arc::new(Self { names, others, reason }))
    }

    /// What is said beside the status in place of what it means.
    pub(super) fn reason(&self) -> Option<&[u8]> {
        self.reason.as_deref()
    }
}

impl<'a> Names<'a> {
    /// The sender's own spelling, if it was kept, counts before what the connection says.
    pub(super) fn of(spelling: Option<&'a Arc<Spelling>>, format: HeaderFormat) -> Self {
        match (spelling, format) {
            (Some(spelling), _) => Self::As(spelling),
            (None, HeaderFormat::ProperCase) => Self::Trains,
            (None, HeaderFormat::Lower | HeaderFormat::Preserve { .. }) => Self::Lower,
        }
    }

    /// Writes `name`, which is in small letters.
    pub(super) fn write(self, out: &mut BytesMut, name: &str) {
        match self {
            Self::Lower => out.extend_from_slice(name.as_bytes()),
            Self::Trains => train(out, name),
            Self::As(Spelling { names, others, .. }) => {
                match (names.iter().find(|(one, _)| one == name), others) {
                    (Some((_, spelled)), _) => out.extend_from_slice(spelled),
                    (None, PreserveOthers::Lower) => out.extend_from_slice(name.as_bytes()),
                    (None, PreserveOthers::ProperCase) => train(out, name),
                }
            }
        }
    }
}

/// What the first line of a response ends with, if anything.
fn reason_of(line: &[u8]) -> Option<Bytes> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let mut words = rest.strip_suffix(b"\r").unwrap_or(rest).splitn(3, |byte| *byte == b' ');
    let reason = words.nth(2).filter(|reason| !reason.is_empty())?;
    Some(Bytes::copy_from_slice(reason))
}

/// `Content-Type`
fn train(out: &mut BytesMut, name: &str) {
    let mut begins = true;
    for byte in name.bytes() {
        out.put_u8(if begins { byte.to_ascii_uppercase() } else { byte });
        begins = !byte.is_ascii_alphanumeric();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(names: Names<'_>, name: &str) -> String {
        let mut out = BytesMut::new();
        names.write(&mut out, name);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn trains_begin_anew_behind_whatever_is_no_letter_or_digit() {
        assert_eq!(written(Names::Trains, "x-b3-traceid_2nd"), "X-B3-Traceid_2nd");
        assert_eq!(written(Names::Lower, "etag"), "etag");
    }

    #[test]
    fn what_was_kept_is_written_as_it_came() {
        let format = HeaderFormat::Preserve { others: PreserveOthers::ProperCase, reason: true };
        let head = b"GET /A:b HTTP/1.1\r\nHOST: h\r\nplain: 1\r\nX-oNe: A:b\r\nx-One: 2\r\n\r\n";
        let spelling = Spelling::kept(format, head);
        let names = Names::of(spelling.as_ref(), HeaderFormat::Lower);
        assert_eq!(written(names, "host"), "HOST");
        assert_eq!(written(names, "x-one"), "X-oNe", "the first counts");
        assert_eq!(written(names, "x-two"), "X-Two", "another's");
        assert!(Spelling::kept(HeaderFormat::ProperCase, head).is_none());
        assert!(matches!(Names::of(None, format), Names::Lower));
        assert_eq!(spelling.unwrap().reason(), None, "a request has none");
    }

    #[test]
    fn what_a_server_says_beside_its_status_is_kept_where_it_is_to_be() {
        let kept = |reason, head: &str| {
            let format = HeaderFormat::Preserve { others: PreserveOthers::Lower, reason };
            let spelling = Spelling::kept(format, head.as_bytes()).unwrap();
            spelling.reason().map(|reason| String::from_utf8(reason.to_vec()).unwrap())
        };
        let head = "HTTP/1.1 200 Fine by me\r\n\r\n";
        assert_eq!(kept(true, head).as_deref(), Some("Fine by me"));
        assert_eq!(kept(false, head), None);
        for head in ["HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
            assert_eq!(kept(true, head), None, "{head}");
        }
    }
}
