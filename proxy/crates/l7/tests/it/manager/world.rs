//! An engine's middle: a manager on a loopback port, a backend behind it.
use crate::{
    engine::world::{chain, cluster, listener},
    support::{Server, Version},
    waiting::{lines, lines_when},
};
use culvert_identity::clock::{Clock, SystemClock};
use culvert_l7::{
    connection::Connection,
    log::Sinks,
    manager::Manager,
    shared::{Budgets, Node, Parts, Shared},
    stats::{Scope, Stats, Tag, sample::Query, tag},
    upstream::{Deps, Upstreams},
};
use culvert_model::http::{
    access_log::{AccessLog, LogFormat, LogSink},
    filter::{Filter, FilterConfig, HttpFilter, Router},
    format::Format,
    listener::ChainMatch,
    manager as model,
    mutation::HeaderMutations,
    protocol::{CommonOptions, Http1Options, Http2Options},
    route::{
        Action, ClusterChoice, Forward, HostRewrite, PathMatch, PathRewrite, PathText, Priority,
        Route, RouteMatch, RouteTable, Timeouts, VirtualHost,
    },
    snapshot::{Resource, Snapshot},
    value::Metadata,
};
use culvert_policy::http::facts::{self, FilterState};
use culvert_runtime::{
    drain::Drain,
    publish::{self, Publisher},
};
use http::StatusCode;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

/// A manager in front of a backend.
pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) backend: Server,
    pub(crate) addr: SocketAddr,
    pub(crate) publisher: Publisher<Snapshot>,
    log: PathBuf,
    dir: tempfile::TempDir,
    pub(crate) snapshot: Snapshot,
    _drain: Drain,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// All values of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

impl World {
    /// `change` what is usual: one host, everything to the backend, only a router.
    pub(crate) async fn start(change: impl FnOnce(&mut model::Manager)) -> Self {
        Self::with(change, |shared| shared).await
    }

    /// The same, with something more for the whole engine.
    pub(crate) async fn with(
        change: impl FnOnce(&mut model::Manager),
        around: impl FnOnce(Shared) -> Shared,
    ) -> Self {
        let backend = Server::start(Version::One).await;
        let drain = Drain::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stats = Stats::default();
        let deps = Deps::new(drain.worker(), Arc::clone(&clock)).with_stats(stats.clone());
        let upstreams = Arc::new(Upstreams::new(deps));
        let mut snapshot = Snapshot::default();
        let resource =
            Resource { version: "1".into(), value: Arc::new(cluster("backend", &[backend.addr])) };
        snapshot.clusters_mut().insert("backend".into(), resource);
        upstreams.apply(&snapshot);
        let (publisher, view) = publish::channel(snapshot.clone());
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("access.log");
        let mut config = manager(&log);
        change(&mut config);
        let shared = Shared::new(Parts {
            snapshot: view,
            upstreams,
            sinks: Sinks::new(&stats),
            stats,
            worker: drain.worker(),
            clock,
            node: Node { id: "node".into(), cluster: "mine".into(), zone: "z".into() },
            budgets: Budgets::default(),
        });
        let shared = Arc::new(around(shared));
        let manager = Manager::new(&Arc::new(config), &shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let worker = drain.worker();
        let scope = shared.stats.scope("listener", Tag::new(tag::LISTENER, "here"));
        drain.worker().spawn(async move {
            let mut id = 0;
            while let Ok((tcp, from)) = listener.accept().await {
                id += 1;
                let connection = connection(id, from, addr, (worker.clone(), scope.clone()));
                let manager = Arc::clone(&manager);
                worker.spawn(async move { manager.serve(tcp.into(), connection).await });
            }
        });
        Self { shared, backend, addr, publisher, log, dir, snapshot, _drain: drain }
    }

    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let mut tcp = TcpStream::connect(self.addr).await.unwrap();
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).await.unwrap();
        Answer::parse(&all)
    }

    /// A GET with headers, each with its line end.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nhost: here.test\r\nconnection: close\r\n");
        self.raw(&format!("{head}{headers}\r\n")).await
    }

    /// The access log's lines once there are so many.
    pub(crate) async fn lines(&self, wanted: usize) -> Vec<String> {
        let _kept = &self.dir;
        lines(&self.log, wanted).await
    }

    /// Waits until the access log's last line is so.
    pub(crate) async fn last_line(&self, is_so: impl Fn(&str) -> bool) {
        lines_when(&self.log, |lines| lines.last().is_some_and(|line| is_so(line))).await;
    }

    pub(crate) fn gauge(&self, name: &str) -> u64 {
        let samples = self.shared.stats.samples(&Query::default());
        let found = samples.gauges.iter().find(|sample| sample.name == name);
        found.map_or(0, |sample| sample.value)
    }

    pub(crate) fn stat(&self, name: &str) -> u64 {
        let samples = self.shared.stats.samples(&Query::default());
        let found = samples.counters.iter().find(|sample| sample.name == name);
        found.map_or(0, |sample| sample.value)
    }
}

fn connection(
    id: u64,
    from: SocketAddr,
    at: SocketAddr,
    (worker, stats): (culvert_runtime::drain::Worker, Scope),
) -> Arc<Connection> {
    Arc::new(Connection {
        id,
        facts: facts::Connection {
            remote: Some(from),
            source: Some(from),
            direct_remote: Some(from),
            local: Some(at),
            direct_local: Some(at),
            transport: "raw_buffer",
            ..facts::Connection::default()
        },
        listener: Arc::new(listener("listener", vec![])),
        chain: Arc::new(chain("chain", ChainMatch::default(), vec![])),
        began: Instant::now(),
        started: SystemTime::now(),
        handshake: None,
        metadata: Metadata::default(),
        state: FilterState::default(),
        stats,
        worker,
    })
}

fn manager(log: &std::path::Path) -> model::Manager {
    let line = "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% \
                %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %ROUTE_NAME% \
                %UPSTREAM_CLUSTER%\n";
    let format = Format::Text(line.parse().unwrap());
    let format = LogFormat { format: Arc::new(format), omit_empty: false };
    let path = log.to_str().unwrap().into();
    model::Manager {
        stat_prefix: "test".into(),
        codec: model::Codec::Auto,
        routes: model::Routes::Here(Arc::new(table(vec![route("/", forward())]))),
        filters: [router()].into(),
        upgrades: Arc::default(),
        common: CommonOptions::default(),
        http1: Http1Options::default(),
        http2: Http2Options::default(),
        limits: model::Limits::default(),
        server: model::ServerHeader::default(),
        client: model::ClientAddress::default(),
        certificate: model::ClientCertificate::default(),
        path: model::PathOptions {
            normalize: true,
            merge_slashes: false,
            escaped_slashes: model::EscapedSlashes::Keep,
        },
        host: model::HostOptions::default(),
        request_id: model::RequestId::default(),
        scheme: model::Scheme::default(),
        via: None,
        add_user_agent: false,
        append_forwarded_port: false,
        proxy_100_continue: false,
        keep_connection_on_error: None,
        access_logs: [AccessLog { filter: None, sink: LogSink::File { path, format } }].into(),
        log_options: model::LogOptions::default(),
        replies: Arc::default(),
        tracing: None,
        early_mutations: HeaderMutations::default(),
    }
}

pub(crate) fn router() -> Filter {
    filter("router", HttpFilter::Router(Arc::new(Router::default())))
}

pub(crate) fn filter(name: &str, filter: HttpFilter) -> Filter {
    Filter { name: name.into(), config: FilterConfig::Here(filter), disabled: false }
}

pub(crate) fn table(routes: Vec<Route>) -> RouteTable {
    let host = VirtualHost {
        name: "all".into(),
        domains: ["*".parse().unwrap()].into(),
        routes: routes.into_iter().map(Arc::new).collect(),
        ..VirtualHost::default()
    };
    RouteTable { name: "table".into(), hosts: [Arc::new(host)].into(), ..RouteTable::default() }
}

pub(crate) fn route(prefix: &str, action: Action) -> Route {
    Route {
        name: prefix.into(),
        when: RouteMatch::path(PathMatch::Prefix(PathText::new(prefix, false))),
        action,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        traced: None,
        stat_prefix: None,
        per_filter: culvert_model::http::filter::PerFilter::default(),
        metadata: Metadata::default(),
    }
}

pub(crate) fn to_backend() -> Forward {
    Forward {
        cluster: ClusterChoice::Named("backend".into()),
        not_found: StatusCode::SERVICE_UNAVAILABLE,
        metadata_match: Metadata::default(),
        path: PathRewrite::Keep,
        host: HostRewrite::Keep,
        append_forwarded_host: false,
        timeouts: Timeouts::default(),
        retry: None,
        mirrors: Box::default(),
        hash: Box::default(),
        upgrades: Box::default(),
        priority: Priority::Default,
        rate_limits: Box::default(),
        host_rate_limits: false,
        internal_redirect: None,
        cors: None,
    }
}

pub(crate) fn forward() -> Action {
    Action::Forward(Box::new(to_backend()))
}
