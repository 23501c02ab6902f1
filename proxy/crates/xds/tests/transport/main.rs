//! Nodes and a control plane over connections in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

mod discovery;
mod mesh;
mod refused;
mod report;
