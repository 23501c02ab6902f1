//! What can be asked, and who answers.
use super::{
    Admin, Answer, certs, clusters, dump, help, info, listeners, logging, query::Query, runtime,
    stats,
};

/// One path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) path: &'static str,
    pub(super) what: What,
    /// It changes something: POST only.
    pub(super) changes: bool,
    pub(super) help: &'static str,
    pub(super) parameters: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Home,
    Certs,
    Clusters,
    ConfigDump,
    Contention,
    DrainListeners,
    HealthFail,
    HealthOk,
    Help,
    HotRestartVersion,
    InitDump,
    Listeners,
    Logging,
    Memory,
    Quit,
    Ready,
    ReopenLogs,
    ResetCounters,
    Runtime,
    RuntimeModify,
    ServerInfo,
    Stats,
    Prometheus,
}

const fn reads(
    path: &'static str,
    what: What,
    help: &'static str,
    parameters: &'static [(&'static str, &'static str)],
) -> Command {
    Command { path, what, changes: false, help, parameters }
}

const fn changes(
    path: &'static str,
    what: What,
    help: &'static str,
    parameters: &'static [(&'static str, &'static str)],
) -> Command {
    Command { path, what, changes: true, help, parameters }
}

const FILTER: (&str, &str) = ("filter", "Regular expression for filtering stats");
const INVERT: (&str, &str) = ("invert_filter", "Invert the filter regex");
const USED: (&str, &str) = ("usedonly", "Only include stats that have been written since restart");

/// In the order of their paths.
pub(super) const COMMANDS: [Command; 23] = [
    reads("/", What::Home, "Admin home page", &[]),
    reads("/certs", What::Certs, "print certs on machine", &[]),
    reads(
        "/clusters",
        What::Clusters,
        "upstream cluster status",
        &[
            ("filter", "Regular expression for filtering clusters by name"),
            ("format", "Format to use; One of (text, json)"),
        ],
    ),
    reads(
        "/config_dump",
        What::ConfigDump,
        "dump the configuration, and what became of each resource",
        &[
            ("resource", "The resource to dump"),
            ("mask", "The fields to keep, of each dump or of each element of resource"),
            ("name_regex", "Dump only what has a name that matches"),
            ("include_eds", "Endpoints too"),
        ],
    ),
    reads("/contention", What::Contention, "nothing: contention is not traced", &[]),
    changes(
        "/drain_listeners",
        What::DrainListeners,
        "take no more connections, and let those there are end",
        &[
            ("graceful", "the same: connections always may finish what they do"),
            ("inboundonly", "only listeners with traffic_direction INBOUND"),
        ],
    ),
    changes("/healthcheck/fail", What::HealthFail, "cause the server to fail health checks", &[]),
    changes("/healthcheck/ok", What::HealthOk, "cause the server to pass health checks", &[]),
    reads("/help", What::Help, "print out list of admin commands", &[]),
    reads(
        "/hot_restart_version",
        What::HotRestartVersion,
        "print the hot restart compatibility version",
        &[],
    ),
    reads(
        "/init_dump",
        What::InitDump,
        "what is waited for before listeners and clusters are used",
        &[("mask", "listener or cluster only")],
    ),
    reads(
        "/listeners",
        What::Listeners,
        "print listener info",
        &[("format", "File format to use; One of (text, json)")],
    ),
    changes(
        "/logging",
        What::Logging,
        "query/change logging levels",
        &[
            ("paths", "Change multiple levels: <name1>:<level1>,<name2>:<level2>"),
            (
                "level",
                "Change all levels; One of (, trace, debug, info, warning, error, critical, off)",
            ),
        ],
    ),
    reads("/memory", What::Memory, "print current allocation/heap usage", &[]),
    changes("/quitquitquit", What::Quit, "exit the server", &[]),
    reads(
        "/ready",
        What::Ready,
        "print server state, return 200 if LIVE, otherwise return 503",
        &[],
    ),
    changes("/reopen_logs", What::ReopenLogs, "reopen access logs", &[]),
    changes("/reset_counters", What::ResetCounters, "reset all counters to zero", &[]),
    reads("/runtime", What::Runtime, "print runtime values", &[]),
    changes(
        "/runtime_modify",
        What::RuntimeModify,
        "Adds or modifies runtime values as passed in query parameters. To delete a previously \
         added key, use an empty string as the value. Deletion applies to what was added here. \
         E.g. ?key1=value1&key2=value2...",
        &[],
    ),
    reads("/server_info", What::ServerInfo, "print server version/status information", &[]),
    reads(
        "/stats",
        What::Stats,
        "print server stats",
        &[
            USED,
            FILTER,
            INVERT,
            ("format", "Format to use; One of (text, json, prometheus)"),
            (
                "type",
                "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)",
            ),
            (
                "histogram_buckets",
                "Histogram bucket display mode; One of (cumulative, disjoint, summary)",
            ),
        ],
    ),
    reads(
        "/stats/prometheus",
        What::Prometheus,
        "print server stats in prometheus format",
        &[
            USED,
            FILTER,
            INVERT,
            ("histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"),
        ],
    ),
];

/// Answers.
pub(super) async fn run(what: What, admin: &Admin, query: &Query) -> Answer {
    let around = &admin.around;
    let done = || Answer::ok("OK\n");
    match what {
        What::Home => Answer::html(help::html()),
        What::Help => Answer::ok(help::text()),
        What::Certs => certs::answer(admin),
        What::Clusters => clusters::answer(admin, query),
        What::ConfigDump => dump::answer(admin, query),
        What::Contention => Answer::ok("Mutex contention tracing is not enabled."),
        What::DrainListeners => {
            if query.has("inboundonly") {
                around.serving.stop_inbound().await;
            } else {
                around.serving.stop(around.options.drain());
            }
            done()
        }
        What::HealthFail => {
            around.shared.set_failing(true);
            done()
        }
        What::HealthOk => {
            around.shared.set_failing(false);
            done()
        }
        What::HotRestartVersion => Answer::ok("disabled"),
        What::InitDump => info::init_dump(admin, query),
        What::Listeners => listeners::answer(admin, query),
        What::Logging => logging::answer(admin, query),
        What::Memory => info::memory(),
        What::Quit => {
            around.life.end("/quitquitquit").await;
            done()
        }
        What::Ready => info::ready(admin),
        What::ReopenLogs => {
            admin.reopen_logs();
            done()
        }
        What::ResetCounters => {
            around.shared.stats.reset_counters();
            done()
        }
        What::Runtime => runtime::answer(admin),
        What::RuntimeModify => runtime::modify(admin, query),
        What::ServerInfo => info::server_info(admin),
        What::Stats => stats::answer(admin, query),
        What::Prometheus => stats::prometheus(admin, query),
    }
}
