//! `tcp_proxy`: a connection's bytes go to an endpoint of a cluster.
mod connect;
mod tunnel;

use super::{
    record::{self, Line, Record, Seen},
    relay::{self, Ended, Limits, Side, Tally},
};
use crate::{
    connection::Connection,
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

/// Counts a connection's bytes while they pass, and logs it once in a while.
struct Passing<'a> {
    proxy: &'a TcpProxy,
    connection: &'a Connection,
    record: &'a mut Record,
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

    /// Serves a connection to its end.
    pub(super) async fn serve(&self, connection: &Connection, io: Io, record: &mut Record) {
        self.pass(connection, io, record).await;
        self.end(connection, record);
    }

    /// Writes down that the connection is over, be it before it came here.
    pub(super) fn end(&self, connection: &Connection, record: &mut Record) {
        self.counts.total.inc();
        record.upstream.seen.get_or_insert_default();
        self.write(connection, record, "TcpConnectionEnd");
    }

    fn write(&self, connection: &Connection, record: &Record, kind: &'static str) {
        record::write(&self.logs, &Line::new(connection, record, &self.shared, kind));
    }

    async fn pass(&self, connection: &Connection, mut client: Io, record: &mut Record) {
        let until =
            self.config.max_connection_duration.and_then(|most| Instant::now().checked_add(most));
        let Some(Opened { io: mut upstream, held }) =
            Box::pin(self.connect(connection, record)).await
        else {
            return;
        };
        record.upstream.ready = Some(connection.began.elapsed());
        if let Some(tcp) = upstream.tcp() {
            record.upstream.local = tcp.local_addr().ok();
            record.upstream.remote = tcp.peer_addr().ok().or(record.upstream.remote);
        }
        let limits = Limits {
            idle: self.config.idle_timeout,
            until,
            buffer: usize::try_from(connection.listener.buffer_limit).unwrap_or(usize::MAX),
        };
        let mut passing = Passing { proxy: self, connection, record, due: None };
        passing.due = passing.next();
        let relayed = relay::relay(&mut client, &mut upstream, limits, &mut passing);
        let ended = tokio::select! {
            ended = relayed => ended,
            // As if the endpoint had reset it.
            () = held.cut() => {
                client.reset_on_close();
                Ended::Broken(Side::Upstream)
            }
        };
        let record = passing.record;
        match ended {
            Ended::Finished => {}
            Ended::Broken(Side::Client) => record.seen = Seen::RemoteReset,
            Ended::Broken(Side::Upstream) => {
                record.flags.set(Flag::UpstreamRemoteReset);
                record.seen = Seen::LocalReset;
                record.upstream.seen = Some(Seen::RemoteReset);
            }
            Ended::Idle => {
                self.counts.idle.inc();
                record.closed = Some("tcp_session_idle_timeout".into());
            }
            Ended::TooLong => {
                self.counts.too_long.inc();
                record.flags.set(Flag::DurationTimeout);
                record.closed = Some("max_connection_duration_reached".into());
            }
        }
        drop(held);
    }
}

impl Passing<'_> {
    fn next(&self) -> Option<Instant> {
        let interval: Duration = self.proxy.config.log_interval?;
        Instant::now().checked_add(interval)
    }
}

impl Tally for Passing<'_> {
    fn said(&mut self, by: Side, bytes: usize) {
        let (counter, count) = match by {
            Side::Client => (&self.proxy.counts.received, &mut self.record.received),
            Side::Upstream => (&self.proxy.counts.sent, &mut self.record.sent),
        };
        *count += bytes as u64;
        counter.add(bytes as u64);
    }

    fn due(&mut self) -> Option<Instant> {
        self.due
    }

    fn tell(&mut self) {
        self.proxy.write(self.connection, self.record, "TcpPeriodic");
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
