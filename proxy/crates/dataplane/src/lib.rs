//! The way of a connection: from where the kernel diverted it to where it was meant to go.
//!
//! A pod's sockets live in its own network namespace: the listener a connection came to says whose
//! it is, and what the proxy opens for it leaves with the pod's address. Knows the immutable
//! snapshot, never where it came from.
//!
//! Reading order: `pods` (which there are), the stages of `conn` in the order of `outbound` and
//! `inbound`, `l7` (what HTTP engines get and have opened), `gateway` (the same where there is no
//! pod), [`copy`](mod@copy), and what keeps account: `limits`, `account`, `refusals`,
//! `connections`.
mod config;

mod dataplane;

mod pods;

mod conn;

mod outbound;

mod inbound;

mod l7;

mod gateway;

mod connect;

mod loads;

mod handshakes;

pub mod hbone;

pub mod copy;

pub mod dns;

mod limits;

mod account;

mod judge;

mod cut;

mod recheck;

mod direct;

mod refusals;

mod connections;

mod errors;

mod dice;

#[cfg(test)]
mod sample;

#[cfg(test)]
mod ways;

pub use config::Config;
pub use connections::{ConnState, ConnStatus};
pub use dataplane::{Dataplane, StartError, Wires};
pub use gateway::{Gateway, GatewayWires};
pub use pods::status::{Capture, KernelCounts, PodPhase, PodStatus};

#[cfg(test)]
mod tests {
    use crate::{inbound, outbound};
    use std::future::Future;

    /// Bytes of one connection's task while it lives, whatever it does; of the 3 KB that an idle
    /// connection may cost, the rest is for tokio's registrations of two sockets and the account.
    const WAY_MAX: usize = 576;

    fn size_of_way<A, B, F: Future>(_way: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_is_small() {
        let sizes = [size_of_way(outbound::carry), size_of_way(inbound::carry)];
        assert!(sizes.iter().all(|size| *size <= WAY_MAX), "{sizes:?}");
    }
}
