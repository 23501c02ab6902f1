//! Manifests of the repository, and those of others where they are at hand.
use culvert_control::{compile::compile, source::files};
use std::path::{Path, PathBuf};

/// The folder beside the repository; not every checkout has it.
fn corpora() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/corpora");
    beside.is_dir().then_some(beside)
}

#[test]
fn the_demos_manifests_mean_what_the_demo_shows() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/demo");
    let objects = files::load(&[demo]).unwrap();
    let compiled = compile(&objects, &crate::story::settings()).unwrap();
    assert_eq!(compiled.notes, []);
    assert!(compiled.snapshot.workloads().count() >= 4);
}

#[test]
fn other_peoples_manifests_are_read_without_a_problem() {
    let Some(corpora) = corpora() else { return };
    let bookinfo = files::load(&[corpora.join("bookinfo/platform/bookinfo.yaml")]).unwrap();
    assert!(bookinfo.skipped.len() >= 14, "{}", bookinfo.skipped.len());
    for folder in ["bookinfo", "example-manifests", "istio-api-validation", "crds"] {
        let path = corpora.join(folder);
        if !path.exists() {
            continue;
        }
        let objects = files::load(&[path]).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>())
        });
        assert!(compile(&objects, &crate::story::settings()).is_ok(), "{folder}");
    }
}
