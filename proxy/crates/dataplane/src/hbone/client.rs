//! The end of a link that asks.
use super::{
    chunk::Chunk,
    headers::{Baggage, Request},
    io::{Noted, ReadAhead},
    link::{Link, LinkEnd, Pinger, Place},
    server::TLS_BUFFER,
    settings,
    tunnel::Tunnel,
    window::Window,
};
use crate::{connect, errors::OpenError};
use culvert_identity::{
    certificate::Certificate,
    tls::{self, HandshakeError, Secured},
    verify::{Peer, VerifyError},
};
use culvert_model::{close::CloseReason, identity::Identity};
use h2::{
    Reason,
    client::{Connection, SendRequest},
};
use http::StatusCode;
use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};
use tokio_rustls::{
    client::TlsStream,
    rustls::{AlertDescription, Error as TlsError},
};

/// How long opening a tunnel may take, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    /// TLS, and the beginning of HTTP/2.
    pub(crate) handshake: Duration,
    /// The answer to a request; the far end connects to its application meanwhile.
    pub(crate) response: Duration,
}

/// Why there is no tunnel; the same for all who waited for the same link.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum OpenTunnelError {
    #[error("cannot reach the next hop")]
    Connect(#[source] Arc<OpenError>),
    #[error("the tunnel to {next} was not opened")]
    Tls {
        next: SocketAddr,
        #[source]
        source: Arc<HandshakeError>,
    },
    #[error("{next} did not finish the TLS handshake within {waited:?}")]
    HandshakeTimeout { next: SocketAddr, waited: Duration },
    /// The link, or the stream in it, ended before there was an answer.
    #[error("the tunnel to {next} broke before it was open: {why}")]
    Broken { next: SocketAddr, why: String, reason: CloseReason, stale: bool },
    #[error("{next} did not answer within {waited:?}")]
    NoAnswer { next: SocketAddr, waited: Duration },
    #[error("{next} refused the tunnel: {status}, {}", meaning(*.status))]
    Refused { next: SocketAddr, status: StatusCode },
    #[error("{next} lets too few connections into each of its tunnels")]
    Crowded { next: SocketAddr },
    #[error("the request cannot be written")]
    Unwritable,
    #[error("no tunnels are opened any more")]
    Draining,
}

/// A link that is up, for whoever opens tunnels in it.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) link: Arc<Link>,
    pub(super) next: SocketAddr,
    pub(super) peer: Peer,
    /// `None`: no new streams; the link ends with its last one.
    requests: Mutex<Option<SendRequest<Chunk>>>,
    /// The far end has answered a request.
    proven: AtomicBool,
}

/// What drives a link.
#[derive(Debug)]
pub(super) struct Driver {
    /// In a box: with TLS it is several KB, which would move from future to future.
    http: Box<Connection<Noted<TlsStream<ReadAhead>>, Chunk>>,
    pinger: Pinger,
    carrier: Arc<Carrier>,
    /// How long the handshakes took.
    pub(super) shaken_in: Duration,
}

/// A tunnel that the far end has accepted.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) tunnel: Tunnel,
    /// Who the far end has proven to be.
    pub(crate) peer: Identity,
    /// What it says of itself.
    pub(crate) baggage: Baggage,
}

/// Makes a link of a socket whose connect is in progress.
pub(super) async fn link(
    connecting: std::net::TcpStream,
    next: SocketAddr,
    own: &Certificate,
    expected: Arc<[Identity]>,
    timeouts: Timeouts,
) -> Result<Driver, OpenTunnelError> {
    let tcp = connected(connecting, next, timeouts.connect)
        .await
        .map_err(|error| OpenTunnelError::Connect(Arc::new(error)))?;
    let (waited, begun) = (timeouts.handshake, Instant::now());
    let shaken = Box::pin(shake(tcp, next, own, expected));
    match time::timeout(waited, shaken).await {
        Ok(done) => done.map(|driver| Driver { shaken_in: begun.elapsed(), ..driver }),
        Err(_late) => Err(OpenTunnelError::HandshakeTimeout { next, waited }),
    }
}

async fn shake(
    tcp: TcpStream,
    next: SocketAddr,
    own: &Certificate,
    expected: Arc<[Identity]>,
) -> Result<Driver, OpenTunnelError> {
    let secured = tls::connect(own, expected, ReadAhead::new(tcp)).await;
    let Secured { mut io, peer } =
        secured.map_err(|source| OpenTunnelError::Tls { next, source: Arc::new(source) })?;
    io.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
    let link = Link::new();
    let io = Noted::new(io, Arc::clone(&link));
    let begun = settings::client().handshake(io).await;
    let (requests, mut http) = begun.map_err(|error| broken(next, &link, error))?;
    let pinger = Pinger::new(http.ping_pong());
    let requests = Mutex::new(Some(requests));
    let carrier = Arc::new(Carrier { link, next, peer, requests, proven: AtomicBool::new(false) });
    Ok(Driver { http: Box::new(http), pinger, carrier, shaken_in: Duration::ZERO })
}

async fn connected(
    connecting: std::net::TcpStream,
    next: SocketAddr,
    limit: Duration,
) -> Result<TcpStream, OpenError> {
    let failed = |error| OpenError::new(next, error, limit);
    connect::keep_alive(&connecting);
    connect::no_delay(&connecting);
    let tcp = TcpStream::from_std(connecting).map_err(failed)?;
    match time::timeout(limit, tcp.writable()).await {
        Ok(ready) => ready.map_err(failed)?,
        Err(_late) => return Err(failed(io::Error::from_raw_os_error(libc::ETIMEDOUT))),
    }
    match tcp.take_error() {
        Ok(None) => Ok(tcp),
        Ok(Some(error)) | Err(error) => Err(failed(error)),
    }
}

impl Driver {
    pub(super) const fn carrier(&self) -> &Arc<Carrier> {
        &self.carrier
    }

    /// Drives the link to its end; `on_tick` is called every few seconds, and when its last tunnel
    /// has ended while the process drains.
    pub(super) async fn drive(self, on_tick: impl Fn(&Arc<Carrier>)) {
        let Self { mut http, mut pinger, carrier, shaken_in: _ } = self;
        let (link, mut window) = (&carrier.link, Window::default());
        let mut nudged = pin!(link.nudge.notified());
        poll_fn(|cx| {
            while nudged.as_mut().poll(cx).is_ready() {
                nudged.set(link.nudge.notified());
                if link.end().is_some() {
                    return Poll::Ready(());
                }
                if link.take_ask() {
                    pinger.ask();
                }
                // One nudge may stand for several.
                on_tick(&carrier);
            }
            if let Some(size) = window.adjust(link.waiting()) {
                http.set_target_window_size(size);
            }
            if let Poll::Ready(end) = Pin::new(&mut http).poll(cx) {
                link.ended(end.err().map_or(LinkEnd::Closed, LinkEnd::of));
                return Poll::Ready(());
            }
            if pinger.poll(cx, || on_tick(&carrier)).is_ready() {
                link.ended(LinkEnd::Silent);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        carrier.retire();
    }
}

impl Carrier {
    /// Lets no more streams in; the link ends with the last one.
    pub(super) fn retire(&self) {
        drop(self.requests.lock().take());
    }

    /// Whether one more stream may be opened now.
    pub(super) fn has_room(&self) -> bool {
        let most = match &*self.requests.lock() {
            Some(requests) if self.link.end().is_none() => requests.current_max_send_streams(),
            Some(_) | None => return false,
        };
        (self.link.streams() as usize) < most.min(settings::CLIENT_STREAMS as usize)
    }

    /// Whether the far end has answered a request before.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Asks for a tunnel and waits for the answer.
    ///
    /// Cancel safe: dropped, the request is taken back.
    pub(super) async fn open(
        &self,
        place: Place,
        request: &Request,
        limit: Duration,
    ) -> Result<Opened, OpenTunnelError> {
        let next = self.next;
        let broken = |error| self.broken(error);
        let http = request.to_http().ok_or(OpenTunnelError::Unwritable)?;
        let requests = self.requests.lock().clone();
        let requests = requests.ok_or_else(|| broken(Reason::REFUSED_STREAM.into()))?;
        let answer = async {
            // A handle of its own: the next one may be used at once.
            let mut requests = requests.ready().await?;
            let (response, send) = requests.send_request(http, false)?;
            drop(requests);
            Ok((response.await?, send))
        };
        let answer = time::timeout(limit, answer).await;
        let answer = answer.map_err(|_late| OpenTunnelError::NoAnswer { next, waited: limit })?;
        let (response, send) = answer.map_err(broken)?;
        self.proven.store(true, Ordering::Relaxed);
        let (head, receive) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(OpenTunnelError::Refused { next, status: head.status });
        }
        let baggage = Baggage::of_answer(&head.headers);
        let tunnel = Tunnel::new(send, receive, place);
        Ok(Opened { tunnel, peer: self.peer.identity().clone(), baggage })
    }

    fn broken(&self, error: h2::Error) -> OpenTunnelError {
        broken(self.next, &self.link, error)
    }
}

impl OpenTunnelError {
    /// Total on purpose: a new variant does not compile until it has a reason.
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::Connect(error) => error.reason(),
            Self::Tls { source, .. } if is_revoked(source) => CloseReason::CertRevoked,
            Self::Tls { .. } | Self::HandshakeTimeout { .. } => CloseReason::TlsFailed,
            Self::Broken { reason, .. } => *reason,
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED => CloseReason::PeerDenied,
                StatusCode::SERVICE_UNAVAILABLE => CloseReason::PeerUnavailable,
                _ => CloseReason::TunnelFailed,
            },
            Self::NoAnswer { .. } | Self::Crowded { .. } => CloseReason::TunnelFailed,
            Self::Unwritable => CloseReason::Internal,
            Self::Draining => CloseReason::Drained,
        }
    }

    /// Whether the application was not reached, so that another endpoint may be tried.
    pub(crate) fn is_connect(&self) -> bool {
        match self {
            Self::Connect(error) => !matches!(**error, OpenError::NoDescriptors { .. }),
            Self::HandshakeTimeout { .. } | Self::NoAnswer { .. } | Self::Crowded { .. } => true,
            Self::Refused { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Tls { .. } | Self::Broken { .. } | Self::Unwritable | Self::Draining => false,
        }
    }

    pub(super) fn silent(next: SocketAddr) -> Self {
        Self::ended(next, &LinkEnd::Silent)
    }

    pub(super) fn forgotten(next: SocketAddr) -> Self {
        Self::ended(next, &LinkEnd::Forgotten)
    }

    pub(super) fn revoked(next: SocketAddr) -> Self {
        Self::ended(next, &LinkEnd::Revoked)
    }

    fn ended(next: SocketAddr, end: &LinkEnd) -> Self {
        Self::Broken { next, why: end.to_string(), reason: end.reason(), stale: true }
    }

    /// Whether it is the link's fault, and a new one may do better.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Broken { stale: true, .. })
    }
}

/// What an error before the answer means.
fn broken(next: SocketAddr, link: &Link, error: h2::Error) -> OpenTunnelError {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let stale = refused || !error.is_reset();
    let said = LinkEnd::of(error);
    let end = if stale { link.end().unwrap_or(&said) } else { &said };
    // TLS 1.3 lets a client finish before the server has judged it: that comes with the first read.
    if let LinkEnd::Io(error) = end
        && let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>())
    {
        let error = HandshakeError::of(io::Error::new(error.kind(), tls.clone()));
        return OpenTunnelError::Tls { next, source: Arc::new(error) };
    }
    OpenTunnelError::Broken { next, why: end.to_string(), reason: end.reason(), stale }
}

fn is_revoked(error: &HandshakeError) -> bool {
    match error {
        HandshakeError::Peer(why) => matches!(why, VerifyError::Revoked),
        HandshakeError::Refused(alert) => *alert == AlertDescription::CertificateRevoked,
        HandshakeError::Tls(_) | HandshakeError::Io(_) => false,
    }
}

/// For people; the codes are the protocol's.
fn meaning(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "it did not understand the request",
        StatusCode::UNAUTHORIZED => "its policy denies the connection",
        StatusCode::SERVICE_UNAVAILABLE => "it cannot reach the application",
        _ => "which means nothing here",
    }
}
