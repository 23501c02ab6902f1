//! The tests that need root, in mounts of their own.
use anyhow::Result;

use super::nextest;
use crate::{
    isolated,
    peers::{self, Wanted},
    process, workspace,
};

/// Builds the program, gets the peers, runs the tests.
pub(super) fn run(filter: &[String]) -> Result<()> {
    isolated::needs_root("`cargo xtask test unit` goes without")?;
    peers::get(Wanted::Tests)?;
    process::run(workspace::cargo().args(["build", "--bin", "culvert"]))?;
    let _alone = isolated::alone()?;
    process::run(
        isolated::command(nextest::program()?)?
            .args(nextest::needing_root(filter))
            .env("CULVERT_BIN", workspace::target().join("debug/culvert")),
    )
}
