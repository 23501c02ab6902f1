//! `x-request-id`: a UUID, which also says why a request is traced.
use culvert_model::http::manager::RequestId;
use http::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Where, in a UUID, its version stands.
const REASON: usize = 14;

/// Why a request is traced; in place of a UUID's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    No,
    Sampled,
    ForcedByServer,
    ForcedByClient,
}

/// Sees to it that a request has an id: one of its own if it comes from outside (or has none).
pub fn request_id(options: RequestId, edge: bool, random: u128, headers: &mut HeaderMap) {
    if !options.generate {
        return;
    }
    let keep = headers.contains_key(HEADER) && (!edge || options.preserve_external);
    if !keep && let Ok(id) = HeaderValue::from_bytes(&uuid(random)) {
        headers.insert(HEADER, id);
    }
}

/// Why the request of these headers is traced; `None` if its id is no UUID of ours.
#[must_use]
pub fn trace_of(headers: &HeaderMap) -> Option<Trace> {
    let id = headers.get(HEADER)?.as_bytes();
    if id.len() != 36 {
        return None;
    }
    Some(match id.get(REASON)? {
        b'9' => Trace::Sampled,
        b'a' => Trace::ForcedByServer,
        b'b' => Trace::ForcedByClient,
        _ => Trace::No,
    })
}

/// A UUID of version 4.
fn uuid(random: u128) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bits = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let mut digits = bits.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    std::array::from_fn(|at| {
        if matches!(at, 8 | 13 | 18 | 23) {
            return b'-';
        }
        digits.next().and_then(|digit| HEX.get(usize::from(digit))).copied().unwrap_or(b'0')
    })
}

#[cfg(test)]
mod tests {
    use culvert_model::http::manager::RequestId;
    use http::HeaderMap;

    use super::{HEADER, Trace, request_id, trace_of};

    fn after(options: RequestId, edge: bool, before: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(id) = before {
            headers.insert(HEADER, id.parse().unwrap());
        }
        request_id(options, edge, 7, &mut headers);
        headers.get(HEADER).map(|id| id.to_str().unwrap().to_owned())
    }

    #[test]
    fn ids_from_outside_are_replaced() {
        let ours = Some("00000000-0000-4000-8000-000000000007".to_owned());
        let mine = Some("mine".to_owned());
        let base = RequestId {
            generate: true,
            preserve_external: false,
            always_in_response: false,
            pack_trace_reason: true,
            use_for_sampling: true,
        };
        let preserving = RequestId { preserve_external: true, ..base };
        assert_eq!(after(base, true, Some("mine")), ours);
        assert_eq!(after(base, false, Some("mine")), mine);
        assert_eq!(after(base, false, None), ours);
        assert_eq!(after(preserving, true, Some("mine")), mine);
        assert_eq!(after(RequestId { generate: false, ..base }, true, None), None);
    }

    #[test]
    fn the_version_says_why_a_request_is_traced() {
        let headers = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, id.parse().unwrap());
            headers
        };
        assert_eq!(trace_of(&headers("00000000-0000-4000-8000-000000000007")), Some(Trace::No));
        assert_eq!(
            trace_of(&headers("00000000-0000-9000-8000-000000000007")),
            Some(Trace::Sampled)
        );
        assert_eq!(trace_of(&headers("mine")), None);
    }
}
