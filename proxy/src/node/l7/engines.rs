//! What the engines of this node run with, for questions about requests.
use super::L7;
use culvert_l7::upstream::Upstreams;
use culvert_model::{
    facts::Direction,
    http::{cluster::Cluster, listener, value::Fields},
};
use culvert_policy::{
    http::{
        directory::Directory,
        why::{Endpoint, Endpoints, Engine},
    },
    why::{Elsewhere, Engines, Leg},
};
use culvert_runtime::doors::HandOver as _;
use std::{fmt, sync::Arc};

/// Those of this node.
#[derive(Debug)]
pub(crate) struct Here<'a>(pub(crate) &'a L7);

/// Endpoints as engines find them, with what they have learnt of each.
struct Found(Arc<Upstreams>);

impl L7 {
    /// What the engine of a namespace runs with now; `None`: none runs.
    fn moment(&self, namespace: &str) -> Option<Arc<Engine>> {
        let running = self.running(namespace)?;
        let engine = running.engine()?;
        let mut listeners = Directory::default();
        // By name, as the engine has them.
        for config in engine.listeners().into_iter().filter_map(|one| one.config) {
            listeners.add(&config, &config);
        }
        let snapshot = running.shared.snapshot.pin().value.clone();
        let endpoints = Arc::new(Found(Arc::clone(&running.shared.upstreams)));
        Some(Arc::new(Engine { listeners, snapshot, endpoints }))
    }

    /// Has the engine begin that has not yet, as a connection would, and waits for what it is told;
    /// says whether there is one now.
    pub(crate) async fn awaken(&self, leg: &Leg) -> bool {
        let pods = self.0.pods.pin();
        let is_here = |namespace: &str| {
            let mut all = pods.value.pods.values();
            all.any(|pod| *pod.workload.name.namespace == *namespace)
        };
        if !is_here(&leg.namespace) {
            return false;
        }
        let direction = match leg.direction {
            listener::Direction::Inbound => Direction::Inbound,
            listener::Direction::Outbound | listener::Direction::Unspecified => Direction::Outbound,
        };
        self.place(&leg.namespace, direction, leg.at).await.is_ok()
    }
}

impl Engines for Here<'_> {
    fn engine(&self, namespace: &Arc<str>, node: &Arc<str>) -> Result<Arc<Engine>, Elsewhere> {
        if node.is_empty() {
            return Err(Elsewhere::Unplaced);
        }
        if *node != self.0.0.home.node {
            return Err(Elsewhere::Node(Arc::clone(node)));
        }
        self.0.moment(namespace).ok_or(Elsewhere::NotYet)
    }
}

impl Endpoints for Found {
    fn of(&self, cluster: &Cluster, subset: Option<&Fields>) -> Vec<Endpoint> {
        let Some(upstream) = self.0.find(&cluster.name) else { return Vec::new() };
        let endpoint = |(view, may): (culvert_l7::upstream::view::HostView, bool)| Endpoint {
            at: view.host.destination(),
            health: view.health_flags().trim_start_matches('/').replace('/', ", "),
            name: Arc::clone(&view.name),
            may,
            priority: view.priority,
        };
        upstream.reach(subset).into_iter().map(endpoint).collect()
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Found").field(&self.0).finish()
    }
}
