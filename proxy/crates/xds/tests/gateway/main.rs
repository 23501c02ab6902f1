//! What a bootstrap names is followed: over gRPC in both protocols, by polling, in files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod files;
mod follow;
mod rest;
mod server;
