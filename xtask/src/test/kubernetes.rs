//! The tests that need clusters with nodes, and those of the API server.
use anyhow::Result;

use super::{
    api,
    nextest::{self, Filter},
};
use crate::{
    cluster::{self, build},
    image, isolated,
    peers::{self, Wanted},
    workspace,
};

/// The cluster that they share.
const SHARED: &str = "shared-nodes";

/// Builds everything, runs both kinds of tests.
pub(super) fn run(filter: Filter<'_>) -> Result<()> {
    isolated::needs_root("`cargo xtask test api` goes without")?;
    build::program()?;
    peers::get(Wanted::Nodes)?;
    peers::get(Wanted::Tests)?;
    peers::istio()?;
    peers::istiod()?;
    api::run_these(nextest::api(filter))?;
    image::for_tests(&workspace::target().join("debug/culvert"))?;
    let _alone = isolated::alone()?;
    // One from before has an image from before.
    cluster::down(SHARED)?;
    let outcome = api::run_these(nextest::nodes(filter));
    cluster::down(SHARED)?;
    outcome
}
