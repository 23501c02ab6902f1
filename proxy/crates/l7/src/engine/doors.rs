//! Sockets of an engine, and who gets what comes to them.
use super::Inner;
use crate::{
    io::Io,
    listener::{
        Active, Arrival,
        socket::{Plan, Socket, SocketError},
    },
};
use arc_swap::ArcSwap;
use culvert_runtime::{
    accept::accept_loop,
    drain::{Scope, Worker},
};
use std::{future::ready, sync::Arc, time::Duration};
use tokio::{net::UnixListener, time};

/// A socket that is listened to.
pub(super) struct Door {
    pub(super) plan: Plan,
    pub(super) socket: Arc<Socket>,
    /// Who gets the connections.
    target: Arc<ArcSwap<Active>>,
    scope: Scope,
}

impl Door {
    /// Opens a socket; nothing is accepted yet.
    pub(super) fn socket(plan: &Plan) -> Result<Arc<Socket>, SocketError> {
        plan.open().map(Arc::new)
    }

    /// Accepts connections for `active`.
    pub(super) fn open(
        plan: Plan,
        socket: Arc<Socket>,
        active: &Arc<Active>,
        inner: &Arc<Inner>,
    ) -> Self {
        let scope = inner.worker.scope();
        let target = Arc::new(ArcSwap::from(Arc::clone(active)));
        let (worker, own) = (scope.worker(), scope.worker());
        let (listened, to) = (Arc::clone(&socket), Arc::clone(&target));
        let inner = Arc::clone(inner);
        worker.spawn(async move {
            let arrives = |arrival: Arrival| inner.arrives(to.load_full(), arrival);
            match &*listened {
                Socket::Tcp(tcp) => {
                    let serve = |io, source| {
                        arrives(Arrival::accepted(io, source));
                        ready(())
                    };
                    let refused = |_: &_, _| {};
                    let accepted = accept_loop(tcp, &own, &inner.reserve, serve, refused).await;
                    if let Err(error) = accepted {
                        tracing::error!(%error, listener = %to.load().config.name, "no longer accepts");
                    }
                }
                Socket::Unix(unix, _) => accept_unix(unix, &arrives, &own).await,
            }
        });
        Self { plan, socket, target, scope }
    }

    /// From now on, others get the connections.
    pub(super) fn lead_to(&self, active: &Arc<Active>) {
        self.target.store(Arc::clone(active));
    }

    /// Whether connections come here for a listener of this name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        *self.target.load().config.name == *name
    }

    /// The listener's.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.target.load().config.name)
    }

    /// Accepts nothing more; the socket is left.
    pub(super) async fn close(self) -> (Plan, Arc<Socket>) {
        self.scope.end(Duration::from_secs(1)).await;
        (self.plan, self.socket)
    }
}

impl Inner {
    fn arrives(self: &Arc<Self>, active: Arc<Active>, arrival: Arrival) {
        let (worker, others) = (self.worker.clone(), Arc::clone(&self.directory));
        self.worker.spawn(async move { active.arrive(arrival, worker, &*others).await });
    }
}

/// Accepts until the drain.
async fn accept_unix(unix: &UnixListener, arrives: &impl Fn(Arrival), worker: &Worker) {
    /// How long to leave the socket alone when there is no descriptor or no memory.
    const PAUSE: Duration = Duration::from_millis(50);
    loop {
        let accepted = tokio::select! {
            () = worker.finishing() => return,
            accepted = unix.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => arrives(Arrival::unnamed(Io::boxed(stream))),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                time::sleep(PAUSE).await;
            }
        }
    }
}
