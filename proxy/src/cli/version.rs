//! `culvert version`
use super::output;
use crate::failure::{Exit, Failure};
use culvert_kernel::{Capabilities, probe};
use serde::Serialize;
use std::error::Error;

/// Show version, kernel ABI, eBPF objects, and what this kernel can do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  culvert version -o json | jq .kernel")]
pub(crate) struct Version {
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

#[derive(Debug, Serialize)]
struct Facts {
    version: &'static str,
    abi: u32,
    objects: [Object; 3],
    /// Absent when it could not be found out; then `missing` says why.
    kernel: Option<Capabilities>,
    missing: Option<String>,
}

#[derive(Debug, Serialize)]
struct Object {
    name: &'static str,
    sha256: &'static str,
}

/// The eBPF objects of this binary, as the build script found them.
const OBJECTS: [(&str, &str); 3] = [
    ("node.o", env!("SHA256_NODE")),
    ("pod.o", env!("SHA256_POD")),
    ("guard.o", env!("SHA256_GUARD")),
];

impl Version {
    #[expect(clippy::unnecessary_wraps, reason = "every command ends the same way")]
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let (kernel, missing) = match probe() {
            Ok(kernel) => (Some(kernel), None),
            Err(error) => (None, Some(chain(&error))),
        };
        let objects = OBJECTS.map(|(name, sha256)| Object { name, sha256 });
        let abi = culvert_common::ABI_VERSION;
        let facts = Facts { version: env!("CARGO_PKG_VERSION"), abi, objects, kernel, missing };
        match self.output {
            output::Format::Json => output::json(&facts),
            output::Format::Text => print(&facts),
        }
        Ok(Exit::Done)
    }
}

fn print(facts: &Facts) {
    let Facts { version, abi, objects, kernel, missing } = facts;
    output::print(format_args!("culvert {version}, kernel ABI {abi}"));
    for Object { name, sha256 } in objects {
        output::print(format_args!("{name:8} sha256 {sha256}"));
    }
    match (kernel, missing) {
        (Some(kernel), _) => {
            let found = serde_json::to_value(kernel).unwrap_or_default();
            output::print(format_args!("kernel   {}", output::capabilities(&found)));
        }
        (None, missing) => {
            let why = missing.as_deref().unwrap_or_default();
            output::print(format_args!("kernel   not probed: {why}"));
        }
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    culvert_telemetry::chain::Chain(error).to_string()
}
