//! Measures Culvert's goals, each with its peer beside it in the same run.
//!
//! `cargo xtask bench` builds what is measured and starts this. Absolute times on a shared machine
//! are noise, so a goal is a ratio within one run with both sides interleaved, or CPU seconds for a
//! piece of work.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod ask;
mod connect;
mod decision;
mod edge;
mod envoy;
mod follow;
mod grpc;
mod handshake;
mod iperf;
mod local;
mod manifests;
mod memory;
mod pair;
mod plane;
mod player;
mod process;
mod report;
mod role;
mod rounds;
mod row;
mod services;
mod stage;
mod throughput;
mod town;
mod tunnel;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use report::Finding;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures goals, prints a table.
    Measure(Measure),
    /// Plays a part inside a pod.
    #[command(hide = true)]
    Role {
        #[command(subcommand)]
        role: role::Role,
    },
}

#[derive(Debug, Args)]
struct Measure {
    /// Goals, such as P6; all without.
    goals: Vec<String>,
    /// Also write the numbers to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fail where a number is more than a tenth worse than in this file of an earlier run.
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

/// What is measured, and what it is measured against.
#[derive(Debug, Args)]
pub(crate) struct Programs {
    #[arg(long)]
    culvert: PathBuf,
    /// Needed by goals that have it as their peer.
    #[arg(long)]
    envoy: Option<PathBuf>,
}

impl Programs {
    /// The peer.
    pub(crate) fn envoy(&self) -> Result<&Path> {
        self.envoy.as_deref().context("no Envoy was given")
    }
}

/// What measures one goal.
type Bench = fn(&Programs) -> Result<Vec<Finding>>;

/// Goals that are measured together, and by what.
const BENCHES: &[(&[&str], Bench)] = &[
    (&["P1", "P2", "P3", "P4"], tunnel::measure),
    (&["P5"], local::measure),
    (&["P6"], connect::measure),
    (&["P7", "P8", "P9"], edge::measure),
    (&["P10", "P11"], edge::chain::measure),
    (&["P12"], handshake::measure),
    (&["P12"], edge::secure::measure),
    (&["P13"], throughput::measure),
    (&["P13"], edge::plain::measure),
    (&["P14"], services::measure),
    (&["P14"], edge::scale::measure),
    (&["P15"], memory::measure),
    (&["P15"], edge::idle::measure),
    (&["P16"], plane::measure),
    (&["P17"], decision::measure),
    (&["P18"], row::measure),
];

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Measure(measure) => measure.run(),
        Command::Role { role } => role.play(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Measure {
    fn run(&self) -> Result<()> {
        let names: Vec<_> = BENCHES.iter().flat_map(|(names, _)| *names).copied().collect();
        let known = |goal: &String| names.iter().any(|name| goal.eq_ignore_ascii_case(name));
        if let Some(stranger) = self.goals.iter().find(|goal| !known(goal)) {
            bail!("no bench measures {stranger}; there are {}", names.join(", "));
        }
        let wanted = |name: &str| {
            self.goals.is_empty() || self.goals.iter().any(|goal| goal.eq_ignore_ascii_case(name))
        };
        // One that cannot be measured takes no other's numbers with it.
        let (mut findings, mut failed) = (Vec::new(), Vec::new());
        for (names, bench) in BENCHES {
            if names.iter().any(|name| wanted(name)) {
                let names = names.join(", ");
                eprintln!("measuring {names}");
                match bench(&self.programs) {
                    Ok(more) => findings.extend(more),
                    Err(error) => failed.push(format!("{names}: {error:#}")),
                }
            }
        }
        print!("{}", report::table(&findings));
        if let Some(file) = &self.json {
            report::save(&findings, file)?;
        }
        ensure!(failed.is_empty(), "{}", failed.join("; "));
        let Some(old) = &self.compare else { return Ok(()) };
        let worse = report::regressions(&findings, &report::load(old)?);
        if worse.is_empty() {
            return Ok(());
        }
        bail!("{}", worse.join("; "))
    }
}
