//! Our control plane tells a gateway of manifests by discovery: to a real Envoy and to ours, in both
//! protocols; and a client of gRPC that has no proxy.
//!
//! Both take all of it, serve the same, and follow what changes.
use super::{
    peers::{Peer, python},
    stage::output,
};
use crate::{
    backend::Backends,
    case::{Ask, Headers, Protocol, Tls},
    client::Client,
    plane::{self, Plane},
    run::{self, Scene},
    server::{PATIENCE, Server, Which, await_port},
};
use serde_json::{Value, json};
use std::{
    fs, thread,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// A gateway, a service of two versions, and routes to them.
const MANIFESTS: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.example.com]
  addresses: [240.0.0.1]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 127.0.0.1, ports: {http: ${b1}}, labels: {version: v1}}
  - {address: 127.0.0.2, ports: {http: ${b2}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews.example.com
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers:
  - {port: {number: ${l}, name: http, protocol: HTTP}, hosts: ["*"]}
  - port: {number: ${s}, name: https, protocol: HTTPS}
    hosts: [case.test]
    tls: {mode: SIMPLE, credentialName: case}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
  - match: [{headers: {x-user: {exact: tester}}}]
    route: [{destination: {host: reviews.example.com, subset: v2}}]
    headers: {response: {set: {x-version: "$TURN"}}}
  - match: [{uri: {prefix: /moved/}}]
    redirect: {uri: /there, authority: other.test, redirectCode: 302}
  - match: [{uri: {prefix: /old/}}]
    rewrite: {uri: /new/}
    route: [{destination: {host: reviews.example.com, subset: v1}, headers: {request: {add: {x-old: "yes"}}}}]
  - match: [{uri: {exact: /broken}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: reviews.example.com, subset: v1}}]
  - match: [{uri: {regex: "/item/[0-9]+"}, method: {exact: GET}}, {queryParams: {v: {exact: "2"}}}]
    route: [{destination: {host: reviews.example.com, subset: v2}}]
  - match: [{uri: {exact: /said}}]
    directResponse: {status: 200, body: {string: said}}
  - match: [{uri: {prefix: /v1}}]
    route: [{destination: {host: reviews.example.com, subset: v1}}]
---
{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: case, namespace: shop}, stringData: {tls.crt: $PEM{server.pem}, tls.key: $PEM{server.key}}}
"#;

/// As whom a proxy asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A gateway of the manifests, which listens where they say.
    Router,
    /// A proxy of a client in the mesh, which has a listener of its own for a service.
    Sidecar,
}

/// One with the routes that clients of the service have.
fn own_listener(port: u16) -> Value {
    let types = "type.googleapis.com/envoy.extensions.filters";
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": format!("{types}.http.router.v3.Router"), "suppress_envoy_headers": true,
    }});
    let fault = json!({"name": "envoy.filters.http.fault", "typed_config": {
        "@type": format!("{types}.http.fault.v3.HTTPFault"),
    }});
    let manager = json!({
        "@type": format!("{types}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "own", "http_filters": [fault, router],
        "rds": {
            "route_config_name": "reviews.example.com:80",
            "config_source": {"ads": {}, "resource_api_version": "V3"},
        },
    });
    let filter = json!({
        "name": "envoy.filters.network.http_connection_manager", "typed_config": manager,
    });
    json!({
        "name": "own",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [filter]}],
    })
}

/// What is asked, over and over.
fn asks(role: Role) -> Vec<Ask> {
    let get = |path: &str| Ask { get: Some(path.to_owned()), ..Ask::default() };
    let user = Headers::List(vec![("x-user".to_owned(), "tester".to_owned())]);
    let mut asks = vec![
        get("/v1/a"),
        get("/said"),
        get("/broken"),
        get("/moved/x?y=1"),
        get("/old/thing?z=1"),
        get("/nothing"),
        get("/item/12"),
        get("/item/x"),
        get("/v1/b?v=2"),
        Ask { headers: user.clone(), ..get("/v1/a") },
        Ask { headers: user, ..get("/nothing") },
        Ask { post: Some("/item/12".into()), body: Some("abc".into()), ..Ask::default() },
    ];
    let tls = Tls { sni: Some("case.test".into()), ..Tls::default() };
    let secured = asks.clone().into_iter().map(|ask| Ask {
        to: Some("s".into()),
        host: Some("case.test".into()),
        tls: Some(tls.clone()),
        ..ask
    });
    if role == Role::Router {
        asks.extend(secured.collect::<Vec<_>>());
    }
    let by_h2 = asks.iter().filter(|ask| ask.tls.is_none());
    let by_h2 = by_h2.map(|ask| Ask { protocol: Protocol::H2, ..ask.clone() });
    asks.extend(by_h2.collect::<Vec<_>>());
    asks
}

/// What clients and servers see; without what differs between two runs of one proxy.
fn told(answer: &Value, seen: &[Value]) -> Value {
    let plain = |value: &Value| {
        let mut value = value.clone();
        if let Some(headers) = value.get_mut("headers").and_then(Value::as_array_mut) {
            let passing = ["date", "x-request-id", "x-envoy-upstream-service-time"];
            headers.retain(|pair| !passing.iter().any(|name| pair[0] == *name));
            headers.sort_by_key(ToString::to_string);
        }
        value
    };
    json!({"answer": plain(answer), "seen": seen.iter().map(plain).collect::<Vec<_>>()})
}

/// What one proxy makes of it: a proxy that takes everything, and follows changes.
fn run(which: Which, (api_type, role): (&str, Role), scene: &Scene, plane: &Plane) -> Vec<Value> {
    let runtime = run::runtime();
    let (admin, listener) = (scene.ports.named()["admin"], scene.ports.named()["l"]);
    let file = scene.dir.join(format!("{}.json", which.name()));
    let (kind, listeners) = match role {
        Role::Router => ("router", json!([])),
        Role::Sidecar => ("sidecar", json!([own_listener(listener)])),
    };
    let bootstrap = plane.bootstrap((api_type, kind), admin, &listeners);
    fs::write(&file, serde_json::to_string_pretty(&bootstrap).unwrap()).unwrap();
    let (mut tasks, backends) = (JoinSet::new(), Backends::default());
    for (name, port) in scene.ports.named() {
        runtime.block_on(backends.start(&mut tasks, name, *port, &scene.certificates));
    }
    plane.turn(0);
    let mut server = Server::start_as(which, which.bare(&file), &file, admin).unwrap();
    let named = scene.ports.named().clone();
    let mut client = Client::new(named, scene.certificates.clone());
    let mut all = Vec::new();
    await_turn(&runtime, &mut client, 0);
    for _ in 0..5 {
        for ask in asks(role) {
            backends.play(&[]);
            let answer = runtime.block_on(client.ask(&ask));
            all.push(told(&answer, &backends.seen()));
        }
    }
    // What changes comes, too, and nothing of it was refused.
    for turn in 1..=10 {
        plane.turn(turn);
        await_turn(&runtime, &mut client, turn);
    }
    let stats = server.stats();
    let refused =
        stats.iter().filter(|(name, count)| name.contains("update_rejected") && **count > 0);
    assert_eq!(refused.collect::<Vec<_>>(), [], "{}", server.said());
    server.stop();
    all
}

/// Asks until routes say that version.
fn await_turn(runtime: &tokio::runtime::Runtime, client: &mut Client, turn: u32) {
    let user = Headers::List(vec![("x-user".to_owned(), "tester".to_owned())]);
    let ask = Ask { get: Some("/v1/turn".into()), headers: user, ..Ask::default() };
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = runtime.block_on(client.ask(&ask));
        let is_there = answer["headers"].as_array().is_some_and(|all| {
            all.iter().any(|pair| pair[0] == "x-version" && pair[1] == turn.to_string().as_str())
        });
        if is_there {
            return;
        }
        assert!(Instant::now() < until, "version {turn} does not come: {answer}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn both(name: &str, manifests: &str, (api_type, role): (&str, Role)) {
    let mut scene = Scene::make(&format!("story::served_{name}"));
    for name in ["b2", "s", plane::PORT] {
        scene.ports.of(name);
    }
    let manifests = scene.fill(manifests);
    let plane = Plane::start(&scene, &manifests);
    let [envoy, ours] =
        [Which::Envoy, Which::Culvert].map(|which| run(which, (api_type, role), &scene, &plane));
    assert!(envoy.len() >= 100, "only {}", envoy.len());
    for (at, (envoy, ours)) in envoy.iter().zip(&ours).enumerate() {
        assert_eq!(envoy, ours, "request {at}");
    }
}

pub(super) fn by_changes() {
    both("changes", MANIFESTS, ("DELTA_GRPC", Role::Router));
}

pub(super) fn by_states_of_the_world() {
    both("states", MANIFESTS, ("GRPC", Role::Router));
}

/// The same routes, for clients in the mesh.
pub(super) fn to_a_sidecar() {
    let of_mesh =
        MANIFESTS.replace("hosts: [\"*\"]\n  gateways: [edge]", "hosts: [reviews.example.com]");
    assert!(of_mesh != MANIFESTS);
    both("sidecar", &of_mesh, ("DELTA_GRPC", Role::Sidecar));
}

/// Services where gRPC is spoken; calls of one user go elsewhere.
const CALLS: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: calls, namespace: shop}
spec:
  hosts: [calls.example.com]
  addresses: [240.0.0.1]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: grpc, protocol: GRPC}]
  endpoints: [{address: 127.0.0.1, ports: {grpc: ${calls}}}]
"#;

/// A client of Python's gRPC that follows by itself.
pub(super) fn a_client_without_a_proxy() {
    let mut scene = Scene::make("story::served_calls");
    scene.ports.of(plane::PORT);
    let manifests = scene.fill(CALLS);
    let plane = Plane::start(&scene, &manifests);
    let calls = scene.ports.named()["calls"];
    let server = Peer(python("calls.py").args(["serve", &calls.to_string()]).spawn().unwrap());
    await_port(calls);
    let file = scene.dir.join("xds.json");
    let bootstrap = json!({
        "xds_servers": [{
            "server_uri": format!("127.0.0.1:{}", plane.port()),
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        }],
        "node": {
            "id": "sidecar~127.0.0.1~client.shop~shop.svc.cluster.local",
            "metadata": {"NAMESPACE": "shop", "GENERATOR": "grpc"},
        },
    });
    fs::write(&file, bootstrap.to_string()).unwrap();
    let mut client = python("calls.py");
    client.env("GRPC_XDS_BOOTSTRAP", &file);
    let said = output(client.args(["call", "xds:///calls.example.com:80", "1000"]));
    assert_eq!(
        said.trim(),
        "unary 1 server-stream 1000 client-stream 1000 both 1000 cancelled deadline error"
    );
    drop(server);
}
