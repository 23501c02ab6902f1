//! `x-request-id`: a UUID.
use culvert_model::http::manager::RequestId;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

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

    use super::{HEADER, request_id};

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
}
