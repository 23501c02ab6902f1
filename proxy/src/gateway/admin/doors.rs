//! What a gateway of the mesh answers beside the admin interface, at addresses of the settings:
//! Prometheus, and whether it is ready.
use super::{Admin, query::Query, stats};
use crate::{
    admin::serve::{Listener, serve},
    config::settings::{self, Setting},
    failure::{Exit, Failure},
    gateway::life::State,
};
use axum::{
    Router,
    extract::State as Extract,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use culvert_runtime::drain::Worker;
use culvert_telemetry::metrics::{Format, GenerationSample};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Starts to answer, until the worker finishes.
///
/// # Errors
///
/// When an address cannot be had.
pub(in crate::gateway) async fn open(admin: &Arc<Admin>, worker: &Worker) -> Result<(), Failure> {
    let Some(of) = &admin.around.options.of else { return Ok(()) };
    let ready = Router::new().route("/healthz/ready", get(is_ready));
    let metrics = ready.clone().route("/metrics", get(numbers));
    let (doors, own) = (&of.config.doors, Arc::clone(admin));
    if let Some(at) = doors.metrics {
        let listener = listen(at, &settings::METRICS_ADDRESS).await?;
        serve("metrics", listener, metrics.with_state(Arc::clone(&own)), worker);
    }
    if let Some(at) = doors.readiness {
        let listener = listen(at, &settings::READINESS_ADDRESS).await?;
        serve("readiness", listener, ready.with_state(own), worker);
    }
    Ok(())
}

async fn listen(at: SocketAddr, setting: &Setting) -> Result<Listener, Failure> {
    let listener = TcpListener::bind(at).await.map_err(|error| {
        let what = format!("cannot listen on {at}");
        Failure::new(Exit::Cannot, what, format!("choose another address with {setting}"))
            .because(&error)
    })?;
    Ok(Listener::Tcp(listener))
}

async fn is_ready(Extract(admin): Extract<Arc<Admin>>) -> Response {
    let state = admin.state();
    let status = match state {
        State::Live => StatusCode::OK,
        State::Draining | State::Initializing => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", state.as_str())).into_response()
}

/// Envoy's numbers, and those of tunnels and of the stream that says who is in the mesh.
async fn numbers(Extract(admin): Extract<Arc<Admin>>) -> Response {
    let mut answer = stats::prometheus(&admin, &Query::default());
    if let Some(mesh) = &admin.around.mesh {
        let version = admin.around.discovery.inspect(|held| Arc::clone(held.version()));
        let own = GenerationSample::new(mesh.name.to_string(), &version);
        mesh.metrics.set_generations(own.into_iter().collect());
        answer.body.push_str(&mesh.metrics.encode(Format::Prometheus));
    }
    answer.response()
}
