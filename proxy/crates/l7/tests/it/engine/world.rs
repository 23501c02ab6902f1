//! An engine, and what its snapshots are made of.
use culvert_identity::clock::SystemClock;
use culvert_l7::{
    body::Body,
    connection::Connection,
    engine::{Engine, Options},
    h1,
    io::Io,
    log::Sinks,
    message::{Request, Response},
    network::http::{Http, Managers, Serving},
    outcome::Exchanged,
    service::Service,
    shared::{Budgets, Node, Parts, Shared},
    stats::Stats,
    upstream::{Deps, Upstreams},
};
use culvert_model::http::{
    address::Address,
    cluster::{Cluster, Discovery},
    endpoint::Assignment,
    listener::{
        ChainMatch, Direction, FilterChain, ListenAddress, Listener, ListenerFilter,
        ListenerFilterKind, NetworkFilter, NetworkFilterKind, TcpClusters, TcpProxy,
    },
    manager::{self, Manager},
    route::RouteTable,
    secret::Secret,
    snapshot::{Resource, Snapshot},
    tls::DownstreamTransport,
    value::Metadata,
};
use culvert_runtime::{
    drain::Drain,
    publish::{self, Publisher},
};
use http::StatusCode;
use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) snapshot: Snapshot,
    publisher: Publisher<Snapshot>,
    pub(super) shared: Arc<Shared>,
    _drain: Drain,
}

impl World {
    pub(super) async fn start(listeners: Vec<Listener>) -> Self {
        Self::with(snapshot(listeners)).await
    }

    pub(super) async fn with(snapshot: Snapshot) -> Self {
        let drain = Drain::default();
        let (mut publisher, view) = publish::channel(Snapshot::default());
        publisher.publish(snapshot.clone());
        let (clock, stats) = (Arc::new(SystemClock), Stats::default());
        let shared = Arc::new(Shared::new(Parts {
            snapshot: view,
            upstreams: Arc::new(Upstreams::new(
                Deps::new(drain.worker(), Arc::<SystemClock>::clone(&clock))
                    .with_stats(stats.clone()),
            )),
            sinks: Sinks::new(&stats),
            stats,
            worker: drain.worker(),
            clock,
            node: Node::default(),
            budgets: Budgets::default(),
        }));
        let options = Options { drain: Duration::from_secs(5), ..Options::default() };
        let managers: Box<Managers> = Box::new(|_| Arc::new(Told));
        let engine = Engine::start(Arc::clone(&shared), options, managers).await.unwrap();
        Self { engine, snapshot, publisher, shared, _drain: drain }
    }

    /// Publishes a change, and waits until the engine is what it says.
    pub(super) async fn change(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = self.snapshot.clone();
        change(&mut next);
        // Seen in the view, whatever else has changed.
        let mark: Arc<str> = format!("v{}", self.publisher.generation()).into();
        let seal = Listener { bind: false, ..listener("seal", vec![]) };
        let value = Arc::new(seal);
        next.listeners_mut().insert("seal".into(), Resource { version: Arc::clone(&mark), value });
        self.snapshot = next.clone();
        self.publisher.publish(next);
        while !self.engine.listeners().iter().any(|one| one.version == mark) {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn set(&mut self, listener: Listener) {
        self.change(|snapshot| put(snapshot, listener)).await;
    }

    /// Where a listener takes connections.
    pub(super) fn at(&self, name: &str) -> SocketAddr {
        let all = self.engine.listeners();
        let found = all.iter().find(|one| &*one.name == name).unwrap();
        found.addresses.first().unwrap_or_else(|| panic!("{found:?}")).as_socket().unwrap()
    }

    pub(super) fn error(&self, name: &str) -> Option<String> {
        let all = self.engine.listeners();
        all.into_iter().find(|one| &*one.name == name).unwrap().error
    }

    pub(super) async fn connect(&self, name: &str) -> TcpStream {
        TcpStream::connect(self.at(name)).await.unwrap()
    }

    /// Waits until so many connections of a listener are over.
    pub(super) async fn ended(&self, name: &str, count: u64) {
        self.until(&format!("listener.{name}.downstream_cx_destroy"), count).await;
    }

    /// Waits until so many were counted.
    pub(super) async fn until(&self, name: &str, count: u64) {
        while self.count(name) < count {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        let (scope, leaf) = name.rsplit_once('.').unwrap();
        self.counter(scope, leaf)
    }

    pub(super) fn counter(&self, scope: &str, leaf: &str) -> u64 {
        self.shared.stats.root().scope(scope).counter(leaf).value()
    }
}

/// Sends something, ends, and reads all there is.
pub(super) async fn say(mut tcp: TcpStream, what: impl AsRef<[u8]>) -> String {
    tcp.write_all(what.as_ref()).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut all = Vec::new();
    match tcp.read_to_end(&mut all).await {
        Ok(_) => String::from_utf8(all).unwrap(),
        Err(error) => format!("{} {}", String::from_utf8(all).unwrap(), error.kind()),
    }
}

/// An exchange on a connection that goes on.
pub(super) async fn talk(tcp: &mut TcpStream, what: &str) -> String {
    tcp.write_all(what.as_bytes()).await.unwrap();
    let mut back = vec![0; what.len()];
    tcp.read_exact(&mut back).await.unwrap();
    String::from_utf8(back).unwrap()
}

pub(super) fn snapshot(listeners: Vec<Listener>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    listeners.into_iter().for_each(|listener| put(&mut snapshot, listener));
    snapshot
}

pub(super) fn put(snapshot: &mut Snapshot, listener: Listener) {
    let (name, version) = (Arc::clone(&listener.name), "1".into());
    snapshot.listeners_mut().insert(name, Resource { version, value: Arc::new(listener) });
}

pub(super) fn put_cluster(snapshot: &mut Snapshot, name: &str, to: &[SocketAddr]) {
    let value = Arc::new(cluster(name, to));
    snapshot.clusters_mut().insert(name.into(), Resource { version: "1".into(), value });
}

pub(super) fn put_secret(snapshot: &mut Snapshot, name: &str, secret: Secret) {
    let resource = Resource { version: "1".into(), value: Arc::new(secret) };
    snapshot.secrets_mut().insert(name.into(), resource);
}

pub(crate) fn listener(name: &str, filters: Vec<NetworkFilterKind>) -> Listener {
    chained(name, vec![chain("all", ChainMatch::default(), filters)])
}

pub(super) fn chained(name: &str, chains: Vec<FilterChain>) -> Listener {
    let address = ListenAddress {
        address: Address::Socket("127.0.0.1:0".parse().unwrap()),
        v4_compatible: false,
        options: Arc::default(),
    };
    Listener {
        name: name.into(),
        addresses: [address].into(),
        bind: true,
        use_original_dst: false,
        direction: Direction::default(),
        stat_prefix: Some(name.into()),
        filters: Arc::default(),
        filters_timeout: Some(Duration::from_secs(15)),
        continue_on_filters_timeout: false,
        chains: chains.into_iter().map(Arc::new).collect(),
        default_chain: None,
        access_logs: Arc::default(),
        buffer_limit: 1 << 20,
        reuse_port: true,
        backlog: None,
        transparent: false,
        freebind: false,
        metadata: Metadata::default(),
    }
}

pub(crate) fn chain(
    name: &str,
    matches: ChainMatch,
    filters: Vec<NetworkFilterKind>,
) -> FilterChain {
    let filter = |kind| NetworkFilter { name: "filter".into(), kind };
    FilterChain {
        name: name.into(),
        matches,
        transport: DownstreamTransport::Plain,
        transport_timeout: None,
        filters: filters.into_iter().map(filter).collect(),
        metadata: Metadata::default(),
    }
}

pub(super) fn inspected(listener: Listener, kinds: Vec<ListenerFilterKind>) -> Listener {
    let filter = |kind| ListenerFilter { name: "filter".into(), kind, disabled: None };
    Listener { filters: kinds.into_iter().map(filter).collect(), ..listener }
}

pub(super) fn proxy(cluster: &str) -> TcpProxy {
    TcpProxy {
        stat_prefix: "p".into(),
        clusters: TcpClusters::One(cluster.into()),
        idle_timeout: None,
        max_connection_duration: None,
        access_logs: Arc::default(),
        max_connect_attempts: NonZeroU32::MIN,
        hash_source_ip: false,
        metadata_match: Metadata::default(),
        tunnel: None,
        log_interval: None,
    }
}

pub(super) fn to(proxy: TcpProxy) -> NetworkFilterKind {
    NetworkFilterKind::TcpProxy(Arc::new(proxy))
}

/// A manager that tells what it knows of the connection.
pub(super) fn told() -> NetworkFilterKind {
    NetworkFilterKind::HttpManager(Arc::new(Manager {
        stat_prefix: "h".into(),
        codec: manager::Codec::Auto,
        routes: manager::Routes::Here(Arc::new(RouteTable::default())),
        filters: Arc::default(),
        upgrades: Arc::default(),
        common: Default::default(),
        http1: Default::default(),
        http2: Default::default(),
        limits: manager::Limits::default(),
        server: manager::ServerHeader::default(),
        client: manager::ClientAddress::default(),
        certificate: manager::ClientCertificate::default(),
        path: manager::PathOptions {
            normalize: false,
            merge_slashes: false,
            escaped_slashes: manager::EscapedSlashes::default(),
        },
        host: manager::HostOptions::default(),
        request_id: manager::RequestId::default(),
        scheme: manager::Scheme::default(),
        via: None,
        add_user_agent: false,
        append_forwarded_port: false,
        proxy_100_continue: false,
        keep_connection_on_error: None,
        access_logs: Arc::default(),
        log_options: manager::LogOptions::default(),
        replies: Arc::default(),
        tracing: None,
        early_mutations: Default::default(),
    }))
}

struct Told;

struct Tells(Arc<Connection>);

impl Http for Told {
    fn serve(&self, io: Io, connection: Arc<Connection>) -> Serving {
        Box::pin(async move {
            let worker = connection.worker.clone();
            h1::serve(io, &Tells(connection), &h1::Options::default(), &worker).await;
        })
    }
}

impl Service for Tells {
    type Record = ();

    async fn call(&self, request: Request) -> (Response, ()) {
        let path = request.head.path.map(|path| path.path().to_owned());
        assert_ne!(path.as_deref(), Some("/panic"), "on purpose");
        let Connection { facts, chain, metadata, state, .. } = &*self.0;
        let peer = facts.tls.as_ref().and_then(|tls| tls.peer.as_ref());
        let text = format!(
            "chain={} remote={:?} local={:?} direct={:?} sni={} transport={} protocols={} peer={} state={:?} metadata={metadata:?}\n",
            chain.name,
            facts.remote,
            facts.local,
            facts.direct_remote,
            facts.server_name,
            facts.transport,
            facts.protocols.join(","),
            peer.map_or("", |peer| &peer.subject),
            state.0,
        );
        (Response::new(StatusCode::OK, Body::full(text)), ())
    }

    fn ended(&self, (): (), _: Exchanged) {}
}

pub(crate) fn cluster(name: &str, to: &[SocketAddr]) -> Cluster {
    let assignment = Assignment::at(name.into(), to.iter().copied());
    Cluster::new(name.into(), Discovery::Static(Arc::new(assignment)))
}
