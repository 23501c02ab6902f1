//! Every promise of the node, kept with real sockets, namespaces, kernel and peers.
//!
//! Needs root; run by `cargo xtask test e2e`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a surprise ends the test")]
mod anew;
mod authz;
mod bad_input;
mod bypass;
mod capture;
mod cni;
mod cni_tool;
mod contained;
mod crash;
mod delivery;
mod demo;
mod dns;
mod enrol;
mod forwarding;
mod handover;
mod l7;
mod limits;
mod local;
mod mtls;
mod observe;
mod peers;
mod plane;
mod redirect;
mod rotate;
mod start;
mod steps;
mod strangers;
mod tunnel;
mod uninstall;
mod unmeshed;
mod why;
