//! What operators' tools read: answers of both admin doors have the same shapes.
use crate::{
    backend::Backends,
    client::Client,
    run::{self, Scene},
    server::{Server, Which},
};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::task::JoinSet;

const CONFIGURATION: &str = r#"
process: {node: {id: node-1, cluster: case}, dynamic_resources: {cds_config: {path_config_source: {path: "${dir}/cds.yaml"}, resource_api_version: V3}}}
files:
  cds.yaml: |
    version_info: seven
    resources:
    - {"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: dynamic, type: EDS, connect_timeout: 1s, eds_cluster_config: {service_name: svc, eds_config: {path_config_source: {path: ${dir}/eds.yaml}, resource_api_version: V3}}}
  eds.yaml: |
    version_info: eight
    resources:
    - {"@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, cluster_name: svc, endpoints: [{locality: {region: r, zone: z}, priority: 0, lb_endpoints: [{endpoint: {hostname: h, address: {socket_address: {address: 127.0.0.1, port_value: ${b2}}}}}]}]}
  rds.yaml: |
    version_info: nine
    resources:
    - {"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: table, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: dynamic}}]}]}
manager: {rds: {route_config_name: table, config_source: {path_config_source: {path: "${dir}/rds.yaml"}, resource_api_version: V3}}}
logs: []
"#;

/// What only one of both has. Envoy tells of its build and flags, and what it has none of; we say of
/// each resource what its server thinks of it, and give endpoints a version.
const ITS_OWN: &[&str] = &[
    "/server_info .command_line_options.",
    "/server_info .hot_restart_initializing",
    "/server_info .node.",
    "/config_dump?include_eds .configs[]BootstrapConfigDump.bootstrap.node.",
    "/config_dump?include_eds .configs[]ScopedRoutesConfigDump.@type",
    "/config_dump?include_eds .configs[]EcdsConfigDump.@type",
    "/config_dump?include_eds .configs[]ClustersConfigDump.dynamic_active_clusters[].client_status",
    "/config_dump?include_eds .configs[]RoutesConfigDump.dynamic_route_configs[].client_status",
    "/config_dump?include_eds .configs[]EndpointsConfigDump.dynamic_endpoint_configs[].client_status",
    "/config_dump?include_eds .configs[]EndpointsConfigDump.dynamic_endpoint_configs[].last_updated",
    "/config_dump?include_eds .configs[]EndpointsConfigDump.dynamic_endpoint_configs[].version_info",
];

/// Where both are asked.
const PLACES: &[&str] = &[
    "/clusters?format=json",
    "/listeners?format=json",
    "/server_info",
    "/config_dump?include_eds",
];

pub(super) fn shapes() {
    let theirs = answers(Which::Envoy);
    let ours = answers(Which::Culvert);
    let its_own = |path: &&String| ITS_OWN.iter().any(|own| path.starts_with(own));
    let missing: Vec<_> = theirs.difference(&ours).filter(|path| !its_own(path)).collect();
    let more: Vec<_> = ours.difference(&theirs).filter(|path| !its_own(path)).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
}

/// All fields of all places, after one request.
fn answers(which: Which) -> BTreeSet<String> {
    let mut scene = Scene::make("story::admin");
    let case = scene.read("story::admin", CONFIGURATION);
    let (runtime, mut tasks, backends) = (run::runtime(), JoinSet::new(), Backends::default());
    for (name, port) in scene.ports.named() {
        runtime.block_on(backends.start(&mut tasks, name, *port, &scene.certificates));
    }
    let file = scene.write(&case);
    let server = Server::start(which, &file, scene.ports.named()["admin"]).unwrap();
    let mut client = Client::new(scene.ports.named().clone(), scene.certificates.clone());
    let ask = crate::case::Ask { get: Some("/".into()), ..Default::default() };
    let answer = runtime.block_on(client.ask(&ask));
    assert_eq!(answer["line"], "HTTP/1.1 200 OK", "{answer}");
    let mut paths = BTreeSet::new();
    for place in PLACES {
        let said = server.admin("GET", place).unwrap_or_else(|| panic!("{place} is not answered"));
        let value = serde_json::from_str(&said).unwrap();
        walk(&format!("{place} "), &value, &mut paths);
        if place.starts_with("/config_dump") {
            versions(&value);
        }
    }
    levels(&server);
    paths
}

/// Resources of each kind say the version that their file says, and since when.
fn versions(dump: &Value) {
    let kinds = [
        ("ClustersConfigDump", "dynamic_active_clusters", "seven"),
        ("EndpointsConfigDump", "dynamic_endpoint_configs", "eight"),
        ("RoutesConfigDump", "dynamic_route_configs", "nine"),
    ];
    for (kind, list, version) in kinds {
        let parts = dump["configs"].as_array().unwrap();
        let is_it = |part: &&Value| {
            part["@type"].as_str().is_some_and(|of| of.ends_with(&format!(".{kind}")))
        };
        let part = parts.iter().find(is_it).unwrap_or_else(|| panic!("no {kind}: {dump:#}"));
        let first = &part[list][0];
        // Endpoints of Envoy have none.
        if kind != "EndpointsConfigDump" {
            assert_eq!(first["version_info"], version, "{part:#}");
            let since = first["last_updated"].as_str().unwrap_or_default();
            assert!(since.ends_with('Z') && since.contains('T'), "{part:#}");
        }
    }
}

/// Levels are shown, set for all and for one, and refused.
fn levels(server: &Server) {
    let set = |path: &str| server.admin("POST", path);
    let shown = set("/logging").unwrap();
    assert!(shown.starts_with("active loggers:\n"), "{shown}");
    let shown = set("/logging?level=error").unwrap();
    let mut lines = shown.lines().skip(1).filter(|line| !line.is_empty());
    assert!(lines.all(|line| line.ends_with(": error")), "{shown}");
    let shown = set("/logging?http=debug").unwrap();
    let of = |name: &str| shown.lines().find(|line| line.trim().starts_with(name));
    assert_eq!(of("http: ").map(str::trim), Some("http: debug"), "{shown}");
    assert_eq!(of("upstream: ").map(str::trim), Some("upstream: error"), "{shown}");
    let shown = set("/logging?paths=upstream:info,http:warning").unwrap();
    let of = |name: &str| shown.lines().find(|line| line.trim().starts_with(name));
    assert_eq!(of("upstream: ").map(str::trim), Some("upstream: info"), "{shown}");
    assert_eq!(of("http: ").map(str::trim), Some("http: warning"), "{shown}");
    assert_eq!(set("/logging?level=loud"), None);
    assert_eq!(set("/logging?nobody=debug"), None);
}

/// The names of all fields; those of lists as one, and of resources themselves none.
fn walk(at: &str, value: &Value, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let kind = fields.get("@type").and_then(Value::as_str).unwrap_or_default();
            let kind = kind.rsplit('.').next().unwrap_or_default();
            if !kind.is_empty() && !kind.ends_with("Dump") {
                return;
            }
            for (name, value) in fields {
                let at = format!("{at}{kind}.{name}");
                paths.insert(at.clone());
                walk(&at, value, paths);
            }
        }
        Value::Array(all) => all.iter().for_each(|one| walk(&format!("{at}[]"), one, paths)),
        _ => (),
    }
}
