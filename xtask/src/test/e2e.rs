//! The tests that need root, in mounts of their own.
use anyhow::Result;

use super::nextest::{self, Filter};
use crate::{
    isolated,
    peers::{self, Wanted},
    process, workspace,
};

/// Builds the program, gets the peers, runs the tests.
pub(super) fn run(filter: Filter<'_>) -> Result<()> {
    run_these(nextest::needing_root(filter))
}

/// The same with nextest's own arguments.
pub(super) fn run_these(arguments: Vec<String>) -> Result<()> {
    isolated::needs_root("`cargo xtask test unit` goes without")?;
    peers::get(Wanted::Tests)?;
    peers::cni()?;
    nextest::programs()?;
    let _alone = isolated::alone()?;
    process::run(
        isolated::command(nextest::program()?)?
            .args(arguments)
            .env("CULVERT_BIN", workspace::target().join("debug/culvert")),
    )
}
