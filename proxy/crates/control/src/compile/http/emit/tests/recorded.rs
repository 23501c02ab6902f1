//! Sets that a real Envoy is asked about: they are recorded for the tests of the gateway.
//!
//! `CULVERT_RECORD=1` writes what they are now.
use super::{
    super::{Emitter, Resource, Scope},
    SHOP, engine, scene,
    shown::{gateway, gateway_scope, policies, shop_plan},
    wide,
};
use crate::compile::http::plan::Plan;
use culvert_proto::json;
use culvert_xds::envoy::kind::Kind;
use serde_json::{Map, Value, json};
use std::{env, fs, path::Path};

fn of_kind(emitter: &Emitter, kind: Kind) -> Vec<Value> {
    let all = emitter.resources().values().filter(|one| one.kind == kind);
    all.map(|one: &std::sync::Arc<Resource>| json::write_any(&one.any.type_url, &one.any.value))
        .collect()
}

/// The same, where nothing comes by a stream: all is said in one place.
fn bootstrap(emitter: &Emitter) -> Value {
    let by = |values: Vec<Value>, field: &str| -> Map<String, Value> {
        let named = |value: Value| (value[field].as_str().unwrap().to_owned(), value);
        values.into_iter().map(named).collect()
    };
    let tables = by(of_kind(emitter, Kind::Route), "name");
    let assignments = by(of_kind(emitter, Kind::Endpoint), "cluster_name");
    let mut secrets = Map::new();
    let mut listeners = Value::Array(of_kind(emitter, Kind::Listener));
    let mut clusters = Value::Array(of_kind(emitter, Kind::Cluster));
    settle(&mut listeners, &tables, &mut secrets);
    settle(&mut clusters, &tables, &mut secrets);
    for cluster in clusters.as_array_mut().unwrap() {
        let cluster = cluster.as_object_mut().unwrap();
        if cluster.remove("eds_cluster_config").is_some() {
            let assignment = &assignments[cluster["name"].as_str().unwrap()];
            cluster.insert("load_assignment".into(), assignment.clone());
            cluster.insert("type".into(), "STATIC".into());
        }
    }
    let secrets: Vec<Value> = secrets.into_iter().map(|(_, secret)| secret).collect();
    for value in [&mut listeners, &mut clusters] {
        value.as_array_mut().unwrap().iter_mut().for_each(|one| {
            one.as_object_mut().unwrap().remove("@type");
        });
    }
    json!({"static_resources": {"listeners": listeners, "clusters": clusters, "secrets": secrets}})
}

/// Puts route tables where they are named, and notes secrets.
fn settle(value: &mut Value, tables: &Map<String, Value>, secrets: &mut Map<String, Value>) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| settle(one, tables, secrets)),
        Value::Object(object) => {
            if let Some(rds) = object.remove("rds") {
                let mut table = tables[rds["route_config_name"].as_str().unwrap()].clone();
                table.as_object_mut().unwrap().remove("@type");
                object.insert("route_config".into(), table);
            }
            if object.remove("sds_config").is_some() {
                let name = object["name"].as_str().unwrap().to_owned();
                secrets.insert(name.clone(), secret(&name));
            }
            object.values_mut().for_each(|one| settle(one, tables, secrets));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn secret(name: &str) -> Value {
    // Those who run it know where certificates are.
    let file = |name: &str| json!({"filename": format!("${{certs}}/{name}")});
    match name.ends_with("-cacert") {
        true => json!({"name": name, "validation_context": {"trusted_ca": file("ca.pem")}}),
        false => json!({"name": name, "tls_certificate": {
            "certificate_chain": file("server.pem"), "private_key": file("server.key"),
        }}),
    }
}

#[test]
fn what_envoy_is_asked_about_is_what_is_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/gateway/compiled");
    let sets: [(&str, Plan, Scope); 4] = [
        ("shop", shop_plan(), engine("shop")),
        ("policies", policies(), engine("shop")),
        ("gateway", gateway(), gateway_scope()),
        ("wide", wide::plan(), engine("shop")),
    ];
    for (name, plan, scope) in sets {
        let made = bootstrap(&Emitter::new(scope, &scene(SHOP, plan)));
        let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
        let file = folder.join(format!("{name}.json"));
        if env::var_os("CULVERT_RECORD").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let recorded = fs::read_to_string(&file).unwrap_or_default();
        assert!(recorded == text, "{name}.json is another now: CULVERT_RECORD=1 writes it");
    }
}
