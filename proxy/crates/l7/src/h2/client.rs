//! A connection that is used by many requests at once.
use super::{
    Settings, configure, convert,
    exchange::Exchange,
    keepalive::{Keepalive, Pings},
    turn,
    upload::Upload,
};
use crate::{
    body::{Body, Length},
    io::Io,
    link::Link,
    message::{Interim, RequestHead, ResponseHead},
    outcome::Reset,
    share::Share,
};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderValue, header};
use std::{
    borrow::Cow,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};
use tokio::time::Instant;

/// What holds for connections that are used.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions {
    pub settings: Settings,
    pub keepalive: Option<Keepalive>,
    /// How many requests may be open before the peer has said how many it takes.
    pub first_streams: usize,
}

/// The handle of a connection; its streams are others' too.
#[derive(Clone, Debug)]
pub struct Client {
    send: SendRequest<Bytes>,
    all: Arc<All>,
}

/// What all handles of a connection share.
#[derive(Debug)]
struct All {
    /// The connection takes no new requests.
    over: AtomicBool,
    born: Instant,
    link: Option<Arc<Link>>,
}

/// What a request takes along and gives back when it is over.
#[derive(Debug, Default)]
pub struct Lease {
    _stream: Option<Share>,
    _request: Option<Share>,
}

impl Lease {
    pub const fn new(stream: Share, request: Share) -> Self {
        Self { _stream: Some(stream), _request: Some(request) }
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { settings: Settings::default(), keepalive: None, first_streams: 100 }
    }
}

/// Opens HTTP/2 on `io`, of which `link` is what there is to say: the handle, and what must be
/// polled until the connection ends.
///
/// # Errors
///
/// When the preface cannot be written.
pub async fn connect(
    io: Io,
    options: &ClientOptions,
    link: Option<Arc<Link>>,
) -> Result<(Client, impl Future<Output = ()> + Send + 'static), h2::Error> {
    let mut builder = h2::client::Builder::new();
    configure!(builder, options.settings);
    builder.enable_push(false).initial_max_send_streams(options.first_streams);
    let (send, mut h2) = builder.handshake(io).await?;
    let pings = options.keepalive.zip(h2.ping_pong());
    let all = Arc::new(All { over: AtomicBool::new(false), born: Instant::now(), link });
    let client = Client { send, all: Arc::clone(&all) };
    let drive = async move {
        let mut pings = pings.map(|(keepalive, pings)| Pings::new(keepalive, pings));
        let mut h2 = pin!(h2);
        let ended = turn::last(|cx| {
            if let Some(pings) = &mut pings
                && pings.poll(cx).is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            h2.as_mut().poll(cx)
        });
        // Its streams say why.
        let _ended = ended.await;
        all.over.store(true, Ordering::Release);
    };
    Ok((client, drive))
}

impl Client {
    /// Whether it may be asked for one more stream; GOAWAY and the end of the connection say no.
    pub fn is_usable(&mut self) -> bool {
        if self.all.over.load(Ordering::Acquire) {
            return false;
        }
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        !matches!(self.send.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// How many streams the peer takes at once.
    pub fn streams(&self) -> usize {
        self.send.current_max_send_streams()
    }

    pub fn born(&self) -> Instant {
        self.all.born
    }

    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.all.link.as_ref()
    }

    /// Whether a stream may become something else (RFC 8441).
    pub fn takes_upgrades(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// Sends a request and waits for its response, whose body may come while the request's still
    /// goes; `lease` is given back when both are over.
    ///
    /// Dropped half-way, it resets the stream.
    ///
    /// # Errors
    ///
    /// When no response came.
    pub async fn send(
        self,
        head: Cow<'_, RequestHead>,
        body: Body,
        interim: &Interim,
        lease: Lease,
    ) -> Result<(ResponseHead, Body), Reset> {
        let mut send = self.send.ready().await.map_err(|error| convert::reset(&error))?;
        let (upgrade, tunnel) = (head.upgrade.clone(), head.is_tunnel());
        let mut head = head.into_owned();
        if let Length::Exactly(length) = body.length()
            && head.headers.contains_key(header::CONTENT_LENGTH)
        {
            // What the body says holds: somebody may have changed it on the way.
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let request = convert::to_request(head)?;
        let end = body.is_empty() && !tunnel;
        let sent = send.send_request(request, end);
        let (response, stream) = sent.map_err(|error| convert::reset(&error))?;
        let upload = if end { Upload::done() } else { Upload::new(stream, body) };
        Exchange::response(response, upload, upgrade.as_ref(), interim, lease).await
    }
}
