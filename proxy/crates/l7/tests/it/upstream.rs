//! Clusters over real sockets: what stays and what goes when snapshots change.
use crate::support::{Server, Version};
use culvert_identity::clock::SystemClock;
use culvert_l7::{
    body::Body,
    forward::Chosen as _,
    message::{Interim, RequestHead},
    upstream::{Ask, Chosen, Deps, Upstream, Upstreams},
};
use culvert_model::{
    http::{
        address::Address,
        balance::Balance,
        cluster::{Breakers, Cluster, Discovery, HttpOptions, Preconnect},
        endpoint::{Assignment, Endpoint, EndpointCheck, HealthStatus, LocalityEndpoints},
        outlier::Outlier,
        snapshot::{Resource, Snapshot},
        source::{ConfigSource, From},
        tls::UpstreamTransport,
        value::Metadata,
    },
    locality::Locality,
};
use culvert_runtime::drain::Drain;
use http::{Method, StatusCode, uri::PathAndQuery};
use std::{borrow::Cow, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

struct World {
    drain: Drain,
    upstreams: Upstreams,
    snapshot: Snapshot,
}

impl World {
    fn new(cluster: Cluster) -> Self {
        let drain = Drain::default();
        let upstreams = Upstreams::new(Deps::new(drain.worker(), Arc::new(SystemClock)));
        let mut world = Self { drain, upstreams, snapshot: Snapshot::default() };
        world.set(cluster);
        world
    }

    fn set(&mut self, cluster: Cluster) {
        let (version, value) = ("1".into(), Arc::new(cluster));
        self.snapshot.clusters_mut().insert("c".into(), Resource { version, value });
        self.upstreams.apply(&self.snapshot);
    }

    fn set_endpoints(&mut self, at: &[SocketAddr]) {
        let (version, value) = ("1".into(), assignment(at));
        self.snapshot.assignments_mut().insert("c".into(), Resource { version, value });
        self.upstreams.apply(&self.snapshot);
    }

    fn upstream(&self) -> Arc<Upstream> {
        self.upstreams.find("c").unwrap()
    }

    fn choose(&self) -> Chosen {
        self.upstream().choose(&Ask::default()).unwrap()
    }

    /// The status of a request, and who answered.
    async fn get(&self) -> (StatusCode, SocketAddr) {
        let chosen = self.choose();
        let path = PathAndQuery::from_static("/path");
        let head = RequestHead::new(Method::GET, "here".parse().unwrap(), path);
        let interim = Interim::default();
        let sent = chosen.pool().send(Cow::Owned(head), Body::Empty, &interim).await;
        let (head, body) = sent.unwrap();
        chosen.answered(&head);
        let _read = body.collect(1 << 20).await.unwrap();
        (head.status, chosen.facts().host.address.as_socket().unwrap())
    }
}

fn assignment(at: &[SocketAddr]) -> Arc<Assignment> {
    let endpoint = |at: &SocketAddr| {
        Arc::new(Endpoint {
            address: Address::Socket(*at),
            more_addresses: Arc::default(),
            hostname: "".into(),
            health: HealthStatus::Unknown,
            weight: NonZeroU32::MIN,
            metadata: Metadata::default(),
            check: EndpointCheck::default(),
        })
    };
    let locality = LocalityEndpoints {
        locality: Locality::default(),
        priority: 0,
        weight: None,
        metadata: Metadata::default(),
        endpoints: at.iter().map(endpoint).collect(),
    };
    Arc::new(Assignment { localities: [locality].into(), ..Assignment::empty("c".into()) })
}

fn cluster(discovery: Discovery) -> Cluster {
    Cluster {
        name: "c".into(),
        stat_name: "c".into(),
        discovery,
        connect_timeout: Duration::from_secs(5),
        buffer_limit: 1 << 20,
        balance: Balance::default(),
        health_checks: Arc::default(),
        outlier: None,
        breakers: Breakers::default(),
        http: HttpOptions::default(),
        transport: UpstreamTransport::Plain,
        transport_matches: Arc::default(),
        keepalive: None,
        source: Arc::default(),
        socket_options: Arc::default(),
        metadata: Metadata::default(),
        close_on_unhealthy: false,
        ignore_health_on_removal: false,
        close_pools_on_change: false,
        track_budgets: false,
        preconnect: Preconnect::default(),
        cleanup_interval: Duration::from_secs(5),
    }
}

fn eds() -> Cluster {
    let source = ConfigSource { from: From::Ads, patience: None };
    cluster(Discovery::Eds { service: "c".into(), source })
}

fn connections(world: &World) -> Vec<usize> {
    world.upstream().view().hosts.iter().map(|host| host.connections).collect()
}

#[tokio::test]
async fn endpoints_that_stay_keep_their_connections_and_those_that_go_get_nothing() {
    let (one, two) = (Server::start(Version::One).await, Server::start(Version::One).await);
    let mut world = World::new(eds());
    assert!(world.upstream().choose(&Ask::default()).is_err());
    world.set_endpoints(&[one.addr]);
    assert_eq!(world.get().await, (StatusCode::OK, one.addr));
    let before = Arc::clone(world.choose().facts().host);
    world.set_endpoints(&[one.addr, two.addr]);
    assert_eq!(connections(&world), [1, 0]);
    let answered = [world.get().await.1, world.get().await.1];
    assert!(answered.contains(&one.addr) && answered.contains(&two.addr));
    world.set_endpoints(&[two.addr]);
    for _ in 0..4 {
        assert_eq!(world.get().await.1, two.addr);
    }
    assert!(before.requests.load(std::sync::atomic::Ordering::Relaxed) >= 2);
    let _ended = world.drain.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn only_what_connections_are_made_by_makes_new_ones() {
    let one = Server::start(Version::One).await;
    let at = assignment(&[one.addr]);
    let mut world = World::new(cluster(Discovery::Static(Arc::clone(&at))));
    world.get().await;
    let outlier = Some(Arc::new(Outlier::default()));
    world.set(Cluster { outlier, ..cluster(Discovery::Static(Arc::clone(&at))) });
    assert_eq!(connections(&world), [1]);
    let connect_timeout = Duration::from_secs(1);
    world.set(Cluster { connect_timeout, ..cluster(Discovery::Static(at)) });
    assert_eq!(connections(&world), [0]);
    assert_eq!(world.get().await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_out() {
    let outlier = Outlier { consecutive_5xx: 2, max_percent: 100, ..Outlier::default() };
    let (one, two) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
    let at = assignment(&[one, two]);
    let outlier = Some(Arc::new(outlier));
    let world = World::new(Cluster { outlier, ..cluster(Discovery::Static(at)) });
    let of = |chosen: &Chosen| chosen.facts().host.address.as_socket().unwrap();
    for _ in 0..4 {
        let chosen = world.choose();
        if of(&chosen) == one {
            chosen.failed(None);
        }
    }
    for _ in 0..4 {
        assert_eq!(of(&world.choose()), two);
    }
    let view = world.upstream().view();
    assert_eq!(view.hosts[0].health_flags(), "/failed_outlier_check");
    assert_eq!(view.hosts[1].health_flags(), "healthy");
}
