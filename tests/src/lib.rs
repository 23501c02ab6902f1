//! A mesh on this machine, for tests that read as stories.
//!
//! ```no_run
//! let mesh = e2e::Mesh::start("story", |m| {
//!     m.node("a").pod("client");
//!     m.node("b").pod("server").outsider("stranger");
//! });
//! let server = mesh.pod("server").serve("greet", 8080);
//! let said = mesh.pod("client").dial("plain", server.v4());
//! assert_eq!(said["ok"], true);
//! mesh.node("a").await_access("the client's line", |line| line["direction"] == "outbound");
//! ```
//!
//! Each node runs the real `culvert` in a network namespace; pods are namespaces with processes in
//! them. A surprise ends the test, and then what the proxies said is printed.
#![expect(clippy::panic, reason = "a surprise ends the test")]
#![expect(clippy::missing_panics_doc, reason = "everything here panics when it is surprised")]
mod authority;
pub mod bookinfo;
mod culvert;
mod eventually;
mod http;
mod lines;
mod mesh;
mod node;
mod plane;
mod pod;
pub mod programs;
mod running;
mod runtime;
mod setup;

pub use authority::{Authority, Proof};
pub use culvert::Culvert;
pub use eventually::{PATIENCE, eventually};
pub use lines::Lines;
pub use mesh::Mesh;
pub use node::Node;
pub use plane::Plane;
pub use pod::Pod;
pub use running::{Running, Server};
pub use runtime::{Runtime, Sandbox, bridge};
pub use setup::{NodeSetup, Setup};
