//! The two protocols of discovery, of one stream, for all types on it.
//!
//! Pure: requests come out, responses go in. State of the world says everything each time, delta
//! only changes; what is taken in and what is asked for is the same to whoever drives it.
//! * The first request of a type says what is held, so that a new stream goes on where the last one
//!   ended; what is held stays while there is none.
//! * Every response is answered, with what was refused of it by name. An answer never changes what is
//!   asked for; that is a request of its own.
use super::{
    assemble::{Incoming, Update},
    decode::{self, Wrong},
    kind::Kind,
    wanted::Asked,
};
use culvert_proto::{
    Message as _,
    api::{
        envoy::{
            config::core::v3::Node,
            service::discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
                Resource,
            },
        },
        google::{protobuf::Any, rpc::Status},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

#[cfg(test)]
mod tests;

/// gRPC's `INVALID_ARGUMENT`.
const INVALID: i32 = 3;

/// More refusals than this are counted and not listed.
const LISTED: usize = 50;

/// Wraps resources that have a time to live.
const WRAPPER: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// What is asked for of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything there is.
    All,
    Names(BTreeSet<Arc<str>>),
}

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    StateOfTheWorld,
    Delta,
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    StateOfTheWorld(DiscoveryRequest),
    Delta(DeltaDiscoveryRequest),
}

/// A response of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    StateOfTheWorld(DiscoveryResponse),
    Delta(DeltaDiscoveryResponse),
}

/// A response, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub update: Update,
    pub receipt: Receipt,
}

/// What is left of a response once it was taken in.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a response is to be answered"]
pub struct Receipt {
    kind: Kind,
    /// What could not even be taken apart.
    pub malformed: Vec<(Arc<str>, Wrong)>,
    version: String,
    nonce: String,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    protocol: Protocol,
    from: Asked,
    node: Node,
    node_once: bool,
    node_sent: bool,
    types: BTreeMap<Kind, Channel>,
    connected: bool,
}

/// One type on it.
#[derive(Debug)]
struct Channel {
    wanted: Wanted,
    /// Something was asked for on this stream.
    opened: bool,
    /// Accepted last, on whichever stream.
    version: String,
    nonce: String,
}

impl Stream {
    /// `node_once`: the node is said in the first request only.
    #[must_use]
    pub fn new(protocol: Protocol, from: Asked, node: Node, node_once: bool) -> Self {
        Self {
            protocol,
            from,
            node,
            node_once,
            node_sent: false,
            types: BTreeMap::new(),
            connected: false,
        }
    }

    /// The first requests of a stream; `held` are the versions held of a type, by name.
    pub fn connect(&mut self, held: impl Fn(Kind) -> BTreeMap<String, String>) -> Vec<Request> {
        self.connected = true;
        self.node_sent = false;
        let kinds: Vec<Kind> = self.types.keys().copied().collect();
        kinds
            .into_iter()
            .filter_map(|kind| {
                if let Some(channel) = self.types.get_mut(&kind) {
                    channel.nonce.clear();
                    channel.opened = false;
                }
                self.open(kind, held(kind))
            })
            .collect()
    }

    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The stream is gone.
    pub fn disconnect(&mut self) {
        self.connected = false;
    }

    /// Says what is wanted of a type from now on; `None` when nothing is to be sent.
    pub fn want(
        &mut self,
        kind: Kind,
        wanted: Wanted,
        held: impl Fn(Kind) -> BTreeMap<String, String>,
    ) -> Option<Request> {
        let Some(channel) = self.types.get_mut(&kind) else {
            if wanted == Wanted::Names(BTreeSet::new()) {
                return None;
            }
            let channel =
                Channel { wanted, opened: false, version: String::new(), nonce: String::new() };
            self.types.insert(kind, channel);
            return if self.connected { self.open(kind, held(kind)) } else { None };
        };
        if channel.wanted == wanted {
            return None;
        }
        let before = std::mem::replace(&mut channel.wanted, wanted.clone());
        if !self.connected {
            return None;
        }
        if !channel.opened {
            return self.open(kind, held(kind));
        }
        match self.protocol {
            Protocol::StateOfTheWorld => {
                let request = DiscoveryRequest {
                    version_info: channel.version.clone(),
                    resource_names: names(&wanted),
                    response_nonce: channel.nonce.clone(),
                    ..self.plain(kind)
                };
                Some(Request::StateOfTheWorld(request))
            }
            Protocol::Delta => {
                let (before, after) = (delta_names(&before), delta_names(&wanted));
                let request = DeltaDiscoveryRequest {
                    resource_names_subscribe: after.difference(&before).cloned().collect(),
                    resource_names_unsubscribe: before.difference(&after).cloned().collect(),
                    ..self.plain_delta(kind)
                };
                Some(Request::Delta(request))
            }
        }
    }

    /// Takes a response apart; `None` for a type that was never asked for.
    pub fn receive(&mut self, response: Response) -> Option<Received> {
        match response {
            Response::StateOfTheWorld(response) => self.receive_world(response),
            Response::Delta(response) => self.receive_delta(response),
        }
    }

    /// Accepts a response, or refuses what `errors` name; the good part counts all the same.
    pub fn answer(&mut self, receipt: Receipt, errors: &[(Arc<str>, Wrong)]) -> Request {
        let Receipt { kind, malformed, version, nonce } = receipt;
        let all: Vec<_> = malformed.iter().chain(errors).collect();
        let error_detail = (!all.is_empty()).then(|| refusal(&all));
        if let Some(channel) = self.types.get_mut(&kind) {
            channel.nonce.clone_from(&nonce);
            if error_detail.is_none() {
                channel.version = version;
            }
        }
        match self.protocol {
            Protocol::StateOfTheWorld => {
                let channel = self.types.get(&kind);
                Request::StateOfTheWorld(DiscoveryRequest {
                    version_info: channel.map(|of| of.version.clone()).unwrap_or_default(),
                    resource_names: channel.map(|of| names(&of.wanted)).unwrap_or_default(),
                    response_nonce: nonce,
                    error_detail,
                    ..self.plain(kind)
                })
            }
            Protocol::Delta => Request::Delta(DeltaDiscoveryRequest {
                response_nonce: nonce,
                error_detail,
                ..self.plain_delta(kind)
            }),
        }
    }

    fn open(&mut self, kind: Kind, held: BTreeMap<String, String>) -> Option<Request> {
        let channel = self.types.get_mut(&kind)?;
        // An empty list of names would be everything.
        if channel.wanted == Wanted::Names(BTreeSet::new()) {
            return None;
        }
        channel.opened = true;
        let (version, wanted) = (channel.version.clone(), channel.wanted.clone());
        Some(match self.protocol {
            Protocol::StateOfTheWorld => Request::StateOfTheWorld(DiscoveryRequest {
                version_info: version,
                resource_names: names(&wanted),
                ..self.plain(kind)
            }),
            Protocol::Delta => Request::Delta(DeltaDiscoveryRequest {
                resource_names_subscribe: delta_names(&wanted).into_iter().collect(),
                initial_resource_versions: held.into_iter().collect(),
                ..self.plain_delta(kind)
            }),
        })
    }

    fn plain(&mut self, kind: Kind) -> DiscoveryRequest {
        DiscoveryRequest {
            node: self.node(),
            type_url: kind.type_url().to_owned(),
            ..DiscoveryRequest::default()
        }
    }

    fn plain_delta(&mut self, kind: Kind) -> DeltaDiscoveryRequest {
        DeltaDiscoveryRequest {
            node: self.node(),
            type_url: kind.type_url().to_owned(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn node(&mut self) -> Option<Node> {
        let is_first = !std::mem::replace(&mut self.node_sent, true);
        (is_first || !self.node_once).then(|| self.node.clone())
    }

    fn receive_world(&self, response: DiscoveryResponse) -> Option<Received> {
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
        let (version, nonce) = (response.version_info, response.nonce);
        Some(Received { update, receipt: Receipt { kind, malformed, version, nonce } })
    }

    fn receive_delta(&self, response: DeltaDiscoveryResponse) -> Option<Received> {
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
        let (version, nonce) = (response.system_version_info, response.nonce);
        Some(Received { update, receipt: Receipt { kind, malformed, version, nonce } })
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
    let of = |ttl: &culvert_proto::api::google::protobuf::Duration| {
        let seconds = u64::try_from(ttl.seconds).ok()?;
        Some(Duration::new(seconds, u32::try_from(ttl.nanos).ok()?))
    };
    match &resource.ttl {
        None => Ok(None),
        Some(ttl) => of(ttl).map(Some).ok_or_else(|| "ttl: negative".to_owned()),
    }
}

/// No names are everything.
fn names(wanted: &Wanted) -> Vec<String> {
    match wanted {
        Wanted::All => Vec::new(),
        Wanted::Names(names) => names.iter().map(|name| (**name).to_owned()).collect(),
    }
}

fn delta_names(wanted: &Wanted) -> BTreeSet<String> {
    match wanted {
        Wanted::All => BTreeSet::from(["*".to_owned()]),
        Wanted::Names(names) => names.iter().map(|name| (**name).to_owned()).collect(),
    }
}

fn refusal(errors: &[&(Arc<str>, Wrong)]) -> Status {
    let mut message = String::new();
    for (name, wrong) in errors.iter().take(LISTED) {
        if !message.is_empty() {
            message.push_str("; ");
        }
        message.push_str(&format!("{name}: {wrong}"));
    }
    if errors.len() > LISTED {
        message.push_str(&format!("; and {} more", errors.len() - LISTED));
    }
    Status { code: INVALID, message, details: Vec::new() }
}
