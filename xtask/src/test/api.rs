//! The tests that meet the API server of a real Kubernetes.
use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};

use super::nextest::{self, Filter};
use crate::{
    chart,
    cluster::{self, build},
    peers, process, workspace,
};

/// A build of Kubernetes that goes on beside other work, and ends with this value.
#[derive(Debug)]
pub(super) struct Building(Child);

/// Starts to build Kubernetes.
pub(super) fn build() -> Result<Building> {
    let child = build::command()?.spawn();
    Ok(Building(child.context("Kubernetes is built with Go, 1.26 or later")?))
}

impl Drop for Building {
    fn drop(&mut self) {
        // Once it has ended there is nothing to kill, and no other process has its number yet.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Waits for the build, runs the tests.
pub(super) fn run(mut building: Building, filter: Filter<'_>) -> Result<()> {
    if building.0.try_wait()?.is_none() {
        println!("waiting for the build of Kubernetes: ten minutes of processor time, once");
    }
    let status = building.0.wait()?;
    ensure!(status.success(), "building Kubernetes: {status}");
    run_these(nextest::api(filter))
}

/// Runs tests that have a built Kubernetes, with nextest's own arguments.
pub(super) fn run_these(arguments: Vec<String>) -> Result<()> {
    build::crds()?;
    chart::prepare()?;
    nextest::programs()?;
    let outcome = process::run(
        Command::new(nextest::program()?)
            .args(arguments)
            .current_dir(workspace::root())
            .env("PATH", peers::path()?)
            .env("CULVERT_BIN", workspace::target().join("debug/culvert")),
    );
    // The one that tests share; those of their own have ended with them.
    cluster::down("shared")?;
    outcome
}
