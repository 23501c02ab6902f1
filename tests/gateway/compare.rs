//! Envoy's answers beside ours, and what a person reads when they differ.
mod known;

use crate::{
    recorded::{self, Recorded},
    run,
};
use serde_json::Value;
use std::{fs, path::Path};

/// Runs a case file against both.
pub(crate) fn file(name: &str, file: &Path) {
    compare(name, &fs::read_to_string(file).unwrap());
}

/// Runs a generated case against both.
pub(crate) fn case(name: &str, text: &str) {
    compare(&format!("grid::{name}"), text);
}

fn compare(name: &str, text: &str) {
    let mut scene = run::Scene::make(name);
    let case = scene.read(name, text);
    let recorded = Recorded::of(name, text, &scene);
    let theirs = recorded.answers(&case, &scene);
    if recorded::is_envoy_alone() {
        return;
    }
    let known = known::read(name);
    let differ = |theirs| differences(theirs, &recorded::ours(&case, &scene)).join("\n");
    let mut text = differ(&theirs);
    if text != known {
        // What a busy machine made of an answer is not what the proxy says: both are asked again.
        text = differ(&recorded.again(&case, &scene));
    }
    if text == known {
        return;
    }
    if known::is_accepting() {
        return known::write(name, &text);
    }
    if !known.is_empty() {
        println!("another difference than the known one, which is:\n{known}\n");
    }
    panic!("{name}: {}\n{}\n- envoy, + culvert\n{text}\n", case.about, run::by_hand(&scene.dir));
}

/// Every place where two runs differ, as lines.
pub(crate) fn differences(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    walk("", theirs, ours, &mut lines);
    lines
}

fn walk(path: &str, theirs: &Value, ours: &Value, lines: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let part = |of: &Value| of.get(name).cloned().unwrap_or(Value::Null);
                walk(&format!("{path} › {name}"), &part(theirs), &part(ours), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if is_text(a) && is_text(b) => list(path, a, b, lines),
        (Value::Array(a), Value::Array(b)) => {
            for at in 0..a.len().max(b.len()) {
                let part = |of: &[Value]| of.get(at).cloned().unwrap_or(Value::Null);
                walk(&format!("{path} › {at}"), &part(a), &part(b), lines);
            }
        }
        (a, b) if a == b => (),
        (a, b) => {
            lines.push(path.to_owned());
            lines.push(format!("  - {}", show(a)));
            lines.push(format!("  + {}", show(b)));
        }
    }
}

fn is_text(all: &[Value]) -> bool {
    all.iter().all(Value::is_string)
}

/// Lists of lines (headers): what only one of them has.
fn list(path: &str, a: &[Value], b: &[Value], lines: &mut Vec<String>) {
    if a == b {
        return;
    }
    lines.push(path.to_owned());
    let before = lines.len();
    for (sign, one, other) in [('-', a, b), ('+', b, a)] {
        let mut left: Vec<&Value> = other.iter().collect();
        for line in one {
            match left.iter().position(|other| *other == line) {
                Some(at) => drop(left.remove(at)),
                None => lines.push(format!("  {sign} {}", show(line))),
            }
        }
    }
    if lines.len() == before {
        lines.push(format!("  the same in another order: {a:?} and {b:?}"));
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "(nothing)".to_owned(),
        Value::String(text) => text.replace('\r', "\\r").replace('\n', "\\n").replace('\0', "\\0"),
        other => other.to_string(),
    }
}
