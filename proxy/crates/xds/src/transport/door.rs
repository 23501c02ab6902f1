//! Where connections to the control plane come in.
use super::{
    BoxIo, Io,
    grip::{self, Grip, Hold},
};
use culvert_model::identity::Identity;
use culvert_runtime::drain::Worker;
use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, mpsc},
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};

/// A silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// And has this long to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls at once on one connection: a node needs two streams and some certificates.
const STREAMS: u32 = 64;

/// Bytes of a call's headers; a token is among them.
const HEADERS: u32 = 32 * 1024;

/// Connections that came in and are not yet served.
const WAITING: usize = 64;

/// Who is at the other end, as far as the connection says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    pub addr: Option<SocketAddr>,
    /// What its certificate proved.
    pub identity: Option<Identity>,
    /// It came in by a way that only this machine has, or that needs no proof.
    pub trusted: bool,
    pub standing: Standing,
}

/// Whether somebody who came in was admitted to anything; all clones speak of one connection.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Admission>);

#[derive(Debug, Default)]
struct Admission {
    admitted: AtomicBool,
    changed: Notify,
}

/// Takes connections in, handshakes done.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Visitor>);

/// A connection and who is at the other end; it is over when its reading is.
struct Visitor {
    io: BoxIo,
    peer: Peer,
    hold: Hold,
}

impl Standing {
    /// From now on it is no stranger.
    pub fn admit(&self) {
        self.0.admitted.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    pub fn is_admitted(&self) -> bool {
        self.0.admitted.load(Ordering::Acquire)
    }

    /// What it was admitted by is good no longer: it is a stranger again.
    pub fn lapse(&self) {
        self.0.admitted.store(false, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    /// Resolves when it is no stranger.
    pub async fn admitted(&self) {
        self.until(true).await;
    }

    /// Resolves when it is a stranger.
    pub async fn lapsed(&self) {
        self.until(false).await;
    }

    async fn until(&self, admitted: bool) {
        loop {
            // Before the look: a change in between is not missed.
            let changed = self.0.changed.notified();
            if self.is_admitted() == admitted {
                return;
            }
            changed.await;
        }
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.is_admitted() == other.is_admitted()
    }
}

impl Eq for Standing {}

impl Door {
    /// Serves `routes` to whoever enters, until the worker finishes.
    pub fn open(routes: Routes, worker: &Worker) -> Self {
        let (door, visitors) = mpsc::channel(WAITING);
        let finishing = worker.clone();
        worker.spawn(async move {
            let served = Server::builder()
                .http2_keepalive_interval(Some(KEEPALIVE))
                .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
                .max_concurrent_streams(STREAMS)
                .http2_max_header_list_size(HEADERS)
                .add_routes(routes)
                .serve_with_incoming_shutdown(
                    ReceiverStream::new(visitors).map(Ok::<Visitor, io::Error>),
                    finishing.finishing(),
                )
                .await;
            if let Err(error) = served {
                tracing::error!("the control plane's services ended: {error}");
            }
        });
        Self(door)
    }

    /// Serves one connection, which can be ended by what this gives; `None` when nothing is served
    /// any more.
    pub async fn enter(&self, io: impl Io, peer: Peer) -> Option<Grip> {
        let (hold, grip) = grip::new();
        let entered = self.0.send(Visitor { io: Box::new(io), peer, hold }).await;
        entered.is_ok().then_some(grip)
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connected for Visitor {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.hold.check(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
