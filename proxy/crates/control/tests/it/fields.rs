//! Every field that Istio's definitions have is known here, and no other.
use crate::corpora::corpora;
use culvert_control::object::Objects;
use serde_json::{Value, json};
use std::fs;

const KINDS: [&str; 10] = [
    "VirtualService",
    "DestinationRule",
    "Gateway",
    "ServiceEntry",
    "WorkloadEntry",
    "WorkloadGroup",
    "AuthorizationPolicy",
    "PeerAuthentication",
    "RequestAuthentication",
    "Telemetry",
];

/// A field that no definition has.
const NONSENSE: &str = "nonsense";

/// For each mapping of a definition, one that holds all of its fields and one more: alone, with
/// only what leads to it around it.
fn mappings(schema: &Value, around: &dyn Fn(Value) -> Value, found: &mut Vec<Value>) {
    if let Some(fields) = schema["properties"].as_object() {
        let all = fields.iter().map(|(name, schema)| (name.clone(), little(schema)));
        let all = all.chain([(NONSENSE.to_owned(), json!("x"))]);
        found.push(around(Value::Object(all.collect())));
        for (name, schema) in fields {
            mappings(schema, &|inner| around(json!({ name: inner })), found);
        }
    }
    if schema["items"].is_object() {
        mappings(&schema["items"], &|inner| around(json!([inner])), found);
    }
    if schema["additionalProperties"].is_object() {
        mappings(&schema["additionalProperties"], &|inner| around(json!({ "a": inner })), found);
    }
}

/// Some value of the right type.
fn little(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        _ => schema["enum"][0].as_str().map_or_else(|| json!("a"), |one| json!(one)),
    }
}

#[test]
fn every_field_of_istios_definitions_is_known_and_no_other() {
    let Some(corpora) = corpora() else { return };
    let file = fs::read_to_string(corpora.join("crds/istio.yaml")).unwrap();
    let (mut wrong, mut seen, mut kinds) = (Vec::new(), 0, 0);
    for document in serde_saphyr::from_multiple::<Value>(&file).unwrap() {
        let spec = &document["spec"];
        let kind = spec["names"]["kind"].as_str().unwrap_or_default();
        if !KINDS.contains(&kind) {
            continue;
        }
        kinds += 1;
        for version in spec["versions"].as_array().unwrap() {
            let group = spec["group"].as_str().unwrap();
            let api_version = format!("{group}/{}", version["name"].as_str().unwrap());
            let schema = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            let mut all = Vec::new();
            mappings(schema, &|spec| spec, &mut all);
            for spec in all {
                let object = json!({
                    "apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec,
                });
                let told = Objects::parse("case.json", object.to_string().as_bytes()).1;
                let told = told.into_iter().map(|problem| problem.message);
                let unknown: Vec<_> = told.filter(|told| told.contains("unknown field")).collect();
                if unknown != [format!("unknown field `{NONSENSE}`")] {
                    wrong.push(format!("{kind} {api_version} {spec}: {unknown:?}"));
                }
                seen += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(kinds, KINDS.len());
    assert!(seen > 500, "{seen}");
}
