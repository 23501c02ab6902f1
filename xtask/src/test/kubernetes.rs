//! The tests that need clusters with nodes, and those of the API server.
use anyhow::Result;

use super::{api, nextest};
use crate::{
    cluster::build,
    isolated,
    peers::{self, Wanted},
};

/// Builds everything, runs both kinds of tests.
pub(super) fn run(filter: &[String]) -> Result<()> {
    isolated::needs_root("`cargo xtask test api` goes without")?;
    build::program()?;
    peers::get(Wanted::Nodes)?;
    peers::get(Wanted::Tests)?;
    api::run_these(nextest::api(filter))?;
    let _alone = isolated::alone()?;
    api::run_these(nextest::nodes(filter))
}
