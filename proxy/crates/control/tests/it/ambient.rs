//! Policies become what Istio's control plane makes of them in ambient mode.
//!
//! The cases are Istio's, and not in this repository.
use crate::corpora::corpora;
use culvert_control::{compile, object::Objects};
use culvert_model::authz::{Action, Authorization, Scope};
use culvert_proto::istio::security as pb;
use culvert_xds::encode;
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// The namespace of the mesh's own policies in Istio's cases.
const ROOT: &str = "istio-system";

#[test]
fn every_case_of_istio_comes_out_the_same() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("ambient-authorization");
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix("-in.yaml") else { continue };
        let (got, expect) = (compiled(&path), expected(&folder.join(format!("{case}.yaml"))));
        assert_eq!(got, expect, "{case}");
        cases += 1;
    }
    assert_eq!(cases, 22);
}

/// What the objects of a file become, in the shape of Istio's expectations.
fn compiled(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    // Istio's cases take it for granted.
    let root = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {ROOT}}}\n---\n{text}");
    let (objects, problems) = Objects::parse("case.yaml", root.as_bytes());
    assert_eq!(problems, [], "{}", path.display());
    let mesh = compile::mesh(&objects, &crate::story::settings()).unwrap();
    assert_eq!(&*mesh.config.root_namespace, ROOT);
    let own = mesh.policies.values().filter(|policy| &*policy.name.namespace != ROOT);
    own.map(|policy| shape(policy)).collect()
}

/// A policy as Istio's test writes it: what is the default is left out.
fn shape(policy: &Authorization) -> Value {
    let pb::Authorization { rules, .. } = encode::authorization::encode(policy);
    let groups: Vec<Value> = rules.iter().map(|rule| json!({"rules": clauses(rule)})).collect();
    let mut shape = Map::new();
    shape.insert("name".into(), json!(&*policy.name.name));
    // A case that names no namespace is in none; for us it is in `default`.
    if &*policy.name.namespace != "default" {
        shape.insert("namespace".into(), json!(&*policy.name.namespace));
    }
    let scope = match policy.scope {
        Scope::Global => None,
        Scope::Namespace => Some("NAMESPACE"),
        Scope::Selector => Some("WORKLOAD_SELECTOR"),
    };
    shape.extend(scope.map(|scope| ("scope".to_owned(), json!(scope))));
    if policy.action == Action::Deny {
        shape.insert("action".into(), json!("DENY"));
    }
    shape.insert("groups".into(), Value::Array(groups));
    Value::Object(shape)
}

fn clauses(rule: &pb::Rule) -> Vec<Value> {
    let matches = |clause: &pb::Clause| clause.matches.iter().map(one).collect::<Vec<_>>();
    rule.clauses.iter().map(|clause| json!({"matches": matches(clause)})).collect()
}

fn one(one: &pb::Match) -> Value {
    let mut shape = Map::new();
    let mut put = |name: &str, mut values: Vec<Value>| {
        values.sort_by_key(ToString::to_string);
        if !values.is_empty() {
            shape.insert(name.into(), Value::Array(values));
        }
    };
    let strings = |all: &[pb::StringMatch]| all.iter().map(string).collect();
    let ips = |all: &[pb::Address]| {
        all.iter().map(|ip| json!({"address": ip.address.to_vec(), "length": ip.length})).collect()
    };
    let ports = |all: &[u32]| all.iter().map(|port| json!(port)).collect();
    let accounts = |all: &[pb::ServiceAccountMatch]| {
        let account = |one: &pb::ServiceAccountMatch| json!({"namespace": one.namespace, "serviceAccount": one.service_account});
        all.iter().map(account).collect()
    };
    put("namespaces", strings(&one.namespaces));
    put("notNamespaces", strings(&one.not_namespaces));
    put("principals", strings(&one.principals));
    put("notPrincipals", strings(&one.not_principals));
    put("serviceAccounts", accounts(&one.service_accounts));
    put("notServiceAccounts", accounts(&one.not_service_accounts));
    put("sourceIps", ips(&one.source_ips));
    put("notSourceIps", ips(&one.not_source_ips));
    put("destinationIps", ips(&one.destination_ips));
    put("notDestinationIps", ips(&one.not_destination_ips));
    put("destinationPorts", ports(&one.destination_ports));
    put("notDestinationPorts", ports(&one.not_destination_ports));
    Value::Object(shape)
}

fn string(one: &pb::StringMatch) -> Value {
    use pb::string_match::MatchType;
    match one.match_type.as_ref().unwrap() {
        MatchType::Exact(s) => json!({"exact": s}),
        MatchType::Prefix(s) => json!({"prefix": s}),
        MatchType::Suffix(s) => json!({"suffix": s}),
        MatchType::Presence(()) => json!({"presence": {}}),
    }
}

/// Istio's expectation; an empty file expects no policy.
fn expected(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut value: Value = serde_saphyr::from_str(&text).unwrap();
    normal(&mut value);
    vec![value]
}

/// Lists of values in order, and addresses as bytes.
fn normal(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                normal(value);
                match (name.as_str(), &mut *value) {
                    ("address", Value::String(text)) => *value = json!(base64(text)),
                    ("rules" | "matches" | "groups" | "address", _) => {}
                    (_, Value::Array(values)) => values.sort_by_key(ToString::to_string),
                    _ => {}
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(normal),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| alphabet.iter().position(|one| *one == byte));
    let bits = digits.fold((Vec::new(), 0_usize, 0), |(mut bytes, bits, count), digit| {
        let (bits, count) = (bits << 6 | digit, count + 6);
        if count < 8 {
            return (bytes, bits, count);
        }
        bytes.push(u8::try_from(bits >> (count - 8) & 0xff).unwrap());
        (bytes, bits & ((1 << (count - 8)) - 1), count - 8)
    });
    bits.0
}
