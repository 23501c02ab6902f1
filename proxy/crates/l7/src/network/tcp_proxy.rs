//! `tcp_proxy`: a connection's bytes go to an endpoint of a cluster.
mod connect;
mod tunnel;

use super::{
    Course, Denied,
    rbac::{self, Rbac},
    record::{self, Line, Seen},
    relay::{self, Ended, Limits, Side, Tally},
};
use crate::{
    io::Io,
    log::Logs,
    shared::Shared,
    stats::{Counter, Late, tag},
};
use connect::Opened;
use culvert_model::http::{
    listener::{TcpClusters, TcpProxy as Config},
    value::{Fields, Metadata, Value},
};
use culvert_policy::http::flags::Flag;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The filter state that names the cluster, whatever the configuration says.
pub(super) const CLUSTER: &str = "envoy.tcp_proxy.cluster";

pub(super) struct TcpProxy {
    config: Arc<Config>,
    shared: Arc<Shared>,
    logs: Logs,
    /// What endpoints must have; and the same for each of several clusters.
    subset: Option<Arc<Fields>>,
    subsets: Box<[Option<Arc<Fields>>]>,
    counts: Counts,
}

struct Counts {
    total: Late<Counter>,
    no_route: Late<Counter>,
    received: Late<Counter>,
    sent: Late<Counter>,
    idle: Late<Counter>,
    too_long: Late<Counter>,
}

/// A connection on its way: its bytes are counted while they pass, and it is logged once in a while,
/// and when it is over.
struct Passing<'a, 'c> {
    proxy: &'a TcpProxy,
    course: &'a mut Course<'c>,
    /// To be asked at the first byte; none, when they were.
    rules: &'a [Rbac],
    denied: Option<Denied>,
    due: Option<Instant>,
}

impl TcpProxy {
    pub(super) fn new(config: &Arc<Config>, shared: &Arc<Shared>) -> Self {
        let scope = shared.stats.root().tagged("tcp", tag::TCP, &config.stat_prefix);
        let subsets = match &config.clusters {
            TcpClusters::One(_) => Box::default(),
            TcpClusters::Weighted(all) => {
                all.iter().map(|one| joined(&config.metadata_match, &one.metadata_match)).collect()
            }
        };
        Self {
            logs: Logs::new(&config.access_logs, &shared.sinks),
            subset: joined(&config.metadata_match, &Metadata::default()),
            subsets,
            config: Arc::clone(config),
            shared: Arc::clone(shared),
            counts: Counts {
                total: scope.late("downstream_cx_total"),
                no_route: scope.late("downstream_cx_no_route"),
                received: scope.late("downstream_cx_rx_bytes_total"),
                sent: scope.late("downstream_cx_tx_bytes_total"),
                idle: scope.late("idle_timeout"),
                too_long: scope.late("max_downstream_connection_duration"),
            },
        }
    }

    /// Serves a connection to its end; `rules` are asked at its first byte.
    pub(super) async fn serve(&self, course: &mut Course<'_>, io: Io, rules: &[Rbac]) {
        let mut passing = Passing { proxy: self, course, rules, denied: None, due: None };
        passing.pass(io).await;
        passing.course.end();
    }

    /// Writes down that the connection is over, be it before it came here.
    pub(super) fn end(&self, course: &mut Course<'_>) {
        self.counts.total.inc();
        course.record.upstream.seen.get_or_insert_default();
        self.write(course, "TcpConnectionEnd");
    }

    fn write(&self, course: &Course<'_>, kind: &'static str) {
        let line = Line::new(course.connection(), &course.record, &self.shared, kind);
        record::write(&self.logs, &line);
    }
}

impl Passing<'_, '_> {
    async fn pass(&mut self, mut client: Io) {
        let config = &self.proxy.config;
        let until =
            config.max_connection_duration.and_then(|most| Instant::now().checked_add(most));
        let (connection, record) = self.course.parts();
        let Some(Opened { io: mut upstream, held, link }) =
            Box::pin(self.proxy.connect(connection, record)).await
        else {
            return;
        };
        record.upstream.ready = Some(connection.began.elapsed());
        let remote = link.as_ref().and_then(|link| link.remote);
        record.upstream.remote = remote.or(record.upstream.remote);
        record.upstream.link = link;
        let limits = Limits {
            idle: config.idle_timeout,
            until,
            buffer: usize::try_from(connection.listener.buffer_limit).unwrap_or(usize::MAX),
        };
        self.due = self.next();
        let relayed = relay::relay(&mut client, &mut upstream, limits, self);
        let ended = tokio::select! {
            ended = relayed => ended,
            // As if the endpoint had reset it.
            () = held.cut() => {
                client.reset_on_close();
                Ended::Broken(Side::Upstream)
            }
        };
        self.note(&ended);
        if let Some(denied) = self.denied.take() {
            drop((upstream, held));
            self.course.record.deny(*denied.wait().await);
        }
    }

    /// What is told of the end.
    fn note(&mut self, ended: &Ended) {
        let (record, counts) = (&mut self.course.record, &self.proxy.counts);
        match ended {
            Ended::Finished | Ended::Denied => {}
            Ended::Broken(Side::Client) => record.seen = Seen::RemoteReset,
            Ended::Broken(Side::Upstream) => {
                record.flags.set(Flag::UpstreamRemoteReset);
                record.seen = Seen::LocalReset;
                record.upstream.seen = Some(Seen::RemoteReset);
            }
            Ended::Idle => {
                counts.idle.inc();
                record.closed = Some("tcp_session_idle_timeout".into());
            }
            Ended::TooLong => {
                counts.too_long.inc();
                record.flags.set(Flag::DurationTimeout);
                record.closed = Some("max_connection_duration_reached".into());
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let interval: Duration = self.proxy.config.log_interval?;
        Instant::now().checked_add(interval)
    }

    /// Asks the rules, the first time.
    fn is_allowed(&mut self) -> bool {
        let rules = std::mem::take(&mut self.rules);
        match rbac::ask(rules, self.course.change()) {
            Ok(()) => true,
            Err(denied) => {
                self.denied = Some(denied);
                false
            }
        }
    }
}

impl Drop for Passing<'_, '_> {
    /// Also of one that is cut off.
    fn drop(&mut self) {
        self.course.close();
        self.proxy.end(self.course);
    }
}

impl Tally for Passing<'_, '_> {
    fn said(&mut self, by: Side, bytes: usize) -> bool {
        if !self.rules.is_empty() && !self.is_allowed() {
            return false;
        }
        if bytes == 0 {
            return true;
        }
        let (counts, record) = (&self.proxy.counts, &mut self.course.record);
        let (counter, count) = match by {
            Side::Client => (&counts.received, &mut record.received),
            Side::Upstream => (&counts.sent, &mut record.sent),
        };
        *count += bytes as u64;
        counter.add(bytes as u64);
        true
    }

    fn due(&mut self) -> Option<Instant> {
        self.due
    }

    fn tell(&mut self) {
        self.proxy.write(self.course, "TcpPeriodic");
        self.due = self.next();
    }
}

/// What both say of endpoints; the second counts.
fn joined(first: &Metadata, second: &Metadata) -> Option<Arc<Fields>> {
    let of = |metadata: &Metadata| match metadata.filter("envoy.lb") {
        Some(Value::Struct(fields)) => Some(Arc::clone(fields)),
        _ => None,
    };
    match (of(first), of(second)) {
        (Some(first), Some(second)) => {
            let mut fields = Fields::clone(&first);
            fields.extend(second.iter().map(|(key, value)| (Arc::clone(key), value.clone())));
            Some(Arc::new(fields))
        }
        (one, other) => one.or(other),
    }
}
