//! Statistics of a manager: `http.PREFIX.`.
use crate::{
    dial::Protocol,
    h1, h2,
    outcome::Ended,
    stats::{Counter, Gauge, Histogram, Late, Raised, Scope, Stats, Tag, codes::Codes, tag},
};
use std::time::Instant;

/// All of them; each is there from its first use on.
#[derive(Debug)]
pub(crate) struct Tally {
    scope: Scope,
    cx_total: Late<Counter>,
    cx_active: Late<Gauge>,
    cx_destroy: Late<Counter>,
    cx_length: Late<Histogram>,
    /// Of HTTP/1, HTTP/2.
    cx_version: [(Late<Counter>, Late<Gauge>); 2],
    cx_ssl: (Late<Counter>, Late<Gauge>),
    cx_idle_timeout: Late<Counter>,
    cx_drain_close: Late<Counter>,
    cx_protocol_error: Late<Counter>,
    cx_destroy_active_rq: Late<Counter>,
    pub(crate) rq_total: Late<Counter>,
    pub(crate) rq_version: [Late<Counter>; 2],
    pub(crate) rq_active: Late<Gauge>,
    pub(crate) rq_codes: Codes,
    pub(crate) rq_time: Late<Histogram>,
    pub(crate) rq_rx_reset: Late<Counter>,
    pub(crate) rq_tx_reset: Late<Counter>,
    pub(crate) rq_too_large: Late<Counter>,
    pub(crate) rq_header_timeout: Late<Counter>,
    pub(crate) rq_timeout: Late<Counter>,
    pub(crate) rq_idle_timeout: Late<Counter>,
    pub(crate) rq_max_duration_reached: Late<Counter>,
    pub(crate) rq_overload_close: Late<Counter>,
    pub(crate) rq_non_relative_path: Late<Counter>,
    pub(crate) rq_failed_path_normalization: Late<Counter>,
    pub(crate) rq_redirected_with_normalized_path: Late<Counter>,
    pub(crate) rq_rejected_via_ip_detection: Late<Counter>,
    pub(crate) rq_ws_on_non_ws_route: Late<Counter>,
    pub(super) traced: Traced,
    /// The router's.
    pub(crate) routed: Late<Counter>,
    pub(crate) no_route: Late<Counter>,
    pub(crate) no_cluster: Late<Counter>,
    pub(crate) redirect: Late<Counter>,
    pub(crate) direct_response: Late<Counter>,
    pub(crate) reset_after_response: Late<Counter>,
}

/// Requests of managers with tracing, by why they would be traced.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) sampled: Late<Counter>,
    pub(super) forced: Late<Counter>,
    pub(super) client: Late<Counter>,
    pub(super) no: Late<Counter>,
}

/// A connection, counted while it lasts.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    tally: &'a Tally,
    began: Instant,
    _active: [Option<Raised>; 3],
}

impl Tally {
    pub(crate) fn new(stats: &Stats, prefix: &str) -> Self {
        let scope = stats.scope("http", Tag::new(tag::HTTP, prefix));
        let (counter, gauge) = (|name| scope.late(name), |name| scope.late(name));
        let histogram = |name| scope.late(name);
        Self {
            cx_total: counter("downstream_cx_total"),
            cx_active: gauge("downstream_cx_active"),
            cx_destroy: counter("downstream_cx_destroy"),
            cx_length: histogram("downstream_cx_length_ms"),
            cx_version: [
                (counter("downstream_cx_http1_total"), gauge("downstream_cx_http1_active")),
                (counter("downstream_cx_http2_total"), gauge("downstream_cx_http2_active")),
            ],
            cx_ssl: (counter("downstream_cx_ssl_total"), gauge("downstream_cx_ssl_active")),
            cx_idle_timeout: counter("downstream_cx_idle_timeout"),
            cx_drain_close: counter("downstream_cx_drain_close"),
            cx_protocol_error: counter("downstream_cx_protocol_error"),
            cx_destroy_active_rq: counter("downstream_cx_destroy_active_rq"),
            rq_total: counter("downstream_rq_total"),
            rq_version: [
                counter("downstream_rq_http1_total"),
                counter("downstream_rq_http2_total"),
            ],
            rq_active: gauge("downstream_rq_active"),
            rq_codes: Codes::new(scope.clone(), "downstream_rq"),
            rq_time: histogram("downstream_rq_time"),
            rq_rx_reset: counter("downstream_rq_rx_reset"),
            rq_tx_reset: counter("downstream_rq_tx_reset"),
            rq_too_large: counter("downstream_rq_too_large"),
            rq_header_timeout: counter("downstream_rq_header_timeout"),
            rq_timeout: counter("downstream_rq_timeout"),
            rq_idle_timeout: counter("downstream_rq_idle_timeout"),
            rq_max_duration_reached: counter("downstream_rq_max_duration_reached"),
            rq_overload_close: counter("downstream_rq_overload_close"),
            rq_non_relative_path: counter("downstream_rq_non_relative_path"),
            rq_failed_path_normalization: counter("downstream_rq_failed_path_normalization"),
            rq_redirected_with_normalized_path: counter(
                "downstream_rq_redirected_with_normalized_path",
            ),
            rq_rejected_via_ip_detection: counter("downstream_rq_rejected_via_ip_detection"),
            rq_ws_on_non_ws_route: counter("downstream_rq_ws_on_non_ws_route"),
            traced: Traced {
                sampled: counter("tracing.random_sampling"),
                forced: counter("tracing.service_forced"),
                client: counter("tracing.client_enabled"),
                no: counter("tracing.not_traceable"),
            },
            routed: counter("rq_total"),
            no_route: counter("no_route"),
            no_cluster: counter("no_cluster"),
            redirect: counter("rq_redirect"),
            direct_response: counter("rq_direct_response"),
            reset_after_response: counter("rq_reset_after_downstream_response_started"),
            scope,
        }
    }

    /// `http.PREFIX.`, for filters.
    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn connection(&self, protocol: Protocol, secure: bool) -> Open<'_> {
        let (total, active) = match (protocol, &self.cx_version) {
            (Protocol::Http1, [one, _]) => one,
            (Protocol::Http2, [_, two]) => two,
        };
        self.cx_total.inc();
        total.inc();
        if secure {
            self.cx_ssl.0.inc();
        }
        let ssl = secure.then(|| self.cx_ssl.1.raise());
        Open {
            tally: self,
            began: Instant::now(),
            _active: [Some(self.cx_active.raise()), Some(active.raise()), ssl],
        }
    }

    pub(super) fn closed_h1(&self, closed: h1::Closed) {
        match closed {
            h1::Closed::Left => {}
            h1::Closed::Idle => self.cx_idle_timeout.inc(),
            h1::Closed::Finished => self.cx_drain_close.inc(),
            h1::Closed::Refused(_) => self.cx_protocol_error.inc(),
            h1::Closed::Broken(ended) => {
                if ended != Ended::Whole {
                    self.cx_destroy_active_rq.inc();
                }
            }
        }
    }

    pub(super) fn closed_h2(&self, closed: &h2::Closed) {
        match closed {
            h2::Closed::Left => {}
            h2::Closed::Idle => self.cx_idle_timeout.inc(),
            h2::Closed::Finished => self.cx_drain_close.inc(),
            h2::Closed::Lost => self.scope.counter("downstream_cx_http2_keepalive_timeout").inc(),
            h2::Closed::Flood | h2::Closed::Failed(_) => self.cx_protocol_error.inc(),
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.tally.cx_destroy.inc();
        let length = self.began.elapsed().as_millis();
        self.tally.cx_length.record(u64::try_from(length).unwrap_or(u64::MAX));
    }
}
