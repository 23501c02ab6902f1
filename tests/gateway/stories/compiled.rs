//! What our compiler makes of manifests: a real Envoy takes it, and so do we.
//!
//! The bootstraps are recorded by tests of `culvert-control`, which fail when they are no longer
//! what it makes.
use crate::{run::Scene, server::Which};
use std::{fs, path::Path};

pub(super) fn both_take_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway/compiled");
    let found = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        found.filter(|file| file.extension() == Some("json".as_ref())).collect();
    files.sort();
    assert!(files.len() >= 4, "only {}", files.len());
    let mut scene = Scene::make("story::compiled");
    for recorded in files {
        let file = scene.dir.join(recorded.file_name().unwrap());
        let text = scene.fill(&fs::read_to_string(&recorded).unwrap());
        fs::write(&file, text).unwrap();
        for which in [Which::Envoy, Which::Culvert] {
            let output = which.command(&file).args(["--mode", "validate"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} {}: {said}", which.name(), file.display());
        }
    }
}
