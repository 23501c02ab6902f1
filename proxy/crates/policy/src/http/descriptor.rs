//! What a request counts as, for rate limits.
use std::{net::IpAddr, sync::Arc};

use culvert_model::http::{
    format::Template,
    ratelimit::{DescriptorAction, LocalDescriptor, RateLimitActions},
    runtime::RuntimeValues,
    value::Metadata,
};
use ipnet::IpNet;

use super::{
    facts::{Asking, Fields},
    field,
    format::{Missing, Scene, text},
    query,
};

/// Key and value, in order.
pub type Entries = Vec<(Arc<str>, Arc<str>)>;

/// What is to be known beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The cluster that we are.
    pub own: &'a str,
    /// The cluster that it goes to.
    pub cluster: &'a str,
    pub route: &'a Metadata,
    pub scene: &'a Scene<'a>,
}

/// The descriptors that a request makes of limits of one stage, with how many tokens each takes.
/// An action that comes to nothing leaves its whole descriptor out.
#[must_use]
pub fn of(
    limits: &[RateLimitActions],
    stage: u32,
    asking: &Asking<'_>,
    around: Around<'_>,
) -> Vec<(Entries, u64)> {
    let wanted = limits.iter().filter(|limit| {
        limit.stage == stage && !limit.on_response && !is_disabled(limit, asking.runtime)
    });
    wanted
        .filter_map(|limit| {
            let mut entries = Vec::new();
            for action in &limit.actions {
                match entry(action, asking, around) {
                    Made::Entry(key, value) => entries.push((key, value)),
                    Made::Nothing => {}
                    Made::Void => return None,
                }
            }
            Some((entries, limit.hits.unwrap_or(1)))
        })
        .collect()
}

/// The first of the configured descriptors that a request's entries are; an entry without a value
/// is of any value.
#[must_use]
pub fn local<'a>(
    configured: &'a [LocalDescriptor],
    entries: &Entries,
) -> Option<&'a LocalDescriptor> {
    configured.iter().find(|one| {
        one.entries.len() == entries.len()
            && one
                .entries
                .iter()
                .zip(entries)
                .all(|((key, value), (has, is))| key == has && (value.is_empty() || value == is))
    })
}

enum Made {
    Entry(Arc<str>, Arc<str>),
    /// No entry, but the descriptor stands.
    Nothing,
    /// No descriptor.
    Void,
}

fn is_disabled(limit: &RateLimitActions, runtime: &RuntimeValues) -> bool {
    // `ratelimit.<key>.http_filter_enabled`, a percentage: only 0 is certain.
    limit.disable_key.as_ref().is_some_and(|key| {
        runtime.number(&format!("ratelimit.{key}.http_filter_enabled")) == Some(0.0)
    })
}

fn entry(action: &DescriptorAction, asking: &Asking<'_>, around: Around<'_>) -> Made {
    let head = &asking.head;
    match action {
        DescriptorAction::SourceCluster => made("source_cluster", around.own),
        DescriptorAction::DestinationCluster => made("destination_cluster", around.cluster),
        DescriptorAction::RequestHeader { name, key, skip_if_absent } => {
            match head.first(name).and_then(|value| std::str::from_utf8(value).ok()) {
                Some(value) if !value.is_empty() => made(key, value),
                _ => absent(*skip_if_absent),
            }
        }
        DescriptorAction::Query { name, key, skip_if_absent } => {
            match query::parameter(head.path, name) {
                Some(value) if !value.is_empty() => made(key, value),
                _ => absent(*skip_if_absent),
            }
        }
        DescriptorAction::RemoteAddress => match asking.connection.remote {
            Some(client) => made("remote_address", &client.ip().to_string()),
            None => Made::Void,
        },
        DescriptorAction::MaskedRemoteAddress { v4, v6 } => {
            let network = asking.connection.remote.and_then(|client| {
                let bits = if matches!(client.ip(), IpAddr::V4(_)) { *v4 } else { *v6 };
                Some(IpNet::new(client.ip(), bits).ok()?.trunc().to_string())
            });
            network.map_or(Made::Void, |network| made("masked_remote_address", &network))
        }
        DescriptorAction::GenericKey { key, value } => printed(key, value, around.scene),
        DescriptorAction::HeaderMatch { key, value, expect, headers } => {
            if field::all_match(headers, head) == *expect {
                printed(key, value, around.scene)
            } else {
                Made::Void
            }
        }
        DescriptorAction::QueryMatch { key, value, expect, query } => {
            if query::all_match(query, head.path) == *expect {
                printed(key, value, around.scene)
            } else {
                Made::Void
            }
        }
        DescriptorAction::Metadata { key, of_route, filter, path, default, skip_if_absent } => {
            let metadata = if *of_route { around.route } else { asking.metadata };
            let found = metadata.find(filter, path.iter().map(|key| &**key));
            match found.and_then(|value| value.as_str()).or(default.as_deref()) {
                Some(value) if !value.is_empty() => made(key, value),
                _ => absent(*skip_if_absent),
            }
        }
    }
}

fn made(key: &str, value: &str) -> Made {
    Made::Entry(key.into(), value.into())
}

const fn absent(skip: bool) -> Made {
    if skip { Made::Nothing } else { Made::Void }
}

fn printed(key: &str, value: &Template, scene: &Scene<'_>) -> Made {
    let mut out = Vec::new();
    text(value, scene, Missing::Omit, &mut out);
    match String::from_utf8(out) {
        Ok(value) if !value.is_empty() => made(key, &value),
        _ => Made::Void,
    }
}

#[cfg(test)]
mod tests;
