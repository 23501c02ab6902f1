//! What the real Envoy did, kept below `target/gateway/recorded` until a case changes.
use crate::{case::Case, certificates, run, server::Which};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{env, fs, path::PathBuf};

/// Changed when the harness asks or writes otherwise.
const HARNESS: &str = "3";

/// How often Envoy may answer otherwise than the time before.
const ATTEMPTS: usize = 3;

/// Where Envoy's answers to a case are kept.
pub(crate) struct Recorded(PathBuf);

impl Recorded {
    pub(crate) fn of(name: &str, text: &str, scene: &run::Scene) -> Self {
        let mut hash = Sha256::new();
        for part in [HARNESS, "envoy 1.40.0", text, &certificates::hash(&scene.certificates)] {
            hash.update(part);
        }
        let hash: String =
            hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = format!("{}.{hash}.json", name.replace("::", "."));
        Self(run::folder().join("recorded").join(file))
    }

    /// What Envoy does with a case: read, or recorded now.
    pub(crate) fn answers(&self, case: &Case, scene: &run::Scene) -> Value {
        match fs::read_to_string(&self.0) {
            // What it is told of manifests is ours to change.
            Ok(text) if case.manifests.is_none() => serde_json::from_str(&text).unwrap(),
            Ok(_) | Err(_) => self.again(case, scene),
        }
    }

    /// What it does with it now.
    pub(crate) fn again(&self, case: &Case, scene: &run::Scene) -> Value {
        let answers = record(case, scene);
        fs::create_dir_all(self.0.parent().unwrap()).unwrap();
        let draft = self.0.with_extension(std::process::id().to_string());
        fs::write(&draft, serde_json::to_string_pretty(&answers).unwrap()).unwrap();
        fs::rename(&draft, &self.0).unwrap();
        answers
    }
}

/// Has Envoy answer twice, and once without the configuration: a case that is not stable, or that
/// an empty configuration answers alike, says nothing.
fn record(case: &Case, scene: &run::Scene) -> Value {
    let mut first = run::run(Which::Envoy, case, scene);
    if first["refused"] == true {
        panic!(
            "Envoy does not take this case: {}\n{}",
            first["why"].as_str().unwrap_or(""),
            run::by_hand(&scene.dir)
        );
    }
    for attempt in 1.. {
        let second = run::run(Which::Envoy, case, scene);
        let differences = crate::compare::differences(&first, &second);
        if differences.is_empty() {
            break;
        }
        let text = differences.join("\n");
        assert!(attempt < ATTEMPTS, "Envoy answers not twice alike:\n{text}");
        first = second;
    }
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
