//! `cargo xtask check`: everything a commit needs, in order of speed.
mod compile;
mod deny;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::{chart, codegen, layers, lines, links, process, sources, workspace};

/// Which checks to run beside the usual ones.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Also check licences, bans and sources of dependencies; compiles cargo-deny the first time.
    #[arg(long)]
    deny: bool,
    /// Only the checks that read and do not compile: a few seconds.
    #[arg(long, conflicts_with = "deny")]
    fast: bool,
}

/// One check: what it is called and what it does.
type Step = (&'static str, fn() -> Result<()>);

/// Those that only read.
const READING: &[Step] = &[
    ("format", format),
    ("layers", layers::run),
    ("members take the lints", sources::members_take_lints),
    ("file lengths", lines::run),
    ("links of documents", links::run),
    ("bare marks", sources::bare_marks),
    ("machine paths", sources::machine_paths),
    ("generated code", || codegen::run(true)),
    ("chart and its manifests", chart::check),
];

/// Those that compile.
const COMPILING: &[Step] = &[
    ("kernel objects are fresh", objects),
    ("clippy, host", compile::clippy_host),
    ("clippy, kernel programs", compile::clippy_ebpf),
    ("documentation", compile::docs),
    ("fuzz targets", compile::fuzz),
];

impl Check {
    /// Runs every check, then names those that did not pass.
    pub(crate) fn run(&self) -> Result<()> {
        let mut steps = READING.to_vec();
        if !self.fast {
            steps.extend(COMPILING);
        }
        if self.deny {
            steps.push(("dependencies", deny::run));
        }
        let failed: Vec<_> =
            steps.into_iter().filter(|&(name, check)| !passes(name, check)).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = failed.iter().map(|&(name, _)| name).collect();
        bail!("did not pass: {}", names.join(", "))
    }
}

fn passes(name: &str, check: fn() -> Result<()>) -> bool {
    let start = Instant::now();
    let outcome = check();
    let took = start.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => println!("{name:<26} ok   {took:>6.1} s"),
        Err(ref error) => println!("{name:<26} FAIL {took:>6.1} s: {error:#}"),
    }
    outcome.is_ok()
}

/// The committed objects are those of these sources; the test compares hashes and builds nothing.
fn objects() -> Result<()> {
    process::quietly(workspace::cargo().args(["test", "-q", "-p", "xtask", "ebpf::inputs"]))
}

fn format() -> Result<()> {
    process::run(workspace::cargo().args(["fmt", "--all", "--check"]))
}
