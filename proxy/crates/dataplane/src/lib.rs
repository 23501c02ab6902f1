//! The way of a connection: from where the kernel diverted it to where it was meant to go.
//!
//! A pod's sockets live in its own network namespace: the listener a connection came to says whose
//! it is, and what the proxy opens for it leaves with the pod's address. Knows the immutable
//! snapshot, never where it came from.
//!
//! Reading order: [`pods`] (which pods there are), then the stages of [`conn`] in the order of
//! [`outbound`] and [`inbound`], [`copy`](mod@copy), and what keeps account of them: [`limits`],
//! [`account`], [`connections`].
mod config;

mod dataplane;

mod pods;

mod conn;

mod outbound;

mod inbound;

mod connect;

pub mod copy;

mod limits;

mod account;

mod connections;

mod errors;

#[cfg(test)]
mod sample;

pub use config::Config;
pub use connections::{ConnState, ConnStatus};
pub use dataplane::{Dataplane, StartError, Wires};
pub use pods::status::{KernelCounts, PodPhase, PodStatus};
