//! What a control plane answers that holds no pods.
use super::{
    answers::VERSION,
    listeners::Listeners,
    manifests, mesh,
    routes::{Level, document},
    serve::{Listener, serve},
    view,
};
use crate::config::{Config, report::Report};
use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use culvert_control::control::Control;
use culvert_runtime::drain::Worker;
use culvert_telemetry::{chain::Chain, log::LogHandle};
use serde::Deserialize;
use std::{fmt::Write as _, io, path::PathBuf, process, sync::Arc, time::Duration};
use tracing::info;

/// What `/` and a wrong path say.
const PATHS: &str = "\
/version      version and kernel ABI
/status       the manifests, the nodes and how far each is, pods not captured
/config       settings with where each came from
/log          log directives; PUT /log?level=DIRECTIVES on the Unix socket changes them
/token        POST /token?node=NAME&good_for=SECONDS on the Unix socket: lets a node join
/token/void   POST /token/void?node=NAME on the Unix socket: its tokens are good no longer
";

/// Handles on a control plane.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) config: Config,
    pub(crate) report: Report,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) log: LogHandle,
    pub(crate) control: Control,
}

/// Starts to answer on every listener, until the worker finishes.
///
/// # Errors
///
/// When a descriptor cannot be copied.
pub(crate) fn start(
    listeners: &Listeners,
    answers: &Arc<Answers>,
    worker: &Worker,
) -> io::Result<()> {
    let Listeners { door, admin, metrics, readiness, .. } = listeners;
    let door = tokio::net::UnixListener::from_std(door.try_clone()?)?;
    let changing = Router::new()
        .route("/log", get(log).put(set_log))
        .route("/token", post(token))
        .route("/token/void", post(void_token))
        .merge(reading())
        .with_state(Arc::clone(answers));
    serve("door", Listener::Unix(door), changing, worker);
    let seen = || reading().route("/log", get(log)).with_state(Arc::clone(answers));
    let observed = || {
        Router::new()
            .route("/metrics", get(metrics_of))
            .route("/healthz/ready", get(async || "ready\n"))
            .fallback(async || (StatusCode::NOT_FOUND, "no such path; there is /metrics\n"))
            .with_state(Arc::clone(answers))
    };
    let tcp = [
        ("admin", admin, seen()),
        ("metrics", metrics, observed()),
        ("readiness", readiness, observed()),
    ];
    for (name, listener, routes) in tcp {
        let Some(listener) = listener else { continue };
        info!(address = %listener.local_addr()?, "{name} listens");
        serve(name, Listener::Tcp(super::adopt(listener)?), routes, worker);
    }
    Ok(())
}

fn reading() -> Router<Arc<Answers>> {
    Router::new()
        .route("/", get(async || PATHS))
        .route("/version", get(async || document(&version())))
        .route("/status", get(async |State(a): State<Arc<Answers>>| document(&a.status())))
        .route("/config", get(async |State(a): State<Arc<Answers>>| document(&a.config())))
        .fallback(async || {
            (StatusCode::NOT_FOUND, format!("no such path; there are:\n{PATHS}")).into_response()
        })
}

impl Answers {
    fn status(&self) -> view::ControlStatus {
        view::ControlStatus {
            role: "control".to_owned(),
            instance: self.config.instance.clone(),
            version: VERSION.to_owned(),
            pid: process::id(),
            cluster: self.config.cluster.clone(),
            // It answers only once it serves.
            ready: true,
            ambient_namespaces: self.config.ambient.to_string(),
            configuration: manifests::of(&self.control.status(), &self.paths),
            control: mesh::of_control(&self.control),
        }
    }

    fn config(&self) -> view::Config {
        let setting = |entry: &crate::config::report::Entry| view::Setting {
            name: entry.name.to_owned(),
            value: entry.value.clone(),
            from: entry.from.clone(),
        };
        view::Config {
            settings: self.report.0.iter().map(setting).collect(),
            generation: self.control.status().generation,
            workloads: Vec::new(),
            services: Vec::new(),
        }
    }
}

fn version() -> view::Version {
    view::Version { version: VERSION.to_owned(), abi: culvert_common::ABI_VERSION }
}

async fn log(State(answers): State<Arc<Answers>>) -> Response {
    document(&view::Log { log: answers.log.current() })
}

async fn set_log(State(answers): State<Arc<Answers>>, Query(level): Query<Level>) -> Response {
    level.set(&answers.log)
}

/// Who is to join, and for how long its token is good.
#[derive(Debug, Deserialize)]
pub(super) struct Joining {
    node: String,
    good_for: u64,
}

async fn token(State(answers): State<Arc<Answers>>, Query(joining): Query<Joining>) -> Response {
    joining.token(&answers.control)
}

/// Whose tokens are to be good no longer.
#[derive(Debug, Deserialize)]
pub(super) struct Leaving {
    node: String,
}

async fn void_token(
    State(answers): State<Arc<Answers>>,
    Query(leaving): Query<Leaving>,
) -> Response {
    leaving.void(&answers.control).await
}

impl Leaving {
    /// Makes them void, or says why not.
    pub(super) async fn void(self, control: &Control) -> Response {
        let Self { node } = self;
        match control.void_tokens(&node).await {
            Ok(()) => {
                info!(node, "join tokens made void");
                document(&view::Voided { node })
            }
            Err(error) => (StatusCode::BAD_REQUEST, Chain(&error).to_string()).into_response(),
        }
    }
}

impl Joining {
    /// The token, or why there is none.
    pub(super) fn token(self, control: &Control) -> Response {
        let Self { node, good_for } = self;
        match control.join_token(&node, Duration::from_secs(good_for)) {
            Ok(token) => {
                info!(node, good_for, "join token made");
                document(&view::Token { node, token })
            }
            Err(error) => (StatusCode::BAD_REQUEST, Chain(&error).to_string()).into_response(),
        }
    }
}

/// Few enough to be written by hand.
async fn metrics_of(State(answers): State<Arc<Answers>>) -> Response {
    let status = answers.status();
    let control = &status.control;
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: usize| {
        // Writing to a string does not fail.
        _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    };
    let nodes = &control.nodes;
    gauge("culvert_control_nodes", "Nodes that are connected.", nodes.len());
    let behind = nodes.iter().filter(|node| !node.current).count();
    gauge("culvert_control_nodes_behind", "Nodes that have not accepted all there is.", behind);
    let refusing = nodes.iter().filter(|node| !node.refused.is_empty()).count();
    gauge("culvert_control_nodes_refusing", "Nodes that refused something.", refusing);
    let engines = &control.engines;
    gauge("culvert_control_engines", "Engines and gateways that follow HTTP.", engines.len());
    let behind = engines.iter().filter(|engine| !engine.current).count();
    let help = "Engines and gateways that have not answered all there is for them.";
    gauge("culvert_control_engines_behind", help, behind);
    let refusing = engines.iter().filter(|engine| !engine.refused.is_empty()).count();
    let help = "Engines and gateways that refused something.";
    gauge("culvert_control_engines_refusing", help, refusing);
    gauge("culvert_control_workloads", "Workloads of the mesh.", control.workloads);
    gauge("culvert_control_services", "Services of the mesh.", control.services);
    gauge("culvert_control_policies", "Policies of the mesh.", control.policies);
    let uncaptured = control.uncaptured.len();
    gauge("culvert_control_pods_uncaptured", "Enrolled pods that no node holds.", uncaptured);
    let closing = control.closing.len();
    gauge("culvert_control_policies_closing", "Policies that close more than they say.", closing);
    let refused = status.configuration.refused.len();
    gauge("culvert_control_manifest_problems", "Problems of the change that was refused.", refused);
    let generation = usize::try_from(status.configuration.generation).unwrap_or(usize::MAX);
    gauge("culvert_control_generation", "Changes of the manifests in force.", generation);
    let (name, made) = ("culvert_control_l7_parts_made_total", answers.control.l7_parts_made());
    let help = "Parts of configuration for HTTP that were made, for every engine and gateway.";
    _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {made}");
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
