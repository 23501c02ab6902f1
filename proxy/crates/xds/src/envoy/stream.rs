//! The two protocols of discovery, of one stream, for all types on it.
//!
//! Pure: requests come out, responses go in. State of the world says everything each time, delta
//! only changes; what is taken in and what is asked for is the same to whoever drives it.
//! * The first request of a type says what is held, so that a new stream goes on where the last one
//!   ended; what is held stays while there is none.
//! * Every response is answered, with what was refused of it by name. An answer never changes what is
//!   asked for; that is a request of its own.
use super::{assemble::Update, decode::Wrong, kind::Kind, wanted::Asked};
use culvert_proto::api::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        },
    },
    google::rpc::Status,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

mod response;

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
    /// Names that had not come before.
    fresh: Vec<Arc<str>>,
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
    /// Names that were taken in on this stream; the server does not send them again unasked.
    came: BTreeSet<Arc<str>>,
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
                    channel.came.clear();
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
            self.types.insert(kind, Channel::new(wanted));
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

    /// Asks once more for what is wanted, came on this stream and is not held any more: it was let go
    /// of and is wanted again, and the server heard of neither.
    pub fn recall(
        &mut self,
        kind: Kind,
        held: impl Fn(Kind) -> BTreeMap<String, String>,
    ) -> Vec<Request> {
        let Some(channel) = self.types.get_mut(&kind).filter(|of| of.opened) else {
            return Vec::new();
        };
        let Wanted::Names(wanted) = channel.wanted.clone() else { return Vec::new() };
        channel.came.retain(|name| wanted.contains(name));
        if !self.connected || channel.came.is_empty() {
            return Vec::new();
        }
        let held = held(kind);
        let (held, lost): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(&mut channel.came)
            .into_iter()
            .partition(|name| held.contains_key(&**name));
        channel.came = held;
        if lost.is_empty() {
            return Vec::new();
        }
        match self.protocol {
            // A server sends whatever is subscribed to, whether it did before or not.
            Protocol::Delta => vec![Request::Delta(DeltaDiscoveryRequest {
                resource_names_subscribe: lost.iter().map(|name| (**name).to_owned()).collect(),
                ..self.plain_delta(kind)
            })],
            // Here only what was not named before is sent again.
            Protocol::StateOfTheWorld => {
                let rest = Wanted::Names(wanted.difference(&lost).cloned().collect());
                let nonce = channel.nonce.clone();
                let without = (channel.version.clone(), names(&rest));
                let with = (String::new(), names(&Wanted::Names(wanted)));
                [without, with]
                    .map(|(version_info, resource_names)| {
                        Request::StateOfTheWorld(DiscoveryRequest {
                            version_info,
                            resource_names,
                            response_nonce: nonce.clone(),
                            ..self.plain(kind)
                        })
                    })
                    .into()
            }
        }
    }

    /// Takes a response apart; `None` for a type that was never asked for.
    pub fn receive(&mut self, response: Response) -> Option<Received> {
        let mut received = match response {
            Response::StateOfTheWorld(response) => self.receive_world(response),
            Response::Delta(response) => self.receive_delta(response),
        }?;
        let Update { kind, set, removed, .. } = &received.update;
        if let Some(channel) = self.types.get_mut(kind)
            && let Wanted::Names(_) = channel.wanted
        {
            let names = set.iter().map(|one| &one.name);
            let fresh = names.filter(|name| channel.came.insert(Arc::clone(name)));
            received.receipt.fresh = fresh.cloned().collect();
            removed.iter().for_each(|name| _ = channel.came.remove(name));
        }
        Some(received)
    }

    /// Accepts a response, or refuses what `errors` name; the good part counts all the same.
    pub fn answer(&mut self, receipt: Receipt, errors: &[(Arc<str>, Wrong)]) -> Request {
        let Receipt { kind, malformed, version, nonce, fresh } = receipt;
        let all: Vec<_> = malformed.iter().chain(errors).collect();
        let error_detail = (!all.is_empty()).then(|| refusal(&all));
        if let Some(channel) = self.types.get_mut(&kind) {
            channel.nonce.clone_from(&nonce);
            let refused: BTreeSet<_> = errors.iter().map(|(name, _)| name).collect();
            let unheld = fresh.iter().filter(|name| refused.contains(name));
            unheld.for_each(|name| _ = channel.came.remove(name));
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
}

impl Received {
    /// Taken out of a response with that version and that nonce, which nobody has looked at.
    const fn new(
        update: Update,
        malformed: Vec<(Arc<str>, Wrong)>,
        version: String,
        nonce: String,
    ) -> Self {
        let kind = update.kind;
        Self { update, receipt: Receipt { kind, malformed, version, nonce, fresh: Vec::new() } }
    }
}

impl Channel {
    const fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            opened: false,
            version: String::new(),
            nonce: String::new(),
            came: BTreeSet::new(),
        }
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
