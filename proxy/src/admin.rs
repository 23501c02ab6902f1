//! What a running process answers: on its Unix socket, on loopback, to Prometheus and to kubelet.
mod answers;
mod certificates;
mod cni;
pub(crate) mod control;
mod decimal;
mod dump;
pub(crate) mod listeners;
mod manifests;
mod mesh;
mod policies;
mod routes;
pub(crate) mod serve;
pub(crate) mod view;
pub(crate) mod when;
pub(crate) mod why;

pub(crate) use answers::Answers;

use culvert_runtime::drain::Worker;
use listeners::Listeners;
use serve::{Listener, serve};
use std::{io, net::TcpListener, sync::Arc};
use tracing::info;

/// The name of the Unix socket in the run folder.
pub(crate) const SOCKET: &str = "admin.sock";

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
    serve("door", Listener::Unix(door), routes::door(answers), worker);
    let tcp = [
        ("admin", admin, routes::loopback as fn(&Arc<Answers>) -> axum::Router),
        ("metrics", metrics, routes::metrics),
        ("readiness", readiness, routes::readiness),
    ];
    for (name, listener, routes) in tcp {
        let Some(listener) = listener else { continue };
        info!(address = %listener.local_addr()?, "{name} listens");
        serve(name, Listener::Tcp(adopt(listener)?), routes(answers), worker);
    }
    Ok(())
}

fn adopt(listener: &TcpListener) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener.try_clone()?)
}
