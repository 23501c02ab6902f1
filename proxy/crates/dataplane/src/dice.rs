//! Names made by luck.
use culvert_model::tunnel::Trace;

pub(crate) use culvert_runtime::dice::dice;

/// A name for what several places tell of one connection.
pub(crate) fn new_trace() -> Trace {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&dice().to_be_bytes());
    // All zeros would be none.
    trace_id[8..].copy_from_slice(&(dice() | 1).to_be_bytes());
    Trace { trace_id, span_id: (dice() | 1).to_be_bytes() }
}
