//! `cargo xtask chart`: the chart of `deploy/helm`, rendered and tried out.
//!
//! Reading order: [`helm`] (who renders), [`manifests`] (what is committed), [`cases`] (values that
//! must do, and that must not), [`objects`] (what holds for whatever is rendered), [`settings`] (what
//! the program says of it), [`server`] and [`restriction`] (what an API server says of it).
mod cases;
mod helm;
mod manifests;
mod objects;
mod restriction;
mod server;
mod settings;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

/// What to do with the chart.
#[derive(Debug, Args)]
pub(crate) struct Chart {
    /// Compare with the committed manifests, try values that must do and that must not, and change
    /// nothing.
    #[arg(long)]
    check: bool,
    /// The same, and have the API server of this kubeconfig judge every object and permission. It
    /// installs the chart there for that, and removes it again.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// The same, and have this culvert read the settings files.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl Chart {
    /// Gets helm, then writes or compares.
    pub(crate) fn run(&self) -> Result<()> {
        prepare()?;
        let Self { check: is_check, server, program } = self;
        if !is_check && server.is_none() && program.is_none() {
            return manifests::write();
        }
        check()?;
        program.as_deref().map_or(Ok(()), settings::run)?;
        server.as_deref().map_or(Ok(()), server::run)
    }
}

/// Builds helm where it is missing.
pub(crate) fn prepare() -> Result<()> {
    helm::get()
}

/// Compares and tries what needs no API server; says how to get helm where it is missing.
pub(crate) fn check() -> Result<()> {
    manifests::compare()?;
    cases::run()
}
