//! Licences, banned crates and sources of the dependencies.
use anyhow::Result;

use crate::{process, workspace};

const VERSION: &str = "0.20.2";

/// Runs cargo-deny over what needs no advisory database.
pub(super) fn run() -> Result<()> {
    let deny = workspace::tool("cargo-deny", VERSION)?;
    process::run(std::process::Command::new(deny).current_dir(workspace::root()).args([
        "--offline",
        "--log-level",
        "warn",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}
