//! Routes that others say: put in the place of whoever delegates to them.
//!
//! What others delegate to has no hosts and cannot delegate, so there are no circles; whoever
//! names a service with hosts, itself for example, is told.
use super::{Objects, at, hosts, rule_at};
use crate::{
    compile::http::plan::At,
    object::{
        istio::{
            text_match::TextMatch,
            virtual_service::{VirtualService, http::HttpRoute, matches::HttpMatch},
        },
        meta::Meta,
        spanned::Spanned,
    },
    problem::Problem,
};
use std::{borrow::Cow, collections::BTreeMap};

/// A route, and who says it.
pub(super) struct Said<'a> {
    pub(super) route: Cow<'a, HttpRoute>,
    pub(super) at: At,
    /// Of the object in which its destinations are written.
    pub(super) meta: &'a Meta,
}

/// The HTTP routes of `service`, with those that it delegates.
pub(super) fn routes<'a>(
    service: &'a VirtualService,
    objects: &Objects<'a>,
    notes: &mut Vec<Problem>,
) -> Vec<Said<'a>> {
    let mut said = Vec::new();
    let own = at("VirtualService", &service.meta);
    for (index, Spanned { value: route, at: mark }) in service.http.iter().enumerate() {
        let Some(delegate) = &route.delegate else {
            let at = rule_at(&own, &service.meta, index, *mark);
            said.push(Said { route: Cow::Borrowed(route), at, meta: &service.meta });
            continue;
        };
        let here = service.meta.at(delegate.at);
        let root = &*service.meta.name.namespace;
        let namespace = delegate.value.namespace.as_deref().filter(|name| !name.is_empty());
        let (namespace, name) = (namespace.unwrap_or(root), delegate.value.name.as_str());
        let found = objects
            .virtual_services
            .iter()
            .find(|one| (&*one.meta.name.namespace, &*one.meta.name.name) == (namespace, name));
        let Some(found) = found else {
            let note = here.warning(format!("there is no VirtualService {namespace}/{name}"));
            notes.push(note.with_fix("its requests are answered by 404 until there is one"));
            continue;
        };
        if !found.is_delegate() {
            let told =
                format!("{namespace}/{name} has hosts of its own: nobody can delegate to it");
            notes.push(here.warning(told).with_fix("leave its hosts out"));
            continue;
        }
        let shown = hosts::clients(&found.export_to, namespace);
        if !shown.is_some_and(|clients| clients.may_be_of(root)) {
            let told = format!("{namespace}/{name} is not shown to namespace {root}");
            notes.push(here.warning(told).with_fix("add it to its exportTo"));
            continue;
        }
        let other = at("VirtualService", &found.meta);
        for (index, Spanned { value: part, at: mark }) in found.http.iter().enumerate() {
            let at = rule_at(&other, &found.meta, index, *mark);
            match merged(route, part) {
                Some(route) => said.push(Said { route: Cow::Owned(route), at, meta: &found.meta }),
                None => {
                    let told = "no request is for this route and for the one that delegates to it";
                    let note = found.meta.at(*mark).warning(told).of(&other.object);
                    notes.push(note.with_fix("match parts of what is delegated, and no regex"));
                }
            }
        }
    }
    said
}

/// A part, for what its root is for; what it does not say is as the root says.
fn merged(root: &HttpRoute, part: &HttpRoute) -> Option<HttpRoute> {
    let mut all = part.clone();
    all.matches = match (&root.matches[..], &part.matches[..]) {
        ([], own) => own.to_vec(),
        (above, []) => above.to_vec(),
        (above, own) => {
            let pairs = own.iter().flat_map(|own| above.iter().map(move |above| (above, own)));
            let both = pairs.filter_map(|(above, own)| {
                Some(Spanned { value: meet(&above.value, &own.value)?, at: own.at })
            });
            let both: Vec<_> = both.collect();
            if both.is_empty() {
                return None;
            }
            both
        }
    };
    all.rewrite = all.rewrite.or_else(|| root.rewrite.clone());
    all.timeout = all.timeout.or_else(|| root.timeout.clone());
    all.retries = all.retries.or_else(|| root.retries.clone());
    all.fault = all.fault.or_else(|| root.fault.clone());
    all.cors_policy = all.cors_policy.or_else(|| root.cors_policy.clone());
    all.headers = all.headers.or_else(|| root.headers.clone());
    if all.mirror.is_none() && all.mirrors.is_empty() {
        all.mirror.clone_from(&root.mirror);
        all.mirrors.clone_from(&root.mirrors);
        all.mirror_percentage.clone_from(&root.mirror_percentage);
    }
    all.name = match (&root.name, &part.name) {
        (Some(above), Some(own)) => Some(format!("{above}-{own}")),
        (above, own) => own.clone().or_else(|| above.clone()),
    };
    Some(all)
}

/// What is like both.
fn meet(above: &HttpMatch, own: &HttpMatch) -> Option<HttpMatch> {
    if above.uri.is_some() && own.uri.is_some() && above.ignore_uri_case != own.ignore_uri_case {
        return None;
    }
    Some(HttpMatch {
        name: own.name.clone().or_else(|| above.name.clone()),
        uri: both(above.uri.as_ref(), own.uri.as_ref())?,
        ignore_uri_case: above.ignore_uri_case || own.ignore_uri_case,
        scheme: both(above.scheme.as_ref(), own.scheme.as_ref())?,
        method: both(above.method.as_ref(), own.method.as_ref())?,
        authority: both(above.authority.as_ref(), own.authority.as_ref())?,
        headers: all(&above.headers, &own.headers)?,
        without_headers: same(&above.without_headers, &own.without_headers)?,
        query_params: all(&above.query_params, &own.query_params)?,
        port: same_or(above.port, own.port)?,
        source_labels: same(&above.source_labels, &own.source_labels)?,
        source_namespace: same_or(above.source_namespace.clone(), own.source_namespace.clone())?,
        gateways: match (&above.gateways[..], &own.gateways[..]) {
            (above, []) => above.to_vec(),
            ([], own) => own.to_vec(),
            (above, own) => {
                let among = |one: &&Spanned<_>| above.iter().any(|each| each.value == one.value);
                let both: Vec<_> = own.iter().filter(among).cloned().collect();
                if both.is_empty() {
                    return None;
                }
                both
            }
        },
        stat_prefix: own.stat_prefix.clone().or_else(|| above.stat_prefix.clone()),
    })
}

/// `None`: nothing is both.
fn both(above: Option<&TextMatch>, own: Option<&TextMatch>) -> Option<Option<TextMatch>> {
    let (Some(above), Some(own)) = (above, own) else { return Some(above.or(own).cloned()) };
    let met = match (above, own) {
        (TextMatch::Any, one) | (one, TextMatch::Any) => one,
        (above, own) if above == own => own,
        (TextMatch::Prefix(start), TextMatch::Exact(text) | TextMatch::Prefix(text))
            if text.starts_with(&**start) =>
        {
            own
        }
        (TextMatch::Exact(text) | TextMatch::Prefix(text), TextMatch::Prefix(start))
            if text.starts_with(&**start) =>
        {
            above
        }
        (TextMatch::Exact(_) | TextMatch::Prefix(_) | TextMatch::Regex(_), _) => return None,
    };
    Some(Some(met.clone()))
}

fn all<K: Ord + Clone>(
    above: &BTreeMap<K, TextMatch>,
    own: &BTreeMap<K, TextMatch>,
) -> Option<BTreeMap<K, TextMatch>> {
    let mut met = above.clone();
    for (name, text) in own {
        let text = both(above.get(name), Some(text))?;
        met.extend(text.map(|text| (name.clone(), text)));
    }
    Some(met)
}

fn same<K: Ord + Clone, V: PartialEq + Clone>(
    above: &BTreeMap<K, V>,
    own: &BTreeMap<K, V>,
) -> Option<BTreeMap<K, V>> {
    let mut met = above.clone();
    for (name, value) in own {
        if above.get(name).is_some_and(|other| other != value) {
            return None;
        }
        met.insert(name.clone(), value.clone());
    }
    Some(met)
}

fn same_or<T: PartialEq>(above: Option<T>, own: Option<T>) -> Option<Option<T>> {
    match (above, own) {
        (Some(above), Some(own)) => (above == own).then_some(Some(own)),
        (above, own) => Some(own.or(above)),
    }
}
