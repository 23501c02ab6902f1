//! Waiting for what has no event to wait for.
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on the slowest machine (an emulated one) before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something; panics with `what` after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "within {PATIENCE:?} there was no {what}");
        thread::sleep(LOOK_EVERY);
    }
}
