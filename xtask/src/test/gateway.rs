//! The tests of the gateway: a real Envoy answers the same, real clients and servers are content.
use std::process::Command;

use anyhow::Result;

use super::nextest::{self, Filter};
use crate::{
    peers::{self, Wanted},
    process, workspace,
};

/// Builds the program, gets the peers, runs the tests. Nothing here needs root.
pub(super) fn run(filter: Filter<'_>) -> Result<()> {
    peers::get(Wanted::Gateway)?;
    peers::envoy()?;
    peers::gateway()?;
    nextest::programs()?;
    process::run(
        Command::new(nextest::program()?)
            .args(nextest::gateway(filter))
            .current_dir(workspace::root())
            .env("PATH", peers::path()?)
            .env("CULVERT_BIN", workspace::target().join("debug/culvert")),
    )
}
