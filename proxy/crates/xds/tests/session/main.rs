//! The two state machines of discovery against each other: whatever happens between them, the
//! node comes to hold what the control plane has.
#![expect(clippy::unwrap_used, reason = "tests")]

mod anything;
mod converge;
mod order;
mod steps;
mod thing;
