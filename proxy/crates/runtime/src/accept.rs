//! The shape of every accept loop.
use crate::drain::Worker;
use std::{
    fs::File,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{self, Instant},
};
use tracing::{debug, warn};

/// How long to leave the listener alone when descriptors or memory ran out.
/// Long enough for some connections to end, short enough not to be noticed.
const PAUSE: Duration = Duration::from_millis(50);

/// How often the log says so: an exhausted process would write little else.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// A spare descriptor, given up for a moment when there is no other.
///
/// Without it a process that is out of descriptors leaves connections in the listener's queue,
/// where the clients take them for established and wait.
/// With it each is accepted and reset: the client learns at once.
/// One per process is enough; it is shared by all listeners.
#[derive(Debug)]
pub struct Reserve {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None when another thread was quicker; taken again at the next chance.
    spare: Option<File>,
    said: Option<Instant>,
}

/// What a failed `accept(2)` says about the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// That connection is gone; the next one may be fine.
    Connection,
    /// No descriptor left, neither for this connection nor for the next.
    Descriptors,
    /// The machine is out of memory; the next one would fail too.
    Memory,
    /// The listener itself is broken.
    Listener,
}

impl Reserve {
    /// Takes the descriptor.
    ///
    /// # Errors
    ///
    /// When there is none left even now.
    pub fn new() -> io::Result<Self> {
        let state = State { spare: Some(spare()?), said: None };
        Ok(Self { state: Mutex::new(state) })
    }

    /// Accepts one waiting connection on the spare descriptor, hands it to `refused` and resets it.
    ///
    /// False when that was not possible.
    fn refuse(
        &self,
        cx: &mut Context<'_>,
        listener: &TcpListener,
        refused: &impl Fn(&TcpStream, SocketAddr),
    ) -> bool {
        let mut state = self.state();
        let Some(given_up) = state.spare.take().or_else(|| spare().ok()) else {
            return false;
        };
        drop(given_up);
        // `accept` looks for a descriptor before it looks for a connection, so there may be none;
        // then the loop waits for one as usual.
        let emptied = match listener.poll_accept(cx) {
            Poll::Ready(Ok((io, source))) => {
                refused(&io, source);
                reset(&io);
                true
            }
            Poll::Ready(Err(_)) => false,
            Poll::Pending => true,
        };
        state.spare = spare().ok();
        emptied
    }

    /// Logs that `error` keeps connections out, once in a while.
    fn say(&self, error: &io::Error) {
        let now = Instant::now();
        let mut state = self.state();
        if state.said.is_none_or(|said| SAY_EVERY <= now.saturating_duration_since(said)) {
            state.said = Some(now);
            drop(state);
            warn!(%error, "cannot accept connections");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after every statement, hence also after a panic in `refused`.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until the drain begins, and starts `serve` for each connection on `worker`.
///
/// A connection for which there is no descriptor is reset, after `refused` has seen it to count it.
///
/// # Errors
///
/// When the listener is broken for good.
pub async fn accept_loop<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    worker: &Worker,
    reserve: &Reserve,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
    refused: impl Fn(&TcpStream, SocketAddr),
) -> io::Result<()> {
    loop {
        let accepted = tokio::select! {
            // The notice wins over one more connection.
            biased;
            () = worker.finishing() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let error = match accepted {
            Ok((io, source)) => {
                worker.spawn(serve(io, source));
                continue;
            }
            Err(error) => error,
        };
        let trouble = classify(&error);
        match trouble {
            Trouble::Connection => {
                debug!(%error, "peer left before accept");
                continue;
            }
            Trouble::Listener => return Err(error),
            Trouble::Descriptors | Trouble::Memory => reserve.say(&error),
        }
        let refuses = trouble == Trouble::Descriptors
            && poll_fn(|cx| Poll::Ready(reserve.refuse(cx, listener, &refused))).await;
        if !refuses {
            time::sleep(PAUSE).await;
        }
    }
}

/// Makes closing `io` a reset, so that the peer does not take it for an orderly end.
fn reset(io: &TcpStream) {
    if let Err(error) = io.set_zero_linger() {
        debug!(%error, "connection is closed instead of reset");
    }
}

/// Any file that is always there.
fn spare() -> io::Result<File> {
    File::open("/dev/null")
}

/// Sorts by errno; the first group is accept(2)'s own list of errors to treat like `EAGAIN`.
fn classify(error: &io::Error) -> Trouble {
    use libc::{
        ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, EMFILE, ENETDOWN, ENETUNREACH, ENFILE,
        ENOBUFS, ENOMEM, ENONET, ENOPROTOOPT, EOPNOTSUPP, EPERM, EPROTO,
    };
    match error.raw_os_error() {
        Some(
            ECONNABORTED | EHOSTDOWN | EHOSTUNREACH | EINTR | ENETDOWN | ENETUNREACH | ENONET
            | ENOPROTOOPT | EOPNOTSUPP | EPERM | EPROTO,
        ) => Trouble::Connection,
        Some(EMFILE | ENFILE) => Trouble::Descriptors,
        Some(ENOBUFS | ENOMEM) => Trouble::Memory,
        _ => Trouble::Listener,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::{Drain, Drained};
    use std::future::ready;
    use tokio::sync::mpsc;

    #[test]
    fn sorts_errors() {
        let of = |errno| classify(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::ECONNABORTED), Trouble::Connection);
        assert_eq!(of(libc::EMFILE), Trouble::Descriptors);
        assert_eq!(of(libc::ENOMEM), Trouble::Memory);
        assert_eq!(of(libc::EBADF), Trouble::Listener);
        assert_eq!(classify(&io::Error::other("no errno")), Trouble::Listener);
    }

    #[tokio::test]
    async fn serves_each_connection_until_the_drain() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let drain = Drain::default();
        let worker = drain.worker();
        let (tx, mut rx) = mpsc::unbounded_channel();
        let own = worker.clone();
        worker.spawn(async move {
            let serve = |_, source| {
                tx.send(source).unwrap();
                ready(())
            };
            let refused = |_: &_, _| panic!("there are descriptors");
            let reserve = Reserve::new().unwrap();
            accept_loop(&listener, &own, &reserve, serve, refused).await.unwrap();
        });
        for _ in 0..2 {
            let client = TcpStream::connect(addr).await.unwrap();
            assert_eq!(rx.recv().await, Some(client.local_addr().unwrap()));
        }
        assert_eq!(drain.drain(Duration::from_secs(5)).await, Drained::Clean);
        assert!(TcpStream::connect(addr).await.is_err(), "the listener went with its task");
    }
}
