//! `cargo xtask`: what a person does with this repository, one file per command.
//!
//! Nothing here depends on the crates it builds and checks, so that it starts when they are broken.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod bench;
mod chart;
mod check;
mod cluster;
mod codegen;
mod ebpf;
mod image;
mod isolated;
mod kernel;
mod layers;
mod lines;
mod links;
mod peers;
mod process;
mod sources;
mod test;
mod workspace;

use std::{env, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, checks, tests and measures Culvert.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything a commit needs, in order of speed.
    Check(check::Check),
    /// Runs the tests: unit, then end to end.
    Test(test::Test),
    /// Builds the kernel programs into ebpf/prebuilt.
    Ebpf {
        /// Build, compare bit for bit with the committed objects, and change nothing.
        #[arg(long)]
        check: bool,
    },
    /// Generates the protocol types of proxy/crates/proto from its .proto files.
    Codegen {
        /// Compare with the committed files, and change nothing.
        #[arg(long)]
        check: bool,
    },
    /// Lists imports that break the layers of ARCHITECTURE.md.
    Layers,
    /// Lists source files that have grown too long.
    Lines,
    /// Measures the goals of docs/performance.md with their peers beside them.
    Bench(bench::Bench),
    /// Starts and ends real Kubernetes clusters on this machine.
    Cluster(cluster::Cluster),
    /// Renders the chart into deploy/manifests.
    Chart(chart::Chart),
    /// Makes the container image of a release, without a container engine.
    Image(image::MakeImage),
    /// Gets the programs that tests and benches talk to, into target/peers.
    Peers(peers::Peers),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // rustc calls this program back as the linker of the kernel programs.
    if env::var_os("XTASK_LINKER").is_some() {
        let args: Vec<String> = env::args().skip(1).collect();
        return ebpf::link::link(&args);
    }
    match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Test(test) => test.run(),
        Command::Ebpf { check } => ebpf::run(check),
        Command::Codegen { check } => codegen::run(check),
        Command::Layers => layers::run(),
        Command::Lines => lines::run(),
        Command::Bench(bench) => bench.run(),
        Command::Cluster(cluster) => cluster.run(),
        Command::Chart(chart) => chart.run(),
        Command::Image(image) => image.run(),
        Command::Peers(peers) => peers.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
