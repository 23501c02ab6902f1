//! What no single exchange shows: real peers, floods, changes under load.

/// By name.
pub(crate) const ALL: &[(&str, fn())] = &[];
