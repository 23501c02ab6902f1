//! One cluster, `c`, that tests change.
use crate::waiting::until;
use culvert_identity::clock::SystemClock;
use culvert_l7::{
    body::Body,
    forward::Chosen as _,
    message::{Interim, RequestHead},
    stats::{Stats, sample::Query},
    upstream::{Ask, Chosen, Deps, Names, Upstream, Upstreams, view::HostView},
};
use culvert_model::http::{
    cluster::{Cluster, Discovery},
    endpoint::Assignment,
    snapshot::{Resource, Snapshot},
    source::{ConfigSource, From},
};
use culvert_runtime::drain::Drain;
use http::{Method, StatusCode, uri::PathAndQuery};
use std::{borrow::Cow, net::SocketAddr, sync::Arc};

pub(crate) struct World {
    pub(crate) drain: Drain,
    pub(crate) upstreams: Upstreams,
    pub(crate) stats: Stats,
    snapshot: Snapshot,
}

impl World {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self::with_names(cluster, Names::default())
    }

    pub(crate) fn with_names(cluster: Cluster, names: Names) -> Self {
        let (drain, stats) = (Drain::default(), Stats::default());
        let deps = Deps::new(drain.worker(), Arc::new(SystemClock));
        let upstreams = Upstreams::new(deps.with_stats(stats.clone()).with_names(names));
        let mut world = Self { drain, upstreams, stats, snapshot: Snapshot::default() };
        world.set(cluster);
        world
    }

    pub(crate) fn set(&mut self, cluster: Cluster) {
        let (version, value) = ("1".into(), Arc::new(cluster));
        self.snapshot.clusters_mut().insert("c".into(), Resource { version, value });
        self.upstreams.apply(&self.snapshot);
    }

    pub(crate) fn set_endpoints(&mut self, at: &[SocketAddr]) {
        self.assign(assignment(at));
    }

    pub(crate) fn assign(&mut self, value: Arc<Assignment>) {
        let version = "1".into();
        self.snapshot.assignments_mut().insert("c".into(), Resource { version, value });
        self.upstreams.apply(&self.snapshot);
    }

    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        self.upstreams.find("c").unwrap()
    }

    pub(crate) fn choose(&self) -> Chosen {
        self.upstream().choose(&Ask::default()).unwrap()
    }

    /// The health flags of all endpoints, as Envoy writes them.
    pub(crate) fn flags(&self) -> Vec<String> {
        self.upstream().view().hosts.iter().map(HostView::health_flags).collect()
    }

    /// Waits until the flags are these.
    pub(crate) async fn until_flags(&self, wanted: &[&str]) {
        until(|| self.flags() == wanted).await;
    }

    /// A number, `cluster.c.` left out; 0 where it is not.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.upstreams.measure();
        let samples = self.stats.samples(&Query::default());
        let mut all = samples.counters.iter().chain(&samples.gauges);
        let found = all.find(|one| *one.name == *format!("cluster.c.{name}"));
        found.map_or(0, |one| one.value)
    }

    /// The status of a request, and who answered.
    pub(crate) async fn get(&self) -> (StatusCode, SocketAddr) {
        let chosen = self.choose();
        let path = PathAndQuery::from_static("/path");
        let head = RequestHead::new(Method::GET, "here".parse().unwrap(), path);
        let interim = Interim::default();
        let sent = chosen.pool().send(Cow::Owned(head), Body::Empty, &interim).await;
        let (head, body) = sent.unwrap();
        chosen.answered(&head);
        let _read = body.collect(1 << 20).await.unwrap();
        (head.status, chosen.facts().host.destination().unwrap())
    }
}

pub(crate) fn assignment(at: &[SocketAddr]) -> Arc<Assignment> {
    Arc::new(Assignment::at("c".into(), at.iter().copied()))
}

pub(crate) fn cluster(discovery: Discovery) -> Cluster {
    Cluster::new("c".into(), discovery)
}

pub(crate) fn eds() -> Cluster {
    let source = ConfigSource { from: From::Ads, patience: None };
    cluster(Discovery::Eds { service: "c".into(), source })
}
