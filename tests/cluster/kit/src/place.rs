//! Where the program and the clusters' files are.
use std::{
    env,
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
