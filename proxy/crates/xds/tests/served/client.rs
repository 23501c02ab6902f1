//! Clients of either protocol as simple as can be, and what they hold.
use culvert_proto::{
    Any,
    envoy::service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    },
    google::rpc::Status,
};
use culvert_xds::{
    envoy::{
        kind::Kind,
        serve::channel::{Channel, Delta, Whole},
    },
    server::Made,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is held, by type and name: a version (in delta) and the content.
pub(crate) type Held = BTreeMap<Kind, BTreeMap<String, (String, Vec<u8>)>>;

/// What a client does, whatever it speaks.
pub(crate) trait Client: Default {
    type Channel: Channel;

    /// The first requests of a stream: of all types that are wanted.
    fn connect(&mut self) -> Vec<<Self::Channel as Channel>::Request>;

    /// Wants these by name, and nothing else of the type.
    fn want(
        &mut self,
        kind: Kind,
        names: BTreeSet<String>,
    ) -> Option<<Self::Channel as Channel>::Request>;

    /// Takes a response, and accepts it or not.
    fn take(
        &mut self,
        response: <Self::Channel as Channel>::Response,
        refuses: bool,
    ) -> <Self::Channel as Channel>::Request;

    fn held(&self) -> &Held;

    fn wanted(&self, kind: Kind) -> &BTreeSet<String>;
}

/// A resource with some content; routes and endpoints are asked for by name.
pub(crate) fn made(kind: Kind, name: &str, content: &str) -> (Kind, Made) {
    // A name in the content: whoever is told everything each time has it from there.
    let body = Any {
        type_url: kind.type_url().to_owned(),
        value: format!("{name}={content}").into_bytes(),
    };
    (kind, Made { name: name.into(), version: format!("v{content}").into(), body })
}

fn name_of(any: &Any) -> String {
    let text = String::from_utf8(any.value.clone()).unwrap();
    text.split_once('=').unwrap().0.to_owned()
}

/// All of these are followed; the first two as a whole.
pub(crate) const KINDS: [Kind; 4] = [Kind::Cluster, Kind::Listener, Kind::Endpoint, Kind::Route];

pub(crate) const fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Cluster | Kind::Listener)
}

fn refusal(refuses: bool) -> Option<Status> {
    refuses.then(|| Status { code: 3, message: "no".into(), ..Status::default() })
}

/// What both know.
#[derive(Debug)]
pub(crate) struct Common {
    wanted: BTreeMap<Kind, BTreeSet<String>>,
    held: Held,
}

impl Default for Common {
    fn default() -> Self {
        let empty = || KINDS.map(|kind| (kind, BTreeSet::new())).into();
        Self { wanted: empty(), held: KINDS.map(|kind| (kind, BTreeMap::new())).into() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct OfDelta {
    common: Common,
    asked: BTreeSet<Kind>,
}

#[derive(Debug, Default)]
pub(crate) struct OfWhole {
    common: Common,
    /// Of each type, the version that was accepted last, and the last response's nonce.
    last: BTreeMap<Kind, (String, String)>,
    asked: BTreeSet<Kind>,
}

impl OfDelta {
    fn open(&mut self, kind: Kind) -> DeltaDiscoveryRequest {
        self.asked.insert(kind);
        let held = self.common.held[&kind].iter();
        DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: self.common.wanted[&kind].iter().cloned().collect(),
            initial_resource_versions: held.map(|(n, (v, _))| (n.clone(), v.clone())).collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }
}

impl Client for OfDelta {
    type Channel = Delta;

    fn connect(&mut self) -> Vec<DeltaDiscoveryRequest> {
        self.asked.clear();
        let wanted = |kind: &Kind| is_whole(*kind) || !self.common.wanted[kind].is_empty();
        let kinds: Vec<Kind> = KINDS.into_iter().filter(wanted).collect();
        kinds.into_iter().map(|kind| self.open(kind)).collect()
    }

    fn want(&mut self, kind: Kind, names: BTreeSet<String>) -> Option<DeltaDiscoveryRequest> {
        let before = self.common.wanted.insert(kind, names.clone()).unwrap();
        self.common.held.get_mut(&kind).unwrap().retain(|name, _| names.contains(name));
        if !self.asked.contains(&kind) {
            return (!names.is_empty()).then(|| self.open(kind));
        }
        Some(DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: names.difference(&before).cloned().collect(),
            resource_names_unsubscribe: before.difference(&names).cloned().collect(),
            ..DeltaDiscoveryRequest::default()
        })
    }

    fn take(&mut self, response: DeltaDiscoveryResponse, refuses: bool) -> DeltaDiscoveryRequest {
        let kind = Kind::of(&response.type_url).unwrap();
        let (wanted, held) = (&self.common.wanted[&kind], self.common.held.get_mut(&kind).unwrap());
        for resource in response.resources.into_iter().filter(|_| !refuses) {
            let any = resource.resource.unwrap();
            assert_eq!(name_of(&any), resource.name);
            if is_whole(kind) || wanted.contains(&resource.name) {
                held.insert(resource.name, (resource.version, any.value));
            }
        }
        for gone in response.removed_resources {
            held.remove(&gone);
        }
        DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail: refusal(refuses),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn held(&self) -> &Held {
        &self.common.held
    }

    fn wanted(&self, kind: Kind) -> &BTreeSet<String> {
        &self.common.wanted[&kind]
    }
}

impl OfWhole {
    fn request(&self, kind: Kind) -> DiscoveryRequest {
        let (version, nonce) = self.last.get(&kind).cloned().unwrap_or_default();
        DiscoveryRequest {
            version_info: version,
            resource_names: self.common.wanted[&kind].iter().cloned().collect(),
            type_url: kind.type_url().to_owned(),
            response_nonce: nonce,
            ..DiscoveryRequest::default()
        }
    }
}

impl Client for OfWhole {
    type Channel = Whole;

    fn connect(&mut self) -> Vec<DiscoveryRequest> {
        self.last.values_mut().for_each(|(_, nonce)| nonce.clear());
        let wanted = |kind: &Kind| is_whole(*kind) || !self.common.wanted[kind].is_empty();
        self.asked = KINDS.into_iter().filter(wanted).collect();
        self.asked.iter().map(|kind| self.request(*kind)).collect()
    }

    fn want(&mut self, kind: Kind, names: BTreeSet<String>) -> Option<DiscoveryRequest> {
        self.common.held.get_mut(&kind).unwrap().retain(|name, _| names.contains(name));
        let is_nothing = names.is_empty();
        self.common.wanted.insert(kind, names);
        let is_asked = self.asked.contains(&kind) || !is_nothing;
        is_asked.then(|| {
            self.asked.insert(kind);
            self.request(kind)
        })
    }

    fn take(&mut self, response: DiscoveryResponse, refuses: bool) -> DiscoveryRequest {
        let kind = Kind::of(&response.type_url).unwrap();
        let (wanted, held) = (&self.common.wanted[&kind], self.common.held.get_mut(&kind).unwrap());
        let mut last = self.last.remove(&kind).unwrap_or_default();
        last.1 = response.nonce;
        if !refuses {
            last.0 = response.version_info;
            if is_whole(kind) {
                held.clear();
            }
            for any in response.resources {
                let name = name_of(&any);
                if is_whole(kind) || wanted.contains(&name) {
                    held.insert(name, (String::new(), any.value));
                }
            }
        }
        self.last.insert(kind, last);
        DiscoveryRequest { error_detail: refusal(refuses), ..self.request(kind) }
    }

    fn held(&self) -> &Held {
        &self.common.held
    }

    fn wanted(&self, kind: Kind) -> &BTreeSet<String> {
        &self.common.wanted[&kind]
    }
}
