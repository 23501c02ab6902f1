//! The tests that need root, in mounts of their own.
use std::process::Command;

use anyhow::{Result, ensure};

use super::nextest;
use crate::{
    peers::{self, Wanted},
    process, workspace,
};

/// What the tests leave behind even when killed dies with these mounts: names of namespaces, run
/// files and pins. Thousands of connections need more descriptors than a login usually has.
const PRIVATE: &str = r#"
set -e
mkdir -p /run/netns /run/culvert
mount -t tmpfs netns /run/netns
mount -t tmpfs culvert /run/culvert
mount -t bpf bpf /sys/fs/bpf
ulimit -n "$(ulimit -H -n)"
exec "$@"
"#;

/// Builds the program, gets the peers, runs the tests.
pub(super) fn run(filter: &[String]) -> Result<()> {
    ensure!(
        is_root()?,
        "the end-to-end tests load kernel programs and make network namespaces: run them as root, \
         or `cargo xtask test unit` without"
    );
    peers::get(Wanted::Tests)?;
    process::run(workspace::cargo().args(["build", "--bin", "culvert"]))?;
    process::run(
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", PRIVATE, "sh"])
            .arg(nextest::program()?)
            .args(nextest::needing_root(filter))
            .current_dir(workspace::root())
            .env("CULVERT_BIN", workspace::target().join("debug/culvert"))
            .env("PATH", peers::path()?),
    )
}

fn is_root() -> Result<bool> {
    Ok(process::stdout(Command::new("id").arg("-u"))?.trim() == "0")
}
