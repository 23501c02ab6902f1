//! A server by the letter of both protocols: it says nothing twice that it need not, and heeds no
//! request of the state of the world that does not know its last response.
use crate::server::any;
use culvert_proto::api::{
    envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse, Resource},
    google::{protobuf::Any, rpc::Status},
};
use culvert_xds::envoy::{
    decode,
    kind::Kind,
    stream::{Protocol, Request, Response},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, LazyLock},
};

/// How many names there are.
pub(super) const NAMES: usize = 3;

const KINDS: [Kind; 2] = [Kind::Cluster, Kind::Endpoint];

/// What there is under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Gone,
    Good(u8),
    Bad,
}

/// By type, name and revision; without a revision it is wrong.
type Resources = BTreeMap<(Kind, usize, Option<u8>), Any>;

/// By name: since which version there is what.
type States = BTreeMap<usize, (u64, State)>;

/// Every resource that can be, made once.
static ALL: LazyLock<Resources> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    for name in 0..NAMES {
        for revision in [None, Some(0), Some(1), Some(2)] {
            let seconds = revision.map_or(-1, |revision| i32::from(revision) + 1);
            let cluster = format!(
                "{{name: c{name}, type: EDS, connect_timeout: {seconds}s, eds_cluster_config: \
                 {{eds_config: {{ads: {{}}}}}}}}"
            );
            let port = revision.map_or(70_000, |revision| u32::from(revision) + 1);
            let endpoints = format!(
                "{{cluster_name: c{name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: \
                 {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}"
            );
            all.insert((Kind::Cluster, name, revision), any(Kind::Cluster, &cluster));
            all.insert((Kind::Endpoint, name, revision), any(Kind::Endpoint, &endpoints));
        }
    }
    all
});

pub(super) fn is_good(any: &Any) -> bool {
    ALL.iter().all(|((_, _, revision), one)| revision.is_some() || one != any)
}

/// A type, on a stream.
#[derive(Debug, Default)]
struct Channel {
    opened: bool,
    all: bool,
    names: BTreeSet<String>,
    /// Of the last response: its nonce, and what it was made of.
    nonce: String,
    said: Option<(u64, BTreeSet<String>)>,
    /// Versions that the client has, or is being told.
    told: BTreeMap<String, String>,
    /// To be sent though the client has it.
    again: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct Server {
    protocol: Protocol,
    /// By type: a version for each change, and what there is since when.
    world: BTreeMap<Kind, (u64, States)>,
    channels: BTreeMap<Kind, Channel>,
    nonces: u64,
    /// Responses that are to be answered, and whether something of each is wrong.
    waiting: BTreeMap<Kind, VecDeque<(String, BTreeSet<String>)>>,
}

impl Server {
    pub(super) const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            world: BTreeMap::new(),
            channels: BTreeMap::new(),
            nonces: 0,
            waiting: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, kind: Kind, name: usize, state: State) {
        let (version, held) = self.world.entry(kind).or_default();
        if held.get(&name).map_or(State::Gone, |(_, state)| *state) != state {
            *version += 1;
            held.insert(name, (*version, state));
        }
    }

    /// The stream is gone.
    pub(super) fn forget(&mut self) {
        self.channels.clear();
        self.waiting.clear();
    }

    /// Names that are subscribed to.
    pub(super) fn asked(&self, kind: Kind) -> BTreeSet<Arc<str>> {
        let names = self.channels.get(&kind).map(|of| &of.names);
        names.into_iter().flatten().map(|name| name.as_str().into()).collect()
    }

    pub(super) fn unanswered(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    /// All that there is.
    pub(super) fn there(&self) -> Vec<(Kind, Arc<str>, Any)> {
        let of = |kind| {
            let there = self.of(kind).into_iter();
            there.map(move |(name, (_, any))| (kind, name.as_str().into(), any))
        };
        KINDS.into_iter().flat_map(of).collect()
    }

    fn of(&self, kind: Kind) -> BTreeMap<String, (String, Any)> {
        let held = self.world.get(&kind).map(|(_, held)| held);
        let there = held.into_iter().flatten().filter_map(|(name, (version, state))| {
            let revision = match state {
                State::Gone => return None,
                State::Good(revision) => Some(*revision),
                State::Bad => None,
            };
            let any = ALL[&(kind, *name, revision)].clone();
            Some((format!("c{name}"), (version.to_string(), any)))
        });
        there.collect()
    }

    pub(super) fn hear(&mut self, request: Request) {
        match request {
            Request::StateOfTheWorld(request) => {
                let kind = Kind::of(&request.type_url).unwrap();
                let names: BTreeSet<_> = request.resource_names.into_iter().collect();
                let wants = |name: &String| kind == Kind::Cluster || names.contains(name);
                let error = request.error_detail.as_ref();
                self.answered(kind, &request.response_nonce, error, wants);
                let channel = self.channels.entry(kind).or_default();
                if channel.opened && request.response_nonce != channel.nonce {
                    return;
                }
                channel.all = kind == Kind::Cluster;
                channel.opened = true;
                let is_more = !names.is_subset(&channel.names);
                if is_more {
                    channel.said = None;
                } else if let Some((_, said)) = &mut channel.said {
                    said.clone_from(&names);
                }
                channel.names = names;
            }
            Request::Delta(request) => {
                let kind = Kind::of(&request.type_url).unwrap();
                let channel = self.channels.entry(kind).or_default();
                let (all, names) = (channel.all, channel.names.clone());
                let wants = |name: &String| all || names.contains(name);
                let error = request.error_detail.as_ref();
                self.answered(kind, &request.response_nonce, error, wants);
                let channel = self.channels.entry(kind).or_default();
                if !channel.opened {
                    channel.told = request.initial_resource_versions.into_iter().collect();
                }
                channel.opened = true;
                for name in request.resource_names_unsubscribe {
                    channel.names.remove(&name);
                    channel.told.remove(&name);
                }
                for name in request.resource_names_subscribe {
                    if name == "*" {
                        channel.all = true;
                        continue;
                    }
                    let is_told = channel.told.contains_key(&name);
                    if !channel.names.insert(name.clone()) || !is_told {
                        channel.again.insert(name);
                    }
                }
            }
        }
    }

    /// An answer must be to the response that waits longest, and say what is wrong of what is still
    /// wanted, if anything is.
    fn answered(
        &mut self,
        kind: Kind,
        nonce: &str,
        error: Option<&Status>,
        wants: impl Fn(&String) -> bool,
    ) {
        let waiting = self.waiting.entry(kind).or_default();
        if waiting.front().is_some_and(|(of, _)| of == nonce) {
            let (_, bad) = waiting.pop_front().unwrap();
            assert_eq!(error.is_some(), bad.iter().any(wants), "{error:?}");
            let place = if kind == Kind::Cluster { "connect_timeout: " } else { "port_value: " };
            assert!(error.is_none_or(|error| error.message.contains(place)), "{error:?}");
        } else {
            assert!(error.is_none(), "nothing was to be answered: {error:?}");
        }
    }

    /// What is new, of each type.
    pub(super) fn say(&mut self) -> Vec<Response> {
        KINDS.into_iter().filter_map(|kind| self.say_of(kind)).collect()
    }

    #[expect(clippy::too_many_lines, reason = "both protocols, one after the other")]
    fn say_of(&mut self, kind: Kind) -> Option<Response> {
        let there = self.of(kind);
        let version = self.world.get(&kind).map_or(0, |(version, _)| *version);
        let channel = self.channels.get_mut(&kind).filter(|channel| channel.opened)?;
        let is_asked = |name: &String| channel.all || channel.names.contains(name);
        let ours: BTreeMap<_, _> = there.into_iter().filter(|(name, _)| is_asked(name)).collect();
        self.nonces += 1;
        let nonce = self.nonces.to_string();
        let (response, sent): (Response, Vec<Any>) = match self.protocol {
            Protocol::StateOfTheWorld => {
                let now = (version, channel.names.clone());
                if channel.said.as_ref() == Some(&now) || (!channel.all && now.1.is_empty()) {
                    return None;
                }
                channel.said = Some(now);
                channel.nonce.clone_from(&nonce);
                let sent: Vec<_> = ours.into_values().map(|(_, any)| any).collect();
                let response = DiscoveryResponse {
                    version_info: version.to_string(),
                    nonce: nonce.clone(),
                    type_url: kind.type_url().to_owned(),
                    resources: sent.clone(),
                    ..Default::default()
                };
                (Response::StateOfTheWorld(response), sent)
            }
            Protocol::Delta => {
                let again = std::mem::take(&mut channel.again);
                let is_new = |name: &String, version: &String| {
                    again.contains(name) || channel.told.get(name) != Some(version)
                };
                let gone = channel.told.keys().chain(&again);
                let gone = gone.filter(|name| is_asked(name) && !ours.contains_key(*name));
                let removed: BTreeSet<String> = gone.cloned().collect();
                let new: Vec<_> = (ours.iter())
                    .filter(|(name, (version, _))| is_new(name, version))
                    .map(|(name, (version, any))| Resource {
                        name: name.clone(),
                        version: version.clone(),
                        resource: Some(any.clone()),
                        ..Default::default()
                    })
                    .collect();
                if new.is_empty() && removed.is_empty() {
                    return None;
                }
                for resource in &new {
                    channel.told.insert(resource.name.clone(), resource.version.clone());
                }
                removed.iter().for_each(|name| drop(channel.told.remove(name)));
                let sent = new.iter().filter_map(|one| one.resource.clone()).collect();
                let response = DeltaDiscoveryResponse {
                    nonce: nonce.clone(),
                    type_url: kind.type_url().to_owned(),
                    resources: new,
                    removed_resources: removed.into_iter().collect(),
                    ..Default::default()
                };
                (Response::Delta(response), sent)
            }
        };
        let bad = sent.iter().filter(|any| !is_good(any)).filter_map(decode::name);
        self.waiting.entry(kind).or_default().push_back((nonce, bad.collect()));
        Some(response)
    }
}

/// What a response brings.
pub(super) fn set(response: &Response) -> Vec<(Kind, Arc<str>, Any)> {
    let of = |any: &Any| {
        let kind = Kind::of(&any.type_url).unwrap();
        (kind, decode::name(any).unwrap().into(), any.clone())
    };
    match response {
        Response::StateOfTheWorld(response) => response.resources.iter().map(of).collect(),
        Response::Delta(response) => {
            response.resources.iter().filter_map(|one| one.resource.as_ref()).map(of).collect()
        }
    }
}

/// Whether a response says that there is no such resource.
pub(super) fn is_gone(response: &Response, kind: Kind, name: &str) -> bool {
    match response {
        Response::StateOfTheWorld(response) => {
            let of = Kind::of(&response.type_url);
            let names = |any: &Any| decode::name(any).as_deref() == Some(name);
            of == Some(kind) && kind == Kind::Cluster && !response.resources.iter().any(names)
        }
        Response::Delta(response) => {
            Kind::of(&response.type_url) == Some(kind)
                && response.removed_resources.iter().any(|gone| gone == name)
        }
    }
}
