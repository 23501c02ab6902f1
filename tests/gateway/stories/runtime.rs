//! A layer of the runtime that a server of discovery says.
use super::{stage::Stage, told::Told, transports::answers};
use crate::run::Scene;
use serde_json::Value;

fn configuration(api_type: &str) -> String {
    format!(
        "
process:
  node: {{id: node-1, cluster: case}}
  dynamic_resources:
    ads_config: {{api_type: {api_type}, transport_api_version: V3, grpc_services: [{{envoy_grpc: {{cluster_name: told}}}}]}}
  layered_runtime: {{layers: [{{name: below, static_layer: {{route.on: 0}}}}, {{name: said, rtds_layer: {{name: rt, rtds_config: {{ads: {{}}, resource_api_version: V3}}}}}}]}}
clusters: {{told: {{h2: true}}}}
routes:
- {{match: {{path: /, runtime_fraction: {{default_value: {{numerator: 0}}, runtime_key: route.on}}}}, route: {{cluster: b1}}}}
- {{match: {{prefix: /}}, direct_response: {{status: 299}}}}
logs: []
"
    )
}

/// A key of it decides which route a request takes; without it the layer below does.
fn story(name: &str, api_type: &str) {
    let put = |told: &mut Told, keys: &str| {
        told.put("runtime", &format!(r#"{{"rt": runtime("rt", {keys})}}"#));
    };
    let first = |scene: &Scene| {
        let mut told = Told::start(scene);
        put(&mut told, r#"{"route.on": 100}"#);
        told
    };
    let (stage, mut told) = Stage::start_after(name, &configuration(api_type), first);
    answers(&stage, "by the route", |answer| answer["line"] == "HTTP/1.1 200 OK");
    let shown = stage.server.admin("GET", "/runtime").unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["layers"], serde_json::json!(["below", "said"]), "{shown}");
    assert_eq!(shown["entries"]["route.on"]["final_value"], "100", "{shown}");
    told.hears("ack runtime");
    put(&mut told, r#"{"route.on": 0}"#);
    answers(&stage, "by the other route", |answer| answer["line"] == "HTTP/1.1 299 Unknown");
    put(&mut told, r#"{"route.on": 100}"#);
    answers(&stage, "by the route again", |answer| answer["line"] == "HTTP/1.1 200 OK");
    put(&mut told, "{}");
    answers(&stage, "as the layer below says", |answer| answer["line"] == "HTTP/1.1 299 Unknown");
}

pub(super) fn state_of_the_world() {
    story("rtds", "GRPC");
}

pub(super) fn delta() {
    story("rtds_of_changes", "DELTA_GRPC");
}
