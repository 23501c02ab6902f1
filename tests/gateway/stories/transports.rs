//! Every way that resources come, by a real process: what is good is in force, what is not is refused
//! where its server hears of it, with the place, and what was good before stays.
use super::{
    peers::{Peer, python},
    plane::{await_version, client},
    rotation,
    stage::{Stage, output},
    told::Told,
};
use crate::{
    case::Ask,
    run::Scene,
    server::{PATIENCE, await_port},
};
use serde_json::Value;
use std::{fs, net::TcpStream, thread, time::Duration, time::Instant};

/// One stream for everything, in one of both protocols.
fn aggregated(api_type: &str, more: &str) -> String {
    format!(
        "
process:
  node: {{id: node-1, cluster: case}}
  dynamic_resources:
    ads_config: {{api_type: {api_type}, transport_api_version: V3, grpc_services: [{{envoy_grpc: {{cluster_name: told}}}}]}}
    cds_config: {{ads: {{}}, resource_api_version: V3}}
logs: []
{more}"
    )
}

const ROUTES: &str = "
clusters: {told: {h2: true}, unused: {to: [b1, b2]}}
manager: {rds: {route_config_name: table, config_source: {ads: {}, resource_api_version: V3}}}
";

fn get(stage: &Stage) -> Value {
    stage.runtime.block_on(client(stage).ask(&Ask { get: Some("/".into()), ..Ask::default() }))
}

/// Asks until the answer is as it should be.
pub(super) fn answers(stage: &Stage, what: &str, is_it: impl Fn(&Value) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = get(stage);
        if is_it(&answer) {
            return;
        }
        assert!(Instant::now() < until, "never {what}: {answer}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn has_header(answer: &Value, name: &str, value: &str) -> bool {
    answer["headers"]
        .as_array()
        .is_some_and(|all| all.iter().any(|pair| pair[0] == name && pair[1] == value))
}

/// Looks at the configuration until it is as it should be.
fn dump(stage: &Stage, what: &str, is_it: impl Fn(&Value) -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let text = stage.server.admin("GET", "/config_dump?include_eds").unwrap();
        if is_it(&serde_json::from_str(&text).unwrap()) {
            return;
        }
        assert!(Instant::now() < until, "never {what}: {text}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The part of a dump whose type ends like this.
fn part<'a>(dump: &'a Value, kind: &str) -> &'a Value {
    let parts = dump["configs"].as_array().unwrap();
    let is_it = |part: &&Value| part["@type"].as_str().is_some_and(|of| of.ends_with(kind));
    parts.iter().find(is_it).unwrap_or(&Value::Null)
}

/// Routes, clusters and endpoints: refused ones are refused by name, endpoints that are held serve a
/// changed cluster at once, and what has a time to live dies.
fn aggregated_story(name: &str, api_type: &str) {
    let first = |scene: &Scene| {
        let mut told = Told::start(scene);
        let at = scene.ports.named()["b1"];
        told.put("cluster", r#"{"a": cluster("a")}"#);
        told.put("endpoint", &format!(r#"{{"a": assignment("a", {at})}}"#));
        told.put("route", r#"{"table": table(1, [route("/", "a")])}"#);
        told
    };
    let (stage, mut told) = Stage::start_after(name, &aggregated(api_type, ROUTES), first);
    await_version(&stage, 1);
    told.put(
        "route",
        r#"{"table": field(1, "table") + field(2, field(1, "v") + field(2, "a.*.b"))}"#,
    );
    let said = told.hears("nack route");
    let place = "table: virtual_hosts[0].domains[0]: \"a.*.b\": a * is possible as the first";
    assert!(said.contains(place), "{said}");
    await_version(&stage, 1);
    dump(&stage, "says what was refused", |all| {
        let tables = &part(all, "RoutesConfigDump")["dynamic_route_configs"];
        let details = &tables[0]["error_state"]["details"];
        details.as_str().is_some_and(|details| details.contains("virtual_hosts[0].domains[0]"))
    });
    client_status(&stage);
    told.put("route", r#"{"table": table(2, [route("/", "a")])}"#);
    await_version(&stage, 2);

    // Nobody says endpoints again.
    told.put("cluster", r#"{"a": cluster("a", 7)}"#);
    dump(&stage, "uses the changed cluster with the endpoints it has", |all| {
        let active = &part(all, "ClustersConfigDump")["dynamic_active_clusters"];
        active[0]["cluster"]["connect_timeout"] == "7s"
    });
    assert_eq!(get(&stage)["line"], "HTTP/1.1 200 OK");

    let at = stage.port("b1");
    told.put("endpoint 1", &format!(r#"{{"a": assignment("a", {at})}}"#));
    answers(&stage, "without endpoints", |answer| {
        answer["line"] == "HTTP/1.1 503 Service Unavailable"
    });
    told.put("endpoint", &format!(r#"{{"a": assignment("a", {at})}}"#));
    answers(&stage, "with endpoints again", |answer| answer["line"] == "HTTP/1.1 200 OK");
}

/// The same by the service of client status.
fn client_status(stage: &Stage) {
    let said = output(python("csds.py").arg(stage.port("admin").to_string()));
    let line = |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("Cluster a ").contains(" ACKED content"), "{said}");
    assert!(line("RouteConfiguration table ").contains(" NACKED content"), "{said}");
    assert!(line("RouteConfiguration table ").contains("virtual_hosts[0].domains[0]"), "{said}");
}

pub(super) fn state_of_the_world() {
    aggregated_story("ads", "GRPC");
}

pub(super) fn delta() {
    aggregated_story("ads_delta", "DELTA_GRPC");
}

/// A filter that comes by itself.
fn filter_story(name: &str, api_type: &str) {
    let more = r#"
clusters: {told: {h2: true}}
filters:
- name: late
  config_discovery:
    config_source: {ads: {}, resource_api_version: V3}
    type_urls: [type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation]
"#;
    let put = |told: &mut Told, value: &str| {
        told.put("filter", &format!(r#"{{"late": adds_header("late", "x-by", "{value}")}}"#));
    };
    let first = |scene: &Scene| {
        let mut told = Told::start(scene);
        told.put("cluster", "{}");
        put(&mut told, "one");
        told
    };
    let (stage, mut told) = Stage::start_after(name, &aggregated(api_type, more), first);
    answers(&stage, "by the first", |answer| has_header(answer, "x-by", "one"));
    put(&mut told, "two");
    answers(&stage, "by the second", |answer| has_header(answer, "x-by", "two"));
    told.put(
        "filter",
        r#"{"late": field(1, "late") + field(2, any_of("a.b/no.such.Filter", b""))}"#,
    );
    let said = told.hears("nack filter");
    assert!(said.contains("late: typed_config: no HTTP filter no.such.Filter is known"), "{said}");
    assert!(has_header(&get(&stage), "x-by", "two"));
    put(&mut told, "three");
    answers(&stage, "by the third", |answer| has_header(answer, "x-by", "three"));
}

pub(super) fn filters() {
    filter_story("ecds", "GRPC");
}

pub(super) fn filters_delta() {
    filter_story("ecds_delta", "DELTA_GRPC");
}

/// Certificates by a stream of their own.
fn secret_story(name: &str, api_type: &str) {
    let configuration = format!(
        r#"
process: {{node: {{id: node-1, cluster: case}}}}
clusters: {{told: {{h2: true}}}}
chain: {{transport_socket: {{name: tls, typed_config: {{"@type": "${{T}}.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context: {{alpn_protocols: [h2, http/1.1], tls_certificate_sds_secret_configs: [{{name: main, sds_config: {{resource_api_version: V3, api_config_source: {{api_type: {api_type}, transport_api_version: V3, grpc_services: [{{envoy_grpc: {{cluster_name: told}}}}]}}}}}}]}}}}}}}}
"#
    );
    let put = |told: &mut Told, at: &std::path::Path, name: &str| {
        let at = at.display();
        told.put("secret", &format!(r#"{{"main": secret("main", "{at}", "{name}")}}"#));
    };
    let first = |scene: &Scene| {
        let mut told = Told::start(scene);
        put(&mut told, &scene.certificates, "server");
        told
    };
    let (stage, mut told) = Stage::start_after(name, &configuration, first);
    rotation::under_load(&stage, |stage, name| put(&mut told, &stage.scene.certificates, name));
    told.put("secret", r#"{"main": secret("main", "/nowhere", "server")}"#);
    let said = told.hears("nack secret");
    assert!(said.contains("main: tls_certificate.certificate_chain"), "{said}");
}

pub(super) fn secrets() {
    secret_story("sds", "GRPC");
}

pub(super) fn secrets_delta() {
    secret_story("sds_delta", "DELTA_GRPC");
}

const POLLED: &str = r#"
process:
  node: {id: node-1, cluster: case}
  dynamic_resources:
    cds_config: {resource_api_version: V3, api_config_source: {api_type: REST, transport_api_version: V3, cluster_names: [poll], refresh_delay: 0.05s}}
clusters: {poll: {}}
manager: {rds: {route_config_name: table, config_source: {resource_api_version: V3, api_config_source: {api_type: REST, transport_api_version: V3, cluster_names: [poll], refresh_delay: 0.05s}}}}
logs: []
"#;

pub(super) fn rest() {
    let first = |scene: &Scene| {
        let port = scene.ports.named()["poll"];
        polled(scene, "clusters", 1, &cluster(scene.ports.named()["b1"]));
        polled(scene, "routes", 1, &table(1, "/"));
        let mut server = python("rest.py");
        let server = Peer(server.arg(port.to_string()).arg(&scene.dir).spawn().unwrap());
        await_port(port);
        server
    };
    let (stage, _server) = Stage::start_after("rest", POLLED, first);
    await_version(&stage, 1);
    polled(&stage.scene, "routes", 2, &table(2, ""));
    dump(&stage, "says what was refused", |all| {
        let tables = &part(all, "RoutesConfigDump")["dynamic_route_configs"];
        let details = &tables[0]["error_state"]["details"];
        details
            .as_str()
            .is_some_and(|details| details.starts_with("virtual_hosts[0].routes[0].match"))
    });
    await_version(&stage, 1);
    polled(&stage.scene, "routes", 3, &table(3, "/"));
    await_version(&stage, 3);
    let until = Instant::now() + PATIENCE;
    loop {
        let asked = fs::read_to_string(stage.scene.dir.join("asked")).unwrap();
        if asked.contains("routes [table] 3 node-1") {
            assert!(asked.contains("clusters []  node-1\n"), "{asked}");
            assert!(!asked.contains("routes [table] 2"), "refused: {asked}");
            return;
        }
        assert!(Instant::now() < until, "{asked}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Puts another response in the place of the file, at one stroke.
fn polled(scene: &Scene, kind: &str, version: u32, resource: &str) {
    let draft = scene.dir.join("draft.json");
    let text = format!(r#"{{"version_info": "{version}", "resources": [{resource}]}}"#);
    fs::write(&draft, text).unwrap();
    fs::rename(&draft, scene.dir.join(format!("{kind}.json"))).unwrap();
}

fn cluster(port: u16) -> String {
    format!(
        r#"{{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a", "connect_timeout": "2s",
        "load_assignment": {{"cluster_name": "a", "endpoints": [{{"lb_endpoints": [{{"endpoint": {{"address":
        {{"socket_address": {{"address": "127.0.0.1", "port_value": {port}}}}}}}}}]}}]}}}}"#
    )
}

/// Nothing matches without a prefix.
fn table(version: u32, prefix: &str) -> String {
    let matched = match prefix {
        "" => "{}".to_owned(),
        prefix => format!(r#"{{"prefix": "{prefix}"}}"#),
    };
    format!(
        r#"{{"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "table",
        "response_headers_to_add": [{{"header": {{"key": "x-version", "value": "{version}"}}}}],
        "virtual_hosts": [{{"name": "v", "domains": ["*"], "routes": [{{"match": {matched}, "route": {{"cluster": "a"}}}}]}}]}}"#
    )
}

const BOTH_WAYS: &str = r#"
listeners:
- {name: in, traffic_direction: INBOUND, address: &in {socket_address: {address: 127.0.0.1, port_value: ${l}}}, filter_chains: &chains [{filters: [{name: t, typed_config: {"@type": "${T}.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix: t, cluster: b1}}]}]}
- {name: out, traffic_direction: OUTBOUND, address: {socket_address: {address: 127.0.0.1, port_value: ${out}}}, filter_chains: *chains}
"#;

/// Listeners of inbound traffic go, the others stay.
pub(super) fn inbound_only() {
    let stage = Stage::start("inbound_only", BOTH_WAYS);
    let connects = |name: &str| TcpStream::connect(("127.0.0.1", stage.port(name))).is_ok();
    assert!(connects("l") && connects("out"));
    assert_eq!(stage.server.admin("POST", "/drain_listeners?inboundonly").as_deref(), Some("OK\n"));
    assert!(!connects("l") && connects("out"));
    let said = stage.server.admin("GET", "/listeners").unwrap();
    assert!(said.contains(&format!("out::127.0.0.1:{}", stage.port("out"))), "{said}");
    assert!(!said.contains(&format!("127.0.0.1:{}", stage.port("l"))), "{said}");
}
