//! A connection that is used: owned by one request at a time, and polled by nobody else.
use super::{
    Limits, encode,
    exchange::{Exchange, Upload},
    outbox::Outbox,
    outgoing::Outgoing,
    reader::Reader,
    response::Asked,
};
use crate::{
    body::Body,
    io::Io,
    link::Link,
    message::{Interim, RequestHead, ResponseHead},
    outcome::Reset,
    share::Share,
};
use culvert_model::http::protocol::HeaderFormat;
use std::{fmt, sync::Arc};
use tokio::time::Instant;

/// How much room a head needs, usually.
const HEAD: usize = 1 << 10;

/// What holds for connections that are used.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientOptions {
    pub limits: Limits,
    /// Trailers are passed on, both ways.
    pub trailers: bool,
    /// How names of headers are written, and whether the other side's spelling is kept.
    pub names: HeaderFormat,
    /// Requests name their whole URL.
    pub whole_url: bool,
}

/// A connection on which no request is.
pub struct Client {
    pub(super) io: Io,
    pub(super) reader: Reader,
    pub(super) options: ClientOptions,
    born: Instant,
    /// When it was free last.
    since: Instant,
    requests: u64,
    /// Counts the connection while it lasts.
    held: Option<Box<dyn Held>>,
    link: Option<Arc<Link>>,
}

/// Anything that is let go with a connection.
pub(crate) trait Held: Send + Sync {}

impl<T: Send + Sync> Held for T {}

/// Where a connection goes when its request is over and it can be used again.
pub trait Home: Send + Sync {
    fn take_back(&self, client: Box<Client>);
}

/// What a request takes along and gives back when it is over.
#[derive(Default)]
pub struct Lease {
    pub(super) home: Option<Arc<dyn Home>>,
    /// Counts the request while it runs.
    pub(super) share: Option<Share>,
}

impl Client {
    pub fn new(io: Io, options: ClientOptions) -> Self {
        let now = Instant::now();
        Self {
            io,
            reader: Reader::default(),
            options,
            born: now,
            since: now,
            requests: 0,
            held: None,
            link: None,
        }
    }

    /// Keeps `held` as long as the connection lasts.
    pub(crate) fn holding(mut self, held: Box<dyn Held>) -> Self {
        self.held = Some(held);
        self
    }

    /// With what there is to say of it.
    #[must_use]
    pub(crate) fn by(mut self, link: Arc<Link>) -> Self {
        self.link = Some(link);
        self
    }

    pub(crate) const fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// Whether the other side is still there and has said nothing unasked.
    pub fn is_usable(&self) -> bool {
        self.reader.inbox.is_empty() && self.io.is_quiet()
    }

    pub const fn requests(&self) -> u64 {
        self.requests
    }

    pub const fn born(&self) -> Instant {
        self.born
    }

    /// When its last request was over.
    pub const fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn rest(&mut self) {
        self.since = Instant::now();
    }

    /// Sends a request and waits for its response, whose body may come while the request's still
    /// goes.
    ///
    /// Dropped half-way, it closes the connection.
    ///
    /// # Errors
    ///
    /// When no response came.
    pub async fn send(
        mut self: Box<Self>,
        head: &RequestHead,
        body: Body,
        interim: &Interim,
        lease: Lease,
    ) -> Result<(ResponseHead, Body), Reset> {
        self.requests += 1;
        let asked = Asked { method: head.method.clone(), upgrade: head.upgrade.clone() };
        let mut outbox = Outbox::default();
        let mut coding = encode::Coding::None;
        let length = body.length();
        let options = self.options;
        outbox.write(HEAD, |out| coding = encode::request(out, head, length, options));
        let outgoing = Outgoing::new(body, coding, self.options.trailers);
        // Until the other side has agreed there is nobody to send a tunnel's bytes to.
        let upload = Upload::new(outgoing, outbox, head.is_tunnel());
        Exchange::new(self, upload, lease).response(&asked, interim).await
    }
}

impl Lease {
    pub const fn new(home: Arc<dyn Home>, share: Option<Share>) -> Self {
        Self { home: Some(home), share }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("io", &self.io)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("share", &self.share).finish_non_exhaustive()
    }
}
