//! The kernel's part as the data plane uses it, on this machine's kernel; needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]

#[path = "it/capture.rs"]
mod capture;
#[path = "it/delivery.rs"]
mod delivery;
#[path = "it/dns.rs"]
mod dns;
#[path = "it/exclude.rs"]
mod exclude;
#[path = "it/failopen.rs"]
mod failopen;
#[path = "it/flows.rs"]
mod flows;
#[path = "it/frame.rs"]
mod frame;
#[path = "it/guard.rs"]
mod guard;
#[path = "it/held.rs"]
mod held;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/kinds.rs"]
mod kinds;
#[path = "it/leaks.rs"]
mod leaks;
#[path = "it/leftovers.rs"]
mod leftovers;
#[path = "it/life.rs"]
mod life;
#[path = "it/pair.rs"]
mod pair;
#[path = "it/probes.rs"]
mod probes;
#[path = "it/races.rs"]
mod races;
#[path = "it/shares.rs"]
mod shares;
#[path = "it/socket.rs"]
mod socket;
#[path = "it/spared.rs"]
mod spared;
#[path = "it/strict.rs"]
mod strict;
#[path = "it/traffic.rs"]
mod traffic;
#[path = "it/tunnel.rs"]
mod tunnel;
#[path = "it/twoinstances.rs"]
mod twoinstances;
#[path = "it/verdicts.rs"]
mod verdicts;
#[path = "it/world.rs"]
mod world;
