//! What becomes of requests.
use super::{
    backend::{Named, Unresolved},
    words::{cors, fraction, header_ops, headers, method_name, rewrite, text},
    world::World,
};
use crate::{
    compile::http::plan::{
        Fraction,
        forward::{Forward, Mirror, Retry, Share, Weighted},
        matching::{self, PathMatch, QueryMatch, Text, Wanted},
        rule::{self, Action, Direct, HeaderOps, PathRewrite, Redirect, RedirectPort},
    },
    object::{
        gateway_api::{
            duration,
            filter::{Filter, Scheme},
            http_route::{self, HttpMatch, HttpRule, PathKind},
            reference::{FilteredRef, MirrorRef},
        },
        spanned::Spanned,
    },
};
use std::{num::NonZeroU16, sync::Arc, time::Duration};

/// What a rule of a route comes to, whatever it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) action: Action,
    pub(super) request: HeaderOps,
    pub(super) response: HeaderOps,
    pub(super) cors: Option<rule::Cors>,
}

/// What a rule cannot do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) unresolved: Vec<Unresolved>,
    /// For a person.
    pub(super) unsupported: Vec<String>,
}

/// Who names backends: kind and namespace of the route; and what there is.
#[derive(Clone, Copy)]
pub(super) struct Author<'w, 'a> {
    pub(super) kind: &'static str,
    pub(super) namespace: &'a str,
    pub(super) world: &'w World<'a>,
}

/// What filters ask for, all of them.
#[derive(Default)]
struct Asked {
    request: HeaderOps,
    response: HeaderOps,
    mirrors: Vec<Mirror>,
    redirect: Option<Redirect>,
    path: Option<PathRewrite>,
    host: Option<Arc<str>>,
    cors: Option<rule::Cors>,
    /// Somebody is to be asked whom nobody knows: nothing may go on.
    is_closed: bool,
}

impl Author<'_, '_> {
    /// What `filters` and `backends` come to.
    pub(super) fn deed<'a, F: 'a>(
        self,
        filters: impl Iterator<Item = &'a Filter>,
        backends: impl Iterator<Item = &'a FilteredRef<F>>,
        filter: impl Fn(&'a F) -> &'a Filter,
        wrong: &mut Wrong,
    ) -> Deed {
        let asked = self.asked(filters, wrong);
        let mut to = Vec::new();
        for backend in backends {
            let theirs = self.asked(backend.filters.iter().map(|one| filter(&one.value)), wrong);
            if theirs.redirect.is_some()
                || theirs.path.is_some()
                || theirs.host.is_some()
                || theirs.cors.is_some()
            {
                let message =
                    "redirects, rewrites and CORS work for a whole rule, not for one backend";
                wrong.unsupported.push(message.to_owned());
            }
            if !theirs.mirrors.is_empty() {
                wrong
                    .unsupported
                    .push("mirrors work for a whole rule, not for one backend".to_owned());
            }
            let named = Named {
                kind: self.kind,
                from: self.namespace,
                what: backend.what(),
                namespace: backend.namespace.as_deref(),
                name: &backend.name,
                port: backend.port(),
            };
            let share = named.share(self.world, &mut wrong.unresolved);
            if backend.weight() > 0 {
                to.push(Weighted {
                    to: if theirs.is_closed { Share::Nowhere } else { share },
                    weight: backend.weight(),
                    request: theirs.request,
                    response: theirs.response,
                });
            }
        }
        let Asked { request, response, mirrors, redirect, path, host, cors, is_closed } = asked;
        let action = match redirect {
            _ if is_closed => Action::Direct(Direct { status: 500, body: None }),
            Some(redirect) => Action::Redirect(redirect),
            None => {
                Action::Forward(Box::new(Forward { to, path, host, mirrors, ..Forward::default() }))
            }
        };
        Deed { action, request, response, cors }
    }

    fn asked<'a>(self, filters: impl Iterator<Item = &'a Filter>, wrong: &mut Wrong) -> Asked {
        let mut asked = Asked::default();
        for filter in filters {
            match filter {
                Filter::RequestHeaders(modifier) => asked.request = header_ops(modifier),
                Filter::ResponseHeaders(modifier) => asked.response = header_ops(modifier),
                Filter::Mirror(mirror) => {
                    let share =
                        mirror.part().map_or(Fraction::ALL, |(part, of)| fraction(part, of));
                    match self.mirrored(&mirror.backend_ref.value).backend(self.world) {
                        Ok(to) => asked.mirrors.push(Mirror { to, share }),
                        Err(why) => wrong.unresolved.push(why),
                    }
                }
                Filter::Redirect(written) => {
                    asked.redirect = Some(Redirect {
                        scheme: written.scheme.map(|scheme| match scheme {
                            Scheme::Http => "http".into(),
                            Scheme::Https => "https".into(),
                        }),
                        host: written.hostname.as_ref().map(|host| (**host).into()),
                        port: written
                            .port()
                            .and_then(NonZeroU16::new)
                            .map_or(RedirectPort::Unchanged, RedirectPort::Number),
                        path: written.path.as_ref().map(rewrite),
                        code: written.status(),
                    });
                }
                Filter::Rewrite(written) => {
                    asked.path = written.path.as_ref().map(rewrite);
                    asked.host = written.hostname.as_ref().map(|host| (**host).into());
                }
                Filter::Cors(written) => asked.cors = Some(cors(written)),
                Filter::Extension(named) => {
                    asked.is_closed = true;
                    let message = format!(
                        "there is no filter {} {}: such requests get 500",
                        named.kind, named.name
                    );
                    wrong.unresolved.push(("InvalidKind", message));
                }
                Filter::ExternalAuth => {
                    asked.is_closed = true;
                    let message = "ExternalAuth is not there yet: such requests get 500";
                    wrong.unsupported.push(message.to_owned());
                }
            }
        }
        asked
    }

    fn mirrored<'b>(&'b self, mirror: &'b MirrorRef) -> Named<'b> {
        Named {
            kind: self.kind,
            from: self.namespace,
            what: mirror.what(),
            namespace: mirror.namespace.as_deref(),
            name: &mirror.name,
            port: mirror.port(),
        }
    }
}

/// What a rule of an `HTTPRoute` comes to.
pub(super) fn http(author: Author<'_, '_>, rule: &HttpRule, wrong: &mut Wrong) -> Deed {
    let filters = rule.filters.iter().map(|filter| &filter.value);
    let backends = rule.backend_refs.iter().map(|backend| &backend.value);
    let mut deed = author.deed(filters, backends, |filter| filter, wrong);
    if rule.session_persistence.is_some() {
        wrong
            .unsupported
            .push("sessionPersistence is not there yet: any endpoint gets any request".into());
    }
    let Action::Forward(forward) = &mut deed.action else { return deed };
    let times = rule.timeouts.as_ref().map(|timeouts| timeouts.value);
    // Zero is for ever.
    let time = |time: Option<duration::Duration>| {
        time.map(|time| time.0).filter(|time| *time > Duration::ZERO)
    };
    let request = times.and_then(|times| time(times.request));
    let each = times.and_then(|times| time(times.backend_request));
    let retry = rule.retry.as_ref();
    forward.timeout = match (request, each, retry) {
        // One try is all there is.
        (request, Some(each), None) => Some(request.map_or(each, |request| request.min(each))),
        (request, _, _) => request,
    };
    forward.retry = retry.map(|retry| {
        let on = ["connect-failure", "refused-stream", "reset", "retriable-status-codes"];
        Retry {
            attempts: retry.attempts.unwrap_or(1),
            per_try: each,
            on: on.map(Arc::from).into(),
            statuses: retry.codes.iter().map(|code| code.0).collect(),
            back_off: retry.backoff.map(|backoff| backoff.0),
            avoid_previous: false,
            remote: false,
        }
    });
    deed
}

/// Which requests one match is for.
pub(super) fn matching(written: &HttpMatch) -> matching::HttpMatch {
    let (kind, path) = written.path();
    let path = match kind {
        PathKind::Exact => PathMatch::Exact(path.into()),
        PathKind::PathPrefix if path == "/" => PathMatch::Any,
        PathKind::PathPrefix => PathMatch::Segments(path.trim_end_matches('/').into()),
        PathKind::RegularExpression => PathMatch::Regex(path.into()),
    };
    let query = |query: &Spanned<http_route::QueryMatch>| QueryMatch {
        name: (*query.value.name).into(),
        wanted: Wanted::Text(text(query.value.how, &query.value.value)),
    };
    matching::HttpMatch {
        path,
        method: written.method.map(|method| Text::Exact(method_name(method).into())),
        headers: headers(written.headers.iter()),
        query: written.query_params.iter().map(query).collect(),
        ..matching::HttpMatch::default()
    }
}
