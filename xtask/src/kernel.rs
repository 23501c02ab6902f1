//! `cargo xtask test kernel`: the suites that meet the kernel, under kernels of others.
//!
//! Each Debian kernel boots in a virtual machine, from memory, with the very programs that were
//! built for this machine; without hardware virtualisation it takes a minute or two.
mod guest;
mod machine;
mod packages;

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    peers::{self, Wanted},
    process, workspace,
};

/// The kernels of every run: the oldest that works, two that last, and the newest there is.
const SERIES: &[&str] = &["5.10", "6.1", "6.12", packages::NEWEST];

/// Programs that run in the guest, and the tests of each: all where the filter is empty.
const SUITES: &[Suite] = &[
    Suite { package: "culvert-kernel", test: "it", filter: "" },
    Suite { package: "e2e", test: "e2e", filter: "capture" },
];

#[derive(Debug, Clone, Copy)]
struct Suite {
    package: &'static str,
    test: &'static str,
    filter: &'static str,
}

/// A test program, and the part of its tests that runs in the guest.
#[derive(Debug)]
struct Program {
    name: &'static str,
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
fn build(filter: &[String]) -> Result<Vec<Program>> {
    process::run(workspace::cargo().args(["build", "--bin", "culvert"]))?;
    let mut programs = Vec::new();
    for &Suite { package, test, filter: own } in SUITES {
        if !workspace::has_test(package, test)? {
            continue;
        }
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--no-run", "-p", package, "--test", test]);
        let path = executable(&mut cargo)
            .with_context(|| format!("test {test} of {package} has no program"))?;
        let own = if own.is_empty() || !filter.is_empty() { filter } else { &[own.to_owned()] };
        programs.push(Program { name: package, path, filter: own.to_vec() });
    }
    Ok(programs)
}

/// The last program that a `cargo` command builds.
fn executable(cargo: &mut Command) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    process::stdout(cargo.arg("--message-format=json-render-diagnostics"))?
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .next_back()
        .context("cargo built no program")
}
