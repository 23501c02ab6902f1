//! What a bootstrap names is followed: over gRPC in both protocols, by polling, in files; and the laws
//! of both protocols.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "what a test starts ends with it")]

mod files;
mod follow;
mod laws;
mod mutated;
mod rest;
mod server;
