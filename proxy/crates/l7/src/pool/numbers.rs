//! What is counted of connections and of requests on them, under Envoy's names.
use crate::{
    dial::Protocol,
    stats::{Counter, Gauge, Histogram, Late, Raised, Scope},
};
use std::time::Duration;

/// The numbers of one cluster's connections.
#[derive(Debug)]
pub struct Numbers {
    connections: Late<Counter>,
    active: Late<Gauge>,
    one: Late<Counter>,
    two: Late<Counter>,
    failed: Late<Counter>,
    late: Late<Counter>,
    overflow: Late<Counter>,
    destroyed: Late<Counter>,
    spent: Late<Counter>,
    old: Late<Counter>,
    idle: Late<Counter>,
    connecting: Late<Histogram>,
    lasted: Late<Histogram>,
    requests: Late<Counter>,
    pending: Late<Counter>,
    pending_active: Late<Gauge>,
    pending_overflow: Late<Counter>,
    pending_failed: Late<Counter>,
}

impl Numbers {
    pub fn new(scope: &Scope) -> Self {
        Self {
            connections: scope.late("upstream_cx_total"),
            active: scope.late("upstream_cx_active"),
            one: scope.late("upstream_cx_http1_total"),
            two: scope.late("upstream_cx_http2_total"),
            failed: scope.late("upstream_cx_connect_fail"),
            late: scope.late("upstream_cx_connect_timeout"),
            overflow: scope.late("upstream_cx_overflow"),
            destroyed: scope.late("upstream_cx_destroy"),
            spent: scope.late("upstream_cx_max_requests"),
            old: scope.late("upstream_cx_max_duration_reached"),
            idle: scope.late("upstream_cx_idle_timeout"),
            connecting: scope.late("upstream_cx_connect_ms"),
            lasted: scope.late("upstream_cx_length_ms"),
            requests: scope.late("upstream_rq_total"),
            pending: scope.late("upstream_rq_pending_total"),
            pending_active: scope.late("upstream_rq_pending_active"),
            pending_overflow: scope.late("upstream_rq_pending_overflow"),
            pending_failed: scope.late("upstream_rq_pending_failure_eject"),
        }
    }

    /// A connection is being opened.
    pub fn opens(&self) {
        self.connections.inc();
        self.active.add(1);
    }

    /// It was, after so long; `None`: for what is no HTTP.
    pub fn opened(&self, protocol: Option<Protocol>, took: Duration) {
        match protocol {
            Some(Protocol::Http1) => self.one.inc(),
            Some(Protocol::Http2) => self.two.inc(),
            None => {}
        }
        self.connecting.record(millis(took));
    }

    /// It was not, and so many had waited for it.
    pub fn failed(&self, late: bool, waited: usize) {
        self.failed.inc();
        if late {
            self.late.inc();
        }
        self.pending_failed.add(waited as u64);
    }

    /// It has ended, whether it was ever open or not.
    pub fn ended(&self, lasted: Duration) {
        self.active.sub(1);
        self.destroyed.inc();
        self.lasted.record(millis(lasted));
    }

    /// It has had as many requests as it may, and ends.
    pub fn spent(&self) {
        self.spent.inc();
    }

    /// It has lasted as long as it may, and ends.
    pub fn old(&self) {
        self.old.inc();
    }

    /// Nobody has used it for long, and it ends.
    pub fn idle(&self) {
        self.idle.inc();
    }

    /// There may be no more connections.
    pub fn overflows(&self) {
        self.overflow.inc();
    }

    /// A request waits for a connection for as long as what this returns is held.
    pub fn waits(&self) -> Raised {
        self.pending.inc();
        self.pending_active.raise()
    }

    /// A request may not wait, or may not be sent.
    pub fn turned_away(&self) {
        self.pending_overflow.inc();
    }

    /// A request has its connection.
    pub fn sends(&self) {
        self.requests.inc();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
