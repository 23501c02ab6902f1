//! Whether a request matches a route, and if not, why.
use culvert_model::http::route::{PathMatch, RouteMatch, TlsMatch};
use http::Method;

use crate::http::{chance, facts::Asking, field, query};

/// The first condition of a route that a request does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    Path,
    /// The condition of this index.
    Header(usize),
    /// The condition of this index.
    Query(usize),
    Grpc,
    Tls,
    Metadata(usize),
    FilterState(usize),
    /// By chance, or by the runtime.
    Fraction,
}

/// Whether all of a route's conditions hold for a request; `path` is what of its path is compared.
pub(super) fn check(when: &RouteMatch, asking: &Asking<'_>, path: &str) -> Result<(), Miss> {
    if !path_matches(&when.path, asking, path) {
        return Err(Miss::Path);
    }
    let fraction = when.fraction.as_ref();
    if !fraction.is_none_or(|share| chance::hits(share, asking.runtime, asking.dice)) {
        return Err(Miss::Fraction);
    }
    first_miss(&when.headers, |wanted| field::matches(wanted, &asking.head), Miss::Header)?;
    first_miss(&when.query, |wanted| query::matches(wanted, asking.head.path), Miss::Query)?;
    if when.grpc && !asking.head.is_grpc() {
        return Err(Miss::Grpc);
    }
    if !when.tls.is_none_or(|wanted| tls_matches(wanted, asking)) {
        return Err(Miss::Tls);
    }
    first_miss(&when.metadata, |wanted| wanted.matches(asking.metadata), Miss::Metadata)?;
    first_miss(
        &when.filter_state,
        |wanted| {
            let value = asking.state.0.get(&wanted.key);
            value.is_some_and(|value| wanted.value.matches(value.as_bytes()))
        },
        Miss::FilterState,
    )
}

fn first_miss<T>(
    conditions: &[T],
    holds: impl Fn(&T) -> bool,
    miss: impl Fn(usize) -> Miss,
) -> Result<(), Miss> {
    conditions.iter().position(|wanted| !holds(wanted)).map_or(Ok(()), |at| Err(miss(at)))
}

fn path_matches(wanted: &PathMatch, asking: &Asking<'_>, path: &str) -> bool {
    let bytes = path.as_bytes();
    match wanted {
        PathMatch::Connect => asking.head.method == Method::CONNECT,
        // Only the matcher of CONNECT is for requests without a path.
        _ if path.is_empty() => false,
        PathMatch::Exact(text) => text.equals(bytes),
        PathMatch::Prefix(text) => text.strip_from(bytes).is_some(),
        PathMatch::Separated(text) => {
            let rest = text.strip_from(bytes);
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        }
        PathMatch::Regex(regex) => regex.matches(bytes),
    }
}

fn tls_matches(wanted: TlsMatch, asking: &Asking<'_>) -> bool {
    let tls = asking.connection.tls.as_deref();
    let presented = tls.is_some_and(|tls| tls.peer.is_some());
    let validated = tls.is_some_and(|tls| tls.validated);
    wanted.presented.is_none_or(|want| want == presented)
        && wanted.validated.is_none_or(|want| want == validated)
}
