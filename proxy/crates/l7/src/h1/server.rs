//! A connection that is served: one task reads a head, has it answered, writes the response, and
//! begins again.
//!
//! The service's future is polled in place, so a request costs no task and no channel. While it
//! waits, the connection listens for the client's end (a client that has gone has its request
//! dropped) and for what is to be said before the response.
mod linger;
mod receive;
mod respond;

use super::{Limits, encode, line::Line, outbox::Outbox, request::Parsed};
use crate::{
    alarm::Alarm,
    body::Body,
    io::Io,
    message::{Interim, Request, Scheme},
    outcome::{Ended, Exchanged, Refusal},
    service::Service,
};
use culvert_model::http::protocol::HeaderFormat;
use culvert_runtime::{drain::Worker, notice::Notice};
use http::{Method, StatusCode, Version};
use receive::Received;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// How much of the next requests is read while one is answered.
const AHEAD_MAX: usize = 64 << 10;

/// To requests whose bodies cannot be understood.
const BAD_BODY: Refusal = Refusal { status: StatusCode::BAD_REQUEST, details: "http1.codec_error" };

/// What holds for served connections.
#[derive(Clone, Debug)]
pub struct Options {
    pub limits: Limits,
    /// What a client means that names no scheme.
    pub scheme: Scheme,
    /// How long a connection may wait for its next request.
    pub idle: Option<Duration>,
    /// How long a head may take from its first byte.
    pub head: Option<Duration>,
    /// How long the client may take nothing of a response.
    pub stall: Option<Duration>,
    /// How long a connection may last; then it ends after the request it is at.
    pub age: Option<Duration>,
    /// How many requests a connection may have.
    pub requests: Option<u64>,
    /// How long to wait for the client's end after ours, so that it sees the last response.
    pub linger: Duration,
    /// Trailers are passed on, both ways.
    pub trailers: bool,
    /// A 100 is sent when the body is first asked for; otherwise `expect` is passed on, and the
    /// 100 is the service's to send.
    pub answers_expect: bool,
    /// How names of headers are written, and whether the client's spelling is kept.
    pub names: HeaderFormat,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client has left, between two requests.
    Left,
    /// No request for too long.
    Idle,
    /// After the last request: one of both wished so, or the limit was reached, or it is drained.
    Finished,
    /// What came was no request.
    Refused(Refusal),
    /// In the midst of a request.
    Broken(Ended),
}

/// The connection between two requests.
#[derive(Debug)]
struct Connection<'a> {
    line: Arc<Line>,
    options: &'a Options,
    outbox: Outbox,
    alarm: Alarm,
    finishing: Notice,
    /// When it is old enough.
    end: Option<Instant>,
    requests: u64,
    /// The client is too old for responses before the response.
    old: bool,
}

/// What the head of the request says about its response.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not for itself")]
struct Asked {
    version: Version,
    head: bool,
    tunnel: bool,
    keep_alive: bool,
    /// The response was there without a wait: nobody looked for more of the request.
    at_once: bool,
}

impl Default for Options {
    /// Envoy's, where it has them.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            scheme: Scheme::Http,
            idle: Some(Duration::from_secs(3600)),
            head: None,
            stall: Some(Duration::from_secs(300)),
            age: None,
            requests: None,
            linger: Duration::from_secs(1),
            trailers: false,
            answers_expect: true,
            names: HeaderFormat::Lower,
        }
    }
}

/// Serves `io` until it ends; `worker` says when to finish.
///
/// Stays in the task that polls it first.
pub async fn serve<S: Service>(io: Io, service: &S, options: &Options, worker: &Worker) -> Closed {
    let mut connection = Connection {
        line: Arc::new(Line::new(io, options.trailers)),
        options,
        outbox: Outbox::default(),
        alarm: Alarm::default(),
        finishing: worker.notice(),
        end: options.age.and_then(|age| Instant::now().checked_add(age)),
        requests: 0,
        old: false,
    };
    loop {
        let closed = match connection.receive().await {
            Received::Request(parsed) => match connection.answer(service, *parsed).await {
                Ok(true) => continue,
                Ok(false) => Closed::Finished,
                Err(ended) => Closed::Broken(ended),
            },
            Received::Refused(refusal) => {
                connection.refuse(service, refusal).await;
                Closed::Refused(refusal)
            }
            Received::Closed(closed) => closed,
        };
        return closed;
    }
}

impl Connection<'_> {
    /// Answers one request; whether another may follow.
    async fn answer<S: Service>(&mut self, service: &S, parsed: Parsed) -> Result<bool, Ended> {
        let Parsed { mut head, framing, len: _, keep_alive, expect } = parsed;
        let mut asked = Asked {
            at_once: true,
            version: head.version,
            head: head.method == Method::HEAD,
            tunnel: head.is_tunnel(),
            keep_alive,
        };
        self.requests += 1;
        self.old = head.version == Version::HTTP_10;
        let holds = expect && self.options.answers_expect;
        if expect && !holds {
            let value = http::HeaderValue::from_static("100-continue");
            head.headers.insert(http::header::EXPECT, value);
        }
        let body = self.line.incoming().begin(&self.line, framing, holds);
        let interim = Interim::new(Arc::clone(&self.line) as Arc<dyn crate::message::Inform>);
        let request = Request { head, body: body.map_or(Body::Empty, Body::H1), interim };

        let mut answer = pin!(service.call(request));
        let answered = poll_fn(|cx| {
            let polled = self.poll_answer(cx, answer.as_mut());
            asked.at_once &= polled.is_ready();
            polled
        })
        .await;
        let (mut response, mut record) = answered?;
        // A body that is none has no answer but this, whatever was made of the request so far.
        if self.line.incoming().reader.is_broken() && response.head.status.is_server_error() {
            response = service.refused(BAD_BODY);
        }
        let (ended, keep_alive, sent) =
            self.respond(response, asked, Some((service, &mut record))).await;
        let exchanged = Exchanged { ended, received: self.line.incoming().reader.received(), sent };
        service.ended(record, exchanged);
        match ended {
            Ended::Whole if !keep_alive => self.linger().await,
            Ended::Whole => {}
            Ended::BodyFailed | Ended::DownstreamGone | Ended::Stalled => return Err(ended),
        }
        Ok(keep_alive)
    }

    /// Polls the service, passes on what is to be said before its response, and listens for the
    /// client's end.
    fn poll_answer<T>(
        &mut self,
        cx: &mut Context<'_>,
        answer: std::pin::Pin<&mut impl Future<Output = T>>,
    ) -> Poll<Result<T, Ended>> {
        if let Poll::Ready(answered) = answer.poll(cx) {
            self.say_before(true);
            return Poll::Ready(Ok(answered));
        }
        self.say_before(false);
        let line = Arc::clone(&self.line);
        if self.outbox.poll_flush(cx, &line.io)?.is_pending() {
            return Poll::Pending;
        }
        self.poll_gone(cx).map(Err)
    }

    /// Writes what is to be said before the response; a 100 only while the response is not there.
    fn say_before(&mut self, answered: bool) {
        let Some((wanted, interim)) = self.line.take_calls() else { return };
        if self.old {
            return;
        }
        if wanted && !answered {
            let head = crate::message::ResponseHead::new(StatusCode::CONTINUE);
            self.outbox.write(64, |out| encode::interim(out, &head, self.options.names));
        }
        for head in interim {
            self.outbox.write(256, |out| encode::interim(out, &head, self.options.names));
        }
    }

    /// Ready when the client has gone; reads the next requests to find out.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut incoming = self.line.incoming();
        // A body that is still on its way is read by whoever has it.
        while incoming.reader.is_done() && incoming.reader.inbox.bytes().len() < AHEAD_MAX {
            match incoming.reader.inbox.poll_fill(cx, &self.line.io, None) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ended::DownstreamGone),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    /// Whether the connection may have another request after the one it is at.
    fn may_go_on(&mut self, cx: &Context<'_>) -> bool {
        let young = self.end.is_none_or(|end| Instant::now() < end);
        let few = self.options.requests.is_none_or(|most| self.requests < most);
        young && few && !self.finishing.poll(cx)
    }
}

impl From<std::io::Error> for Ended {
    /// What cannot be written to has gone.
    fn from(_: std::io::Error) -> Self {
        Self::DownstreamGone
    }
}

#[cfg(test)]
mod tests;
