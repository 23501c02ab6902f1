//! `cargo xtask bench`: builds what is measured, gets the peers, measures.
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    isolated,
    peers::{self, Wanted},
    process, workspace,
};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Goals, such as P6; all without.
    goals: Vec<String>,
    /// Also write the numbers to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail where a number is more than a tenth worse than in this file of an earlier run.
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
}

impl Bench {
    /// Measures the program as it is released.
    pub(crate) fn run(&self) -> Result<()> {
        isolated::needs_root("there is no bench without")?;
        peers::get(Wanted::Tests)?;
        let envoy = peers::envoy()?;
        process::run(workspace::cargo().args(["build", "--release", "--bin", "culvert"]))?;
        process::run(workspace::cargo().args(["build", "--bin", "bench"]))?;
        let _alone = isolated::alone()?;
        let mut bench = isolated::command(workspace::target().join("debug/bench"))?;
        bench.arg("measure").args(&self.goals);
        bench.arg("--culvert").arg(workspace::target().join("release/culvert"));
        bench.arg("--envoy").arg(envoy);
        for (flag, file) in [("--json", &self.json), ("--compare", &self.compare)] {
            if let Some(file) = file {
                bench.arg(flag).arg(std::path::absolute(file)?);
            }
        }
        process::run(&mut bench)
    }
}
