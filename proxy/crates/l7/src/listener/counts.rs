//! What is counted of a listener's connections.
use crate::stats::{Counter, Gauge, Histogram, Late, Scope};

#[derive(Debug)]
pub(super) struct Counts {
    pub(super) total: Late<Counter>,
    pub(super) ended: Late<Counter>,
    pub(super) active: Late<Gauge>,
    pub(super) length: Late<Histogram>,
    /// Those that filters still look at.
    pub(super) early: Late<Gauge>,
    pub(super) early_timeout: Late<Counter>,
    pub(super) filter_error: Late<Counter>,
    pub(super) left: Late<Counter>,
    pub(super) nowhere: Late<Counter>,
    /// More than the engine may have.
    pub(super) beyond_all: Late<Counter>,
    /// More than the listener may have.
    pub(super) beyond: Late<Counter>,
}

impl Counts {
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            total: scope.late("downstream_cx_total"),
            ended: scope.late("downstream_cx_destroy"),
            active: scope.late("downstream_cx_active"),
            length: scope.late("downstream_cx_length_ms"),
            early: scope.late("downstream_pre_cx_active"),
            early_timeout: scope.late("downstream_pre_cx_timeout"),
            filter_error: scope.late("downstream_listener_filter_error"),
            left: scope.late("downstream_listener_filter_remote_close"),
            nowhere: scope.late("no_filter_chain_match"),
            beyond_all: scope.late("downstream_global_cx_overflow"),
            beyond: scope.late("downstream_cx_overflow"),
        }
    }
}
