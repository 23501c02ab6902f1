//! Where a pod's connections come in.
use crate::{account, connect, inbound, outbound, pods::pod::Pod};
use culvert_kernel::PodSockets;
use culvert_model::{addr::canonical, close::CloseReason, facts::Direction};
use culvert_runtime::{accept::accept_loop, drain::Worker};
use std::{
    future::Future, io, net::SocketAddr, os::fd::AsFd as _, pin::Pin, sync::Arc, time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout_at},
};
use tracing::{debug, error};

/// For how long nobody must have come before a listener that is no longer wanted is closed: a
/// handshake under way when a newer process took its place ends here.
const QUIET: Duration = Duration::from_millis(200);

/// The longest a listener that is no longer wanted accepts.
const GRACE: Duration = Duration::from_secs(2);

/// One enrolment of a pod, as connections see it.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) pod: Arc<Pod>,
    pub(crate) sockets: PodSockets,
}

/// One connection's whole way. In a box of its own, for what starts and guards a task copies the
/// future's size several times.
type Way = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The descriptors of the process are used up.
#[derive(Debug, thiserror::Error)]
#[error("the process has no descriptor left")]
struct NoDescriptors;

impl Door {
    /// Serves whoever comes to `listener` until the worker finishes, then whoever still waits.
    pub(super) async fn open(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        direction: Direction,
        worker: Worker,
    ) {
        // What it accepts has these too.
        connect::keep_alive(&listener);
        connect::no_delay(&listener);
        let ended = match TcpListener::from_std(listener) {
            Ok(listener) => self.accept(&listener, direction, &worker).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            error!(pod = %self.pod.uid, direction = direction.as_str(), %error, "listener lost");
        }
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        direction: Direction,
        worker: &Worker,
    ) -> io::Result<()> {
        let serve = |io, source| self.serve(direction, io, source);
        let refused = |io: &TcpStream, source| self.refuse(direction, io, source);
        let reserve = &self.pod.shared.reserve;
        accept_loop(listener, worker, reserve, serve, refused).await?;
        empty(listener, worker, serve).await;
        Ok(())
    }

    fn serve(self: &Arc<Self>, direction: Direction, io: TcpStream, source: SocketAddr) -> Way {
        match direction {
            Direction::Outbound => Box::pin(outbound::serve(Arc::clone(self), io, source)),
            Direction::Inbound => Box::pin(inbound::serve(Arc::clone(self), io, source)),
        }
    }

    /// Records a connection for which there was no descriptor.
    fn refuse(&self, direction: Direction, io: &TcpStream, source: SocketAddr) {
        let original = match direction {
            Direction::Outbound => self.sockets.original_dst(io.as_fd()),
            Direction::Inbound => None,
        };
        let destination = original.or_else(|| io.local_addr().ok()).unwrap_or(source);
        let (source, destination) = (canonical(source), canonical(destination));
        let snapshot = self.pod.shared.snapshot.pin();
        let facts = self.pod.facts(direction, source, destination, &snapshot.value);
        account::refused(&self.pod, facts, CloseReason::NoDescriptors, &NoDescriptors);
        account::say(&self.pod, &NoDescriptors);
    }
}

/// Serves who is in the queue of a listener that is no longer wanted, and who is about to be.
async fn empty(
    listener: &TcpListener,
    worker: &Worker,
    serve: impl Fn(TcpStream, SocketAddr) -> Way,
) {
    let (end, mut served) = (Instant::now() + GRACE, 0_u32);
    loop {
        let now = Instant::now();
        if end <= now {
            break;
        }
        // Looks at the queue once even when the time is over, hence the bound above.
        match timeout_at(end.min(now + QUIET), listener.accept()).await {
            Ok(Ok((io, source))) => {
                worker.spawn(serve(io, source));
                served += 1;
            }
            Ok(Err(error)) => {
                debug!(%error, "listener closed before its queue was empty");
                break;
            }
            Err(_) => break,
        }
    }
    debug!(served, "listener closed");
}
