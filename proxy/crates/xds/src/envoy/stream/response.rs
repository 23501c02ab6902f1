//! What a response of either protocol says, taken apart.
use super::{Receipt, Received, Stream, WRAPPER, Wanted};
use crate::envoy::{
    assemble::{Incoming, Update},
    decode::{self, Wrong},
    kind::Kind,
};
use culvert_proto::{
    Message as _,
    api::{
        envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse, Resource},
        google::protobuf::Any,
    },
};
use std::{sync::Arc, time::Duration};

impl Stream {
    pub(super) fn receive_world(&self, response: DiscoveryResponse) -> Option<Received> {
        let kind = Kind::of(&response.type_url)?;
        let channel = self.types.get(&kind)?;
        let version: Arc<str> = response.version_info.as_str().into();
        let mut malformed = Vec::new();
        let mut set = Vec::new();
        for (i, any) in response.resources.into_iter().enumerate() {
            match unwrap(any, &version) {
                Ok(incoming) => set.push(incoming),
                Err(what) => malformed.push((format!("resources[{i}]").into(), Wrong::whole(what))),
            }
        }
        // What was asked for by name, and not any more.
        if let Wanted::Names(names) = &channel.wanted {
            set.retain(|incoming| names.contains(&incoming.name));
        }
        let is_whole = matches!(kind, Kind::Listener | Kind::Cluster) && malformed.is_empty();
        let update = Update { kind, from: self.from.clone(), set, removed: Vec::new(), is_whole };
        Some(Received::new(update, malformed, response.version_info, response.nonce))
    }

    pub(super) fn receive_delta(&self, response: DeltaDiscoveryResponse) -> Option<Received> {
        let kind = Kind::of(&response.type_url)?;
        let channel = self.types.get(&kind)?;
        let mut malformed = Vec::new();
        let mut set = Vec::new();
        let wanted = |name: &str| match &channel.wanted {
            Wanted::All => true,
            Wanted::Names(names) => names.contains(name),
        };
        for resource in response.resources {
            // Asked for by another name: it goes by that one.
            let alias = resource.aliases.iter().find(|alias| wanted(alias)).cloned();
            let is_wanted = wanted(&resource.name);
            let name = if is_wanted { resource.name.clone() } else { alias.unwrap_or_default() };
            if name.is_empty() {
                continue;
            }
            match ttl(&resource) {
                Ok(ttl) => set.push(Incoming {
                    name: name.into(),
                    version: resource.version.as_str().into(),
                    any: resource.resource.unwrap_or_default(),
                    ttl,
                }),
                Err(what) => malformed.push((resource.name.as_str().into(), Wrong::whole(what))),
            }
        }
        let removed = response.removed_resources.iter().map(|name| name.as_str().into()).collect();
        let update = Update { kind, from: self.from.clone(), set, removed, is_whole: false };
        Some(Received::new(update, malformed, response.system_version_info, response.nonce))
    }
}

impl Receipt {
    /// What the server calls the whole that the response is of (`system_version_info`, or
    /// `version_info` of a state of the world); may be empty.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A resource of the state of the world, which may be wrapped.
fn unwrap(any: Any, version: &Arc<str>) -> Result<Incoming, String> {
    if any.type_url != WRAPPER {
        let name = decode::name(&any).ok_or("cannot be read")?;
        return Ok(Incoming { name: name.into(), version: Arc::clone(version), any, ttl: None });
    }
    let resource =
        Resource::decode(&*any.value).map_err(|error| format!("cannot be read: {error}"))?;
    let ttl = ttl(&resource)?;
    let any = resource.resource.unwrap_or_default();
    let name = match &*resource.name {
        "" => decode::name(&any).ok_or("has no name")?,
        name => name.to_owned(),
    };
    Ok(Incoming { name: name.into(), version: Arc::clone(version), any, ttl })
}

fn ttl(resource: &Resource) -> Result<Option<Duration>, String> {
    let Some(ttl) = &resource.ttl else { return Ok(None) };
    let ttl = decode::span(ttl).ok_or("ttl: negative, or out of range")?;
    Ok(Some(ttl))
}
