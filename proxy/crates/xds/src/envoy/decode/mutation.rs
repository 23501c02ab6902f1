//! Headers added and removed.
use super::{
    Got, Path, Wrong,
    basic::{each, known, must},
    header::field,
    text::{header_template, string},
};
use culvert_model::http::{
    format::Template,
    mutation::{Append, HeaderMutations, HeaderValue, Mutation, QueryMutation},
};
use culvert_proto::api::{
    envoy::config::{
        common::mutation_rules::v3::{self as rules, header_mutation::Action},
        core::v3::{
            self as core, header_value_option::HeaderAppendAction,
            key_value_append::KeyValueAppendAction,
        },
        route::v3::{self as route, weighted_cluster::ClusterWeight},
    },
    google::protobuf::value::Kind,
};

/// What routes and others say: what to add and what to remove, and how both fields are called.
pub(super) fn mutations(
    (add, add_name): (&[core::HeaderValueOption], &str),
    (remove, remove_name): (&[String], &str),
    path: &Path<'_>,
) -> Got<HeaderMutations> {
    let add: Vec<_> = each(add, &path.field(add_name), value)?;
    let remove: Vec<_> = each(remove, &path.field(remove_name), |name, path| {
        let name = field(name, path)?;
        if name.is_pseudo() {
            return Err(Wrong::at(path, format!("{name} cannot be removed")));
        }
        Ok(name)
    })?;
    Ok(HeaderMutations::of(remove, add))
}

/// What is changed in requests, and in responses.
pub(super) fn both_ways(
    value: &impl BothWays,
    path: &Path<'_>,
) -> Got<(HeaderMutations, HeaderMutations)> {
    let [request, response] = value.changes();
    Ok((
        mutations(
            (request.0, "request_headers_to_add"),
            (request.1, "request_headers_to_remove"),
            path,
        )?,
        mutations(
            (response.0, "response_headers_to_add"),
            (response.1, "response_headers_to_remove"),
            path,
        )?,
    ))
}

/// What is added, and what is removed.
type Changes<'a> = (&'a [core::HeaderValueOption], &'a [String]);

/// A message that changes headers of requests and of responses.
pub(super) trait BothWays {
    /// Of requests, of responses.
    fn changes(&self) -> [Changes<'_>; 2];
}

macro_rules! both_ways {
    ($($message:ty),+) => {$(
        impl BothWays for $message {
            fn changes(&self) -> [Changes<'_>; 2] {
                [
                    (&self.request_headers_to_add, &self.request_headers_to_remove),
                    (&self.response_headers_to_add, &self.response_headers_to_remove),
                ]
            }
        }
    )+};
}

both_ways!(route::RouteConfiguration, route::VirtualHost, route::Route, ClusterWeight);

pub(super) fn value(value: &core::HeaderValueOption, path: &Path<'_>) -> Got<HeaderValue> {
    let at = path.field("header");
    let header = must(&value.header, &at)?;
    let name = field(&header.key, &at.field("key"))?;
    if name.is_pseudo() {
        let what = format!(
            "{} cannot be set; for the host there is host_rewrite_literal and its like, for the \
             path prefix_rewrite and regex_rewrite",
            header.key
        );
        return Err(Wrong::at(&at.field("key"), what));
    }
    let template = if header.raw_value.is_empty() {
        header_template(&header.value, &at.field("value"))?
    } else {
        let text = std::str::from_utf8(&header.raw_value)
            .map_err(|_binary| Wrong::at(&at.field("raw_value"), "only text is supported"))?;
        header_template(text, &at.field("raw_value"))?
    };
    let append = HeaderAppendAction::try_from(value.append_action);
    let how = match (&value.append, append) {
        (Some(append), Ok(HeaderAppendAction::AppendIfExistsOrAdd)) => {
            if append.value {
                Append::AppendOrAdd
            } else {
                Append::OverwriteOrAdd
            }
        }
        (Some(_), _) => {
            let what = "cannot be given beside append_action; leave append out";
            return Err(Wrong::at(&path.field("append"), what));
        }
        (None, Ok(HeaderAppendAction::AppendIfExistsOrAdd)) => Append::AppendOrAdd,
        (None, Ok(HeaderAppendAction::AddIfAbsent)) => Append::AddIfAbsent,
        (None, Ok(HeaderAppendAction::OverwriteIfExistsOrAdd)) => Append::OverwriteOrAdd,
        (None, Ok(HeaderAppendAction::OverwriteIfExists)) => Append::OverwriteIfExists,
        (None, Err(_)) => return Err(Wrong::at(&path.field("append_action"), "not known")),
    };
    Ok(HeaderValue { name, value: template, how, keep_empty: value.keep_empty_value })
}

/// Steps of the `header_mutation` filter and others.
pub(super) fn steps(values: &[rules::HeaderMutation], path: &Path<'_>) -> Got<HeaderMutations> {
    each(values, path, |step, path| {
        Ok(match must(&step.action, path)? {
            Action::Remove(name) => Mutation::Remove(field(name, &path.field("remove"))?),
            Action::Append(option) => Mutation::Set(value(option, &path.field("append"))?),
            Action::RemoveOnMatch(on) => {
                let path = path.field("remove_on_match");
                let path = path.field("key_matcher");
                Mutation::RemoveMatching(string(must(&on.key_matcher, &path)?, &path)?)
            }
        })
    })
    .map(HeaderMutations)
}

/// Headers with plain values.
pub(super) fn plain(
    values: &[core::HeaderValueOption],
    path: &Path<'_>,
) -> Got<Box<[HeaderValue]>> {
    each(values, path, value)
}

pub(super) fn query(value: &core::KeyValueMutation, path: &Path<'_>) -> Got<QueryMutation> {
    let Some(append) = &value.append else {
        return Ok(QueryMutation::Remove(value.remove.as_str().into()));
    };
    let path = path.field("append");
    let how = match known(append.action, &path.field("action"))? {
        KeyValueAppendAction::AppendIfExistsOrAdd => Append::AppendOrAdd,
        KeyValueAppendAction::AddIfAbsent => Append::AddIfAbsent,
        KeyValueAppendAction::OverwriteIfExistsOrAdd => Append::OverwriteOrAdd,
        KeyValueAppendAction::OverwriteIfExists => Append::OverwriteIfExists,
    };
    let (name, value) = match (&append.record, &append.entry) {
        (Some(record), _) => {
            let text = match record.value.as_ref().and_then(|value| value.kind.as_ref()) {
                Some(Kind::StringValue(text)) => text.clone(),
                Some(Kind::NumberValue(number)) => number.to_string(),
                Some(Kind::BoolValue(value)) => value.to_string(),
                _ => {
                    let path = path.field("record");
                    return Err(Wrong::at(&path.field("value"), "only text is supported"));
                }
            };
            (record.key.as_str(), text)
        }
        (None, Some(entry)) => {
            let text = String::from_utf8(entry.value.clone()).map_err(|_binary| {
                Wrong::at(&path.field("entry").field("value"), "only text is supported")
            })?;
            (entry.key.as_str(), text)
        }
        (None, None) => return Err(Wrong::at(&path.field("record"), "not set")),
    };
    let value: Template = header_template(&value, &path)?;
    Ok(QueryMutation::Set { name: name.into(), value, how })
}
