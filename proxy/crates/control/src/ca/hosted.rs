//! Which identities each node may have certificates for: those of its pods in the mesh.
use crate::compile::mesh::{Expected, Wanted};
use culvert_model::{
    identity::Identity,
    member::{Member, NetworkMode},
    name::{ObjectName, WorkloadUid},
    shards::Shards,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

/// So many pods are named to whoever asked for another's certificate.
const NAMED: usize = 5;

/// The pods of each node; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosted(Shards<Arc<str>, Arc<Pods>>);

/// Where the pods are that nodes' own processes run in; cheap to clone.
pub(crate) type Agents = Shards<ObjectName, Arc<str>>;

/// Those of one node, by their identities.
type Pods = BTreeMap<Identity, BTreeSet<ObjectName>>;

/// Follows what becomes of workloads; only nodes on which something changed are looked at.
#[derive(Debug, Default)]
pub(crate) struct Hosting {
    /// Namespace and service account of nodes' own pods, where those are pods.
    agent: Option<(String, String)>,
    places: HashMap<WorkloadUid, Place>,
    pub(crate) hosted: Hosted,
    pub(crate) agents: Agents,
}

/// What is another than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) hosted: bool,
    pub(crate) agents: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    node: Arc<str>,
    /// `None`: a node's own pod.
    identity: Option<Identity>,
    name: ObjectName,
}

/// What a node has, for people.
#[derive(Debug)]
pub(super) struct Told<'a>(Option<&'a Pods>);

impl Hosted {
    /// Whether a workload of `identity` is on `node`.
    pub fn is_on(&self, node: &str, identity: &Identity) -> bool {
        self.0.get(node).is_some_and(|pods| pods.contains_key(identity))
    }

    /// Whether a workload of `namespace` is on `node`.
    pub(crate) fn has_any_of(&self, namespace: &str, node: &str) -> bool {
        let pods = self.0.get(node);
        pods.is_some_and(|pods| pods.keys().any(|one| one.namespace() == namespace))
    }

    #[cfg(test)]
    pub(crate) fn of<const N: usize>(pods: [(&str, Identity, ObjectName); N]) -> Self {
        let mut hosted = Self::default();
        for (node, identity, name) in pods {
            hosted.add(node.into(), identity, name);
        }
        hosted
    }

    /// Which pods are on `node`.
    pub(super) fn told(&self, node: &str) -> Told<'_> {
        Told(self.0.get(node).map(|pods| &**pods))
    }

    fn add(&mut self, node: Arc<str>, identity: Identity, name: ObjectName) {
        let mut shared = self.0.remove(&node).unwrap_or_default();
        Arc::make_mut(&mut shared).entry(identity).or_default().insert(name);
        self.0.insert(node, shared);
    }

    fn remove(&mut self, node: &Arc<str>, identity: &Identity, name: &ObjectName) {
        let Some(mut shared) = self.0.remove(node) else { return };
        let pods = Arc::make_mut(&mut shared);
        if let Some(names) = pods.get_mut(identity) {
            names.remove(name);
            if names.is_empty() {
                pods.remove(identity);
            }
        }
        if !pods.is_empty() {
            self.0.insert(Arc::clone(node), shared);
        }
    }
}

impl Hosting {
    /// `agent`: namespace and service account of nodes' own pods, where those are pods.
    pub(crate) fn new(agent: Option<(String, String)>) -> Self {
        Self { agent, ..Self::default() }
    }

    /// A workload is as it is `wanted` now, or `expected`, or is none any more; says what of it
    /// matters.
    pub(crate) fn change(
        &mut self,
        uid: &WorkloadUid,
        wanted: Option<&Wanted>,
        expected: Option<&Expected>,
    ) -> Other {
        let place = match (wanted, expected) {
            (Some(wanted), _) => self.place(wanted),
            (None, Some(Expected { node, name, identity })) => Some(Place {
                node: Arc::clone(node),
                identity: Some(identity.clone()),
                name: name.clone(),
            }),
            (None, None) => None,
        };
        let mut other = Other::default();
        if self.places.get(uid) == place.as_ref() {
            return other;
        }
        if let Some(Place { node, identity, name }) = self.places.remove(uid) {
            match &identity {
                Some(identity) => self.hosted.remove(&node, identity, &name),
                None => drop(self.agents.remove(&name)),
            }
            other.note(identity.is_some());
        }
        if let Some(place) = place {
            let Place { node, identity, name } = place.clone();
            other.note(identity.is_some());
            match identity {
                Some(identity) => self.hosted.add(node, identity, name),
                None => drop(self.agents.insert(name, node)),
            }
            self.places.insert(uid.clone(), place);
        }
        other
    }

    /// Where a workload is that its node speaks for, or that speaks for it; `None`: neither.
    fn place(&self, wanted: &Wanted) -> Option<Place> {
        let member = &wanted.member;
        let Member { node, identity, name, .. } = &**member;
        let agent = self.agent.as_ref().is_some_and(|(namespace, account)| {
            identity.namespace() == namespace && identity.service_account() == account
        });
        // What was captured, or is to be, is spoken for until it has left. What has no network of its
        // own is never captured, or is no pod at all.
        let is_pod = member.network_mode == NetworkMode::Own;
        let is_spoken_for = (wanted.enrolled || wanted.recorded) && is_pod;
        let identity = match (agent, is_spoken_for) {
            (true, _) => None,
            (false, true) => Some(identity.clone()),
            (false, false) => return None,
        };
        let (node, name) = (Arc::clone(node), name.clone());
        (!node.is_empty()).then_some(Place { node, identity, name })
    }
}

impl Other {
    fn note(&mut self, is_hosted: bool) {
        self.hosted |= is_hosted;
        self.agents |= !is_hosted;
    }
}

impl std::ops::BitOrAssign for Other {
    fn bitor_assign(&mut self, more: Self) {
        self.hosted |= more.hosted;
        self.agents |= more.agents;
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pods) = self.0 else { return f.write_str("no pod in the mesh") };
        let names = || pods.values().flatten();
        for (index, name) in names().take(NAMED).enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        match names().count().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests;
