//! What clusters cost: `clusters COUNT [USED]` makes so many with an endpoint each, sends a request's
//! choice through some, and says the memory of each and how long a change of one takes.
#![expect(clippy::print_stdout, reason = "what it finds is printed")]
use culvert_identity::clock::SystemClock;
use culvert_l7::{
    stats::{Stats, sample::Query},
    upstream::{Ask, Deps, Upstreams},
};
use culvert_model::http::{
    cluster::{Cluster, Discovery},
    endpoint::Assignment,
    snapshot::{Resource, Snapshot},
};
use culvert_runtime::drain::Drain;
use std::{sync::Arc, time::Duration, time::Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let count: u32 = args.next().map_or(Ok(10_000), |text| text.parse())?;
    let used: u32 = args.next().map_or(Ok(100), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let drain = Drain::default();
    let stats = Stats::default();
    let deps = Deps::new(drain.worker(), Arc::new(SystemClock)).with_stats(stats.clone());
    let upstreams = Upstreams::new(deps);

    let mut snapshot = Snapshot::default();
    for number in 0..count {
        set(&mut snapshot, number, Duration::from_secs(5));
    }
    let before = resident()?;
    let began = Instant::now();
    upstreams.apply(&snapshot);
    let applied = began.elapsed();
    let after = resident()?;
    for number in 0..used.min(count) {
        let found = upstreams.find(&name(number));
        let chosen = found.map(|upstream| upstream.choose(&Ask::default()));
        assert!(chosen.is_some_and(|chosen| chosen.is_ok()), "an endpoint of cluster {number}");
    }
    let with_traffic = resident()?;
    set(&mut snapshot, 0, Duration::from_secs(6));
    let began = Instant::now();
    upstreams.apply(&snapshot);
    let changed = began.elapsed();
    let each = |more: u64, of: u32| more / u64::from(of.max(1));
    println!("{count} clusters: {} bytes each, made in {applied:?}", each(after - before, count));
    println!("{used} with traffic: {} bytes more each", each(with_traffic - after, used));
    println!("one changed among them: {changed:?}");
    let samples = stats.samples(&Query::default());
    println!("numbers: {}", samples.counters.len() + samples.gauges.len());
    Ok(())
}

fn name(number: u32) -> String {
    format!("outbound|80||service-{number}.namespace.svc.cluster.local")
}

fn set(snapshot: &mut Snapshot, number: u32, connect_timeout: Duration) {
    let name: Arc<str> = name(number).into();
    let at = ([10, 0, 0, 1], 80).into();
    let discovery = Discovery::Static(Arc::new(Assignment::at(Arc::clone(&name), [at])));
    let cluster = Cluster { connect_timeout, ..Cluster::new(Arc::clone(&name), discovery) };
    let value = Arc::new(cluster);
    snapshot.clusters_mut().insert(name, Resource { version: "1".into(), value });
}

/// Bytes that the process has in memory.
fn resident() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096)
}
