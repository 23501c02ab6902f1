//! What becomes of a request.
use super::{hosts::Hosts, matching::text};
use crate::{
    compile::http::plan::{
        At, Fraction,
        forward::{Backend, Forward, Mirror, Retry, Share, Weighted},
        matching::HttpMatch,
        rule::{
            Abort, Action, Cors, Direct, Fault, HeaderOps, HttpRule, PathRewrite, Redirect,
            RedirectPort,
        },
    },
    object::{
        istio::{
            destination::Destination,
            headers::{ChangedName, HeaderOperations, HeaderRules},
            percent::Percent,
            virtual_service::{
                http::{self, Body, DerivePort, HttpRoute, Scheme},
                policy::{self, AbortWith, UnmatchedPreflights},
            },
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::Problem,
};
use std::{num::NonZeroU16, sync::Arc};

/// What a route is read with.
pub(super) struct Scene<'a> {
    /// Of the object that the route is written in.
    pub(super) meta: &'a Meta,
    pub(super) hosts: &'a Hosts,
    /// Whether clients speak TLS here.
    pub(super) is_tls: bool,
}

/// What Istio's retries are asked for, unless they say it.
const RETRY_ON: [&str; 4] = ["connect-failure", "refused-stream", "unavailable", "cancelled"];

/// The rule of a route for requests that one of `matches` is for.
pub(super) fn rule(
    route: &HttpRoute,
    at: At,
    matches: Vec<HttpMatch>,
    scene: &Scene<'_>,
    notes: &mut Vec<Problem>,
) -> HttpRule {
    let nothing = HeaderRules::default();
    let HeaderRules { request, response } = route.headers.as_ref().unwrap_or(&nothing);
    let action = if let Some(Spanned { value: redirect, .. }) = &route.redirect {
        Action::Redirect(sent_to(redirect, scene.is_tls))
    } else if let Some(Spanned { value: direct, .. }) = &route.direct_response {
        let body = match &direct.body {
            Body::Empty => None,
            Body::Text(text) => Some(text.as_bytes().into()),
            Body::Bytes(bytes) => Some(bytes.as_slice().into()),
        };
        Action::Direct(Direct { status: direct.status.0, body })
    } else {
        Action::Forward(Box::new(forward(route, scene, notes)))
    };
    HttpRule {
        at,
        name: route.name.as_deref().filter(|name| !name.is_empty()).map(Arc::from),
        matches,
        action,
        request: operations(request),
        response: operations(response),
        fault: route.fault.as_ref().map(|fault| self::fault(&fault.value)),
        cors: route.cors_policy.as_ref().map(|cors| self::cors(&cors.value)),
    }
}

fn forward(route: &HttpRoute, scene: &Scene<'_>, notes: &mut Vec<Problem>) -> Forward {
    let rewrite = route.rewrite.as_ref().map(|rewrite| &rewrite.value);
    let asked = route.headers.as_ref().and_then(|headers| host(&headers.request));
    let host = rewrite.and_then(|rewrite| rewrite.authority.as_deref()).or(asked);
    // A destination that is alone may as well say it for the route.
    let alone = match &route.route[..] {
        [Spanned { value, .. }] => value.headers.as_ref().and_then(|own| self::host(&own.request)),
        _ => None,
    };
    let one = |share: &Spanned<http::HttpShare>| {
        let Spanned { value: share, at } = share;
        let nothing = HeaderRules::default();
        let HeaderRules { request, response } = share.headers.as_ref().unwrap_or(&nothing);
        if self::host(request).is_some() && route.route.len() > 1 {
            let told = "the host is set for one of several destinations, which is not supported";
            let note = scene.meta.at(*at).warning(told);
            notes.push(note.with_fix("set it for the route, by rewrite.authority"));
        }
        Weighted {
            to: self::share(&share.destination, scene),
            weight: weight(share.weight, route.route.len()),
            request: operations(request),
            response: operations(response),
        }
    };
    Forward {
        to: route.route.iter().map(one).collect(),
        timeout: route.timeout.as_ref().map(|timeout| timeout.value.0),
        retry: retry(route.retries.as_ref().map(|retries| &retries.value)),
        path: rewrite.and_then(|rewrite| match (&rewrite.uri_regex_rewrite, &rewrite.uri) {
            (Some(regex), _) => Some(PathRewrite::Regex {
                pattern: regex.pattern.as_str().into(),
                substitution: regex.rewrite.as_str().into(),
            }),
            (None, Some(uri)) => Some(PathRewrite::Prefix(uri.as_str().into())),
            (None, None) => None,
        }),
        host: host.or(alone).map(Arc::from),
        mirrors: mirrors(route, scene),
    }
}

/// Alone, a destination gets everything whatever it says.
pub(super) fn weight(said: Option<u32>, of: usize) -> u32 {
    if of == 1 { 1 } else { said.unwrap_or(0) }
}

/// Who gets a share, as an object of the scene names it.
pub(super) fn share(destination: &Destination, scene: &Scene<'_>) -> Share {
    backend(destination, scene).map_or(Share::Nowhere, Share::To)
}

fn backend(destination: &Destination, scene: &Scene<'_>) -> Option<Backend> {
    let host = destination.host.value.as_str();
    let service = scene.hosts.find(host, &scene.meta.name.namespace)?;
    Some(Backend {
        service: service.clone(),
        port: destination.port(),
        subset: destination.subset.as_ref().map(|subset| subset.value.as_str().into()),
    })
}

fn mirrors(route: &HttpRoute, scene: &Scene<'_>) -> Vec<Mirror> {
    let read = |(destination, share): (&Destination, Percent)| {
        let to = backend(destination, scene)?;
        (share > Percent::default()).then(|| Mirror { to, share: fraction(share) })
    };
    route.mirrored().filter_map(read).collect()
}

fn retry(said: Option<&policy::Retries>) -> Option<Retry> {
    let Some(said) = said else { return Some(Retry::standard()) };
    let attempts = said.attempts.filter(|attempts| *attempts > 0)?;
    let (on, statuses) = match &said.retry_on {
        Some(on) if !on.policies.is_empty() || !on.statuses.is_empty() => {
            (on.policies.iter().map(|word| Arc::from(word.as_str())).collect(), on.statuses.clone())
        }
        Some(_) | None => (RETRY_ON.map(Arc::from).into(), Vec::new()),
    };
    Some(Retry {
        attempts,
        per_try: said.per_try_timeout.as_ref().map(|time| time.value.0),
        on,
        statuses,
        back_off: said.backoff.map(|time| time.0),
        avoid_previous: said.retry_ignore_previous_hosts.unwrap_or(true),
        remote: said.retry_remote_localities.unwrap_or(false),
    })
}

fn sent_to(redirect: &http::Redirect, is_tls: bool) -> Redirect {
    let scheme = redirect.scheme.map(|scheme| match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    });
    let (host, port) = match redirect.authority.as_ref().map(|host| host.0.rsplit_once(':')) {
        Some(Some((host, port))) => (Some(host), port.parse().ok()),
        Some(None) => (redirect.authority.as_ref().map(|host| host.0.as_str()), None),
        None => (None, None),
    };
    let is_https = scheme.map_or(is_tls, |scheme| scheme == "https");
    let usual = NonZeroU16::new(if is_https { 443 } else { 80 });
    let derived = redirect.derive_port.and_then(|derive| match derive {
        DerivePort::FromProtocolDefault => usual,
        DerivePort::FromRequestPort => None,
    });
    let port: Option<NonZeroU16> = redirect.port.map(|port| port.0).or(derived).or(port);
    let prefix = redirect.prefix_rewrite.as_deref().map(|path| PathRewrite::Prefix(path.into()));
    let path = redirect.uri.as_deref().filter(|path| !path.is_empty());
    Redirect {
        scheme: scheme.map(Arc::from),
        host: host.filter(|host| !host.is_empty()).map(Arc::from),
        port: port.map_or(RedirectPort::Unchanged, RedirectPort::Number),
        path: path.map(|path| PathRewrite::Full(path.into())).or(prefix),
        code: redirect.redirect_code.map_or(301, |code| code.0),
    }
}

/// Istio hands values to Envoy as they are, which reads them in its format.
pub(super) fn operations(operations: &HeaderOperations) -> HeaderOps {
    let HeaderOperations { set, add, remove } = operations;
    let pair = |(name, value): (&ChangedName, &String)| {
        (!name.is_host()).then(|| (name.as_str().into(), value.as_str().into()))
    };
    HeaderOps {
        remove: remove.iter().map(|name| name.as_str().into()).collect(),
        set: set.iter().filter_map(pair).collect(),
        add: add.iter().filter_map(pair).collect(),
    }
}

/// The host that is set as if it were a header.
fn host(operations: &HeaderOperations) -> Option<&str> {
    operations.set.iter().find(|(name, _)| name.is_host()).map(|(_, value)| value.as_str())
}

fn fault(fault: &policy::Fault) -> Fault {
    let abort = fault.abort.as_ref().map(|abort| {
        let with = match abort.value.with {
            AbortWith::Http(status) => Abort::Http(status),
            AbortWith::Grpc(status) => Abort::Grpc(status),
        };
        (with, fraction(abort.value.share))
    });
    let delay = fault.delay.as_ref();
    Fault { delay: delay.map(|delay| (delay.value.time.0, fraction(delay.value.share))), abort }
}

fn cors(cors: &policy::CorsPolicy) -> Cors {
    let names = |all: &[crate::object::istio::headers::FieldName]| {
        all.iter().map(|name| Arc::from(name.as_str())).collect()
    };
    Cors {
        origins: cors.origins().filter_map(|origin| text(&origin)).collect(),
        methods: cors.allow_methods.iter().map(|method| method.0.as_str().into()).collect(),
        headers: names(&cors.allow_headers),
        expose: names(&cors.expose_headers),
        max_age: cors.max_age.map(|time| time.0),
        credentials: cors.allow_credentials.unwrap_or(false),
        // What Istio does when nothing is said.
        forward_others: cors.unmatched_preflights != UnmatchedPreflights::Ignore,
    }
}

fn fraction(share: Percent) -> Fraction {
    Fraction::of_a_million(share.millionths())
}
