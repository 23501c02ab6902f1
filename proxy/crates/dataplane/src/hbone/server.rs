//! The end of a link that answers: a pod's listener for tunnels.
mod respond;
mod serving;

pub(crate) use respond::{Incoming, Respond};

use super::{
    credit::Credit,
    engine::{Engine, Parts, say_goodbye},
    http2::{
        code::Code,
        frame::{LARGEST, write},
    },
    link::LinkEnd,
    settings,
    wire::Wire,
};
use crate::connect;
use culvert_identity::{
    certificate::Certificate,
    channel::{self, Channel},
    tls::HandshakeError,
    trust::Trust,
    verify::Peer,
};
use culvert_runtime::{drain::Worker, publish::View};
use serving::Server;
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{self, Instant, Sleep},
};
use tracing::debug;

/// How long a link may be without a stream from its start on: clients open one to use it.
const FIRST_STREAM: Duration = Duration::from_secs(30);

/// How long it may be without one later. Clients let go earlier, by themselves.
const UNUSED: Duration = Duration::from_secs(900);

/// How many requests may be taken back unanswered in the time of a ping. A client that asks for
/// more wants to keep us busy (CVE-2023-44487).
const ABANDONED_MAX: u32 = 1000;

/// What the ping says that is between the two goodbyes.
const LEAVING: [u8; 8] = *b"culvert!";

/// A client that has proven who it is.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) peer: Peer,
    /// What it dialled.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    wire: Arc<Wire>,
    parts: Parts,
    /// How long it may take to begin HTTP/2.
    limit: Duration,
}

/// Why a client did not get as far as HTTP/2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the client did not finish the TLS handshake within {0:?}")]
    Timeout(Duration),
    #[error("the client left")]
    Left(#[source] io::Error),
}

/// A link being served.
struct Serving<'a, F> {
    /// In a box: it is several KB, which would move from future to future.
    engine: Box<Engine<Server<'a, F>>>,
    unused: Unused,
    leaving: Leaving,
}

/// How far a client was told to open no more streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// It was told; what it has sent by then is still taken.
    Told,
    ToldLongAgo,
    /// It has heard, and nothing new is taken.
    Heard,
}

/// The time for which a link may be without a stream.
struct Unused {
    /// How long it may be from now on.
    limit: Duration,
    /// Since when there is none.
    since: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

/// Has a client prove who it is, as the workload of `own`, within `limit`; it has as long again to
/// begin HTTP/2.
pub(crate) async fn accept(
    tcp: TcpStream,
    own: &Certificate,
    limit: Duration,
) -> Result<Accepted, AcceptError> {
    connect::no_delay(&tcp);
    let local = tcp.local_addr().map_err(AcceptError::Left)?;
    let remote = tcp.peer_addr().map_err(AcceptError::Left)?;
    // In a box, for a handshake needs much more than what comes after it.
    let handshake = Box::pin(channel::accept(own, tcp));
    let secured = time::timeout(limit, handshake).await;
    let Channel { tcp, peer, opener, sealer, early } =
        secured.map_err(|_late| AcceptError::Timeout(limit))??;
    let tcp = Arc::new(tcp);
    let wire = Wire::new(Arc::clone(&tcp), sealer);
    let parts = Parts { tcp, opener, early };
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let (local, remote) = (canonical(local), canonical(remote));
    Ok(Accepted { peer, local, remote, wire, parts, limit })
}

/// Serves one client until it leaves, `worker` finishes, or `trust` no longer covers it.
///
/// `on_request` is called for every request that is one, and must return at once. When the worker
/// finishes, the client is told to open no more streams; those it has run on.
pub(crate) async fn serve(
    accepted: Accepted,
    worker: &Worker,
    mut trust: View<Trust>,
    on_request: impl Fn(Incoming) + Send,
) {
    let Accepted { wire, parts, peer, remote, local: _, limit } = accepted;
    let mut serving = Serving::new(&wire, parts, &on_request);
    let begun = time::timeout(limit, poll_fn(|cx| serving.poll_begin(cx))).await;
    match begun {
        Ok(Ok(())) => {}
        Ok(Err(end)) => {
            debug!(%remote, %end, "the client speaks no HTTP/2");
            return wire.link.ended(end);
        }
        Err(_late) => return debug!(%remote, "the client said nothing"),
    }
    let (mut finishing, mut nudged) = (pin!(worker.finishing()), pin!(wire.link.nudge.notified()));
    let mut revoked = pin!(revoked(&peer, &mut trust));
    let end = poll_fn(|cx| {
        while nudged.as_mut().poll(cx).is_ready() {
            nudged.set(wire.link.nudge.notified());
        }
        if serving.leaving == Leaving::No && finishing.as_mut().poll(cx).is_ready() {
            serving.leave();
        }
        if revoked.as_mut().poll(cx).is_ready() {
            return Poll::Ready(LinkEnd::Revoked);
        }
        serving.poll(cx)
    })
    .await;
    wire.link.ended(end);
    if let Some(end) = wire.link.end() {
        debug!(%remote, %end, "link ended");
    }
}

impl<'a, F: Fn(Incoming)> Serving<'a, F> {
    fn new(wire: &Arc<Wire>, parts: Parts, on_request: &'a F) -> Self {
        wire.with_line(|line| {
            line.frames(|out| {
                write::settings(&settings::server(), out);
                write::window_update(0, Credit::FIRST, out);
            });
        });
        let (wire, role) = (Arc::clone(wire), Server::new(on_request));
        let engine = Box::new(Engine::new(wire, parts, role, true, settings::SERVER_HEADERS));
        Self { engine, unused: Unused::new(FIRST_STREAM), leaving: Leaving::No }
    }

    /// Resolves when the client has begun to speak HTTP/2.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkEnd>> {
        match self.engine.poll(cx) {
            Poll::Ready(end) => Poll::Ready(Err(end)),
            Poll::Pending if self.engine.has_begun() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Has the client open no new streams: at first it is told, and once it has heard of it, no
    /// more are taken.
    fn leave(&mut self) {
        self.leaving = Leaving::Told;
        let wire = &self.engine.wire;
        say_goodbye(wire, LARGEST, Code::NO_ERROR);
        wire.with_line(|line| line.frames(|out| write::ping(LEAVING, out)));
        // Whatever ends the last stream is to be heard of here.
        wire.link.tell_unused();
    }

    /// Takes no new streams from now on.
    fn close_door(&mut self) -> Leaving {
        self.engine.role.closed = true;
        let wire = &self.engine.wire;
        say_goodbye(wire, wire.link.last(), Code::NO_ERROR);
        // Looks again whether there are any left.
        wire.link.nudge.notify_one();
        Leaving::Heard
    }

    /// Resolves when the link has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        if let Poll::Ready(end) = self.engine.poll(cx) {
            return Poll::Ready(end);
        }
        let wire = Arc::clone(&self.engine.wire);
        let heard = self.engine.talk.other_pong.take() == Some(LEAVING);
        if heard && matches!(self.leaving, Leaving::Told | Leaving::ToldLongAgo) {
            self.leaving = self.close_door();
        }
        if self.leaving == Leaving::Heard && wire.streams() == 0 && wire.is_flushed() {
            return Poll::Ready(LinkEnd::Closed);
        }
        let (mut ticked, useless) = (false, &mut self.engine.talk.useless);
        let silent = self.engine.pinger.poll(cx, &wire, || {
            wire.link.forget_abandoned();
            *useless = 0;
            ticked = true;
        });
        if silent.is_ready() {
            return Poll::Ready(LinkEnd::Silent);
        }
        // One that answers other pings, and not that one, is waited for no longer than they are.
        self.leaving = match self.leaving {
            Leaving::Told if ticked => Leaving::ToldLongAgo,
            Leaving::ToldLongAgo if ticked => self.close_door(),
            leaving @ (Leaving::No | Leaving::Told | Leaving::ToldLongAgo | Leaving::Heard) => {
                leaving
            }
        };
        if self.engine.role.was_asked() {
            self.unused.limit = UNUSED;
        }
        let unused = self.unused.poll(cx, wire.streams() != 0);
        if unused.is_ready() && self.leaving == Leaving::No {
            self.leave();
        }
        Poll::Pending
    }
}

impl Unused {
    fn new(limit: Duration) -> Self {
        Self { limit, since: Some(Instant::now()), sleep: Box::pin(time::sleep(limit)) }
    }

    /// Resolves when there was no stream for the limit.
    fn poll(&mut self, cx: &mut Context<'_>, has_streams: bool) -> Poll<()> {
        if has_streams {
            self.since = None;
            return Poll::Pending;
        }
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        if self.sleep.deadline() != end {
            self.sleep.as_mut().reset(end);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Resolves when `peer` is no longer believed.
async fn revoked(peer: &Peer, trust: &mut View<Trust>) {
    let mut seen = trust.pin();
    while peer.recheck(&seen.value).is_ok() {
        match trust.newer_than(seen.generation).await {
            Some(newer) => seen = newer,
            // Nobody is left to change it.
            None => return std::future::pending().await,
        }
    }
}
