//! Istio's own dashboards, asked of a real Prometheus that scrapes two nodes.
use super::{
    get,
    requests::{EMPTY, SHOP},
    service, versions, vip,
};
use e2e::{Mesh, PATIENCE, Running, bookinfo::corpus, programs};
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Instant,
};

const DASHBOARDS: [&str; 3] = [
    "istio-mesh-dashboard.gen.json",
    "istio-service-dashboard.json",
    "istio-workload-dashboard.json",
];

/// What stands for what a person chooses, the longest names first.
const CHOSEN: [(&str, &str); 11] = [
    ("$__rate_interval", "1m"),
    ("$srccluster", ".*"),
    ("$dstcluster", ".*"),
    ("$namespace", "mesh"),
    ("$workload", ".*"),
    ("$service", "shop.mesh.svc.cluster.local"),
    ("$srcns", ".*"),
    ("$srcwl", ".*"),
    ("$dstns", ".*"),
    ("$dstwl", ".*"),
    ("$dstsvc", ".*"),
];

/// How often Prometheus asks.
const INTERVAL: &str = "1s";

const PORT: u16 = 9090;

/// Every query of a dashboard, its variables' included.
fn queries(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(query) if key == "expr" => found.push(query.clone()),
                    Value::String(query) => {
                        let inner = query.strip_prefix("query_result(");
                        found.extend(inner.and_then(|it| it.strip_suffix(')')).map(str::to_owned));
                    }
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_) => queries(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn all_queries(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in DASHBOARDS {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let before = all.len();
        queries(&serde_json::from_str(&text).unwrap(), &mut all);
        assert!(before < all.len(), "{name} asks nothing");
    }
    let mut all: Vec<String> = all
        .into_iter()
        .map(|query| {
            let query = query.replace("$qrep", "source|destination");
            let query =
                CHOSEN.iter().fold(query, |query, (name, value)| query.replace(name, value));
            // Of one workload, which is not chosen by a pattern there.
            query.replace("destination_workload=\".*\"", "destination_workload=\"first\"")
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    assert!(all.iter().all(|query| !query.contains('$')), "a variable is not chosen: {all:#?}");
    all
}

/// A Prometheus on node `a` that scrapes both.
fn prometheus(mesh: &Mesh) -> Running {
    let targets = ["a", "b"].map(|name| format!("'{}:15020'", mesh.node(name).ns.ip4()));
    let config = format!(
        "global: {{scrape_interval: {INTERVAL}, scrape_timeout: {INTERVAL}}}
scrape_configs:
- job_name: culvert
  static_configs: [{{targets: [{}]}}]
",
        targets.join(", ")
    );
    let file = mesh.folder().join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let mut prometheus = programs::of_machine("prometheus", "prometheus");
    prometheus.arg(format!("--config.file={}", file.display()));
    prometheus.arg(format!("--storage.tsdb.path={}", mesh.folder().join("tsdb").display()));
    prometheus.arg(format!("--web.listen-address=127.0.0.1:{PORT}"));
    mesh.node("a").start_program(prometheus)
}

/// How many series answer a query; an error is one of the query.
fn answers(mesh: &Mesh, query: &str) -> usize {
    let safe = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let escaped: String = query.bytes().map(safe).collect();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let Some((_, body)) = mesh.node("a").ask(at, &format!("/api/v1/query?query={escaped}")) else {
        return 0;
    };
    let said: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_ne!(said["status"], "error", "{query}: {body}");
    said["data"]["result"].as_array().map_or(0, Vec::len)
}

/// Some of everything the dashboards tell apart: HTTP and TCP, by tunnel and without, served and not.
fn traffic(mesh: &Mesh) {
    for from in ["client", "near"] {
        drop(get(mesh, from, "/", &[]));
        drop(mesh.pod(from).dial("plain", vip(90)));
    }
    drop(mesh.pod("client").peer(&["get", "10.96.7.12:80", "/"]).last_words());
}

#[test]
fn every_query_of_istios_dashboards_is_answered() {
    let Some(dashboards) = corpus("dashboards") else { return };
    let mesh = Mesh::start("l7dashboards", |m| {
        m.plane();
        m.node("a").pod("client");
        versions(m.node("b").pod("near"));
    });
    mesh.write("shop.yaml", &service());
    mesh.write("empty.yaml", EMPTY);
    let _servers = ["first", "second"].map(|pod| mesh.pod(pod).serve("http", 8080));
    let _greeters = ["first", "second"].map(|pod| mesh.pod(pod).serve("greet", 9090));
    let _prometheus = prometheus(&mesh);
    let mut left = all_queries(&dashboards);
    left.push(format!("sum(rate(istio_requests_total{{{SHOP}}}[1m])) > 0"));
    let until = Instant::now() + 3 * PATIENCE;
    // What paces it is traffic, which takes its time.
    while !left.is_empty() {
        assert!(Instant::now() < until, "{} queries without an answer: {left:#?}", left.len());
        traffic(&mesh);
        left.retain(|query| answers(&mesh, query) == 0);
    }
}
