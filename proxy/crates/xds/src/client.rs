//! The node's side: what it wants of one type of resource, what it holds, and what it refused.
//!
//! Pure: requests come out, responses go in, whoever holds the stream carries them.
//! Delta discovery: a good resource of a bad response is applied, a bad one is refused by name and
//! its earlier version stays; what was refused is never said to be held. With the stream gone
//! everything stays as it is, and the next stream goes on from there.
use crate::{
    decode::{DecodeError, Problem},
    resource::{Name, Read, Resource},
};
use culvert_model::share::Sharing;
use culvert_proto::{
    envoy::service::discovery::v3::{
        self as ads, DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
    },
    google::rpc::Status,
};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

mod holding;

use holding::Holding;

/// Everything there is.
const WILDCARD: &str = "*";

/// gRPC's `INVALID_ARGUMENT`.
const INVALID: i32 = 3;

/// More refusals than this are counted and not listed.
const LISTED: usize = 50;

/// What is wanted of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Everything,
    /// Only what somebody asks for by name.
    OnDemand,
}

/// One type of resource on the node's side.
#[derive(Debug)]
pub struct Client<R: Resource> {
    mode: Mode,
    /// Names and aliases that somebody asked for, and whether they are known not to exist.
    wanted: BTreeMap<Name, bool>,
    held: Holding<Held<R>>,
    refused: Holding<Refused<R>>,
    sharing: Sharing,
    connected: bool,
    /// A response has come, on this stream or an earlier one.
    ready: bool,
}

/// One resource that is held.
#[derive(Clone, Debug, PartialEq)]
struct Held<R> {
    version: Box<str>,
    resource: R,
}

/// One resource that is not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused<R: Resource> {
    pub version: String,
    pub error: DecodeError,
    /// What must hold in its place while no earlier version is held.
    pub stand_in: R::StandIn,
}

/// What a response changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<R> {
    Set(R),
    /// It is gone.
    Removed(Name),
    /// It is not understood: its earlier version stays, or its stand-in must hold.
    Refused(Name),
    /// What was asked for by this name does not exist.
    Absent(Name),
}

/// What became of a response.
#[derive(Debug)]
#[must_use = "a response is to be answered"]
pub struct Received<R> {
    pub changes: Vec<Change<R>>,
    pub reply: Request,
}

/// What is known under a name or an alias.
#[derive(Debug, PartialEq)]
pub enum Known<'a, R: Resource> {
    /// All that go by it; mostly one.
    Held(Vec<&'a R>),
    Refused(Vec<&'a Refused<R>>),
    Absent,
    /// Nothing is known yet.
    Unknown,
}

impl<R: Resource> Client<R> {
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            wanted: BTreeMap::new(),
            held: Holding::default(),
            refused: Holding::default(),
            sharing: Sharing::default(),
            connected: false,
            ready: false,
        }
    }

    /// The first request of a stream: what is wanted, and what is held already.
    pub fn connect(&mut self) -> Request {
        self.connected = true;
        // What did not exist may exist by now: the answer will say.
        self.wanted.values_mut().for_each(|absent| *absent = false);
        let names = self.wanted.keys().map(|name| (**name).to_owned());
        let wildcard = || vec![WILDCARD.to_owned()];
        let (subscribe, unsubscribe) = match self.mode {
            Mode::Everything if self.wanted.is_empty() => (Vec::new(), Vec::new()),
            Mode::Everything => (wildcard().into_iter().chain(names).collect(), Vec::new()),
            // Taken back at once: nothing but names would be a wildcard to some servers.
            Mode::OnDemand => (wildcard().into_iter().chain(names).collect(), wildcard()),
        };
        Request {
            type_url: R::TYPE_URL.to_owned(),
            resource_names_subscribe: subscribe,
            resource_names_unsubscribe: unsubscribe,
            initial_resource_versions: self.versions(),
            ..Request::default()
        }
    }

    /// The stream is gone; everything stays as it is.
    pub fn disconnect(&mut self) {
        self.connected = false;
    }

    /// Asks for whatever goes by `name`; `None` when nothing is to be sent now.
    pub fn want(&mut self, name: &Name) -> Option<Request> {
        match self.wanted.entry(Name::clone(name)) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(entry) => entry.insert(false),
        };
        self.connected.then(|| Request {
            type_url: R::TYPE_URL.to_owned(),
            resource_names_subscribe: vec![(**name).to_owned()],
            ..Request::default()
        })
    }

    /// Nobody asks for `name` any more; what is wanted for no other reason is dropped.
    pub fn forget(&mut self, name: &Name) -> (Vec<Change<R>>, Option<Request>) {
        if self.wanted.remove(name).is_none() {
            return (Vec::new(), None);
        }
        let mut changes = Vec::new();
        if self.mode == Mode::OnDemand {
            let wanted = &self.wanted;
            let unwanted = |name: &Name, aliases: &[Name]| !is_wanted(wanted, name, aliases);
            changes.extend(self.held.drain_where(unwanted).into_iter().map(Change::Removed));
            self.refused.drain_where(unwanted);
        }
        let request = self.connected.then(|| Request {
            type_url: R::TYPE_URL.to_owned(),
            resource_names_unsubscribe: vec![(**name).to_owned()],
            ..Request::default()
        });
        (changes, request)
    }

    /// Takes a response in; the reply accepts or refuses it.
    pub fn receive(&mut self, response: Response) -> Received<R> {
        let Response { resources, nonce, removed_resources, .. } = response;
        let mut changes = Vec::new();
        for name in removed_resources {
            self.remove(&name.into(), &mut changes);
        }
        let mut errors = Vec::new();
        for (resource, read) in read_all::<R>(resources, &self.held) {
            let name = Name::from(&*resource.name);
            let aliases: Vec<Name> =
                resource.aliases.iter().map(|alias| (**alias).into()).collect();
            if self.mode == Mode::OnDemand && !is_wanted(&self.wanted, &name, &aliases) {
                // Asked for once, and on its way when it was forgotten.
                continue;
            }
            match read {
                Read::Good(mut good) => {
                    good.share(&mut self.sharing);
                    changes.push(Change::Set(good.clone()));
                    // The name it has itself is the one it is held by.
                    self.set(good.name(), aliases, resource.version.into(), good);
                }
                Read::Bad(error, stand_in) => {
                    errors.push(format!("{name}: {error}"));
                    let refused = Refused { version: resource.version, error, stand_in };
                    self.refused.insert(Name::clone(&name), aliases, refused);
                    changes.push(Change::Refused(name));
                }
            }
        }
        self.ready = true;
        let reply = Request {
            type_url: R::TYPE_URL.to_owned(),
            response_nonce: nonce,
            error_detail: (!errors.is_empty()).then(|| refusal(&errors)),
            ..Request::default()
        };
        Received { changes, reply }
    }

    /// Whether a first response has come.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// In the order of their names.
    pub fn held(&self) -> impl Iterator<Item = &R> {
        self.held.iter().map(|(_, held)| &held.resource)
    }

    /// In the order of their names.
    pub fn refused(&self) -> impl Iterator<Item = (&Name, &Refused<R>)> {
        self.refused.iter()
    }

    /// What must hold in place of what was refused and never held.
    pub fn stand_ins(&self) -> impl Iterator<Item = &R::StandIn> {
        let never_held = self.refused().filter(|(name, _)| !self.holds(name));
        never_held.map(|(_, refused)| &refused.stand_in)
    }

    /// Whether a version of it is held; of something refused: whether an earlier one stays.
    pub fn holds(&self, name: &str) -> bool {
        self.held.contains(name)
    }

    /// What goes by this name or alias.
    pub fn known(&self, name: &str) -> Known<'_, R> {
        let held: Vec<_> = self.held.find(name).map(|held| &held.resource).collect();
        if !held.is_empty() {
            return Known::Held(held);
        }
        let refused: Vec<_> = self.refused.find(name).collect();
        if !refused.is_empty() {
            return Known::Refused(refused);
        }
        match self.wanted.get(name) {
            Some(true) => Known::Absent,
            Some(false) | None => Known::Unknown,
        }
    }

    /// What a stream opened now would say is held: the version of each, none where the server must
    /// say what has become of it.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let held = self.held.iter();
        let mut versions: BTreeMap<_, _> =
            held.map(|(name, held)| ((**name).to_owned(), (*held.version).to_owned())).collect();
        let known = |name: &str| self.held.find(name).next().is_some();
        let asked = self.wanted.keys().filter(|name| !known(name));
        // Also where an earlier version stays: that may be what there is again.
        let refused = self.refused.iter().map(|(name, _)| name);
        versions.extend(asked.chain(refused).map(|name| ((**name).to_owned(), String::new())));
        versions
    }

    fn set(&mut self, name: Name, aliases: Vec<Name>, version: Box<str>, resource: R) {
        for key in aliases.iter().chain([&name]) {
            if let Some(absent) = self.wanted.get_mut(key) {
                *absent = false;
            }
        }
        self.refused.remove(&name);
        // A key that now leads nowhere is not known to be absent: the server says when it is.
        self.held.insert(name, aliases, Held { version, resource });
    }

    fn remove(&mut self, name: &Name, changes: &mut Vec<Change<R>>) {
        let held = self.held.remove(name);
        if held.is_some() {
            changes.push(Change::Removed(Name::clone(name)));
        }
        let refused = self.refused.remove(name);
        if self.mode == Mode::OnDemand {
            // An alias: what was wanted for its sake alone is no longer.
            let wanted = &self.wanted;
            let only_for_it = |own: &Name, aliases: &[Name]| {
                let others = aliases.iter().chain([own]).filter(|key| *key != name);
                aliases.contains(name) && !others.into_iter().any(|key| wanted.contains_key(key))
            };
            changes.extend(self.held.drain_where(only_for_it).into_iter().map(Change::Removed));
            self.refused.drain_where(only_for_it);
        }
        self.mark_absent(name, changes);
        let aliases: BTreeSet<Name> = held.into_iter().chain(refused).flatten().collect();
        for alias in aliases {
            // Somebody else may go by it.
            if self.held.find(&alias).next().is_none() {
                self.mark_absent(&alias, changes);
            }
        }
    }

    fn mark_absent(&mut self, name: &Name, changes: &mut Vec<Change<R>>) {
        if let Some(absent) = self.wanted.get_mut(name) {
            *absent = true;
            changes.push(Change::Absent(Name::clone(name)));
        }
    }
}

fn is_wanted(wanted: &BTreeMap<Name, bool>, name: &Name, aliases: &[Name]) -> bool {
    wanted.contains_key(name) || aliases.iter().any(|alias| wanted.contains_key(alias))
}

/// Reads each resource; one that comes twice is bad, whatever it says.
fn read_all<R: Resource>(
    resources: Vec<ads::Resource>,
    held: &Holding<Held<R>>,
) -> Vec<(ads::Resource, Read<R>)> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for resource in &resources {
        *times.entry(resource.name.clone()).or_default() += 1;
    }
    let mut done = BTreeSet::new();
    (resources.into_iter())
        .filter(|resource| !is_heartbeat(resource, held) && done.insert(resource.name.clone()))
        .map(|resource| {
            let read = match times.get(&resource.name) {
                Some(2..) => twice(&resource),
                Some(_) | None => Read::of(&resource),
            };
            (resource, read)
        })
        .collect()
}

/// A resource without a body says that the version held is still good.
fn is_heartbeat<R: Resource>(resource: &ads::Resource, held: &Holding<Held<R>>) -> bool {
    resource.resource.is_none()
        && held.get(&resource.name).is_some_and(|held| *held.version == *resource.version)
}

fn twice<R: Resource>(resource: &ads::Resource) -> Read<R> {
    match Read::of(resource) {
        Read::Good(_) => Read::Bad(DecodeError::whole(Problem::Twice), R::stand_in(resource, None)),
        bad @ Read::Bad(..) => bad,
    }
}

fn refusal(errors: &[String]) -> Status {
    let listed = errors.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join("; ");
    let message = match errors.len().checked_sub(LISTED) {
        None | Some(0) => listed,
        Some(more) => format!("{listed}; and {more} more"),
    };
    Status { code: INVALID, message, details: Vec::new() }
}
