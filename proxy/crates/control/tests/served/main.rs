//! Nodes at the ports of a control plane: over TLS, with tokens and certificates.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod plane;

#[path = "../shared/until.rs"]
mod until;

mod certificates;
mod engines;
mod follow;
mod gateways;
mod joined;
mod leave;
mod rotate;
mod strangers;
