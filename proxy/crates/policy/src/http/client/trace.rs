//! Whether a request is traced, as Envoy decides and marks it in the request's identifier.
use super::request_id::HEADER;
use crate::http::chance;
use culvert_model::http::{
    manager::{RequestId, Sampling},
    matcher::Fraction,
    runtime::RuntimeValues,
};
use http::{HeaderMap, HeaderValue};

/// Why a request is traced; in place of a UUID's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    No,
    Sampled,
    ForcedByServer,
    ForcedByClient,
}

/// A UUID as it is written.
const LENGTH: usize = 36;
/// Where, in a UUID, its version stands.
const REASON: usize = 14;
/// A request that has it is traced if its client may say so.
const CLIENT: &str = "x-client-trace-id";
/// A request that has it is traced.
const FORCE: &str = "x-envoy-force-trace";

impl Trace {
    const fn mark(self) -> u8 {
        match self {
            Self::No => b'4',
            Self::Sampled => b'9',
            Self::ForcedByServer => b'a',
            Self::ForcedByClient => b'b',
        }
    }
}

/// Decides whether a request is traced, and marks its identifier.
///
/// In the order of Envoy's `mutateTracingRequestHeader`: what is traced already stays so, then the
/// client's word counts, the server's, and chance, by the identifier itself; of all that a share.
/// `dice` decides how many of the clients' wishes count. Without a usable identifier nothing is traced.
pub fn mark(
    sampling: &Sampling,
    ids: RequestId,
    runtime: &RuntimeValues,
    dice: u64,
    headers: &mut HeaderMap,
) -> Trace {
    if !ids.use_for_sampling {
        return Trace::No;
    }
    let Some(number) = headers.get(HEADER).and_then(number) else { return Trace::No };
    let is_on =
        |key, default: Fraction, dice| chance::read(key, runtime).unwrap_or(default).hits(dice);
    let before = trace_of(headers);
    let mut trace = before;
    if trace == Trace::No {
        trace = if headers.contains_key(CLIENT)
            && is_on("tracing.client_enabled", sampling.client, dice)
        {
            Trace::ForcedByClient
        } else if headers.contains_key(FORCE) {
            Trace::ForcedByServer
        } else if is_on("tracing.random_sampling", sampling.random, number) {
            Trace::Sampled
        } else {
            Trace::No
        };
    }
    if trace != Trace::No && !is_on("tracing.global_enabled", sampling.overall, number) {
        trace = Trace::No;
    }
    if trace != before && ids.pack_trace_reason {
        write(trace, headers);
    }
    trace
}

/// What an identifier counts as: its first eight digits, of 16.
fn number(id: &HeaderValue) -> Option<u64> {
    let digits = id.to_str().ok()?.get(..8)?;
    Some(u64::from_str_radix(digits, 16).ok()? % 10_000)
}

fn trace_of(headers: &HeaderMap) -> Trace {
    let id = headers.get(HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    if id.len() != LENGTH {
        return Trace::No;
    }
    match id.get(REASON) {
        Some(b'9') => Trace::Sampled,
        Some(b'a') => Trace::ForcedByServer,
        Some(b'b') => Trace::ForcedByClient,
        Some(_) | None => Trace::No,
    }
}

fn write(trace: Trace, headers: &mut HeaderMap) {
    let Some(id) = headers.get_mut(HEADER) else { return };
    let mut marked = id.as_bytes().to_vec();
    if marked.len() == LENGTH
        && let Some(reason) = marked.get_mut(REASON)
    {
        *reason = trace.mark();
        if let Ok(marked) = HeaderValue::from_bytes(&marked) {
            *id = marked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: RequestId = RequestId {
        generate: true,
        preserve_external: false,
        always_in_response: false,
        pack_trace_reason: true,
        use_for_sampling: true,
    };
    const ALL: Sampling =
        Sampling { client: Fraction::ALWAYS, random: Fraction::ALWAYS, overall: Fraction::ALWAYS };
    const NEVER: Fraction = Fraction::NEVER;

    fn after(sampling: Sampling, id: &str, more: Option<&'static str>) -> (Trace, String) {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, id.parse().unwrap());
        if let Some(name) = more {
            headers.insert(name, "1".parse().unwrap());
        }
        let trace = mark(&sampling, IDS, &RuntimeValues::default(), 7, &mut headers);
        (trace, headers.get(HEADER).unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn the_version_of_an_identifier_says_why_a_request_is_traced() {
        let id = |version| format!("00000000-0000-{version}000-8000-000000000007");
        let none = Sampling { random: NEVER, ..ALL };
        let cases = [
            (ALL, '4', None, Trace::Sampled, '9'),
            (none, '4', None, Trace::No, '4'),
            (none, '4', Some(CLIENT), Trace::ForcedByClient, 'b'),
            (Sampling { client: NEVER, ..none }, '4', Some(CLIENT), Trace::No, '4'),
            (none, '4', Some(FORCE), Trace::ForcedByServer, 'a'),
            (none, '9', None, Trace::Sampled, '9'),
            (Sampling { overall: NEVER, ..ALL }, '9', Some(FORCE), Trace::No, '4'),
        ];
        for (sampling, before, header, trace, mark) in cases {
            let expected = (trace, id(mark));
            assert_eq!(after(sampling, &id(before), header), expected, "{before} {header:?}");
        }
    }

    #[test]
    fn what_is_no_identifier_of_ours_stays_as_it_is() {
        assert_eq!(after(ALL, "mine", None), (Trace::No, "mine".to_owned()));
        let short = "00000000-mine";
        assert_eq!(after(ALL, short, None), (Trace::Sampled, short.to_owned()));
    }

    #[test]
    fn chance_goes_by_the_identifier() {
        let half = Sampling { random: Fraction::percent(50), ..ALL };
        let id = |number: u32| format!("{number:08x}-0000-4000-8000-000000000007");
        assert_eq!(after(half, &id(49), None).0, Trace::Sampled);
        assert_eq!(after(half, &id(50), None).0, Trace::No);
    }
}
