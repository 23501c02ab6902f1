//! Configurations that are wrong: none is taken, and what is said of each helps.
use super::stage::which;
use crate::{case::Case, expand, run::Scene, server::Which};
use serde::Deserialize;
use std::{env, fmt::Write as _, fs, path::Path, process::Output};

/// One entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    name: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    case: Case,
    /// Why Envoy takes it.
    #[serde(default)]
    ours: Option<String>,
    /// We take it too, and should not, or need not refuse it.
    #[serde(default)]
    taken: bool,
}

/// `CULVERT_GATEWAY_ACCEPT` writes what is said now.
pub(super) fn fifty() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway");
    let mut scene = Scene::make("story::broken");
    let text = scene.fill(&fs::read_to_string(folder.join("broken.yaml")).unwrap());
    let all: Vec<Broken> = serde_saphyr::from_str(&text).unwrap();
    let refused = all.iter().filter(|broken| !broken.taken).count();
    assert!(refused >= 50, "only {refused}");
    for name in ["b2", "to"] {
        scene.ports.of(name);
    }
    let (mut said, mut unexpected) = (String::new(), Vec::new());
    for broken in &all {
        let file = write(broken, &scene);
        let output = which().command(&file).args(["--mode", "validate"]).output().unwrap();
        let expected = match which() {
            Which::Culvert => broken.taken,
            Which::Envoy => broken.ours.is_some() && output.status.success(),
        };
        if output.status.success() != expected {
            unexpected.push(&broken.name);
        }
        writeln!(said, "{}\n{}", broken.name, message(&output, &scene)).unwrap();
    }
    assert!(unexpected.is_empty(), "taken, or refused now: {unexpected:?}");
    if which() == Which::Envoy {
        return;
    }
    if env::var_os("CULVERT_GATEWAY_ACCEPT").is_some() {
        fs::write(folder.join("broken.txt"), &said).unwrap();
    }
    let before = fs::read_to_string(folder.join("broken.txt")).unwrap_or_default();
    for (line, (now, before)) in said.lines().zip(before.lines()).enumerate() {
        assert_eq!(now, before, "line {} of broken.txt", line + 1);
    }
    assert_eq!(said.lines().count(), before.lines().count(), "broken.txt is of other cases");
}

fn write(broken: &Broken, scene: &Scene) -> std::path::PathBuf {
    let file = scene.dir.join("bootstrap.yaml");
    let text = broken.text.clone().unwrap_or_else(|| {
        let whole = expand::bootstrap(&broken.case, scene.ports.named(), &scene.dir);
        serde_json::to_string_pretty(&whole).unwrap()
    });
    fs::write(&file, text).unwrap();
    file
}

/// What it wrote, without places of this machine.
fn message(output: &Output, scene: &Scene) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let certificates = scene.certificates.to_string_lossy().into_owned();
    let text =
        text.replace(&*scene.dir.to_string_lossy(), "${dir}").replace(&certificates, "${certs}");
    let mut said = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        writeln!(said, "    {line}").unwrap();
    }
    said
}
