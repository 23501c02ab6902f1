//! The admin interface, with Envoy's paths, parameters and shapes.
//!
//! Reading order: [`Admin`]; [`query`], [`commands`] (what can be asked, and who answers), [`help`],
//! and a file for each subject.
pub(super) mod certs;
mod clusters;
mod commands;
pub(super) mod doors;
mod dump;
mod help;
mod info;
mod listeners;
mod logging;
mod mask;
mod query;
mod runtime;
mod stats;

use super::{
    holder,
    life::{Handle, State},
    logs::Logs,
    mesh::Mesh,
    numbers::Numbers,
    options::Options,
    serving::Serving,
};
use crate::{
    admin::serve::{Listener, serve_with_grpc},
    failure::{Exit, Failure},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State as Extract},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use commands::COMMANDS;
use culvert_l7::{log::Sinks, shared::Shared};
use culvert_model::http::address::Address;
use culvert_runtime::drain::Worker;
use culvert_xds::envoy::{bootstrap::Bootstrap, csds::ClientStatus, discover::Discovery};
use parking_lot::Mutex;
use query::Query;
use std::{fs, io, net::SocketAddr, sync::Arc, time::SystemTime};
use tracing::info;

/// The largest body that is read.
const BODY: usize = 1 << 20;

/// What became of each resource, over gRPC: both methods of the service.
const CLIENT_STATUS: &str = "/envoy.service.status.v3.ClientStatusDiscoveryService/{method}";

/// What there is to be looked at and changed.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) options: Options,
    pub(super) bootstrap: Arc<Bootstrap>,
    pub(super) discovery: Discovery,
    pub(super) shared: Arc<Shared>,
    pub(super) serving: Arc<Serving>,
    /// Of a gateway of the mesh.
    pub(super) mesh: Option<Mesh>,
    pub(super) logs: Logs,
    pub(super) sinks: Sinks,
    pub(super) life: Handle,
}

/// Who answers.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) around: Around,
    pub(super) started: SystemTime,
    numbers: Numbers,
    /// What was set by `/runtime_modify`.
    modified: Mutex<runtime::Modified>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=UTF-8";

impl Admin {
    pub(super) fn new(around: Around) -> Self {
        let numbers = Numbers::new(&around.shared.stats.root(), around.options.workers());
        let modified = Mutex::new(runtime::Modified::new(&around.bootstrap));
        Self { around, started: SystemTime::now(), numbers, modified }
    }

    /// What `/ready` says.
    pub(super) fn state(&self) -> State {
        match self.around.life.state() {
            State::Live if self.around.shared.is_failing() => State::Draining,
            state @ (State::Live | State::Draining | State::Initializing) => state,
        }
    }

    pub(super) fn reopen_logs(&self) {
        self.around.sinks.reopen();
        self.around.logs.reopen();
    }
}

/// Starts to answer, where the bootstrap says so, until the worker finishes.
///
/// # Errors
///
/// When the address cannot be had.
pub(super) async fn start(admin: &Arc<Admin>, worker: &Worker) -> Result<(), Failure> {
    let said = admin.around.bootstrap.admin.as_ref().and_then(|said| said.address.clone());
    let Some(address) = said else { return Ok(()) };
    let (listener, at) = listen(&address).await.map_err(|error| taken(&address, &error))?;
    info!(address = at, "admin listens");
    if let Some(path) = &admin.around.options.admin_address {
        fs::write(path, &at).map_err(|error| {
            let what = format!("cannot write --admin-address-path {}", path.display());
            Failure::new(Exit::Cannot, what, "name a file that this user can write").because(&error)
        })?;
    }
    let (discovery, node) = (admin.around.discovery.clone(), admin.around.bootstrap.node.clone());
    let router = Router::new()
        .route_service(CLIENT_STATUS, ClientStatus::service(discovery, node))
        .fallback(answer)
        .with_state(Arc::clone(admin));
    serve_with_grpc("admin", listener, router, worker);
    Ok(())
}

async fn listen(address: &Address) -> io::Result<(Listener, String)> {
    match address {
        Address::Pipe(path) => {
            // One that is left of a process before; one that is in use answers.
            if std::os::unix::net::UnixStream::connect(&**path).is_err() {
                drop(fs::remove_file(&**path));
            }
            let listener = tokio::net::UnixListener::bind(&**path)?;
            Ok((Listener::Unix(listener), path.to_string()))
        }
        Address::Socket(_) | Address::Name { .. } => {
            let listener = tokio::net::TcpListener::bind(address.to_string()).await?;
            let at = listener.local_addr()?.to_string();
            Ok((Listener::Tcp(listener), at))
        }
    }
}

fn taken(address: &Address, error: &io::Error) -> Failure {
    let holder = match address {
        Address::Socket(at) if error.kind() == io::ErrorKind::AddrInUse => holder::of(*at),
        Address::Socket(SocketAddr::V4(_) | SocketAddr::V6(_))
        | Address::Name { .. }
        | Address::Pipe(_) => None,
    };
    let next = match &holder {
        Some(holder) => format!("end {holder}, or give admin.address another port"),
        None => "give admin.address one that is free".to_owned(),
    };
    let failure = Failure::new(
        Exit::Cannot,
        format!("cannot listen on {address}, the address of the admin interface"),
        next,
    );
    match holder {
        Some(holder) => failure.because(error).and(format!("{holder} listens there")),
        None => failure.because(error),
    }
}

async fn answer(Extract(admin): Extract<Arc<Admin>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let command = COMMANDS.iter().find(|command| command.path == path);
    let answer = match command {
        None => Answer::text(StatusCode::NOT_FOUND, format!("invalid path. {}", help::text())),
        Some(command) if command.changes && head.method != Method::POST => {
            let what = format!("Method {} not allowed, POST required.", head.method);
            Answer::text(StatusCode::METHOD_NOT_ALLOWED, what)
        }
        Some(command) => {
            let mut query = Query::read(head.uri.query().unwrap_or_default());
            let form = head.headers.get(header::CONTENT_TYPE);
            if form.is_some_and(|kind| kind == "application/x-www-form-urlencoded") {
                let body = to_bytes(body, BODY).await.unwrap_or_default();
                query.add(&String::from_utf8_lossy(&body));
            }
            commands::run(command.what, &admin, &query).await
        }
    };
    answer.response()
}

impl Answer {
    pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, kind: TEXT, body: body.into() }
    }

    pub(super) fn ok(body: impl Into<String>) -> Self {
        Self::text(StatusCode::OK, body)
    }

    pub(super) fn bad(body: impl Into<String>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, body)
    }

    pub(super) fn html(body: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, kind: HTML, body: body.into() }
    }

    pub(super) fn json(value: &serde_json::Value) -> Self {
        // One blank for each level, as Envoy writes it.
        let mut body = Vec::new();
        let form = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut writer = serde_json::Serializer::with_formatter(&mut body, form);
        let written = serde::Serialize::serialize(value, &mut writer);
        let body = written.map(|()| String::from_utf8(body).unwrap_or_default());
        Self::raw_json(body.unwrap_or_default() + "\n")
    }

    pub(super) fn raw_json(body: String) -> Self {
        Self { status: StatusCode::OK, kind: JSON, body }
    }

    fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, "no-cache, max-age=0"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::SERVER, "culvert"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
