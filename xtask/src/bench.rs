//! `cargo xtask bench`: builds what is measured, gets the peers, measures.
use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use clap::Args;

use crate::{
    isolated,
    peers::{self, Wanted},
    process, workspace,
};

/// Goals of a control plane or of this process alone: neither namespaces nor peers.
const ALONE: &[&str] = &["P16", "P17"];

/// Goals of HTTP at the edge: on the loopback interface, beside peers.
const EDGE: &[&str] = &["P7", "P8", "P9", "P10", "P11"];

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Goals, such as P6; all without.
    ///
    /// P1 to P4: a tunnel between two nodes. P5: two pods of one node. P6: connect(2) beside the
    /// mesh. P7 to P9: HTTP at the edge. P10, P11: a whole chain of filters. P12: TLS handshakes.
    /// P13: plain TCP. P14: 10,000 services on a node, and at the edge. P15: memory. P16: the control
    /// plane with 10,000 pods. P17: a decision among 10,000 policies. P18: a request with L7 on two
    /// nodes. P7 to P11, P16 and P17 need no root.
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
        if self.are_all(ALONE) {
            build()?;
            return self.measure(Command::new(program("bench")), None);
        }
        if self.are_all(EDGE) {
            peers::get(Wanted::Tests)?;
            let envoy = peers::envoy()?;
            build()?;
            let mut bench = Command::new(program("bench"));
            bench.env("PATH", peers::path()?);
            return self.measure(bench, Some(&envoy));
        }
        isolated::needs_root(&format!("{} go without", [EDGE, ALONE].concat().join(", ")))?;
        peers::get(Wanted::Tests)?;
        let envoy = peers::envoy()?;
        build()?;
        let _alone = isolated::alone()?;
        self.measure(isolated::command(program("bench"))?, Some(&envoy))
    }

    /// Whether there is a goal, and none but these.
    fn are_all(&self, goals: &[&str]) -> bool {
        let is_one = |goal: &String| goals.iter().any(|it| goal.eq_ignore_ascii_case(it));
        !self.goals.is_empty() && self.goals.iter().all(is_one)
    }

    fn measure(&self, mut bench: Command, envoy: Option<&Path>) -> Result<()> {
        bench.arg("measure").args(&self.goals);
        bench.arg("--culvert").arg(program("culvert"));
        let (json, compare) = (self.json.as_deref(), self.compare.as_deref());
        for (flag, file) in [("--envoy", envoy), ("--json", json), ("--compare", compare)] {
            if let Some(file) = file {
                bench.arg(flag).arg(std::path::absolute(file)?);
            }
        }
        process::run(&mut bench)
    }
}

/// Each by itself, so that the program's crates have no features but its own.
fn build() -> Result<()> {
    for name in ["culvert", "bench"] {
        process::run(workspace::cargo().args(["build", "--release", "--bin", name]))?;
    }
    Ok(())
}

fn program(name: &str) -> PathBuf {
    workspace::target().join("release").join(name)
}
