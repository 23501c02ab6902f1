//! Luck, for choices and names of which nothing depends but evenness.
use culvert_model::tunnel::Trace;
use std::hash::{BuildHasher as _, RandomState};

/// 64 random bits.
pub(crate) fn dice() -> u64 {
    RandomState::new().hash_one(())
}

/// A name for what several places tell of one connection.
pub(crate) fn new_trace() -> Trace {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&dice().to_be_bytes());
    // All zeros would be none.
    trace_id[8..].copy_from_slice(&(dice() | 1).to_be_bytes());
    Trace { trace_id, span_id: (dice() | 1).to_be_bytes() }
}
