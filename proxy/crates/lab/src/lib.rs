//! Nodes and pods on this machine, without containers: network namespaces, veths, cgroups and the
//! processes in them.
//!
//! ```text
//! node a                                       node b
//! ┌─────────────────────────────┐              ┌──────────────────┐
//! │ 10.77.1.1    to-b ──────────┼──── veth ────┼─── to-a          │
//! │ pod-client   pod-server     │              │   pod-x          │
//! └────┼────────────┼───────────┘              └─────┼────────────┘
//!    eth0         eth0                             eth0
//!  10.77.1.10   10.77.1.11                       10.77.2.10          and fd77:0:0:1::a …
//! ```
//!
//! Names are the only thing labs share: all addresses are inside namespaces of their own. What a
//! [`Lab`] made it removes when dropped; what a killed process left is removed by the next lab of
//! that name.
mod cgroup;
mod child;
mod error;
mod lab;
mod manifest;
mod name;
mod node;
mod pod;
mod roles;

pub use child::LabChild;
pub use error::LabError;
pub use lab::Lab;
pub use manifest::PodManifest;
pub use node::NodeNs;
pub use pod::PodNs;
pub use roles::Roles;
