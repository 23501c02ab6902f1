//! What the real Envoy did, kept below `target/gateway/recorded` until a case changes.
use crate::{case::Case, certificates, run, server::Which};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{env, fs};

/// Changed when the harness asks or writes otherwise.
const HARNESS: &str = "3";

/// What Envoy does with a case: read, or recorded now.
pub(crate) fn answers(name: &str, text: &str, case: &Case, scene: &run::Scene) -> Value {
    let mut hash = Sha256::new();
    for part in [HARNESS, "envoy 1.40.0", text, &certificates::hash(&scene.certificates)] {
        hash.update(part);
    }
    let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let folder = run::folder().join("recorded");
    let file = folder.join(format!("{}.{hash}.json", name.replace("::", ".")));
    if let Ok(text) = fs::read_to_string(&file) {
        return serde_json::from_str(&text).unwrap();
    }
    let answers = record(case, scene);
    fs::create_dir_all(&folder).unwrap();
    let draft = file.with_extension(std::process::id().to_string());
    fs::write(&draft, serde_json::to_string_pretty(&answers).unwrap()).unwrap();
    fs::rename(&draft, &file).unwrap();
    answers
}

/// Has Envoy answer twice, and once without the configuration: a case that is not stable, or that
/// an empty configuration answers alike, says nothing.
fn record(case: &Case, scene: &run::Scene) -> Value {
    let first = run::run(Which::Envoy, case, scene);
    if first["refused"] == true {
        panic!(
            "Envoy does not take this case: {}\n{}",
            first["why"].as_str().unwrap_or(""),
            run::by_hand(&scene.dir)
        );
    }
    let second = run::run(Which::Envoy, case, scene);
    let differences = crate::compare::differences(&first, &second);
    assert!(differences.is_empty(), "Envoy answers not twice alike:\n{}", differences.join("\n"));
    if case.bootstrap.is_none() && case.listeners.is_empty() && case.plain_because.is_none() {
        let plain = Case {
            requests: case.requests.clone(),
            compare: case.compare.clone(),
            stats: case.stats.clone(),
            ..Case::default()
        };
        let plain = run::run(Which::Envoy, &plain, scene);
        assert!(plain != first, "an empty configuration answers alike: this case says nothing");
    }
    first
}

/// `CULVERT_GATEWAY_ONLY=envoy`: cases are recorded and not compared.
pub(crate) fn is_envoy_alone() -> bool {
    env::var_os("CULVERT_GATEWAY_ONLY").is_some_and(|which| which == "envoy")
}

/// What Culvert does; a configuration that it refuses is a difference as any other.
pub(crate) fn ours(case: &Case, scene: &run::Scene) -> Value {
    let ours = run::run(Which::Culvert, case, scene);
    if ours["refused"] == true { json!({"refused": ours["why"]}) } else { ours }
}
