//! Where a pod's connections come in.
use crate::{
    account, connect, dns,
    hbone::pool::Pool,
    inbound, outbound,
    pods::{peers::Peers, pod::Pod, sockets::Sockets},
};
use culvert_model::{addr::canonical, close::CloseReason, facts::Direction};
use culvert_runtime::{accept::accept_loop, drain::Worker};
use culvert_telemetry::chain::Chain;
use std::{
    error::Error,
    future::{Future, ready},
    io,
    net::SocketAddr,
    os::fd::AsFd as _,
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Instant, timeout_at},
};
use tracing::{debug, error};

/// How long a listener that is no longer wanted accepts.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For how long nobody must have come before it is closed: a handshake under way when a newer
    /// process took its place ends here.
    quiet: Duration,
    /// The longest.
    grace: Duration,
}

/// One enrolment of a pod, as connections see it.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) pod: Arc<Pod>,
    /// What the programs call the pod.
    pub(crate) id: u32,
    pub(crate) sockets: Sockets,
    /// The tunnels it opened to others.
    pub(crate) pool: Pool,
    pub(crate) peers: Peers,
    /// Who knows the addresses of hosts outside of the mesh.
    pub(crate) lookup: Option<dns::Lookup>,
    /// Told when a listener does not accept any more.
    pub(crate) lost: Arc<Notify>,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// Connections the pod makes.
    Outbound,
    /// Connections to the pod, as they are.
    Plain,
    /// Tunnels to the pod.
    Tunnels,
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
    pub(crate) async fn open(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        entrance: Entrance,
        worker: Worker,
    ) {
        // What it accepts has these too.
        connect::keep_alive(&listener);
        connect::no_delay(&listener);
        let ended = match TcpListener::from_std(listener) {
            Ok(listener) => self.accept(&listener, entrance, &worker).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            error!(pod = %self.pod.uid, ?entrance, %error, "listener lost");
            self.lost.notify_one();
        }
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        entrance: Entrance,
        worker: &Worker,
    ) -> io::Result<()> {
        let serve = |io, source| self.serve(entrance, io, source, worker);
        let refused = |io: &TcpStream, source| self.refuse(entrance.direction(), io, source);
        let reserve = &self.pod.shared.reserve;
        accept_loop(listener, worker, reserve, serve, refused).await?;
        empty(listener, Patience::of(entrance), worker, serve).await;
        Ok(())
    }

    /// What is decided at once is decided here, so that who is refused costs no memory.
    fn serve(
        self: &Arc<Self>,
        entrance: Entrance,
        io: TcpStream,
        source: SocketAddr,
        worker: &Worker,
    ) -> Way {
        let door = Arc::clone(self);
        match entrance {
            Entrance::Outbound => match outbound::admit(self, io, source) {
                Ok(admitted) => Box::pin(outbound::carry(door, admitted)),
                Err(error) => self.nowhere(&error),
            },
            Entrance::Plain => match inbound::admit(self, io, source) {
                Ok(admitted) => Box::pin(inbound::carry(door, admitted)),
                Err(error) => self.nowhere(&error),
            },
            Entrance::Tunnels => Box::pin(inbound::tunnel::serve(door, io, source, worker.clone())),
        }
    }

    /// The way of a connection that has ended already.
    fn nowhere(&self, error: &(dyn Error + 'static)) -> Way {
        debug!(pod = %self.pod.uid, error = %Chain(error), "connection refused");
        Box::pin(ready(()))
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

impl Entrance {
    pub(crate) const fn direction(self) -> Direction {
        match self {
            Self::Outbound => Direction::Outbound,
            Self::Plain | Self::Tunnels => Direction::Inbound,
        }
    }
}

impl Patience {
    const fn of(entrance: Entrance) -> Self {
        match entrance {
            // Who comes is in the pod.
            Entrance::Outbound => {
                Self { quiet: Duration::from_millis(200), grace: Duration::from_secs(2) }
            }
            // Who comes may be a long way off, and what it has to say last be lost once.
            Entrance::Plain | Entrance::Tunnels => {
                Self { quiet: Duration::from_secs(1), grace: Duration::from_secs(4) }
            }
        }
    }
}

/// Serves who is in the queue of a listener that is no longer wanted, and who is about to be.
async fn empty(
    listener: &TcpListener,
    Patience { quiet, grace }: Patience,
    worker: &Worker,
    serve: impl Fn(TcpStream, SocketAddr) -> Way,
) {
    let (end, mut served) = (Instant::now() + grace, 0_u32);
    loop {
        let now = Instant::now();
        if end <= now {
            break;
        }
        // Looks at the queue once even when the time is over, hence the bound above.
        match timeout_at(end.min(now + quiet), listener.accept()).await {
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

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_runtime::drain::{Drain, Drained};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ABROAD: Patience = Patience::of(Entrance::Plain);

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_is_no_longer_wanted_serves_who_waits_and_who_comes_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (drain, served) = (Drain::default(), Arc::new(AtomicUsize::new(0)));
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(TcpStream::connect(addr).await.unwrap());
        }
        let serve = |_: TcpStream, _| -> Way {
            let served = Arc::clone(&served);
            Box::pin(async move {
                served.fetch_add(1, Ordering::Relaxed);
            })
        };
        let worker = drain.worker();
        let late = async {
            tokio::time::sleep(ABROAD.quiet / 2).await;
            TcpStream::connect(addr).await
        };
        let (late, ()) = tokio::join!(late, empty(&listener, ABROAD, &worker, serve));
        assert!(late.is_ok());
        assert_eq!(drain.drain(ABROAD.grace).await, Drained::Clean);
        assert_eq!(served.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_that_is_no_longer_wanted_does_not_serve_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let drain = Drain::default();
        let worker = drain.worker();
        let begun = Instant::now();
        let crowd = async {
            loop {
                tokio::time::sleep(ABROAD.quiet / 2).await;
                drop(TcpStream::connect(addr).await);
            }
        };
        tokio::select! {
            () = empty(&listener, ABROAD, &worker, |_, _| Box::pin(ready(()))) => {}
            () = crowd => {}
        }
        // The clock is the test's own.
        assert!(begun.elapsed() <= ABROAD.grace + ABROAD.quiet);
    }

    /// An acknowledgement that got lost is sent again after a second; one that was not took half a
    /// round.
    #[test]
    fn who_comes_from_far_has_longer() {
        let local = Patience::of(Entrance::Outbound);
        assert!(local.quiet < ABROAD.quiet && local.grace < ABROAD.grace);
        assert!(Duration::from_secs(1) <= ABROAD.quiet);
    }
}
