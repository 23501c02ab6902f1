//! The server's side of Envoy's discovery: what a client comes to hold, and in which order.
#![expect(clippy::unwrap_used, reason = "tests")]

mod anything;
mod client;
mod converge;
mod order;
