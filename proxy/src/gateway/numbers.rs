//! What the process counts of itself: `server.…`, `cluster_manager.…`, `runtime.…`.
use super::admin::Admin;
use culvert_l7::stats::{Gauge, Scope};
use culvert_runtime::drain::Worker;
use culvert_xds::envoy::kind::Kind;
use std::{sync::Arc, time::Duration};
use tokio::time;

/// How often numbers are looked through for what is no longer.
const EXPIRY: Duration = Duration::from_secs(60);

/// Looks after the numbers until the worker finishes.
pub(super) fn keep(admin: &Arc<Admin>, worker: &Worker) {
    let (admin, own) = (Arc::clone(admin), worker.clone());
    worker.spawn(async move {
        let mut looks = time::interval(EXPIRY);
        looks.tick().await;
        loop {
            tokio::select! {
                _ = looks.tick() => admin.around.shared.stats.expire(),
                () = own.finishing() => return,
            }
        }
    });
}

/// What is known only when somebody asks.
#[derive(Debug)]
pub(super) struct Numbers {
    server: Server,
    clusters: [Gauge; 2],
    runtime: [Gauge; 2],
    connected: Gauge,
}

#[derive(Debug)]
struct Server {
    state: Gauge,
    uptime: Gauge,
    allocated: Gauge,
    heap: Gauge,
    physical: Gauge,
    connections: Gauge,
    live: Gauge,
    expiry: Gauge,
}

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// What is backed by memory.
    pub(super) resident: u64,
    /// Of that what is no file.
    pub(super) anonymous: u64,
}

impl Numbers {
    pub(super) fn new(root: &Scope, concurrency: usize) -> Self {
        let server = root.scope("server");
        server.gauge("concurrency").set(u64::try_from(concurrency).unwrap_or(u64::MAX));
        server.gauge("hot_restart_epoch").set(0);
        server.gauge("parent_connections").set(0);
        let (manager, runtime) = (root.scope("cluster_manager"), root.scope("runtime"));
        Self {
            server: Server {
                state: server.gauge("state"),
                uptime: server.gauge("uptime"),
                allocated: server.gauge("memory_allocated"),
                heap: server.gauge("memory_heap_size"),
                physical: server.gauge("memory_physical_size"),
                connections: server.gauge("total_connections"),
                live: server.gauge("live"),
                expiry: server.gauge("days_until_first_cert_expiring"),
            },
            clusters: [manager.gauge("active_clusters"), manager.gauge("warming_clusters")],
            runtime: [runtime.gauge("num_keys"), runtime.gauge("num_layers")],
            connected: root.scope("control_plane").gauge("connected_state"),
        }
    }

    /// Brings them up to date.
    pub(super) fn refresh(&self, admin: &Admin) {
        let count = |many: usize| u64::try_from(many).unwrap_or(u64::MAX);
        let around = &admin.around;
        let (memory, server) = (Memory::now(), &self.server);
        server.state.set(admin.state().number());
        server.uptime.set(around.shared.began.elapsed().as_secs());
        server.allocated.set(memory.anonymous);
        server.heap.set(memory.anonymous);
        server.physical.set(memory.resident);
        server.connections.set(around.shared.budgets.connections.used());
        server.live.set(u64::from(admin.state() == super::life::State::Live));
        let days = super::admin::certs::days(admin).unwrap_or(u32::MAX.into());
        server.expiry.set(days);
        around.shared.upstreams.measure();
        let [active, warming] = &self.clusters;
        let snapshot = around.shared.snapshot.pin();
        active.set(count(snapshot.value.clusters().len()));
        let waits = around
            .discovery
            .inspect(|all| all.waiting().filter(|((kind, _), _)| *kind == Kind::Cluster).count());
        warming.set(count(waits));
        let [keys, layers] = &self.runtime;
        keys.set(count(snapshot.value.runtime().iter().count()));
        layers.set(count(snapshot.value.runtime().layers().len()));
        let status = around.discovery.status();
        let all = !status.is_empty() && status.iter().all(|(_, status)| status.connected);
        self.connected.set(u64::from(all));
    }
}

impl Memory {
    pub(super) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib =
                line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) * 1024
        };
        Self { resident: of("VmRSS:"), anonymous: of("RssAnon:") }
    }
}
