//! Cases that are made: every combination of some conditions in one configuration.

type Grid = fn() -> String;

/// By name.
pub(crate) const ALL: &[(&str, Grid)] = &[];
