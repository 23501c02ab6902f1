//! Headers added, replaced and removed.
use std::sync::LazyLock;

use culvert_model::http::{
    field::Field,
    mutation::{Append, HeaderMutations, HeaderValue, Mutation},
    route::{Action, ClusterChoice, Route, RouteTable, VirtualHost, WeightedCluster},
};
use http::{HeaderMap, HeaderName, HeaderValue as Value};

use super::{
    facts::{Answer, Head},
    format::{Missing, Scene, text},
};

/// Which message's headers are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Request,
    Response,
    RequestTrailers,
    ResponseTrailers,
}

/// Headers for a [`Head`] whose own are being changed.
#[must_use]
pub fn no_headers() -> &'static HeaderMap {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    &NONE
}

/// Does what a route, a virtual host or a table says: removes; then takes all values from the
/// headers as they are; then replaces; then adds.
///
/// What `scene` says of the changed message's own headers is not looked at: these are.
pub fn route_headers(
    mutations: &HeaderMutations,
    message: Message,
    headers: &mut HeaderMap,
    scene: &Scene<'_>,
) {
    let mut values = Vec::new();
    for mutation in &mutations.0 {
        remove(mutation, headers);
    }
    for mutation in &mutations.0 {
        if let Mutation::Set(set) = mutation
            && let Some(change) = value(set, &seen(message, headers, scene), headers)
        {
            values.push(change);
        }
    }
    values.sort_by_key(|(how, ..)| *how == How::Add);
    for change in values {
        apply(change, headers);
    }
}

/// Does what the filter `header_mutation` says: one after the other.
pub fn filter_headers(
    mutations: &HeaderMutations,
    message: Message,
    headers: &mut HeaderMap,
    scene: &Scene<'_>,
) {
    for mutation in &mutations.0 {
        remove(mutation, headers);
        if let Mutation::Set(set) = mutation
            && let Some(change) = value(set, &seen(message, headers, scene), headers)
        {
            apply(change, headers);
        }
    }
}

/// What a weighted cluster, a route, its host and its table do to a request's headers, in the
/// order in which it is done.
pub fn request_levels<'a>(
    table: &'a RouteTable,
    host: &'a VirtualHost,
    route: &'a Route,
    weighted: Option<&'a WeightedCluster>,
) -> impl Iterator<Item = &'a HeaderMutations> {
    let levels = [&route.request, &host.request, &table.request];
    ordered(table, weighted.map(|one| &one.request), levels)
}

/// The same, of a response's headers.
pub fn response_levels<'a>(
    table: &'a RouteTable,
    host: &'a VirtualHost,
    route: &'a Route,
    weighted: Option<&'a WeightedCluster>,
) -> impl Iterator<Item = &'a HeaderMutations> {
    let levels = [&route.response, &host.response, &table.response];
    ordered(table, weighted.map(|one| &one.response), levels)
}

/// Whether anything that a table does to headers of responses, on whichever level, is so.
pub fn any_response_level(table: &RouteTable, is: impl Fn(&HeaderMutations) -> bool) -> bool {
    let of_route = |route: &Route| {
        let weighted = match &route.action {
            Action::Forward(forward) => match &forward.cluster {
                ClusterChoice::Weighted(weighted) => &*weighted.clusters,
                ClusterChoice::Named(_) | ClusterChoice::Header(_) => &[],
            },
            Action::Redirect(_) | Action::Direct(_) | Action::NonForwarding => &[],
        };
        is(&route.response) || weighted.iter().any(|one| is(&one.response))
    };
    let of_host =
        |host: &VirtualHost| is(&host.response) || host.routes.iter().any(|route| of_route(route));
    is(&table.response) || table.hosts.iter().any(|host| of_host(host))
}

/// The most specific first, unless it is to win; a weighted cluster's always.
fn ordered<'a>(
    table: &RouteTable,
    weighted: Option<&'a HeaderMutations>,
    mut levels: [&'a HeaderMutations; 3],
) -> impl Iterator<Item = &'a HeaderMutations> {
    if table.most_specific_wins {
        levels.reverse();
    }
    weighted.into_iter().chain(levels).filter(|level| !level.is_empty())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Replace,
    Add,
}

type Change = (How, HeaderName, Value);

/// The scene, with the headers that are being changed as they are now.
fn seen<'a>(message: Message, headers: &'a HeaderMap, scene: &Scene<'a>) -> Scene<'a> {
    match message {
        Message::Request => {
            Scene { request: scene.request.map(|head| Head { headers, ..head }), ..*scene }
        }
        Message::Response => {
            Scene { response: scene.response.map(|answer| Answer { headers, ..answer }), ..*scene }
        }
        Message::RequestTrailers => *scene,
        Message::ResponseTrailers => Scene { trailers: Some(headers), ..*scene },
    }
}

/// Pseudo-headers are not changed this way.
fn name(field: &Field) -> Option<&HeaderName> {
    if let Field::Header(name) = field { Some(name) } else { None }
}

fn remove(mutation: &Mutation, headers: &mut HeaderMap) {
    match mutation {
        Mutation::Set(_) => {}
        Mutation::Remove(field) => {
            if let Some(name) = name(field) {
                headers.remove(name);
            }
        }
        Mutation::RemoveMatching(pattern) => {
            let matching = headers.keys().filter(|name| pattern.matches(name.as_str().as_bytes()));
            for name in matching.cloned().collect::<Vec<_>>() {
                headers.remove(name);
            }
        }
    }
}

fn value(set: &HeaderValue, scene: &Scene<'_>, headers: &HeaderMap) -> Option<Change> {
    let name = name(&set.name)?;
    let there = headers.contains_key(name);
    let how = match set.how {
        Append::AppendOrAdd => How::Add,
        Append::AddIfAbsent if there => return None,
        Append::AddIfAbsent => How::Add,
        Append::OverwriteIfExists if !there => return None,
        Append::OverwriteIfExists | Append::OverwriteOrAdd => How::Replace,
    };
    let value = match set.value.as_literal() {
        Some(literal) => Value::from_str(literal).ok()?,
        None => {
            let mut out = Vec::new();
            text(&set.value, scene, Missing::Omit, &mut out);
            Value::from_bytes(&out).ok()?
        }
    };
    (set.keep_empty || !value.is_empty()).then(|| (how, name.clone(), value))
}

fn apply((how, name, value): Change, headers: &mut HeaderMap) {
    match how {
        How::Replace => {
            headers.insert(name, value);
        }
        How::Add => {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
