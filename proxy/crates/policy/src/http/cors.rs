//! What browsers are told of other sites.
use std::sync::Arc;

use culvert_model::http::{cors::Cors, filter::OverrideConfig, runtime::RuntimeValues};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{chance, facts::Head, routed::Routed};

const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE: HeaderName =
    HeaderName::from_static("access-control-request-private-network");

/// What becomes of a request with an `origin`, or without.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It goes on, and nothing is said.
    Pass,
    /// It goes on; its response gets these (in place of the upstream's).
    Mark(HeaderMap),
    /// It is answered with 200 and these.
    Preflight(HeaderMap),
}

/// A decision, and whether the origin is one of those allowed (for statistics; `None` if it was
/// not looked at).
#[must_use]
pub fn decide(
    cors: &Cors,
    head: &Head<'_>,
    runtime: &RuntimeValues,
    dice: u64,
) -> (Decision, Option<bool>) {
    let enabled = chance::hits(&cors.enabled, runtime, dice);
    let shadow = cors.shadow.as_ref().is_some_and(|shadow| chance::hits(shadow, runtime, dice));
    let origin = head.headers.get(header::ORIGIN).filter(|origin| !origin.is_empty());
    let Some(origin) = origin.filter(|_| enabled || shadow) else { return (Decision::Pass, None) };
    let preflight = *head.method == Method::OPTIONS
        && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let allowed =
        cors.origins.iter().any(|one| one.matches(b"*") || one.matches(origin.as_bytes()));
    if !allowed {
        let stop = enabled && preflight && !cors.forward_other_preflights;
        let decision = if stop { Decision::Preflight(HeaderMap::new()) } else { Decision::Pass };
        return (decision, Some(false));
    }
    if !enabled {
        return (Decision::Pass, Some(true));
    }
    let mut said = HeaderMap::new();
    said.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        said.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    say(&mut said, header::ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose.as_deref());
    if !preflight {
        return (Decision::Mark(said), Some(true));
    }
    say(&mut said, header::ACCESS_CONTROL_ALLOW_METHODS, cors.methods.as_deref());
    say(&mut said, header::ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.as_deref());
    say(&mut said, header::ACCESS_CONTROL_MAX_AGE, cors.max_age.as_deref());
    if cors.private_network && head.headers.get(REQUEST_PRIVATE).is_some_and(|v| v == "true") {
        said.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
    (Decision::Preflight(said), Some(true))
}

/// What counts of what is said to the filter, else in the deprecated places; what a level does not
/// say, the next one does.
#[must_use]
pub fn said<'a>(
    all: impl Iterator<Item = &'a OverrideConfig>,
    routed: &Routed,
) -> Option<Arc<Cors>> {
    let mut said =
        all.filter_map(
            |config| {
                if let OverrideConfig::Cors(config) = config { Some(config) } else { None }
            },
        );
    if let Some(first) = said.next() {
        return Some(said.fold(Arc::clone(first), |first, next| merged(&first, next)));
    }
    let route = routed.forward().and_then(|forward| forward.cors.as_ref());
    let host = routed.both().and_then(|(host, _)| host.cors.as_ref());
    let mut said = route.into_iter().chain(host);
    let first = said.next()?;
    Some(said.fold(Arc::clone(first), |first, next| merged(&first, next)))
}

/// `first`, with what it does not say from `next`.
fn merged(first: &Arc<Cors>, next: &Arc<Cors>) -> Arc<Cors> {
    let or = |first: &Option<Arc<str>>, next: &Option<Arc<str>>| {
        first.clone().filter(|value| !value.is_empty()).or_else(|| next.clone())
    };
    let origins = if first.origins.is_empty() { &next.origins } else { &first.origins };
    Arc::new(Cors {
        origins: origins.clone(),
        methods: or(&first.methods, &next.methods),
        headers: or(&first.headers, &next.headers),
        expose: or(&first.expose, &next.expose),
        max_age: or(&first.max_age, &next.max_age),
        credentials: first.credentials || next.credentials,
        private_network: first.private_network || next.private_network,
        ..Cors::clone(first)
    })
}

fn say(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty())
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use culvert_model::http::{
        cors::Cors,
        matcher::{Fraction, StringMatch},
        runtime::RuntimeValues,
    };
    use http::{HeaderMap, Method};

    use super::{Decision, decide};
    use crate::http::facts::Head;

    fn cors() -> Cors {
        Cors {
            origins: [StringMatch::exact("https://a")].into(),
            methods: Some("GET,PUT".into()),
            headers: None,
            expose: Some("x-e".into()),
            max_age: Some("9".into()),
            credentials: true,
            private_network: false,
            enabled: Fraction::ALWAYS.into(),
            shadow: None,
            forward_other_preflights: true,
        }
    }

    fn decided(
        cors: &Cors,
        method: &Method,
        origin: &str,
        preflight: bool,
    ) -> (Decision, Option<bool>) {
        let mut headers = HeaderMap::new();
        headers.insert("origin", origin.parse().unwrap());
        if preflight {
            headers.insert("access-control-request-method", "PUT".parse().unwrap());
        }
        let head = Head {
            method,
            path: "/",
            authority: "h",
            scheme: "http",
            protocol: None,
            headers: &headers,
        };
        decide(cors, &head, &RuntimeValues::default(), 0)
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn preflights_are_answered_and_others_marked() {
        let (Decision::Preflight(said), Some(true)) =
            decided(&cors(), &Method::OPTIONS, "https://a", true)
        else {
            panic!("a preflight is answered");
        };
        assert_eq!(
            names(&said),
            [
                "access-control-allow-credentials",
                "access-control-allow-methods",
                "access-control-allow-origin",
                "access-control-expose-headers",
                "access-control-max-age"
            ]
        );
        for (method, preflight) in [(Method::GET, true), (Method::OPTIONS, false)] {
            let (Decision::Mark(said), _) = decided(&cors(), &method, "https://a", preflight)
            else {
                panic!("no preflight");
            };
            assert_eq!(said["access-control-expose-headers"], "x-e");
        }
    }

    #[test]
    fn other_origins_are_told_nothing() {
        let other = |cors: &Cors| decided(cors, &Method::OPTIONS, "https://b", true);
        assert_eq!(other(&cors()), (Decision::Pass, Some(false)));
        let strict = Cors { forward_other_preflights: false, ..cors() };
        assert_eq!(other(&strict), (Decision::Preflight(HeaderMap::new()), Some(false)));
        let any = Cors { origins: [StringMatch::exact("*")].into(), ..cors() };
        assert_eq!(other(&any).1, Some(true));
    }

    #[test]
    fn a_shadow_only_counts() {
        let shadow = Cors {
            enabled: Fraction::NEVER.into(),
            shadow: Some(Fraction::ALWAYS.into()),
            ..cors()
        };
        assert_eq!(
            decided(&shadow, &Method::GET, "https://a", false),
            (Decision::Pass, Some(true))
        );
        let off = Cors { enabled: Fraction::NEVER.into(), ..cors() };
        assert_eq!(decided(&off, &Method::GET, "https://a", false), (Decision::Pass, None));
    }
}
