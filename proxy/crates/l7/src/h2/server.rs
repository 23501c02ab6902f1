//! A connection that is served: one task drives it, and each stream has a task of its own, so that
//! one busy connection can use more than one thread.
use super::{
    Settings, configure,
    keepalive::{Keepalive, Pings},
    stream::{self, Run},
    turn,
};
use crate::{alarm::Alarm, io::Io, service::Service};
use bytes::Bytes;
use culvert_runtime::{drain::Worker, notice::Notice};
use h2::Reason;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// What holds for served connections.
#[derive(Clone, Debug)]
pub struct Options {
    pub settings: Settings,
    /// WebSocket and the like may be asked for (RFC 8441).
    pub extended_connect: bool,
    /// How long a connection may have no stream.
    pub idle: Option<Duration>,
    /// How long a connection may last; then it takes no new streams.
    pub age: Option<Duration>,
    /// How many streams a connection may have had.
    pub requests: Option<u64>,
    /// How long the client may take nothing of a response.
    pub stall: Option<Duration>,
    pub keepalive: Option<Keepalive>,
    /// From so many streams on, a connection most of whose streams were reset before they were
    /// answered is closed.
    pub reset_streams: u64,
    /// A 100 is sent to who expects it; otherwise `expect` is passed on.
    pub answers_expect: bool,
}

/// How a connection ended.
#[derive(Debug)]
pub enum Closed {
    /// The client has left.
    Left,
    /// No stream for too long.
    Idle,
    /// After its last stream.
    Finished,
    /// The client does not answer pings.
    Lost,
    /// The client resets what it asks for.
    Flood,
    Failed(h2::Error),
}

/// What the streams of a connection tell it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Streams that were reset before they were answered.
    pub(super) reset: AtomicU64,
}

struct Connection<S: Service> {
    h2: h2::server::Connection<Io, Bytes>,
    service: Arc<S>,
    streams: JoinSet<()>,
    tally: Arc<Tally>,
    accepted: u64,
    answers_expect: bool,
    stall: Option<Duration>,
    alarm: Alarm,
    age: Alarm,
    pings: Option<Pings>,
    finishing: Notice,
    /// The client was told that there will be no new streams.
    leaving: bool,
    idle_since: Option<Instant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            extended_connect: true,
            idle: Some(Duration::from_secs(3600)),
            age: None,
            requests: None,
            stall: Some(Duration::from_secs(300)),
            keepalive: None,
            reset_streams: 500,
            answers_expect: true,
        }
    }
}

/// Serves `io` until it ends; `worker` says when to finish.
pub async fn serve<S: Service>(
    io: Io,
    service: Arc<S>,
    options: &Options,
    worker: &Worker,
) -> Closed {
    let mut builder = h2::server::Builder::new();
    configure!(builder, options.settings);
    if options.extended_connect {
        builder.enable_connect_protocol();
    }
    let mut h2 = match builder.handshake(io).await {
        Ok(h2) => h2,
        Err(error) if error.is_io() => return Closed::Left,
        Err(error) => return Closed::Failed(error),
    };
    let pings = options.keepalive.zip(h2.ping_pong());
    let mut age = Alarm::default();
    age.set(options.age);
    let mut connection = Connection {
        h2,
        service,
        streams: JoinSet::new(),
        tally: Arc::default(),
        accepted: 0,
        answers_expect: options.answers_expect,
        stall: options.stall,
        alarm: Alarm::default(),
        age,
        pings: pings.map(|(keepalive, pings)| Pings::new(keepalive, pings)),
        finishing: worker.notice(),
        leaving: false,
        idle_since: None,
    };
    let closed = turn::last(|cx| connection.poll(cx, options)).await;
    let Connection { h2, mut streams, .. } = connection;
    // Its streams hear of it and end by themselves, so that each is accounted for.
    drop(h2);
    while streams.join_next().await.is_some() {}
    closed
}

impl<S: Service> Connection<S> {
    fn poll(&mut self, cx: &mut Context<'_>, options: &Options) -> Poll<Closed> {
        if !self.leaving && (self.finishing.poll(cx) || self.age.poll(cx).is_ready()) {
            self.leave();
        }
        loop {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.accept(request, respond);
                    if options.requests.is_some_and(|most| most <= self.accepted) {
                        self.leave();
                    }
                    if self.is_flooded(options.reset_streams) {
                        self.h2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.failed(error, options)),
                Poll::Ready(None) if self.is_flooded(options.reset_streams) => {
                    return Poll::Ready(Closed::Flood);
                }
                Poll::Ready(None) => {
                    return Poll::Ready(if self.leaving { Closed::Finished } else { Closed::Left });
                }
                Poll::Pending => break,
            }
        }
        while let Poll::Ready(Some(_)) = self.streams.poll_join_next(cx) {}
        if let Some(pings) = &mut self.pings
            && pings.poll(cx).is_ready()
        {
            return Poll::Ready(Closed::Lost);
        }
        self.poll_idle(cx, options.idle)
    }

    fn accept(
        &mut self,
        request: http::Request<h2::RecvStream>,
        respond: h2::server::SendResponse<Bytes>,
    ) {
        self.accepted += 1;
        let run = Run {
            service: Arc::clone(&self.service),
            tally: Arc::clone(&self.tally),
            answers_expect: self.answers_expect,
            stall: self.stall,
        };
        self.streams.spawn(stream::run(run, request, respond));
    }

    /// No new streams from now on; the others go on.
    fn leave(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.h2.graceful_shutdown();
        }
    }

    fn is_flooded(&self, from: u64) -> bool {
        from <= self.accepted && self.accepted < 2 * self.tally.reset.load(Ordering::Relaxed)
    }

    fn failed(&self, error: h2::Error, options: &Options) -> Closed {
        if self.is_flooded(options.reset_streams) {
            return Closed::Flood;
        }
        if error.is_io() || error.is_go_away() && error.is_remote() {
            return Closed::Left;
        }
        Closed::Failed(error)
    }

    /// Ready when there was no stream for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>, idle: Option<Duration>) -> Poll<Closed> {
        if !self.streams.is_empty() {
            self.idle_since = None;
            return Poll::Pending;
        }
        if self.idle_since.is_none() {
            self.idle_since = Some(Instant::now());
            self.alarm.set(idle);
        }
        if self.alarm.poll(cx).is_pending() {
            return Poll::Pending;
        }
        if self.leaving {
            return Poll::Ready(Closed::Idle);
        }
        // Says so before it ends.
        self.leave();
        self.alarm.set(Some(Duration::from_secs(5)));
        self.poll_again(cx)
    }

    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let _rings_later = self.alarm.poll(cx);
        match self.h2.poll_closed(cx) {
            Poll::Ready(_) => Poll::Ready(Closed::Idle),
            Poll::Pending => Poll::Pending,
        }
    }
}
