//! What each connected node says, and what it was told.
use super::wait::Wait;
use culvert_model::name::WorkloadUid;
use culvert_xds::report::{Order, Pod, PodState};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A node's pods as it reports them.
pub(super) type Pods = BTreeMap<WorkloadUid, Pod>;

/// Every node that is connected, or has a pod that is announced.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    hosts: BTreeMap<Arc<str>, Host>,
    /// Those of each node that are announced with HBONE.
    announced: BTreeMap<Arc<str>, BTreeSet<WorkloadUid>>,
}

/// One connected node.
#[derive(Debug)]
struct Host {
    stream: u64,
    pods: Pods,
    /// That it was told, on this stream.
    announced: Option<BTreeSet<WorkloadUid>>,
    /// Released, on this stream, since they last asked.
    released: BTreeSet<WorkloadUid>,
}

impl Hosts {
    pub(super) fn came(&mut self, node: &Arc<str>, stream: u64) {
        let host = Host { stream, pods: Pods::new(), announced: None, released: BTreeSet::new() };
        match self.hosts.get(node) {
            Some(newer) if newer.stream > stream => {}
            Some(_) | None => drop(self.hosts.insert(Arc::clone(node), host)),
        }
    }

    /// Returns those of which something else is said than before.
    pub(super) fn heard(
        &mut self,
        node: &Arc<str>,
        stream: u64,
        pods: &Pods,
    ) -> BTreeSet<WorkloadUid> {
        let host = self.hosts.get_mut(node).filter(|host| host.stream == stream);
        let Some(host) = host else { return BTreeSet::new() };
        let differs = |a: &Pods, b: &Pods| {
            let other = a.iter().filter(|(uid, pod)| b.get(*uid) != Some(pod));
            other.map(|(uid, _)| uid.clone()).collect::<Vec<_>>()
        };
        let mut changed: BTreeSet<_> = differs(pods, &host.pods).into_iter().collect();
        changed.extend(differs(&host.pods, pods));
        host.released.retain(|uid| !changed.contains(uid));
        host.pods.clone_from(pods);
        changed
    }

    pub(super) fn left(&mut self, node: &Arc<str>, stream: u64) {
        if self.hosts.get(node).is_some_and(|host| host.stream == stream) {
            self.hosts.remove(node);
        }
    }

    pub(super) fn forget_orders(&mut self, node: &Arc<str>) {
        if let Some(host) = self.hosts.get_mut(node) {
            host.announced = None;
            host.released.clear();
        }
    }

    /// Whether it is connected.
    pub(super) fn has(&self, node: &Arc<str>) -> bool {
        self.hosts.contains_key(node)
    }

    pub(super) fn said(&self, node: &Arc<str>, uid: &WorkloadUid) -> Option<&PodState> {
        self.hosts.get(node)?.pods.get(uid).map(|pod| &pod.state)
    }

    pub(super) fn announce(&mut self, node: &Arc<str>, uid: &WorkloadUid) {
        self.announced.entry(Arc::clone(node)).or_default().insert(uid.clone());
    }

    pub(super) fn withdraw(&mut self, node: &Arc<str>, uid: &WorkloadUid) {
        if let Some(announced) = self.announced.get_mut(node) {
            announced.remove(uid);
            if announced.is_empty() {
                self.announced.remove(node);
            }
        }
    }

    /// What the nodes are to be told; `farewells` are not released yet.
    pub(super) fn orders(
        &mut self,
        farewells: &BTreeMap<(WorkloadUid, Arc<str>), Wait>,
    ) -> Vec<(Arc<str>, Order)> {
        let (nothing, mut orders) = (BTreeSet::new(), Vec::new());
        for (node, host) in &mut self.hosts {
            let announced = self.announced.get(node).unwrap_or(&nothing);
            if host.announced.as_ref() != Some(announced) {
                host.announced = Some(announced.clone());
                let all = announced.iter().cloned().collect();
                orders.push((Arc::clone(node), Order::Announced(all)));
            }
            let free = host.pods.iter().filter(|(uid, pod)| {
                matches!(pod.state, PodState::Leaving)
                    && !announced.contains(*uid)
                    && !host.released.contains(*uid)
                    && !farewells.contains_key(&((*uid).clone(), Arc::clone(node)))
            });
            let free: Vec<_> = free.map(|(uid, _)| uid.clone()).collect();
            if !free.is_empty() {
                host.released.extend(free.iter().cloned());
                orders.push((Arc::clone(node), Order::Release(free)));
            }
        }
        orders
    }
}
