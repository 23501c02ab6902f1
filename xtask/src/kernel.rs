//! `cargo xtask test kernel`: the suites that meet the kernel, under kernels of others.
//!
//! Each Debian kernel boots in a virtual machine, from memory, with the very programs that were
//! built for this machine; without hardware virtualisation it takes a minute or two.
mod guest;
mod machine;
mod packages;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::{
    peers::{self, Wanted},
    process, workspace,
};

/// The kernels of every run: the oldest that works, two that last, and the newest there is.
const SERIES: &[&str] = &["5.10", "6.1", "6.12", packages::NEWEST];

/// Packages whose `tests/` run in the guest, and which of their tests: all where it is empty.
const SUITES: &[(&str, &[&str])] =
    &[("culvert-kernel", &[]), ("e2e", &["capture", "contained::a_contained"])];

/// What runs in the guest.
#[derive(Debug, Default)]
struct Programs {
    tests: Vec<TestProgram>,
    /// Programs that the tests start, by name: `culvert` and helpers of the tests' own.
    helpers: Vec<(String, PathBuf)>,
}

/// A test program, and the part of its tests that runs in the guest.
#[derive(Debug)]
struct TestProgram {
    name: String,
    path: PathBuf,
    filter: Vec<String>,
}

/// Boots each kernel and runs the suites in it; without versions, all.
pub(crate) fn run(versions: &[String], filter: &[String]) -> Result<()> {
    peers::get(Wanted::Kernels)?;
    let programs = build(filter)?;
    let series: Vec<&str> = if versions.is_empty() {
        SERIES.to_vec()
    } else {
        versions.iter().map(String::as_str).collect()
    };
    let mut failed = Vec::new();
    for series in series {
        let kernel = packages::kernel(series)?;
        println!("{series}: {}", kernel.release);
        let image = guest::image(&kernel, &programs)?;
        if let Err(error) = machine::run(&kernel, &image) {
            println!("{error:#}");
            failed.push(kernel.release);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed under {}", failed.join(", "))
}

/// Builds the test programs and `culvert`, for this machine.
fn build(filter: &[String]) -> Result<Programs> {
    process::run(workspace::cargo().args(["build", "--bin", "culvert"]))?;
    let mut programs = Programs::default();
    programs.helpers.push(("culvert".to_owned(), workspace::target().join("debug/culvert")));
    for &(package, own) in SUITES {
        let own: Vec<_> = own.iter().map(|&word| word.to_owned()).collect();
        let filter = if own.is_empty() || !filter.is_empty() { filter } else { &own };
        for Built { executable, target } in tests(package)? {
            if target.is("test") {
                programs.tests.push(TestProgram {
                    name: format!("{package}-{}", target.name),
                    path: executable,
                    filter: filter.to_vec(),
                });
            } else if target.is("bin") {
                programs.helpers.push((target.name, executable));
            }
        }
    }
    Ok(programs)
}

/// A program that cargo built.
#[derive(Deserialize)]
struct Built {
    executable: PathBuf,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Target {
    fn is(&self, wanted: &str) -> bool {
        self.kind.iter().any(|kind| kind == wanted)
    }
}

/// Builds the tests of a package, and the programs that they start.
fn tests(package: &str) -> Result<Vec<Built>> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-run", "-p", package, "--tests"]);
    let messages = process::stdout(cargo.arg("--message-format=json-render-diagnostics"))?;
    Ok(messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
