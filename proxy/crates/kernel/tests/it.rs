//! The kernel's part as the data plane uses it, on this machine's kernel; needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

#[path = "it/capture.rs"]
mod capture;
#[path = "it/life.rs"]
mod life;
#[path = "it/strict.rs"]
mod strict;
#[path = "it/traffic.rs"]
mod traffic;
#[path = "it/world.rs"]
mod world;
