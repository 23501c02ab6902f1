//! The end of a link that answers: a pod's listener for tunnels.
mod respond;

pub(crate) use respond::{Incoming, Respond};

use super::{
    chunk::Chunk,
    headers::Request,
    io::{Noted, ReadAhead},
    link::{Link, LinkEnd, Pinger},
    settings,
    window::Window,
};
use crate::connect;
use culvert_identity::{
    certificate::Certificate,
    tls::{self, HandshakeError, Secured},
    trust::Trust,
    verify::Peer,
};
use culvert_runtime::{drain::Worker, publish::View};
use h2::{Reason, RecvStream, server};
use http::StatusCode;
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
    sync::futures::Notified,
    time::{self, Instant, Sleep},
};
use tokio_rustls::server::TlsStream;
use tracing::debug;

/// How long a link may be without a stream from its start on: clients open one to use it.
const FIRST_STREAM: Duration = Duration::from_secs(30);

/// How long it may be without one later. Clients let go earlier, by themselves.
const UNUSED: Duration = Duration::from_secs(900);

/// How many requests may be taken back unanswered in the time of a ping. A client that asks for
/// more wants to keep us busy (CVE-2023-44487).
const ABANDONED_MAX: u32 = 1000;

/// How much plain text TLS takes before it must write.
pub(super) const TLS_BUFFER: usize = 256 << 10;

type Io = Noted<TlsStream<ReadAhead>>;

/// A client that has proven who it is.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) peer: Peer,
    /// What it dialled.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    io: TlsStream<ReadAhead>,
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
    /// In a box: with TLS it is several KB, which would move from future to future.
    http: Box<server::Connection<Io, Chunk>>,
    link: Arc<Link>,
    pinger: Pinger,
    window: Window,
    unused: Unused,
    draining: bool,
    on_request: &'a F,
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
    let handshake = Box::pin(tls::accept(own, ReadAhead::new(tcp)));
    let secured = time::timeout(limit, handshake).await;
    let Secured { mut io, peer } = secured.map_err(|_late| AcceptError::Timeout(limit))??;
    io.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
    let canonical = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
    Ok(Accepted { peer, local: canonical(local), remote: canonical(remote), io, limit })
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
    let Accepted { io, peer, remote, local: _, limit } = accepted;
    let link = Link::new();
    let io = Noted::new(io, Arc::clone(&link));
    let preface = Box::pin(settings::server().handshake::<_, Chunk>(io));
    let http = match time::timeout(limit, preface).await {
        Ok(Ok(http)) => http,
        Ok(Err(error)) => return debug!(%remote, %error, "the client speaks no HTTP/2"),
        Err(_late) => return debug!(%remote, "the client said nothing"),
    };
    let mut serving = Serving::new(http, &link, &on_request);
    let (mut finishing, mut nudged) = (pin!(worker.finishing()), pin!(link.nudge.notified()));
    let mut revoked = pin!(revoked(&peer, &mut trust));
    poll_fn(|cx| {
        if !serving.draining && finishing.as_mut().poll(cx).is_ready() {
            serving.drain();
        }
        if revoked.as_mut().poll(cx).is_ready() {
            link.ended(LinkEnd::Revoked);
            return Poll::Ready(());
        }
        serving.poll(cx, nudged.as_mut())
    })
    .await;
    if let Some(end) = link.end() {
        debug!(%remote, %end, "link ended");
    }
}

impl<'a, F: Fn(Incoming)> Serving<'a, F> {
    fn new(mut http: server::Connection<Io, Chunk>, link: &Arc<Link>, on_request: &'a F) -> Self {
        let pinger = Pinger::new(http.ping_pong());
        let unused = Unused::new(FIRST_STREAM);
        let (link, http, window) = (Arc::clone(link), Box::new(http), Window::default());
        Self { http, link, pinger, window, unused, draining: false, on_request }
    }

    /// Lets no new streams in.
    fn drain(&mut self) {
        self.draining = true;
        self.http.graceful_shutdown();
    }

    /// Resolves when the link has ended.
    fn poll(&mut self, cx: &mut Context<'_>, nudged: Pin<&mut Notified<'_>>) -> Poll<()> {
        if nudged.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(size) = self.window.adjust(self.link.waiting()) {
            self.http.set_target_window_size(size);
        }
        while let Poll::Ready(next) = self.http.poll_accept(cx) {
            match next {
                Some(Ok((request, respond))) => self.take(request, respond),
                Some(Err(error)) => {
                    self.link.ended(LinkEnd::of(error));
                    return Poll::Ready(());
                }
                None => {
                    self.link.ended(LinkEnd::Closed);
                    return Poll::Ready(());
                }
            }
        }
        let mut flood = false;
        let link = &self.link;
        let silent = self.pinger.poll(cx, || flood |= ABANDONED_MAX < link.take_abandoned());
        if silent.is_ready() {
            self.link.ended(LinkEnd::Silent);
            return Poll::Ready(());
        }
        if flood {
            self.http.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            cx.waker().wake_by_ref();
        }
        if self.unused.poll(cx, self.http.has_streams()).is_ready() && !self.draining {
            self.drain();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn take(&mut self, request: http::Request<RecvStream>, respond: server::SendResponse<Chunk>) {
        self.unused.limit = UNUSED;
        let (head, body) = request.into_parts();
        let respond = Respond::new(respond, body, self.link.enter());
        match Request::parse(&head.method, &head.uri, &head.headers) {
            Ok(request) => (self.on_request)(Incoming { request, respond }),
            Err(error) => {
                debug!(%error, "bad request");
                respond.refuse(StatusCode::BAD_REQUEST);
            }
        }
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
