//! `culvert gateway`: the HTTP engine with real listeners, configured as an Envoy is; or as a
//! gateway of the mesh, by the mesh's control plane.
//!
//! The control runtime is the main thread: discovery, its decoding, admin. The data runtime has the
//! workers, which do nothing but carry connections; neither waits for the other.
//!
//! Reading order: [`options`], [`bootstrap`] (what is read), [`keys`] (what is around it),
//! [`reach`] (the way to servers of discovery), [`mesh`] (all of that for a gateway of the mesh), [`budgets`] and [`pressure`] (how much of it),
//! [`serving`] (the engine), [`inside`] (gateways of a process that is more), [`life`] (what state the process is in, and what is wanted of it),
//! [`numbers`] (what it counts of itself), [`admin`] (what it answers), [`logs`], [`holder`] (who
//! has an address that is taken).
mod admin;
mod bootstrap;
mod budgets;
mod holder;
pub(crate) mod inside;
mod keys;
mod life;
mod logs;
pub(crate) mod mesh;
mod numbers;
pub(crate) mod options;
mod pressure;
mod reach;
mod serving;

pub(crate) use logs::Level;

use crate::{
    cli::output,
    failure::{Exit, Failure},
    node::l7::keys::Here,
    tidy,
};
use admin::Admin;
use budgets::Most;
use culvert_identity::clock::{Clock, SystemClock};
use culvert_l7::{
    log::Sinks,
    shared::{Budgets, Node, Parts, Shared},
    stats::Stats,
    upstream::{Deps, Upstreams},
};
use culvert_model::http::snapshot::Snapshot;
use culvert_runtime::{
    drain::{Drain, Worker},
    publish::{self, View},
};
use culvert_telemetry::metrics::Metrics;
use culvert_xds::envoy::{
    bootstrap::Bootstrap,
    decode::Around,
    discover::{Discovery, Reach},
};
use life::{Life, Order, State};
use logs::Logs;
use mesh::{Host, Mesh};
use options::{Mode, Options};
use pressure::Pressure;
use serving::Serving;
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Handle};
use tracing::{debug, info, warn};

/// How long the last lines of logs may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What is read and found good.
struct Plan {
    options: Options,
    bootstrap: Arc<Bootstrap>,
    discovery: Discovery,
    /// Of a gateway of the mesh.
    mesh: Option<mesh::Plan>,
    logs: Logs,
    sinks: Sinks,
    stats: Stats,
    data: Handle,
}

/// Does what the command line asks for.
///
/// # Errors
///
/// When the configuration is no good, or the process cannot go on.
pub(crate) fn run(options: Options) -> Result<Exit, Failure> {
    let (bootstrap, mesh) = match &options.of {
        None => (bootstrap::read(&options)?, None),
        Some(of) => {
            let (bootstrap, mesh) = mesh::prepare(&options, of, mesh::ways(of)?)?;
            (bootstrap, Some(mesh))
        }
    };
    let bootstrap = Arc::new(bootstrap);
    // A control plane sees nothing of the machine that a bootstrap is on.
    let around: Arc<dyn Around + Send + Sync> = match &mesh {
        None => Arc::new(keys::Process),
        Some(_) => Arc::new(Here::default()),
    };
    let discovery = Discovery::try_new(&bootstrap, around).map_err(|bad| {
        let source = options.source();
        let lines: Vec<_> = bad.iter().map(|one| format!("{source}: {one}")).collect();
        Failure::new(Exit::Found, lines.join("\n"), bootstrap::MEND)
    })?;
    serving::check_logs(&options.source(), &discovery)?;
    if options.mode == Mode::Validate {
        bootstrap.ignored.iter().for_each(|one| output::say(format_args!("ignored: {one}")));
        output::print(format_args!("configuration '{}' OK", options.source()));
        return Ok(Exit::Done);
    }
    let logs = Logs::start(&options.log)
        .map_err(|error| Failure::new(Exit::Usage, error, "see culvert gateway --help"))?;
    tell(&options, &bootstrap);
    let data = Builder::new_multi_thread()
        .worker_threads(options.workers())
        .thread_name("data")
        .enable_all()
        .build()
        .map_err(|error| no_threads(&error))?;
    let control = Builder::new_current_thread().enable_all().build();
    let control = control.map_err(|error| no_threads(&error))?;
    let stats = Stats::default();
    let sinks = Sinks::new(&stats);
    let plan = Plan {
        options,
        bootstrap,
        discovery,
        mesh,
        logs,
        sinks: sinks.clone(),
        stats,
        data: data.handle().clone(),
    };
    let lived = control.block_on(tidy::tidied(live(plan)));
    // Every task has ended or was dropped; what blocks a thread does not hold up the end.
    data.shutdown_background();
    control.shutdown_background();
    for target in sinks.close(LAST_LINES) {
        warn!(log = %target, "access lines are lost: nobody takes them");
    }
    lived
}

/// From the first listener to the last connection.
async fn live(plan: Plan) -> Result<Exit, Failure> {
    let Plan { options, bootstrap, discovery, mesh, logs, sinks, stats, data } = plan;
    let mut life = Life::begin()?;
    let drain = Drain::default();
    let worker = drain.worker();
    let (mut publisher, view) = publish::channel(Snapshot::default());
    discovery.settle(&mut publisher);
    let most = Most::of(&bootstrap);
    let budgets = most.budgets();
    let metrics = || Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let host = || Host { metrics: metrics(), kernel: None, data: data.clone() };
    let mesh = mesh.map(|plan| plan.start(&host(), &worker)).transpose()?;
    let parts = parts(view, &bootstrap, (stats, sinks.clone()), mesh.as_ref(), worker.clone());
    let shared = Arc::new(Shared::new(Parts { budgets, ..parts }));
    most.follow(&shared, Pressure::of(&bootstrap), &worker);
    let reach: Arc<dyn Reach> = match &mesh {
        None => Arc::new(reach::ByClusters(Arc::clone(&shared.upstreams))),
        Some(mesh) => mesh.reach(),
    };
    let serving = Arc::new(Serving::new(Arc::clone(&shared)));
    worker.spawn(discovery.clone().run(Arc::clone(&bootstrap), reach, publisher, worker.clone()));
    let last = options.last();
    let admin = Arc::new(Admin::new(admin::Around {
        options,
        bootstrap,
        discovery,
        shared,
        serving: Arc::clone(&serving),
        mesh,
        logs,
        sinks,
        life: life.handle(),
    }));
    admin::start(&admin, &worker).await?;
    admin::doors::open(&admin, &worker).await?;
    numbers::keep(&admin, &worker);
    serve(&admin, &mut life, &data, &worker).await?;
    life.handle().set_ending();
    let ended = async {
        serving.end(last).await;
        // What is left belongs to no connection, or goes on too long.
        drain.drain(Duration::from_millis(100)).await
    };
    tokio::select! {
        drained = ended => debug!(?drained, "ended"),
        () = life.again() => warn!("told to end again: what goes on is cut off"),
    }
    Ok(Exit::Done)
}

/// What the engine is made of, without budgets.
fn parts(
    snapshot: View<Snapshot>,
    bootstrap: &Bootstrap,
    (stats, sinks): (Stats, Sinks),
    mesh: Option<&Mesh>,
    worker: Worker,
) -> Parts {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = Deps::new(worker.clone(), Arc::clone(&clock)).with_stats(stats.clone());
    let deps = match mesh {
        None => deps,
        Some(mesh) => deps.with_mesh(mesh.dial()),
    };
    let node = &bootstrap.node_facts;
    let node = Node {
        id: Arc::clone(&node.id),
        cluster: Arc::clone(&node.cluster),
        zone: Arc::clone(&node.locality.zone),
    };
    let upstreams = Arc::new(Upstreams::new(deps));
    let budgets = Budgets::default();
    Parts { snapshot, upstreams, stats, sinks, worker, clock, node, budgets }
}

/// Starts the engine, and does what is wanted until that is to end.
async fn serve(
    admin: &Arc<Admin>,
    life: &mut Life,
    data: &Handle,
    worker: &Worker,
) -> Result<(), Failure> {
    let around = &admin.around;
    let mut begins = pin!(around.serving.begin(around.options.drain(), data));
    let mut has_begun = false;
    loop {
        let order = tokio::select! {
            begun = &mut begins, if !has_begun => {
                begun?;
                has_begun = true;
                life.follow(admin, worker);
                continue;
            }
            order = life.next() => order,
        };
        match order {
            Order::Reopen => admin.reopen_logs(),
            Order::Ready => info!("ready: everything that is served has come"),
            Order::End(why) => {
                let within = around.options.last();
                info!(why, ?within, "ends: takes no more connections, lets requests finish");
                return Ok(());
            }
        }
        if around.options.mode == Mode::InitOnly && around.life.state() == State::Live {
            return Ok(());
        }
    }
}

fn tell(options: &Options, bootstrap: &Bootstrap) {
    let (version, source) = (env!("CARGO_PKG_VERSION"), options.source());
    info!(version, config = source, concurrency = options.workers(), "culvert gateway starts");
    for flag in &options.ignored {
        info!(flag, "changes nothing here");
    }
    for one in &bootstrap.ignored {
        warn!(field = one.path, "ignored: {}", one.what);
    }
}

fn no_threads(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Cannot,
        "cannot start the threads",
        "see the limits of processes and open files (ulimit -u, ulimit -n, the cgroup's pids.max)",
    )
    .because(error)
}
