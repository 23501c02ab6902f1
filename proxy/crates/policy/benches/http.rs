//! What every request pays: its route among 10,000 virtual hosts, its line in a log.
use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use culvert_model::http::{
    filter::PerFilter,
    format::{DEFAULT_LINE, Template},
    matcher::{HeaderMatch, StringMatch},
    mutation::HeaderMutations,
    route::{Action, PathMatch, PathText, RequireTls, Route, RouteMatch, RouteTable, VirtualHost},
    runtime::RuntimeValues,
    value::Metadata,
};
use culvert_policy::http::{
    facts::{Asking, Connection, FilterState, Head},
    format::{Missing, Nothing, Scene, text},
    route::Table,
};
use http::{HeaderMap, Method};

fn route(path: PathMatch, header: Option<&str>) -> Arc<Route> {
    let wanted = header
        .map(|v| HeaderMatch::value("x-version".parse().expect("a name"), StringMatch::exact(v)));
    Arc::new(Route {
        name: "".into(),
        when: RouteMatch { headers: wanted.into_iter().collect(), ..RouteMatch::path(path) },
        action: Action::NonForwarding,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        traced: None,
        stat_prefix: None,
        per_filter: PerFilter::default(),
        metadata: Metadata::default(),
    })
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(PathText::new(path, false))
}

fn host(domains: &[String], routes: Vec<Arc<Route>>) -> Arc<VirtualHost> {
    Arc::new(VirtualHost {
        name: domains[0].as_str().into(),
        domains: domains.iter().map(|domain| domain.parse().expect("a domain")).collect(),
        routes: routes.into(),
        require_tls: RequireTls::None,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        attempts_in_request: false,
        attempts_in_response: false,
        retry: None,
        mirrors: Box::default(),
        clusters: Box::default(),
        rate_limits: Box::default(),
        cors: None,
        per_filter: PerFilter::default(),
        metadata: Metadata::default(),
    })
}

fn table(hosts: Vec<Arc<VirtualHost>>) -> Table {
    Table::new(Arc::new(RouteTable {
        name: "t".into(),
        hosts: hosts.into(),
        ignore_port: true,
        host_header: None,
        request: HeaderMutations::default(),
        response: HeaderMutations::default(),
        internal_only: Box::default(),
        validate_clusters: false,
        most_specific_wins: false,
        ignore_path_parameters: false,
        mirrors: Box::default(),
        per_filter: PerFilter::default(),
        metadata: Metadata::default(),
    }))
}

/// Ten thousand services, each by the names that a cluster knows it by.
fn services() -> Table {
    let one = |n: usize| {
        let name = format!("s{n}.ns{}", n % 100);
        let domains = [
            format!("{name}.svc.cluster.local"),
            format!("{name}.svc"),
            name,
            format!("*.s{n}.example.com"),
        ];
        host(&domains, vec![route(prefix("/api"), Some("2")), route(prefix("/"), None)])
    };
    table((0..10_000).map(one).collect())
}

/// One host of a thousand routes.
fn paths() -> Table {
    let mut routes: Vec<_> =
        (0..1000).map(|n| route(prefix(&format!("/team{}/service{n}/", n % 30)), None)).collect();
    routes.push(route(prefix("/"), None));
    table(vec![host(&["*".to_owned()], routes)])
}

fn bench(c: &mut Criterion) {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("user-agent", "bench/1"),
        ("accept", "*/*"),
        ("x-version", "1"),
        ("x-request-id", "4f0e1a2b-0000-4000-8000-000000000000"),
    ] {
        headers.insert(name, value.parse().expect("a value"));
    }
    let (connection, metadata, state, runtime) = (
        Connection::default(),
        Metadata::default(),
        FilterState::default(),
        RuntimeValues::default(),
    );
    let head = |authority, path| Head {
        method: &Method::GET,
        path,
        authority,
        scheme: "http",
        protocol: None,
        headers: &headers,
    };
    let asking = |authority, path| Asking {
        head: head(authority, path),
        connection: &connection,
        metadata: &metadata,
        state: &state,
        runtime: &runtime,
        dice: 7,
    };
    let services = services();
    for (name, authority) in [
        ("exact", "s7777.ns77.svc.cluster.local:8080"),
        ("wildcard", "www.s7777.example.com"),
        ("no host", "www.elsewhere.org"),
    ] {
        let request = asking(authority, "/api/v1/things?x=y");
        c.bench_function(&format!("route/10000 hosts/{name}"), |b| {
            b.iter(|| black_box(services.find(black_box(&request))).is_some());
        });
    }
    let paths = paths();
    for (name, path) in [("prefix", "/team9/service999/x"), ("last", "/team9/nothing/x")] {
        let request = asking("h", path);
        c.bench_function(&format!("route/1000 routes/{name}"), |b| {
            b.iter(|| black_box(paths.find(black_box(&request))).is_some());
        });
    }
    let line: Template = DEFAULT_LINE.parse().expect("the default line is one");
    let scene = Scene { request: Some(head("h.example", "/api")), ..Scene::new(&Nothing) };
    let mut out = Vec::with_capacity(512);
    c.bench_function("format/default line", |b| {
        b.iter(|| {
            out.clear();
            text(black_box(&line), &scene, Missing::Dash, &mut out);
            out.len()
        });
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
