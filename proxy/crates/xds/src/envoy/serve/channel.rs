//! One type of resource on one stream, in either protocol.
//!
//! Both are the same machine, [`Subscriber`]: who is told everything each time asks for it in other
//! words, and is told it in others.
use crate::{
    envoy::kind::Kind,
    server::{Manner, Removals, Subscriber, World},
};
use culvert_proto::{
    Any, Message,
    envoy::{
        config::core::v3::{ControlPlane, Node},
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        },
    },
};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt};

/// Everything there is.
const WILDCARD: &str = "*";

/// What is written on responses.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Who answers.
    pub from: &'a str,
    /// Of what the response was made from.
    pub generation: u64,
}

/// What a request says beside what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub type_url: &'a str,
    pub node: Option<&'a Node>,
    /// Why the last response is refused, if it is.
    pub refusal: Option<&'a str>,
}

/// One type on a stream of one of the two protocols.
pub trait Channel: fmt::Debug + Send + 'static {
    type Request: Message + Default + 'static;
    type Response: Message + Default + 'static;

    /// How people call the protocol.
    const PROTOCOL: &'static str;

    fn new(kind: Kind) -> Self;

    fn head(request: &Self::Request) -> Head<'_>;

    /// Takes a request in; what comes out answers it.
    fn request(
        &mut self,
        request: &Self::Request,
        world: &World,
        stamp: Stamp<'_>,
    ) -> Option<Self::Response>;

    /// What changed, unless an answer is waited for.
    fn push(
        &mut self,
        removals: Removals,
        world: &World,
        stamp: Stamp<'_>,
    ) -> Option<Self::Response>;

    fn subscriber(&self) -> &Subscriber;

    fn subscriber_mut(&mut self) -> &mut Subscriber;
}

/// Changes only.
#[derive(Debug)]
pub struct Delta(Subscriber);

/// The state of the world: of listeners and clusters all each time, of other types what is new.
#[derive(Debug)]
pub struct Whole {
    inner: Subscriber,
    /// What is not in a response is no more.
    is_whole: bool,
    wanted: BTreeSet<String>,
    /// Of those, what it wanted no more for a while, and so may not hold.
    dropped: BTreeSet<String>,
    /// Something was asked for by name: to name nothing is to want nothing from then on.
    named: bool,
    /// Of the last response.
    nonce: String,
}

/// How resources of a type are told: who speaks of others comes after them and goes before.
fn manner(kind: Kind) -> Manner {
    let removals = match kind {
        Kind::Cluster | Kind::Endpoint | Kind::Secret => Removals::Late,
        Kind::Listener | Kind::Route | Kind::Extension | Kind::Runtime => Removals::AtOnce,
    };
    Manner { removals, wildcard: is_whole(kind), farewell: false }
}

/// Whether a state of the world is all there is of the type.
const fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Cluster | Kind::Listener)
}

impl Stamp<'_> {
    fn control_plane(self) -> ControlPlane {
        ControlPlane { identifier: format!("{}, generation {}", self.from, self.generation) }
    }
}

impl Delta {
    fn stamped(response: DeltaDiscoveryResponse, stamp: Stamp<'_>) -> DeltaDiscoveryResponse {
        DeltaDiscoveryResponse {
            system_version_info: stamp.generation.to_string(),
            control_plane: Some(stamp.control_plane()),
            ..response
        }
    }
}

impl Channel for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    const PROTOCOL: &'static str = "delta";

    fn new(kind: Kind) -> Self {
        Self(Subscriber::new(manner(kind)))
    }

    fn head(request: &DeltaDiscoveryRequest) -> Head<'_> {
        Head {
            type_url: &request.type_url,
            node: request.node.as_ref(),
            refusal: request.error_detail.as_ref().map(|status| &*status.message),
        }
    }

    fn request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        world: &World,
        stamp: Stamp<'_>,
    ) -> Option<DeltaDiscoveryResponse> {
        self.0.request(request, world).map(|response| Self::stamped(response, stamp))
    }

    fn push(
        &mut self,
        removals: Removals,
        world: &World,
        stamp: Stamp<'_>,
    ) -> Option<DeltaDiscoveryResponse> {
        self.0.push_with(removals, world).map(|response| Self::stamped(response, stamp))
    }

    fn subscriber(&self) -> &Subscriber {
        &self.0
    }

    fn subscriber_mut(&mut self) -> &mut Subscriber {
        &mut self.0
    }
}

impl Channel for Whole {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    const PROTOCOL: &'static str = "state of the world";

    fn new(kind: Kind) -> Self {
        let manner = Manner { wildcard: false, ..manner(kind) };
        Self {
            inner: Subscriber::new(manner),
            is_whole: is_whole(kind),
            wanted: BTreeSet::new(),
            dropped: BTreeSet::new(),
            named: false,
            nonce: String::new(),
        }
    }

    fn head(request: &DiscoveryRequest) -> Head<'_> {
        Head {
            type_url: &request.type_url,
            node: request.node.as_ref(),
            refusal: request.error_detail.as_ref().map(|status| &*status.message),
        }
    }

    fn request(
        &mut self,
        request: &DiscoveryRequest,
        world: &World,
        stamp: Stamp<'_>,
    ) -> Option<DiscoveryResponse> {
        let is_first = !self.inner.is_started();
        let mut changes = DeltaDiscoveryRequest {
            response_nonce: request.response_nonce.clone(),
            error_detail: request.error_detail.clone(),
            ..DeltaDiscoveryRequest::default()
        };
        let mut wanted: BTreeSet<String> = request.resource_names.iter().cloned().collect();
        let nonce = &request.response_nonce;
        if !is_first && !nonce.is_empty() && *nonce != self.nonce {
            // Who wrote it had not read the last response; what it wants comes with that one's answer.
            self.inner.answered(&changes);
            self.dropped.extend(self.wanted.difference(&wanted).cloned());
            return None;
        }
        self.named |= !wanted.is_empty();
        if self.is_whole && !self.named {
            wanted.insert(WILDCARD.to_owned());
        }
        let before = std::mem::replace(&mut self.wanted, wanted);
        let dropped = std::mem::take(&mut self.dropped);
        let is_new = |name: &&String| !before.contains(*name) || dropped.contains(*name);
        changes.resource_names_subscribe = self.wanted.iter().filter(is_new).cloned().collect();
        changes.resource_names_unsubscribe = before.difference(&self.wanted).cloned().collect();
        let response = self.inner.request(&changes, world)?;
        let version = &request.version_info;
        if is_first && self.is_whole && !version.is_empty() && *version == self.version() {
            // It has all of that from an earlier stream.
            self.forgo(&response);
            return None;
        }
        self.say(response, stamp)
    }

    fn push(
        &mut self,
        removals: Removals,
        world: &World,
        stamp: Stamp<'_>,
    ) -> Option<DiscoveryResponse> {
        let response = self.inner.push_with(removals, world)?;
        self.say(response, stamp)
    }

    fn subscriber(&self) -> &Subscriber {
        &self.inner
    }

    fn subscriber_mut(&mut self) -> &mut Subscriber {
        &mut self.inner
    }
}

impl Whole {
    fn say(
        &mut self,
        response: DeltaDiscoveryResponse,
        stamp: Stamp<'_>,
    ) -> Option<DiscoveryResponse> {
        if !self.is_whole && response.resources.is_empty() {
            // That something is not there cannot be said.
            self.forgo(&response);
            return None;
        }
        let version_info = self.version();
        let resources: Vec<Any> = match self.is_whole {
            true => self.inner.told().map(|entry| entry.body.clone()).collect(),
            false => response.resources.into_iter().filter_map(|one| one.resource).collect(),
        };
        self.nonce.clone_from(&response.nonce);
        Some(DiscoveryResponse {
            version_info,
            resources,
            type_url: response.type_url,
            nonce: response.nonce,
            control_plane: Some(stamp.control_plane()),
        })
    }

    /// Does not send a response: it counts as answered.
    fn forgo(&mut self, response: &DeltaDiscoveryResponse) {
        let response_nonce = response.nonce.clone();
        self.inner.answered(&DeltaDiscoveryRequest {
            response_nonce,
            ..DeltaDiscoveryRequest::default()
        });
    }

    /// Of the content of all that was told.
    fn version(&self) -> String {
        let mut hash = Sha256::new();
        for entry in self.inner.told() {
            for part in [&*entry.name, "\0", &*entry.version, "\n"] {
                hash.update(part);
            }
        }
        hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }
}
