//! Every promise of the node, kept with real sockets, namespaces, kernel and peers.
//!
//! Needs root; run by `cargo xtask test e2e`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a surprise ends the test")]
mod anew;
mod bad_input;
mod bypass;
mod capture;
mod crash;
mod delivery;
mod demo;
mod enrol;
mod forwarding;
mod handover;
mod limits;
mod observe;
mod peers;
mod start;
mod uninstall;
