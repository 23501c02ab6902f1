//! Which identities each node may have certificates for: those of its pods in the mesh.
use crate::compile::mesh::{Expected, Wanted};
use culvert_model::{
    identity::Identity,
    member::{Member, NetworkMode},
    name::{ObjectName, WorkloadUid},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// So many pods are named to whoever asked for another's certificate.
const NAMED: usize = 5;

/// The pods of each node; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosted {
    nodes: BTreeMap<Arc<str>, Arc<Pods>>,
    /// Where the pods are that nodes' own processes run in.
    agents: BTreeMap<ObjectName, Arc<str>>,
}

/// Those of one node, by their identities.
type Pods = BTreeMap<Identity, BTreeSet<ObjectName>>;

/// Follows what becomes of workloads; only nodes on which something changed are looked at.
#[derive(Debug, Default)]
pub(crate) struct Hosting {
    /// Namespace and service account of nodes' own pods, where those are pods.
    agent: Option<(String, String)>,
    places: BTreeMap<WorkloadUid, Place>,
    hosted: Hosted,
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
        self.nodes.get(node).is_some_and(|pods| pods.contains_key(identity))
    }

    /// The node that a pod of a node's own process is on.
    pub(crate) fn node_of(&self, agent: &ObjectName) -> Option<&Arc<str>> {
        self.agents.get(agent)
    }

    /// Which pods are on `node`.
    pub(super) fn told(&self, node: &str) -> Told<'_> {
        Told(self.nodes.get(node).map(|pods| &**pods))
    }

    fn add(&mut self, Place { node, identity, name }: Place) {
        match identity {
            Some(identity) => {
                let pods = Arc::make_mut(self.nodes.entry(node).or_default());
                pods.entry(identity).or_default().insert(name);
            }
            None => drop(self.agents.insert(name, node)),
        }
    }

    fn remove(&mut self, Place { node, identity, name }: &Place) {
        let Some(identity) = identity else { return drop(self.agents.remove(name)) };
        let Some(pods) = self.nodes.get_mut(node).map(Arc::make_mut) else { return };
        let Some(names) = pods.get_mut(identity) else { return };
        names.remove(name);
        if names.is_empty() {
            pods.remove(identity);
        }
        if pods.is_empty() {
            self.nodes.remove(node);
        }
    }
}

impl Hosting {
    /// `agent`: namespace and service account of nodes' own pods, where those are pods.
    pub(crate) fn new(agent: Option<(String, String)>) -> Self {
        Self { agent, ..Self::default() }
    }

    /// A workload is as it is `wanted` now, or `expected`, or is none any more; says whether that
    /// matters.
    pub(crate) fn change(
        &mut self,
        uid: &WorkloadUid,
        wanted: Option<&Wanted>,
        expected: Option<&Expected>,
    ) -> bool {
        let place = match (wanted, expected) {
            (Some(wanted), _) => self.place(wanted),
            (None, Some(Expected { node, name, identity })) => Some(Place {
                node: Arc::clone(node),
                identity: Some(identity.clone()),
                name: name.clone(),
            }),
            (None, None) => None,
        };
        if self.places.get(uid) == place.as_ref() {
            return false;
        }
        if let Some(before) = self.places.remove(uid) {
            self.hosted.remove(&before);
        }
        if let Some(place) = place {
            self.places.insert(uid.clone(), place.clone());
            self.hosted.add(place);
        }
        true
    }

    pub(crate) fn hosted(&self) -> &Hosted {
        &self.hosted
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
