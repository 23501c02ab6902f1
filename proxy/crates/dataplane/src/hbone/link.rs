//! What both ends know of one link while it lives, and why it ended.
use culvert_model::close::CloseReason;
use std::{
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
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
    /// The last stream that the peer opened.
    last: AtomicU32,
    end: OnceLock<LinkEnd>,
    /// Why nothing can be written any more.
    unwritable: OnceLock<Arc<io::Error>>,
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
}

impl Link {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            heard: AtomicU64::new(0),
            streams: AtomicU32::new(0),
            waiting: AtomicUsize::new(0),
            abandoned: AtomicU32::new(0),
            last: AtomicU32::new(0),
            end: OnceLock::new(),
            unwritable: OnceLock::new(),
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

    /// Whether the driver is to be told when the last tunnel ends.
    pub(super) fn tells_unused(&self) -> bool {
        self.tell_unused.load(Ordering::Relaxed)
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
        Place { link: Arc::clone(self) }
    }

    /// So many bytes came and wait.
    pub(super) fn wait(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them have left.
    pub(super) fn go(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes that nothing can be written any more.
    pub(super) fn unwritable(&self, why: io::Error) {
        drop(self.unwritable.set(Arc::new(why)));
    }

    /// Why nothing can be written any more, if that is so.
    pub(super) fn is_unwritable(&self) -> Option<&Arc<io::Error>> {
        self.unwritable.get()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The last stream that the peer opened.
    pub(super) fn last(&self) -> u32 {
        self.last.load(Ordering::Relaxed)
    }

    pub(super) fn opened(&self, id: u32) {
        self.last.store(id, Ordering::Relaxed);
    }

    /// Counts a request that was taken back; says how many there were since they were forgotten.
    pub(super) fn abandon(&self) -> u32 {
        self.abandoned.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn forget_abandoned(&self) {
        self.abandoned.store(0, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self { link } = self;
        link.unused.store(link.now(), Ordering::Relaxed);
        let before = link.streams.fetch_sub(1, Ordering::Relaxed);
        if before == 1 && link.tell_unused.load(Ordering::Relaxed) {
            link.nudge.notify_one();
        }
    }
}

impl LinkEnd {
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
