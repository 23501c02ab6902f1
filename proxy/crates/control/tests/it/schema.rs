//! What the schemas of others' kinds demand, one demand after the other.
//!
//! From a schema come objects: one with every field it has, and for each demand one that breaks
//! it. The first kind has no field that is not known, the second is refused.
use crate::corpora::corpora;
use culvert_control::{
    object::Objects,
    problem::{Code, Problem},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fs};

/// Kinds that are read, by the file that has their schemas.
const KINDS: [(&str, &[&str]); 1] = [(
    "crds/gateway-api.yaml",
    &[
        "GatewayClass",
        "Gateway",
        "HTTPRoute",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "ReferenceGrant",
        "BackendTLSPolicy",
    ],
)];

/// What texts of a pattern look like; the first that fits the pattern and the length is taken.
const SAMPLES: [&str; 14] = [
    "a",
    "a.example",
    "A",
    "a/b",
    "10s",
    "https://a.example",
    "spiffe://a/b",
    "System",
    "HTTP",
    "IPAddress",
    "/",
    "1",
    "*.a",
    "0.1",
];

/// How often another of the alternatives of an object is taken.
const ROUNDS: usize = 8;

/// A value that breaks a demand, in the place of one that fits.
struct Breach {
    what: String,
    spec: Value,
}

/// The parts of a schema's tree that lead to a value.
#[derive(Clone)]
enum Step {
    Field(String),
    /// The first item of a list.
    Item,
    /// A key of a mapping that may have any.
    Key,
}

fn served(file: &str, kinds: &[&str]) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for document in serde_saphyr::from_multiple::<Value>(file).unwrap() {
        let spec = &document["spec"];
        let kind = spec["names"]["kind"].as_str().unwrap_or_default();
        if !kinds.contains(&kind) {
            continue;
        }
        for version in spec["versions"].as_array().unwrap() {
            let group = spec["group"].as_str().unwrap();
            let api_version = format!("{group}/{}", version["name"].as_str().unwrap());
            let schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
            found.push((api_version, kind.to_owned(), schema));
        }
    }
    found
}

fn text(schema: &Value) -> Value {
    if let Some(one) = schema["enum"].as_array().and_then(|all| all.first()) {
        return one.clone();
    }
    let pattern = schema["pattern"].as_str().map(|pattern| regex::Regex::new(pattern).unwrap());
    let fits = |sample: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(sample));
    let sample = SAMPLES.iter().find(|sample| fits(sample));
    json!(sample.unwrap_or_else(|| panic!("no sample for {schema}")))
}

/// Fields that go with one type only, by the rules that say so.
fn only_with(schema: &Value) -> Vec<(String, String)> {
    let says = [
        r"has\(self\.(?<field>\w+)\) && self\.type != '(?<type>\w+)'",
        r"has\(self\.(?<field>\w+)\) \? self\.type == '(?<type>\w+)'",
        r#"self\.type != "(?<type>\w+)" && has\(self\.(?<field>\w+)\)"#,
    ];
    let says = says.map(|says| regex::Regex::new(says).unwrap());
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let rules = rules.filter_map(|rule| rule["rule"].as_str());
    let pairs = rules.filter_map(|rule| says.iter().find_map(|says| says.captures(rule)));
    pairs.map(|pair| (pair["field"].to_owned(), pair["type"].to_owned())).collect()
}

/// Fields of which only one can be there.
fn either_or(schema: &Value) -> Option<[String; 2]> {
    let says = regex::Regex::new(r"^!\(has\(self\.(\w+)\) && has\(self\.(\w+)\)\)$").unwrap();
    let mut rules = schema["x-kubernetes-validations"].as_array()?.iter();
    let pair = rules.find_map(|rule| says.captures(rule["rule"].as_str()?))?;
    Some([pair[1].to_owned(), pair[2].to_owned()])
}

/// A value of a schema with all of its fields; of alternatives, another one each round.
fn whole(schema: &Value, round: usize) -> Value {
    match schema["type"].as_str() {
        _ if schema["x-kubernetes-int-or-string"] == true => json!(1),
        Some("object") => {
            let mut fields = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                // No schema says so, but there are no others.
                let is_operator = name == "operator" && schema["enum"].is_null();
                let value = if is_operator { json!("In") } else { whole(schema, round) };
                fields.insert(name.clone(), value);
            }
            let pairs = only_with(schema);
            if let (false, Some(types)) =
                (pairs.is_empty(), schema["properties"]["type"]["enum"].as_array())
            {
                let chosen = &types[round % types.len()];
                fields.insert("type".to_owned(), chosen.clone());
                for (field, _) in pairs.iter().filter(|(_, only)| chosen != only.as_str()) {
                    fields.remove(field);
                }
            }
            if let Some(pair) = either_or(schema) {
                fields.remove(&pair[round % 2]);
            }
            if schema["additionalProperties"].is_object() {
                fields.insert("a".to_owned(), whole(&schema["additionalProperties"], round));
            }
            Value::Object(fields)
        }
        Some("array") => json!([whole(&schema["items"], round)]),
        Some("integer" | "number") => schema["enum"][0].as_i64().map_or_else(
            || json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
            |one| json!(one),
        ),
        Some("boolean") => json!(true),
        Some("string") => text(schema),
        _ => json!({}),
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Field(name) => &mut value[name.as_str()],
        Step::Item => &mut value[0],
        Step::Key => &mut value["a"],
    })
}

fn shown(path: &[Step]) -> String {
    let part = |step: &Step| match step {
        Step::Field(name) => format!(".{name}"),
        Step::Item => "[0]".to_owned(),
        Step::Key => ".*".to_owned(),
    };
    path.iter().map(part).collect()
}

/// Values that break one demand each that is made of a single value.
fn odd_values(schema: &Value) -> Vec<(&'static str, Value)> {
    let kind = schema["type"].as_str().unwrap_or_default();
    let number = |name: &str| schema[name].as_i64();
    let mut odd = Vec::new();
    odd.push(("of a wrong type", if kind == "array" { json!("a") } else { json!([[["a"]]]) }));
    if !schema["enum"].is_null() {
        let other = if kind == "string" { json!("Nonsense") } else { json!(299) };
        odd.push(("outside of its enumeration", other));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let pattern = regex::Regex::new(pattern).unwrap();
        let texts = ["\u{e4} \u{7f}", "-", "a b/", "\u{7}"].into_iter();
        let texts = texts.filter(|text| !pattern.is_match(text));
        odd.extend(texts.map(|text| ("beside its pattern", json!(text))));
    }
    if let Some(longest) = schema["maxLength"].as_u64() {
        odd.push(("too long", json!("a".repeat(usize::try_from(longest).unwrap() + 1))));
    }
    if number("minLength").is_some_and(|least| least > 0) {
        odd.push(("empty", json!("")));
    }
    odd.extend(number("maximum").map(|most| ("too large", json!(most + 1))));
    odd.extend(number("minimum").map(|least| ("too small", json!(least - 1))));
    odd
}

/// Lists and mappings that break one demand each; `here` is one that fits.
fn odd_contents(schema: &Value, here: &Value) -> Vec<(String, Value)> {
    let mut odd = Vec::new();
    if let Some(most) = schema["maxItems"].as_u64() {
        let many = vec![here[0].clone(); usize::try_from(most).unwrap() + 1];
        odd.push(("of too many items".to_owned(), json!(many)));
    }
    if schema["minItems"].as_u64().is_some_and(|least| least > 0) {
        odd.push(("of too few items".to_owned(), json!([])));
    }
    if let Some(most) = schema["maxProperties"].as_u64() {
        let many = (0..=most).map(|key| (format!("a{key}"), here["a"].clone()));
        odd.push(("of too many keys".to_owned(), Value::Object(many.collect())));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        let mut less = here.clone();
        less.as_object_mut().unwrap().remove(required.as_str().unwrap());
        odd.push((format!("without {required}"), less));
    }
    if schema["properties"].is_object() {
        let mut more = here.clone();
        more["nonsense"] = json!("x");
        odd.push(("with another field".to_owned(), more));
    }
    odd
}

/// Everything that breaks one demand of `schema`, which is at `path` of the object `whole`.
fn breaches(schema: &Value, path: &[Step], whole: &Value, found: &mut Vec<Breach>) {
    let kind = schema["type"].as_str().unwrap_or_default();
    let is_either = schema["x-kubernetes-int-or-string"] == true;
    if is_either || kind.is_empty() || schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    let here = at(&mut whole.clone(), path).clone();
    let values = odd_values(schema).into_iter().map(|(what, value)| (what.to_owned(), value));
    for (what, value) in values.chain(odd_contents(schema, &here)) {
        let mut spec = whole.clone();
        *at(&mut spec, path) = value;
        found.push(Breach { what: format!("{} {what}", shown(path)), spec });
    }
    let mut below = |schema: &Value, step: Step| {
        breaches(schema, &[path, &[step]].concat(), whole, found);
    };
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        // Not of an alternative that is not there.
        if here.get(name).is_some() {
            below(schema, Step::Field(name.clone()));
        }
    }
    if schema["items"].is_object() {
        below(&schema["items"], Step::Item);
    }
    if schema["additionalProperties"].is_object() {
        below(&schema["additionalProperties"], Step::Key);
    }
}

fn read(api_version: &str, kind: &str, spec: &Value) -> Vec<Problem> {
    let metadata = json!({"name": "a"});
    let object =
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec});
    Objects::parse("case.json", object.to_string().as_bytes()).1
}

fn messages(problems: Vec<Problem>) -> BTreeSet<String> {
    problems.into_iter().map(|problem| problem.message).collect()
}

/// What is wrong with how an object of a schema is read, and how many demands were tried.
fn tried(api_version: &str, kind: &str, schema: &Value) -> (BTreeSet<String>, usize) {
    let mut wrong = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for round in 0..ROUNDS {
        let whole = whole(schema, round);
        let told = read(api_version, kind, &whole);
        // All fields together break rules of the kind: those are tested by themselves.
        for problem in told.iter().filter(|problem| problem.code != Code::Rule) {
            wrong.insert(format!("{kind} {api_version}: {problem}"));
        }
        let told = messages(told);
        let mut found = Vec::new();
        breaches(schema, &[], &whole, &mut found);
        for Breach { what, spec } in found {
            if seen.insert(what.clone())
                && messages(read(api_version, kind, &spec)).is_subset(&told)
            {
                wrong.insert(format!("{kind} {api_version}{what} is taken"));
            }
        }
    }
    (wrong, seen.len())
}

#[test]
fn every_field_of_a_schema_is_known_and_every_demand_is_made() {
    let Some(corpora) = corpora() else { return };
    let mut wrong = BTreeSet::new();
    let (mut schemas, mut count) = (Vec::new(), 0);
    for (file, kinds) in KINDS {
        let file = fs::read_to_string(corpora.join(file)).unwrap();
        for (api_version, kind, schema) in served(&file, kinds) {
            // Most versions of a kind are the same.
            if !schemas.contains(&(kind.clone(), schema.clone())) {
                let (found, seen) = tried(&api_version, &kind, &schema);
                wrong.extend(found);
                count += seen;
                schemas.push((kind, schema));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    assert!(count > 1000, "{count}");
}
