//! The end of a link that asks.
mod asking;
mod failure;

pub(crate) use failure::OpenTunnelError;
use failure::{broken, reset};

use super::{
    credit::Credit,
    engine::{Engine, Parts, say_goodbye},
    headers::{Baggage, Request},
    http2::{
        code::Code,
        frame::{PREFACE, write},
        request,
    },
    link::{Link, LinkEnd, Place},
    settings,
    stream::Stream,
    tunnel::Tunnel,
    wire::Wire,
};
use crate::{connect, errors::OpenError};
use asking::{Answer, Asked, Client};
use culvert_identity::{
    certificate::Certificate,
    channel::{self, Channel},
    verify::Peer,
};
use culvert_model::{close::CloseReason, identity::Identity};
use http::StatusCode;
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
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

/// How long opening a tunnel may take, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    /// TLS, and the beginning of HTTP/2.
    pub(crate) handshake: Duration,
    /// The answer to a request; the far end connects to its application meanwhile.
    pub(crate) response: Duration,
}

/// A link that is up, for whoever opens tunnels in it.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) link: Arc<Link>,
    pub(super) next: SocketAddr,
    pub(super) peer: Peer,
    wire: Arc<Wire>,
    /// The far end has answered a request.
    proven: AtomicBool,
}

/// What drives a link.
#[derive(Debug)]
pub(super) struct Driver {
    /// In a box: it is several KB, which would move from future to future.
    engine: Box<Engine<Client>>,
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
    let secured = channel::connect(own, expected, tcp).await;
    let Channel { tcp, peer, opener, sealer, early } =
        secured.map_err(|source| OpenTunnelError::Tls { next, source: Arc::new(source) })?;
    let tcp = Arc::new(tcp);
    let wire = Wire::new(Arc::clone(&tcp), sealer);
    wire.with_line(|line| {
        line.frames(|out| {
            out.extend_from_slice(PREFACE);
            write::settings(&settings::client(), out);
            write::window_update(0, Credit::FIRST, out);
        });
    });
    let parts = Parts { tcp, opener, early };
    let headers = settings::CLIENT_HEADERS;
    let engine = Box::new(Engine::new(Arc::clone(&wire), parts, Client, false, headers));
    let link = Arc::clone(&wire.link);
    let carrier = Arc::new(Carrier { link, next, peer, wire, proven: AtomicBool::new(false) });
    Ok(Driver { engine, carrier, shaken_in: Duration::ZERO })
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
        let Self { mut engine, carrier, shaken_in: _ } = self;
        let (link, wire) = (&carrier.link, &carrier.wire);
        let mut nudged = pin!(link.nudge.notified());
        let mut leaving = false;
        let end = poll_fn(|cx| {
            while nudged.as_mut().poll(cx).is_ready() {
                nudged.set(link.nudge.notified());
                if link.end().is_some() {
                    return Poll::Ready(LinkEnd::Closed);
                }
                if link.take_ask() {
                    engine.pinger.ask(wire);
                }
                // One nudge may stand for several.
                on_tick(&carrier);
            }
            if let Poll::Ready(end) = engine.poll(cx) {
                return Poll::Ready(end);
            }
            let talk = &mut engine.talk.useless;
            if engine
                .pinger
                .poll(cx, wire, || {
                    *talk = 0;
                    on_tick(&carrier);
                })
                .is_ready()
            {
                return Poll::Ready(LinkEnd::Silent);
            }
            if carrier.is_unwanted() {
                if !std::mem::replace(&mut leaving, true) {
                    say_goodbye(wire, 0, Code::NO_ERROR);
                }
                if wire.is_flushed() {
                    return Poll::Ready(LinkEnd::Closed);
                }
            }
            Poll::Pending
        })
        .await;
        link.ended(end);
        carrier.retire();
        drop(engine);
    }
}

impl Carrier {
    /// Lets no more streams in; the link ends with the last one.
    pub(super) fn retire(&self) {
        if !self.wire.line(|line| std::mem::replace(&mut line.retired, true)) {
            self.link.tell_unused();
        }
    }

    /// Whether there is no stream and will be none.
    fn is_unwanted(&self) -> bool {
        self.wire.line(|line| line.retired) && self.wire.streams() == 0
    }

    /// Whether one more stream may be opened now.
    pub(super) fn has_room(&self) -> bool {
        if self.link.end().is_some() {
            return false;
        }
        let (retired, most) = self.wire.line(|line| (line.retired, line.streams_max));
        !retired && self.link.streams() < most.min(settings::CLIENT_STREAMS)
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
        let stream = self.ask(request)?;
        let asked = Asked::new(&self.wire, stream);
        let answer = time::timeout(limit, asked.answer()).await;
        let answer = answer.map_err(|_late| OpenTunnelError::NoAnswer { next, waited: limit })?;
        let response = match answer {
            Answer::Response(response) => response,
            Answer::Reset(code) => {
                let (why, stale) = (reset(code), code == Code::REFUSED_STREAM);
                let reason = CloseReason::TunnelFailed;
                return Err(OpenTunnelError::Broken { next, why, reason, stale });
            }
            Answer::Ended => return Err(broken(next, &self.link)),
        };
        self.proven.store(true, Ordering::Relaxed);
        if response.status != StatusCode::OK {
            return Err(OpenTunnelError::Refused { next, status: response.status });
        }
        let baggage = Baggage::of_answer(&response.headers);
        let tunnel = Tunnel::new(Arc::clone(&self.wire), asked.granted(), place);
        Ok(Opened { tunnel, peer: self.peer.identity().clone(), baggage })
    }

    /// Begins a stream with a request.
    fn ask(&self, request: &Request) -> Result<Arc<Stream>, OpenTunnelError> {
        let http = request.to_http().ok_or(OpenTunnelError::Unwritable)?;
        let authority = http.uri().authority().ok_or(OpenTunnelError::Unwritable)?;
        let begun = self.wire.with_line(|line| {
            if line.retired || line.closed {
                return None;
            }
            let Some(id) = line.take_id() else {
                // Others are opened in another link.
                line.retired = true;
                return None;
            };
            let stream = Arc::new(Stream::new(id, line.stream_window()));
            let mut block = Vec::with_capacity(256);
            request::connect(&mut line.encoder, authority.as_str(), http.headers(), &mut block);
            let most = line.frame_max();
            line.frames(|out| write::headers(stream.id, &block, false, most, out));
            // Under the lock, so that no setting of the peer passes it by.
            self.wire.add(Arc::clone(&stream));
            Some(stream)
        });
        if begun.is_none() {
            self.link.tell_unused();
        }
        begun.ok_or_else(|| match self.link.end() {
            Some(_) => broken(self.next, &self.link),
            None => OpenTunnelError::Broken {
                next: self.next,
                why: reset(Code::REFUSED_STREAM),
                reason: CloseReason::TunnelFailed,
                stale: true,
            },
        })
    }
}
