//! What becomes of a path before it is matched: Envoy's way of RFC 3986, section 6.
use std::borrow::Cow;

use culvert_model::http::manager::{EscapedSlashes, PathOptions};

/// What becomes of a request, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalized {
    /// It goes on as it came.
    Kept,
    /// It goes on with this path.
    Changed(String),
    /// It is sent to this path (307); one of gRPC is refused.
    Redirect(String),
    /// It is answered with 400.
    Refused(&'static str),
}

/// Normalises a path, its query left as it is.
///
/// Fragments are refused. Then, as far as the options ask for it: escaped slashes, dot segments with
/// escapes of what needs none, slashes that follow each other.
#[must_use]
pub fn normalize(path: &str, options: PathOptions) -> Normalized {
    if path.contains('#') {
        return Normalized::Refused("path_normalization_failed");
    }
    let (bare, query) = path.find('?').map_or((path, ""), |at| path.split_at(at));
    let mut redirect = false;
    let mut now = Cow::Borrowed(bare);
    if options.escaped_slashes != EscapedSlashes::Keep
        && let Some(unescaped) = unescape_slashes(bare)
    {
        match options.escaped_slashes {
            EscapedSlashes::Keep => {}
            EscapedSlashes::Reject => return Normalized::Refused("path_normalization_failed"),
            EscapedSlashes::UnescapeAndRedirect => redirect = true,
            EscapedSlashes::UnescapeAndForward => {}
        }
        now = Cow::Owned(unescaped);
    }
    if options.normalize {
        match canonical(&now) {
            Some(canonical) => now = Cow::Owned(canonical),
            None => return Normalized::Refused("path_normalization_failed"),
        }
    }
    if options.merge_slashes && now.contains("//") {
        now = Cow::Owned(merge_slashes(&now));
    }
    if redirect {
        return Normalized::Redirect(format!("{now}{query}"));
    }
    if *now == *bare { Normalized::Kept } else { Normalized::Changed(format!("{now}{query}")) }
}

/// `%2F` and `%5C` undone; `None` if there is none.
fn unescape_slashes(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut found = false;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let escaped = after.get(..2);
        let slash = if escaped.is_some_and(|e| e.eq_ignore_ascii_case("2f")) {
            Some('/')
        } else if escaped.is_some_and(|e| e.eq_ignore_ascii_case("5c")) {
            Some('\\')
        } else {
            None
        };
        out.push(slash.unwrap_or('%'));
        found |= slash.is_some();
        rest = if slash.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out.push_str(rest);
    found.then_some(out)
}

/// Slashes that follow each other are one; one at each end stays.
fn merge_slashes(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let start = if path.starts_with('/') { "/" } else { "" };
    let end = if path.ends_with('/') { "/" } else { "" };
    format!("{start}{}{end}", parts.join("/"))
}

/// Dot segments resolved, backslashes turned, escapes of unreserved characters undone, what must
/// not stand unescaped escaped; `None` for an escaped NUL.
fn canonical(path: &str) -> Option<String> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len() + 8);
    let mut rest = path.as_bytes();
    if !matches!(rest.first(), Some(b'/' | b'\\')) {
        out.push(b'/');
    }
    while let Some((&byte, after)) = rest.split_first() {
        if let Some(dot) = dot_length(rest) {
            let following = rest.get(dot..).unwrap_or_default();
            match if out.last() == Some(&b'/') { segment(following) } else { Segment::Name } {
                Segment::Name => {
                    out.push(b'.');
                    rest = following;
                }
                Segment::Here(length) => rest = following.get(length..).unwrap_or_default(),
                Segment::Up(length) => {
                    up(&mut out);
                    rest = following.get(length..).unwrap_or_default();
                }
            }
            continue;
        }
        rest = match byte {
            b'\\' => {
                out.push(b'/');
                after
            }
            b'%' => match after.get(..2).and_then(super::query::octet) {
                Some(0) => return None,
                Some(plain) if is_unreserved(plain) => {
                    out.push(plain);
                    after.get(2..).unwrap_or_default()
                }
                Some(_) => {
                    out.extend_from_slice(rest.get(..3).unwrap_or_default());
                    after.get(2..).unwrap_or_default()
                }
                None => {
                    out.push(byte);
                    after
                }
            },
            _ => {
                push(byte, &mut out);
                after
            }
        };
    }
    String::from_utf8(out).ok()
}

/// What a dot after a slash begins, and how many bytes more belong to it.
enum Segment {
    Name,
    Here(usize),
    Up(usize),
}

fn segment(after_dot: &[u8]) -> Segment {
    if let Some(slash) = ends(after_dot) {
        return Segment::Here(slash);
    }
    let Some(second) = dot_length(after_dot) else { return Segment::Name };
    ends(after_dot.get(second..).unwrap_or_default())
        .map_or(Segment::Name, |slash| Segment::Up(second + slash))
}

/// Whether a segment ends here, and the length of what ends it.
const fn ends(rest: &[u8]) -> Option<usize> {
    match rest {
        [] => Some(0),
        [b'/' | b'\\', ..] => Some(1),
        _ => None,
    }
}

/// The length of a dot, escaped or not.
const fn dot_length(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'.', ..] => Some(1),
        [b'%', b'2', b'e' | b'E', ..] => Some(3),
        _ => None,
    }
}

/// Takes the last segment away; the root stays.
fn up(out: &mut Vec<u8>) {
    out.pop();
    while out.last().is_some_and(|byte| *byte != b'/') {
        out.pop();
    }
    if out.is_empty() {
        out.push(b'/');
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// A byte, escaped if it must not stand in a path.
fn push(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let escaped = matches!(
        byte,
        0..=b' ' | b'"' | b'<' | b'>' | b'?' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x7f..
    );
    if escaped {
        out.push(b'%');
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    } else {
        out.push(byte);
    }
}

#[cfg(test)]
mod tests;
