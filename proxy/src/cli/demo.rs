//! `culvert demo`
use crate::{
    demo,
    failure::{Exit, Failure},
};

/// Show what Culvert does, on this machine and with real traffic.
///
/// Makes two nodes with pods in network namespaces of their own, runs a proxy on each, drives
/// HTTP between the pods, checks what happened against the kernel's counters, the access logs and
/// the applications, and removes everything. A second application shows what becomes of single
/// requests. Needs root and a kernel, nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert demo
  culvert demo --json
  culvert demo --keep    stays up for a look around, until Ctrl-C

Exit codes: 0 everything was shown, 1 a check failed, 3 it cannot run here.")]
pub(crate) struct Demo {
    /// Print a JSON document instead of a table: `checks`, each with `name`, `ok`, `detail`, `how`.
    #[arg(long)]
    json: bool,
    /// Leave it up until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let Self { json, keep } = self;
        demo::Demo { json, keep }.run()
    }
}
