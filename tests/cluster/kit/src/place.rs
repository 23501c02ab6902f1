//! Where the program and the clusters' files are.
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const PROGRAM: &str = "peers/bin/kubernetes";

/// The program that is all of Kubernetes.
#[track_caller]
pub(crate) fn program() -> PathBuf {
    target().join(PROGRAM)
}

/// A file of custom resource definitions.
#[track_caller]
pub(crate) fn crds(name: &str) -> PathBuf {
    let file = target().join("peers/crds").join(name);
    assert!(file.exists(), "no {}: run cargo xtask cluster build", file.display());
    file
}

/// Programs of others.
#[track_caller]
pub(crate) fn peers() -> PathBuf {
    target().join("peers/bin")
}

/// Helm, which `cargo xtask chart` builds.
#[track_caller]
pub(crate) fn helm() -> PathBuf {
    let tools = target().join("tools");
    let folders = fs::read_dir(&tools).into_iter().flatten().flatten();
    let versions =
        folders.filter(|folder| folder.file_name().as_encoded_bytes().starts_with(b"helm-"));
    let found = versions.map(|folder| folder.path().join("helm")).find(|helm| helm.exists());
    found.unwrap_or_else(|| panic!("no helm in {}: run cargo xtask chart", tools.display()))
}

/// The chart.
pub(crate) fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/helm/culvert")
}

/// The image of the program under test, by the name that the chart has for it.
#[track_caller]
pub(crate) fn image() -> PathBuf {
    let file = target().join("image/test.tar");
    assert!(file.exists(), "no {}: run cargo xtask test kubernetes", file.display());
    file
}

/// The folder of a cluster.
#[track_caller]
pub(crate) fn cluster(name: &str) -> PathBuf {
    target().join("cluster").join(name)
}

/// The folder cargo builds into: this test program is in it, and so is Kubernetes.
#[track_caller]
fn target() -> PathBuf {
    let own = env::current_exe().expect("a running program has a path");
    let found = own.ancestors().find(|folder| folder.join(PROGRAM).exists());
    let Some(found) = found.map(Path::to_owned) else {
        panic!("no {PROGRAM} above {}: run cargo xtask cluster build", own.display());
    };
    found
}
