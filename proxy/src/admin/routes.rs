//! What can be asked where.
use super::{
    answers::Answers,
    control::{Joining, Leaving},
    view,
    why::Wanted,
};
use crate::node::Source;
use axum::{
    Router,
    extract::{Path, Query, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use culvert_telemetry::{chain::Chain, log::LogHandle, metrics::Format};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tracing::info;

/// What `/` and a wrong path say.
const PATHS: &str = "\
/version      version and kernel ABI
/ready        whether it holds the node yet, and in which pod it is
/status       the node, its configuration and pods
/pods         the enrolled pods of this node
/connections  what goes through the proxy now
/config       settings with where each came from, and the workloads known
/certificates those of the pods, and the roots that are believed
/policies     which speak of whom
/why          ?from=SRC&to=DST[:PORT]: how a connection would fare; with method=, path=, host=,
              headers= (NAME:VALUE in lines): how a request would
/config_dump  everything, as tools for Istio's ztunnel read it
/l7           the HTTP engines of namespaces: what they follow, and what they serve
/l7/NAMESPACE/stats  the numbers of one, as Envoy writes them
/log          log directives; PUT /log?level=DIRECTIVES on the Unix socket changes them
";

/// The Unix socket: everything.
pub(super) fn door(answers: &Arc<Answers>) -> Router {
    let routes = reading()
        .route("/log", get(log).put(set_log))
        .route("/token", post(token))
        .route("/token/void", post(void_token));
    routes.with_state(Arc::clone(answers))
}

/// Loopback: everything that changes nothing.
pub(super) fn loopback(answers: &Arc<Answers>) -> Router {
    reading().route("/log", get(log)).with_state(Arc::clone(answers))
}

/// For Prometheus, at the two paths its configurations name.
pub(super) fn metrics(answers: &Arc<Answers>) -> Router {
    Router::new()
        .route("/metrics", get(exposition))
        .route("/stats/prometheus", get(exposition))
        .route("/healthz/ready", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "no such path; there is /metrics\n"))
        .with_state(Arc::clone(answers))
}

/// For kubelet.
pub(super) fn readiness(answers: &Arc<Answers>) -> Router {
    Router::new()
        .route("/healthz/ready", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "no such path; there is /healthz/ready\n"))
        .with_state(Arc::clone(answers))
}

fn reading() -> Router<Arc<Answers>> {
    Router::new()
        .route("/", get(async || PATHS))
        .route("/version", get(async |State(a): State<Arc<Answers>>| document(&a.version())))
        .route("/ready", get(async |State(a): State<Arc<Answers>>| document(&a.ready())))
        .route("/status", get(async |State(a): State<Arc<Answers>>| document(&a.status())))
        .route("/pods", get(async |State(a): State<Arc<Answers>>| document(&a.pods())))
        .route(
            "/connections",
            get(async |State(a): State<Arc<Answers>>| document(&a.connections())),
        )
        .route(
            "/certificates",
            get(async |State(a): State<Arc<Answers>>| document(&a.certificates())),
        )
        .route("/policies", get(async |State(a): State<Arc<Answers>>| document(&a.policies())))
        .route("/why", get(why))
        .route("/config_dump", get(async |State(a): State<Arc<Answers>>| document(&a.dump())))
        .route("/l7", get(async |State(a): State<Arc<Answers>>| document(&a.l7.dump())))
        .route("/l7/{namespace}/stats", get(l7_stats))
        .route("/config", get(async |State(a): State<Arc<Answers>>| document(&a.config())))
        .fallback(async || {
            (StatusCode::NOT_FOUND, format!("no such path; there are:\n{PATHS}")).into_response()
        })
}

/// What is asked.
#[derive(Debug, Deserialize)]
struct Asked {
    from: String,
    to: String,
}

async fn why(
    State(answers): State<Arc<Answers>>,
    Query(asked): Query<Asked>,
    Query(wanted): Query<Wanted>,
) -> Response {
    match answers.why((&asked.from, &asked.to), &wanted).await {
        Ok(why) => document(&why),
        Err(error) => (StatusCode::BAD_REQUEST, Chain(&error).to_string()).into_response(),
    }
}

async fn l7_stats(State(answers): State<Arc<Answers>>, Path(namespace): Path<String>) -> Response {
    match answers.l7.stats(&namespace) {
        Some(stats) => stats.into_response(),
        None => {
            let why = format!("no HTTP engine runs for the namespace {namespace}; see /l7\n");
            (StatusCode::NOT_FOUND, why).into_response()
        }
    }
}

async fn token(State(answers): State<Arc<Answers>>, Query(joining): Query<Joining>) -> Response {
    match &answers.feed.source {
        Source::Here { control, .. } => joining.token(control),
        Source::Pods { .. } | Source::Cluster { .. } => elsewhere(),
    }
}

async fn void_token(
    State(answers): State<Arc<Answers>>,
    Query(leaving): Query<Leaving>,
) -> Response {
    match &answers.feed.source {
        Source::Here { control, .. } => leaving.void(control).await,
        Source::Pods { .. } | Source::Cluster { .. } => elsewhere(),
    }
}

fn elsewhere() -> Response {
    let why = "this node follows a control plane elsewhere: ask that one";
    (StatusCode::BAD_REQUEST, why).into_response()
}

async fn log(State(answers): State<Arc<Answers>>) -> Response {
    document(&answers.log())
}

#[derive(Debug, Deserialize)]
pub(super) struct Level {
    level: Option<String>,
}

async fn set_log(State(answers): State<Arc<Answers>>, Query(level): Query<Level>) -> Response {
    level.set(&answers.log)
}

impl Level {
    /// Changes what is logged, and says what is now.
    pub(super) fn set(self, log: &LogHandle) -> Response {
        let Some(level) = self.level else {
            return (StatusCode::BAD_REQUEST, "want /log?level=DIRECTIVES").into_response();
        };
        match log.set(&level) {
            Ok(()) => {
                info!(directives = level, "log changed");
                document(&view::Log { log: log.current() })
            }
            Err(error) => (StatusCode::BAD_REQUEST, Chain(&error).to_string()).into_response(),
        }
    }
}

async fn exposition(State(answers): State<Arc<Answers>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::from_accept(accept);
    ([(CONTENT_TYPE, format.content_type())], answers.exposition(format)).into_response()
}

async fn ready(State(answers): State<Arc<Answers>>) -> Response {
    let waiting = answers.readiness.waiting();
    if waiting.is_empty() {
        "ready\n".into_response()
    } else {
        let waiting = format!("not ready: {}\n", waiting.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, waiting).into_response()
    }
}

pub(super) fn document(value: &impl Serialize) -> Response {
    // Plain structs with string keys always serialize.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
