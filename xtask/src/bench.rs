//! `cargo xtask bench`: builds what is measured, then measures.
use anyhow::Result;
use clap::Args;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Goals, such as P6; all without.
    goals: Vec<String>,
}

impl Bench {
    /// Runs the benches.
    pub(crate) fn run(&self) -> Result<()> {
        anyhow::bail!("{:?}: not there yet", self.goals)
    }
}
