//! The gateway beside a real Envoy: the same bootstrap, the same requests, equal answers.
//!
//! A case is a file below `cases/`: a configuration, the requests, and what the servers behind it
//! answer. Both proxies run it with the same files, ports and certificates, and everything that a
//! client, a server, a log or a counter sees is compared. What Envoy did is recorded below
//! `target/gateway/recorded`, by the real Envoy and under the hash of all that the answer depends
//! on, so that it starts only for what is new. Needs no root and stays on the loopback.
//!
//! Reading order: [`case`], [`expand`], [`ports`], [`certificates`], [`server`] (the proxies),
//! [`backend`], [`client`], [`run`], [`plain`] (what runs differ in), [`compare`], [`recorded`],
//! [`plane`] (a control plane for cases that are manifests), [`grids`], [`stories`], [`suite`].
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a surprise ends the test, and what it prints is for whoever looks"
)]
mod backend;
mod case;
mod certificates;
mod client;
mod compare;
mod expand;
mod grids;
mod plain;
mod plane;
mod ports;
mod recorded;
mod run;
mod server;
mod stories;
mod suite;

use std::process::ExitCode;

fn main() -> ExitCode {
    suite::main()
}
