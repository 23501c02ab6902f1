//! The kernel's part as the data plane uses it, on this machine's kernel; needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

mod capture;
mod delivery;
mod dns;
mod exclude;
mod failopen;
mod flows;
mod frame;
mod guard;
mod held;
mod hostile;
mod kinds;
mod leaks;
mod leftovers;
mod life;
mod pair;
mod probes;
mod races;
mod shares;
mod socket;
mod spared;
mod strict;
mod traffic;
mod tunnel;
mod twoinstances;
mod verdicts;
mod world;
