//! What browsers are told of other sites.
use culvert_model::http::{cors::Cors, runtime::RuntimeValues};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{chance, facts::Head};

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
