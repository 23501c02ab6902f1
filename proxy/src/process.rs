//! The process of each role, on its runtimes.
//!
//! Of one that holds pods, the control runtime is the main thread: manifests, admin, scrapes, take-over. The data runtime
//! has the workers, which do nothing but carry connections; neither waits for the other.
use crate::{
    config::{Config, report::Report, settings},
    control,
    failure::{Exit, Failure},
    ground::Ground,
    node::{self, Plan},
    tidy,
};
use culvert_telemetry::{
    access::AccessLog,
    log::{self, LogHandle},
    metrics::Metrics,
};
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Runtime};
use tracing::warn;

/// How long the last access lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Runs what holds pods, `culvert up` or `culvert node`, until it is told to end or cannot go on.
pub(crate) fn node(config: Config, report: Report, paths: Vec<PathBuf>) -> Result<Exit, Failure> {
    let log = start_log(&config)?;
    tell(&report);
    let ground = Ground::prepare(&config)?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let access = start_access_log(&config, &metrics)?;
    let data = Builder::new_multi_thread()
        .worker_threads(usize::from(config.workers.get()))
        .thread_name("data")
        .enable_all()
        .build();
    let data = data.map_err(|error| no_threads(&error))?;
    let control = control_runtime()?;
    let plan = Plan {
        config,
        report,
        paths,
        ground,
        log,
        metrics,
        access: access.clone(),
        data: data.handle().clone(),
    };
    let lived = control.block_on(tidy::tidied(node::live(plan)));
    // Every task has ended or was dropped; what blocks a thread does not hold up the end.
    data.shutdown_background();
    control.shutdown_background();
    if let Err(error) = access.close(LAST_LINES) {
        warn!(%error, "access lines are lost");
    }
    lived
}

/// Runs a control plane and nothing else, until it is told to end or cannot go on.
pub(crate) fn control(
    config: Config,
    report: Report,
    paths: Vec<PathBuf>,
) -> Result<Exit, Failure> {
    let log = start_log(&config)?;
    tell(&report);
    let runtime = Builder::new_multi_thread()
        .worker_threads(usize::from(config.workers.get()))
        .thread_name("control")
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| no_threads(&error))?;
    let alone = control::Alone { config, report, paths, log };
    let lived = runtime.block_on(tidy::tidied(control::live(alone)));
    runtime.shutdown_background();
    lived
}

fn control_runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(|error| no_threads(&error))
}

fn start_log(config: &Config) -> Result<LogHandle, Failure> {
    log::init(config.logs.format, &config.logs.directives).map_err(|error| {
        Failure::of(Exit::Usage, &error, format!("mend the setting {}", settings::LOG))
    })
}

fn start_access_log(config: &Config, metrics: &Metrics) -> Result<AccessLog, Failure> {
    AccessLog::start(config.logs.access, Box::new(io::stdout()), metrics)
        .map_err(|error| no_threads(&error))
}

/// The settings that somebody set, in one line.
fn tell(report: &Report) {
    let set: Vec<_> = report
        .0
        .iter()
        .filter(|entry| !entry.from.starts_with("default"))
        .map(|entry| format!("{}={} ({})", entry.name, entry.text(), entry.from))
        .collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        settings = set.join(", "),
        "culvert starts"
    );
}

fn no_threads(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Cannot,
        "cannot start the threads",
        "see the limits of processes and open files (ulimit -u, ulimit -n, the cgroup's pids.max)",
    )
    .because(error)
}
