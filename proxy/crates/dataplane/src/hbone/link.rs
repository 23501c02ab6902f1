//! What both ends know of one link while it lives, and why it ended.
use super::settings::{PING_EVERY, PONG_WITHIN};
use culvert_model::close::CloseReason;
use h2::{Ping, PingPong};
use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{self, Instant, Sleep},
};

/// Shared by the task that drives a link, its tunnels, and the pool it is in.
#[derive(Debug)]
pub(crate) struct Link {
    began: Instant,
    /// When bytes came in last, in milliseconds since it began.
    heard: AtomicU64,
    /// How many tunnels are in it, those that are being opened included.
    streams: AtomicU32,
    /// How many bytes of its tunnels wait for applications to take them.
    waiting: AtomicUsize,
    /// Requests the peer took back before they were answered, since somebody looked.
    abandoned: AtomicU32,
    end: OnceLock<LinkEnd>,
    /// A ping is wanted.
    ask: AtomicBool,
    /// Whether its driver wants to know when the last tunnel has ended.
    tell_unused: AtomicBool,
    /// When its last tunnel ended, in milliseconds since it began.
    unused: AtomicU64,
    /// Wakes the task that drives it.
    pub(super) nudge: Notify,
}

/// Why a link ended.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// Somebody closed it, in an orderly way.
    Closed,
    /// The connection broke, or TLS did.
    Io(Arc<io::Error>),
    /// The peer, or we, found the other's HTTP/2 wrong.
    Http(String),
    /// The peer answers no more.
    Silent,
    /// The peer's certificate was revoked.
    Revoked,
    /// The peer is no longer the workload it was, or our side is shut down.
    Forgotten,
}

/// A tunnel's place in its link; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    link: Arc<Link>,
    /// How many bytes of it wait for its application.
    waiting: usize,
}

/// Asks the peer from time to time whether it is there.
pub(super) struct Pinger {
    pings: Option<PingPong>,
    tick: Pin<Box<Sleep>>,
    /// When the one that is under way was sent.
    asked: Option<Instant>,
}

impl Link {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            heard: AtomicU64::new(0),
            streams: AtomicU32::new(0),
            waiting: AtomicUsize::new(0),
            abandoned: AtomicU32::new(0),
            end: OnceLock::new(),
            ask: AtomicBool::new(false),
            tell_unused: AtomicBool::new(false),
            unused: AtomicU64::new(0),
            nudge: Notify::new(),
        })
    }

    /// Why it ended, if it did.
    pub(crate) fn end(&self) -> Option<&LinkEnd> {
        self.end.get()
    }

    /// Notes why it ended, unless something else ended it before.
    pub(super) fn ended(&self, end: LinkEnd) {
        // The first is the cause, the others follow from it.
        drop(self.end.set(end));
    }

    /// Has whoever drives it end it now, with every tunnel in it.
    pub(crate) fn kill(&self, why: LinkEnd) {
        self.ended(why);
        self.nudge.notify_one();
    }

    /// Whether a ping is wanted; asked once.
    pub(super) fn take_ask(&self) -> bool {
        self.ask.swap(false, Ordering::Relaxed)
    }

    /// Notes that something came in.
    pub(super) fn hear(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
    }

    /// How long nothing came in.
    pub(super) fn silent_for(&self) -> Duration {
        self.since(&self.heard)
    }

    /// How long there was no tunnel in it; zero while there is one.
    pub(super) fn unused_for(&self) -> Duration {
        if self.streams() == 0 { self.since(&self.unused) } else { Duration::ZERO }
    }

    /// Has the driver told when the last tunnel ends, and now if there is none.
    pub(super) fn tell_unused(&self) {
        self.tell_unused.store(true, Ordering::Relaxed);
        self.nudge.notify_one();
    }

    /// Resolves when nothing comes in although the peer was asked whether it is there.
    pub(super) async fn gone_silent(&self, limit: Duration) {
        let before = self.heard.load(Ordering::Relaxed);
        self.ask.store(true, Ordering::Relaxed);
        self.nudge.notify_one();
        time::sleep(limit).await;
        if self.heard.load(Ordering::Relaxed) != before {
            std::future::pending::<()>().await;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, then: &AtomicU64) -> Duration {
        let then = Duration::from_millis(then.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(then)
    }

    pub(super) fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    pub(super) fn enter(self: &Arc<Self>) -> Place {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Place { link: Arc::clone(self), waiting: 0 }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts a request that was taken back.
    pub(super) fn abandon(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take_abandoned(&self) -> u32 {
        self.abandoned.swap(0, Ordering::Relaxed)
    }
}

impl Place {
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// So many bytes came and wait.
    pub(super) fn wait(&mut self, bytes: usize) {
        self.waiting += bytes;
        self.link.waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them have left.
    pub(super) fn go(&mut self, bytes: usize) {
        self.waiting -= bytes;
        self.link.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self { link, waiting } = self;
        link.waiting.fetch_sub(*waiting, Ordering::Relaxed);
        link.unused.store(link.now(), Ordering::Relaxed);
        let before = link.streams.fetch_sub(1, Ordering::Relaxed);
        if before == 1 && link.tell_unused.load(Ordering::Relaxed) {
            link.nudge.notify_one();
        }
    }
}

impl LinkEnd {
    /// What ended the library's connection.
    pub(super) fn of(error: h2::Error) -> Self {
        if error.is_io() {
            let gone = || io::ErrorKind::ConnectionAborted.into();
            return Self::Io(Arc::new(error.into_io().unwrap_or_else(gone)));
        }
        Self::Http(error.to_string())
    }

    /// What it means for the connections that were in it.
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::Closed | Self::Io(_) | Self::Http(_) | Self::Silent => CloseReason::TunnelFailed,
            Self::Revoked => CloseReason::CertRevoked,
            Self::Forgotten => CloseReason::PodGone,
        }
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the tunnel was closed"),
            Self::Io(error) => write!(f, "the tunnel broke: {error}"),
            Self::Http(error) => write!(f, "the tunnel's HTTP/2 failed: {error}"),
            Self::Silent => f.write_str("the tunnel's other end does not answer"),
            Self::Revoked => f.write_str("the certificate of the tunnel's other end was revoked"),
            Self::Forgotten => f.write_str("the tunnel's other end is another workload now"),
        }
    }
}

impl Pinger {
    pub(super) fn new(pings: Option<PingPong>) -> Self {
        Self { pings, tick: Box::pin(time::sleep(PING_EVERY)), asked: None }
    }

    /// Sends a ping now, unless one is under way.
    pub(super) fn ask(&mut self) {
        let Some(pings) = &mut self.pings else { return };
        if self.asked.is_none() && pings.send_ping(Ping::opaque()).is_ok() {
            self.asked = Some(Instant::now());
        }
    }

    /// Resolves when the peer did not answer in time; `on_tick` is called every now and then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, mut on_tick: impl FnMut()) -> Poll<()> {
        if let Some(pings) = &mut self.pings
            && self.asked.is_some()
            // A failure is the connection's, which says it itself.
            && let Poll::Ready(_) = pings.poll_pong(cx)
        {
            self.asked = None;
        }
        while self.tick.as_mut().poll(cx).is_ready() {
            on_tick();
            match self.asked {
                Some(asked) if PONG_WITHIN <= asked.elapsed() => return Poll::Ready(()),
                Some(asked) => {
                    self.tick.as_mut().reset(asked + PONG_WITHIN);
                    continue;
                }
                None => self.ask(),
            }
            self.tick.as_mut().reset(Instant::now() + PING_EVERY);
        }
        Poll::Pending
    }
}

impl fmt::Debug for Pinger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinger").field("asked", &self.asked).finish_non_exhaustive()
    }
}
