//! The binary `culvert`: arguments, and the exit code.
//!
//! Reading order: [`cli`] (one file per command), [`config`] (settings), [`process`] (the
//! roles, on their runtimes), [`control`] (the control plane, alone or inside a node), [`ground`]
//! (before the first socket), [`node`] (its parts in the data's order), [`takeover`] (two
//! generations), [`admin`] (what a running process answers), [`demo`] (all of it shown on this
//! machine), [`gateway`] (the HTTP engine at the edge, configured as an Envoy is).

mod cli;

mod config;

mod process;

mod tidy;

mod signals;

mod ground;

mod control;

mod node;

mod takeover;

mod admin;

mod demo;

mod gateway;

mod failure;

use clap::Parser as _;
use failure::Exit;
use std::process::ExitCode;

/// Its pages go back to the kernel sooner than glibc's, whose arenas grow with the threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if cli::cni::is_called() {
        return cli::cni::main();
    }
    // Wrong use and `--help` end here: exit codes 2 and 0.
    let cli = cli::Cli::parse();
    let exit = cli.run(&config::sources::environment()).unwrap_or_else(|failure| {
        cli::output::say(&failure);
        failure.exit
    });
    Exit::into(exit)
}
