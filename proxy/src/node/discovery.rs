//! What the control plane says becomes the snapshot that the node decides by.
//!
//! Nothing is published before everything has come once: a workload without its policies would be
//! open, and a node that knows nobody would take members for strangers.
use culvert_model::{
    authz::Authorization,
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    snapshot::{Mesh, OutboundPolicy, Snapshot, build::Builder},
};
use culvert_runtime::publish::Publisher;
use culvert_telemetry::metrics::Metrics;
use culvert_xds::{
    client::{Change, Client},
    report::{Applied, MeshSettings, Outbound, Refusal},
    resource::{Address, Resource},
    transport::follow::{Apply, Changed, Ended, Holdings},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use tracing::{debug, info};

type Policy = Arc<Authorization>;

/// How far the node is, in the words of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// By type of resource.
    pub(crate) applied: BTreeMap<String, Applied>,
    /// By type of resource.
    pub(crate) refusals: BTreeMap<String, Vec<Refusal>>,
}

/// The snapshot in the making; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Discovery(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    builder: Builder,
    snapshots: Publisher<Snapshot>,
    /// In place of policies that are not understood.
    stand_ins: BTreeMap<ObjectName, Policy>,
    /// The addresses of what is not understood.
    closed: BTreeSet<NetworkRange>,
    /// Both types have come.
    complete: bool,
    /// The settings of the mesh are known, or nobody will tell them.
    settled: bool,
    progress: watch::Sender<Progress>,
}

/// Takes the control plane's responses in, and counts them.
#[derive(Debug)]
pub(crate) struct Applier {
    discovery: Discovery,
    metrics: Arc<Metrics>,
}

impl Discovery {
    /// Publishes to `snapshots`; `settled` when the settings of the mesh are not to be waited for.
    pub(crate) fn new(
        mesh: Mesh,
        settled: bool,
        snapshots: Publisher<Snapshot>,
    ) -> (Self, watch::Receiver<Progress>) {
        let (progress, told) = watch::channel(Progress::default());
        let builder = Builder::new(mesh);
        let (stand_ins, closed) = (BTreeMap::new(), BTreeSet::new());
        let state =
            State { builder, snapshots, stand_ins, closed, complete: false, settled, progress };
        (Self(Arc::new(Mutex::new(state))), told)
    }

    /// For the stream.
    pub(crate) fn applier(&self, metrics: Arc<Metrics>) -> Applier {
        Applier { discovery: self.clone(), metrics }
    }

    /// The control plane's settings of the mesh.
    pub(super) fn set_mesh(&self, node: &str, settings: &MeshSettings) {
        let MeshSettings { outbound, network, trust_domain: _ } = settings;
        let outbound = match outbound {
            Outbound::AllowAny => OutboundPolicy::AllowAny,
            Outbound::RegistryOnly => OutboundPolicy::RegistryOnly,
        };
        let mesh = Mesh { network: network.as_str().into(), outbound, node: node.into() };
        self.change(|state| {
            info!(?outbound, network, "settings of the mesh");
            state.builder.set_mesh(mesh);
            state.settled = true;
            state.publish();
        });
    }

    /// Nobody tells the settings of the mesh: the defaults hold.
    pub(super) fn settle(&self) -> bool {
        let mut settles = false;
        self.change(|state| {
            settles = !state.settled;
            state.settled = true;
            if settles {
                state.publish();
            }
        });
        settles
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
    }
}

impl Apply for Applier {
    fn apply(&mut self, holdings: &Holdings, changed: Changed) {
        self.discovery.change(|state| state.take(holdings, changed));
    }

    fn received(&mut self, type_url: &str, bytes: usize) {
        self.metrics.xds_message(type_url, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn ended(&mut self, how: Ended) {
        // Istio's words.
        self.metrics.xds_terminated(match how {
            Ended::Connection => "ConnectionError",
            Ended::Refused => "Error",
            Ended::Closed => "Complete",
        });
    }
}

impl State {
    fn take(&mut self, holdings: &Holdings, changed: Changed) {
        let completes = !self.complete && holdings.is_ready();
        self.complete = holdings.is_ready();
        let (type_url, version, news, refusals) = match changed {
            Changed::Addresses(changes, version) => {
                let mut news = !changes.is_empty();
                changes.into_iter().for_each(|change| self.address(change));
                news |= self.close(holdings);
                (Address::TYPE_URL, version, news, refusals(&holdings.addresses))
            }
            Changed::Policies(changes, version) => {
                let mut news = !changes.is_empty();
                changes.into_iter().for_each(|change| self.policy(change));
                news |= self.stand_in(holdings);
                (Policy::TYPE_URL, version, news, refusals(&holdings.policies))
            }
        };
        if news || completes {
            self.publish();
        }
        let generation = self.snapshots.generation().number();
        debug!(type_url, version, generation, "applied");
        self.progress.send_modify(|progress| {
            // A change that the node itself made has no version.
            if !version.is_empty() {
                progress.applied.insert(type_url.to_owned(), Applied { version, generation });
            }
            if !refusals.is_empty() || progress.refusals.contains_key(type_url) {
                progress.refusals.insert(type_url.to_owned(), refusals);
            }
        });
    }

    fn address(&mut self, change: Change<Address>) {
        match change {
            Change::Set(Address::Member(member)) => self.builder.set_member(member),
            Change::Set(Address::Service(service)) => self.builder.set_service(service),
            Change::Removed(name) => {
                // The name does not say of what it was.
                self.builder.remove_member(&WorkloadUid::new(Arc::clone(&name)));
                let ObjectName { namespace, name } = object(&name);
                self.builder.remove_service(&ServiceName::new(namespace, name));
            }
            // Its earlier version stays; without one its addresses are closed.
            Change::Refused(_) | Change::Absent(_) => {}
        }
    }

    fn policy(&mut self, change: Change<Policy>) {
        match change {
            Change::Set(policy) => self.builder.set_policy(policy),
            Change::Removed(name) => self.builder.remove_policy(&object(&name)),
            Change::Refused(_) | Change::Absent(_) => {}
        }
    }

    /// Has nobody taken for a stranger who has the address of something that is not understood and
    /// has no earlier version; says whether that is news.
    fn close(&mut self, holdings: &Holdings) -> bool {
        let refused = holdings.addresses.stand_ins();
        let now: BTreeSet<_> = refused.flat_map(|ranges| ranges.iter().cloned()).collect();
        if now == self.closed {
            return false;
        }
        self.builder.set_closed(now.iter().cloned());
        self.closed = now;
        true
    }

    /// Has something that denies in place of each policy that is not understood and has no earlier
    /// version; says whether that is news.
    fn stand_in(&mut self, holdings: &Holdings) -> bool {
        let now = holdings.policies.stand_ins().flatten();
        let now: BTreeMap<_, _> =
            now.map(|policy| (policy.name.clone(), Arc::clone(policy))).collect();
        let before = mem::take(&mut self.stand_ins);
        for name in before.keys().filter(|name| !now.contains_key(*name)) {
            if !holdings.policies.holds(&name.to_string()) {
                self.builder.remove_policy(name);
            }
        }
        for (name, policy) in &now {
            if before.get(name) != Some(policy) {
                self.builder.set_policy(Arc::clone(policy));
            }
        }
        self.stand_ins = now;
        self.stand_ins != before
    }

    fn publish(&mut self) {
        if self.complete && self.settled {
            self.snapshots.publish(self.builder.build());
        }
    }
}

fn refusals<R: Resource>(client: &Client<R>) -> Vec<Refusal> {
    let refused = client.refused();
    refused
        .map(|(name, refused)| Refusal {
            resource: (**name).to_owned(),
            version: refused.version.clone(),
            field: refused.error.path().to_owned(),
            problem: refused.error.problem().to_string(),
            previous_stays: client.holds(name),
        })
        .collect()
}

/// `namespace/name`.
fn object(name: &str) -> ObjectName {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    ObjectName::new(namespace, name)
}

#[cfg(test)]
mod tests;
