//! What messages themselves say.
use culvert_model::http::{
    field::Field,
    format::{Headers, PathChoice},
};
use http::HeaderMap;

use super::{Printed, Scene};
use crate::http::facts::{Fields, bare};

/// The first value of a header of a message.
pub(super) fn header<'a>(of: Headers, name: &Field, scene: &Scene<'a>) -> Option<&'a [u8]> {
    match (of, name) {
        (Headers::Request, Field::Header(name)) => first(scene.request?.headers, name),
        (Headers::Request, pseudo) => scene.request?.pseudo(pseudo),
        (Headers::Response, Field::Header(name)) => first(scene.response?.headers, name),
        (Headers::Response, Field::Status) => {
            scene.response.as_ref().map(|answer| status_text(answer.status))
        }
        (Headers::Trailers, Field::Header(name)) => first(scene.trailers?, name),
        (Headers::Response | Headers::Trailers, _) => None,
    }
}

fn first<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(http::HeaderValue::as_bytes)
}

/// Its digits, which live for ever.
fn status_text(status: http::StatusCode) -> &'static [u8] {
    static DIGITS: std::sync::LazyLock<Box<[[u8; 3]]>> = std::sync::LazyLock::new(|| {
        (0..1000_u16).map(|n| [n / 100, n / 10 % 10, n % 10].map(|d| b'0' + low(d))).collect()
    });
    DIGITS.get(usize::from(status.as_u16())).map_or(b"000", |digits| digits)
}

const fn low(digit: u16) -> u8 {
    digit.to_le_bytes()[0]
}

/// How long the names and values of a message's headers are.
pub(super) fn header_bytes(of: Headers, scene: &Scene<'_>) -> u64 {
    let map = |headers: &HeaderMap| -> usize {
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    };
    let total = match of {
        Headers::Request => scene.request.map_or(0, |head| {
            let pseudo = [Field::Authority, Field::Method, Field::Path, Field::Scheme];
            let pseudo =
                pseudo.iter().filter_map(|f| Some(f.as_str().len() + head.first(f)?.len()));
            pseudo.sum::<usize>() + map(head.headers)
        }),
        // `:status` and three digits.
        Headers::Response => scene.response.map_or(0, |answer| 10 + map(answer.headers)),
        Headers::Trailers => scene.trailers.map_or(0, map),
    };
    u64::try_from(total).unwrap_or(u64::MAX)
}

/// The path, as it was or as it is.
pub(super) fn path<'a>(
    choice: PathChoice,
    with_query: bool,
    scene: &Scene<'a>,
) -> Option<Printed<'a>> {
    let head = scene.request?;
    let original =
        || head.headers.get("x-envoy-original-path").and_then(|value| value.to_str().ok());
    let path = match choice {
        PathChoice::OriginalOrPath => original().unwrap_or(head.path),
        PathChoice::Original => original()?,
        PathChoice::Path => head.path,
    };
    let path = if with_query { path } else { bare(path) };
    (!path.is_empty()).then(|| Printed::text(path))
}
