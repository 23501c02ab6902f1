//! What statuses of gRPC and of HTTP are to each other.
use culvert_model::http::format::GrpcForm;
use http::{HeaderMap, StatusCode};

use super::format::{Printed, Scene};

/// By their numbers: Envoy's name, gRPC's name, the status of HTTP.
const CODES: [(&str, &str, u16); 17] = [
    ("OK", "OK", 200),
    ("Canceled", "CANCELLED", 499),
    ("Unknown", "UNKNOWN", 500),
    ("InvalidArgument", "INVALID_ARGUMENT", 400),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED", 504),
    ("NotFound", "NOT_FOUND", 404),
    ("AlreadyExists", "ALREADY_EXISTS", 409),
    ("PermissionDenied", "PERMISSION_DENIED", 403),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED", 429),
    ("FailedPrecondition", "FAILED_PRECONDITION", 400),
    ("Aborted", "ABORTED", 409),
    ("OutOfRange", "OUT_OF_RANGE", 400),
    ("Unimplemented", "UNIMPLEMENTED", 501),
    ("Internal", "INTERNAL", 500),
    ("Unavailable", "UNAVAILABLE", 503),
    ("DataLoss", "DATA_LOSS", 500),
    ("Unauthenticated", "UNAUTHENTICATED", 401),
];

pub const CANCELLED: i64 = 1;
pub const UNKNOWN: i64 = 2;
pub const DEADLINE_EXCEEDED: i64 = 4;
pub const PERMISSION_DENIED: i64 = 7;
pub const RESOURCE_EXHAUSTED: i64 = 8;
pub const UNIMPLEMENTED: i64 = 12;
pub const INTERNAL: i64 = 13;
pub const UNAVAILABLE: i64 = 14;
pub const UNAUTHENTICATED: i64 = 16;

/// A status that is no number.
const INVALID: i64 = -1;

/// The status of gRPC for one of HTTP, as clients of gRPC understand it.
#[must_use]
pub const fn from_http(status: StatusCode) -> i64 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The status of HTTP for one of gRPC: 500 for those that nobody knows.
#[must_use]
pub fn to_http(status: i64) -> u16 {
    code(status).map_or(500, |(_, _, http)| *http)
}

/// Envoy's name of a status.
#[must_use]
pub fn name(status: i64) -> Option<&'static str> {
    code(status).map(|(camel, ..)| *camel)
}

/// What `grpc-status` says, if it is there.
#[must_use]
pub fn status(headers: &HeaderMap) -> Option<i64> {
    let value = headers.get("grpc-status")?;
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    Some(number.filter(|n| *n >= 0).unwrap_or(INVALID))
}

/// The status of a call: from the trailers, else the headers, else from HTTP's.
#[must_use]
pub fn outcome(
    trailers: Option<&HeaderMap>,
    headers: Option<&HeaderMap>,
    http: u16,
) -> Option<i64> {
    trailers
        .and_then(status)
        .or_else(|| headers.and_then(status))
        .or_else(|| StatusCode::from_u16(http).ok().map(from_http))
}

/// Text as `grpc-message` carries it.
#[must_use]
pub fn message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let digit = |d: u8| char::from_digit(u32::from(d), 16).unwrap_or('0');
                out.push('%');
                out.push(digit(byte >> 4).to_ascii_uppercase());
                out.push(digit(byte & 15).to_ascii_uppercase());
            }
        }
    }
    out
}

/// What `%GRPC_STATUS%` prints; nothing for requests that are none of gRPC.
pub(super) fn printed<'a>(form: GrpcForm, scene: &Scene<'a>) -> Option<Printed<'a>> {
    if !scene.request?.is_grpc() {
        return None;
    }
    let headers = scene.response.map(|answer| answer.headers);
    let status = outcome(scene.trailers, headers, scene.status())?;
    let known = match form {
        GrpcForm::Camel => code(status).map(|(camel, ..)| *camel),
        GrpcForm::Snake => code(status).map(|(_, snake, _)| *snake),
        GrpcForm::Number => return Some(Printed::Number(status)),
    };
    Some(known.map_or_else(|| Printed::display(status), Printed::text))
}

fn code(status: i64) -> Option<&'static (&'static str, &'static str, u16)> {
    CODES.get(usize::try_from(status).ok()?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::{message, outcome, to_http};

    #[test]
    fn the_trailers_count_before_headers_before_http() {
        let says = |status: &str| {
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
        };
        let (trailers, headers): (HeaderMap, HeaderMap) = (says("5"), says("7"));
        assert_eq!(outcome(Some(&trailers), Some(&headers), 200), Some(5));
        assert_eq!(outcome(None, Some(&headers), 200), Some(7));
        assert_eq!(outcome(None, None, 503), Some(14));
        assert_eq!(outcome(None, None, 200), Some(2));
        assert_eq!(outcome(None, None, 0), None);
        assert_eq!(outcome(Some(&says("x")), None, 200), Some(-1));
        assert_eq!(super::from_http(StatusCode::NOT_FOUND), 12);
        assert_eq!([0, 1, 16, 17, -1].map(to_http), [200, 499, 401, 500, 500]);
    }

    #[test]
    fn messages_keep_what_a_header_can_carry() {
        assert_eq!(message("a b%\n\u{e9}"), "a b%25%0A%C3%A9");
    }
}
