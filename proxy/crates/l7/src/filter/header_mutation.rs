//! `envoy.filters.http.header_mutation`: headers changed on the way.
use super::Place;
use crate::{
    body::{Body, BodyError, Frame, Length, Pull},
    manager::{record::Record, routed::overrides},
    message::Response,
};
use bytes::Bytes;
use culvert_model::http::{
    filter::{HeaderMutationFilter, OverrideConfig},
    mutation::{Append, HeaderMutations, QueryMutation},
};
use culvert_policy::http::{
    facts::Answer,
    format::{Missing, Nothing, Scene, text},
    mutate::{self, Message, filter_headers},
};
use http::uri::PathAndQuery;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct HeaderMutation(pub(super) Arc<HeaderMutationFilter>);

impl HeaderMutation {
    pub(super) fn request(&self, place: Place<'_>, record: &mut Record, body: &mut Body) {
        let mut trailers = Vec::new();
        for level in self.levels(place, record) {
            if !level.request.is_empty() {
                let mut headers = std::mem::take(&mut record.head.headers);
                let seeing = record.seeing("NotSet");
                let scene = seeing.scene();
                filter_headers(&level.request, Message::Request, &mut headers, &scene);
                record.head.headers = headers;
            }
            if !level.query.is_empty() {
                query(&level.query, record);
            }
            if !level.request_trailers.is_empty() && !body.is_empty() {
                trailers.push(level);
            }
        }
        trail(body, Message::RequestTrailers, trailers);
    }

    pub(super) fn response(&self, place: Place<'_>, record: &Record, response: &mut Response) {
        let mut trailers = Vec::new();
        for level in self.levels(place, record) {
            if !level.response.is_empty() {
                let seeing = record.seeing("NotSet");
                let status = response.head.status;
                let answer = Answer { status, headers: mutate::no_headers() };
                let scene = Scene { response: Some(answer), ..seeing.scene() };
                let headers = &mut response.head.headers;
                filter_headers(&level.response, Message::Response, headers, &scene);
            }
            if !level.response_trailers.is_empty() {
                trailers.push(level);
            }
        }
        trail(&mut response.body, Message::ResponseTrailers, trailers);
    }

    /// The chain's own, then those of the levels of the route.
    fn levels(&self, place: Place<'_>, record: &Record) -> Vec<Arc<HeaderMutationFilter>> {
        let table = record.now.table.as_ref().map(|table| &**table.table());
        let said = overrides(record.routed.per_filter(table), place.name);
        let mut levels: Vec<_> = said
            .filter_map(|one| match &one.config {
                Some(OverrideConfig::HeaderMutation(level)) => Some(Arc::clone(level)),
                _ => None,
            })
            .collect();
        if self.0.most_specific_wins {
            levels.reverse();
        }
        levels.insert(0, Arc::clone(&self.0));
        levels
    }
}

fn trail(body: &mut Body, of: Message, levels: Vec<Arc<HeaderMutationFilter>>) {
    if !levels.is_empty() {
        let inner = std::mem::take(body);
        *body = Body::boxed(Trailed { body: inner, of, levels });
    }
}

/// A body whose trailers are changed.
struct Trailed {
    body: Body,
    of: Message,
    levels: Vec<Arc<HeaderMutationFilter>>,
}

impl Pull for Trailed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut next = ready!(self.body.poll_frame(cx));
        if let Some(Ok(Frame::Trailers(trailers))) = &mut next {
            for level in &self.levels {
                let mutations: &HeaderMutations = match self.of {
                    Message::RequestTrailers => &level.request_trailers,
                    Message::Request | Message::Response | Message::ResponseTrailers => {
                        &level.response_trailers
                    }
                };
                let scene = Scene::new(&Nothing);
                filter_headers(mutations, self.of, trailers, &scene);
            }
        }
        Poll::Ready(next)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn length(&self) -> Length {
        self.body.length()
    }
}

/// Changes the path's query.
fn query(mutations: &[QueryMutation], record: &mut Record) {
    let Some(path) = &record.head.path else { return };
    let mut pairs: Vec<(String, Option<String>)> = path
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (part.to_owned(), None),
        })
        .collect();
    for mutation in mutations {
        match mutation {
            QueryMutation::Remove(name) => pairs.retain(|(key, _)| **key != **name),
            QueryMutation::Set { name, value, how } => {
                let seeing = record.seeing("NotSet");
                let mut out = Vec::new();
                text(value, &seeing.scene(), Missing::Omit, &mut out);
                let value = escaped(&out);
                set(&mut pairs, name, value, *how);
            }
        }
    }
    let parts: Vec<String> = pairs
        .into_iter()
        .map(|(key, value)| value.map_or(key.clone(), |value| format!("{key}={value}")))
        .collect();
    let bare = path.path();
    let new =
        if parts.is_empty() { bare.to_owned() } else { format!("{bare}?{}", parts.join("&")) };
    if let Ok(new) = PathAndQuery::from_maybe_shared(Bytes::from(new)) {
        record.head.path = Some(new);
    }
}

fn set(pairs: &mut Vec<(String, Option<String>)>, name: &str, value: String, how: Append) {
    let there = pairs.iter().any(|(key, _)| *key == *name);
    match how {
        Append::AppendOrAdd => {}
        Append::AddIfAbsent if there => return,
        Append::OverwriteIfExists if !there => return,
        Append::AddIfAbsent => {}
        Append::OverwriteOrAdd | Append::OverwriteIfExists => {
            if let Some(first) = pairs.iter_mut().find(|(key, _)| *key == *name) {
                first.1 = Some(value);
                return;
            }
        }
    }
    pairs.push((name.to_owned(), Some(value)));
}

/// As a query may have it.
fn escaped(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
