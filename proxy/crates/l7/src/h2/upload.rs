//! A body on its way out.
use super::farewell::Farewell;
use crate::{
    alarm::Alarm,
    body::{Body, BodyError, Frame, Length},
};
use bytes::Bytes;
use h2::{Reason, SendStream};
use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

/// What is left of a body, and the stream it goes to.
///
/// A piece is pulled when the peer's window is open, and sent whole: what does not fit into the
/// window waits in the stream, one piece at most.
#[derive(Debug)]
pub(super) struct Upload {
    /// `None` when nothing more is sent.
    stream: Option<SendStream<Bytes>>,
    body: Body,
    sent: u64,
    /// Of a response; a request that fails is reset at once.
    served: Option<Box<Served>>,
}

/// What holds for bodies of responses.
#[derive(Debug)]
struct Served {
    /// How long the client may take nothing.
    stall: Option<Duration>,
    alarm: Alarm,
    /// The alarm is set since so many bytes were sent.
    stalled_at: Option<u64>,
    /// The body failed, and what came before it goes out.
    failed: Option<(BodyError, Farewell)>,
}

/// What sending came to.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it.
    Whole,
    /// The peer wants no more of it.
    Stopped,
    /// The connection is gone.
    Gone,
    /// The body failed; the peer was told by a reset.
    Failed(BodyError),
    /// The peer took nothing for too long, and was told by a reset.
    Stalled,
}

impl Upload {
    /// Of a request.
    pub(super) const fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self { stream: Some(stream), body, sent: 0, served: None }
    }

    /// Of a response; the client may take nothing for as long as `stall`.
    pub(super) fn of_response(
        stream: SendStream<Bytes>,
        body: Body,
        stall: Option<Duration>,
    ) -> Self {
        let served = Served { stall, alarm: Alarm::default(), stalled_at: None, failed: None };
        Self { served: Some(Box::new(served)), ..Self::new(stream, body) }
    }

    /// There is nothing to send.
    pub(super) const fn done() -> Self {
        Self { stream: None, body: Body::Empty, sent: 0, served: None }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.stream.is_none()
    }

    /// Bytes of the body so far.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Nobody wants the rest.
    pub(super) fn abandon(&mut self) {
        self.stream = None;
        self.body = Body::Empty;
    }

    /// Sends what can be sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Sent> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Sent::Whole) };
        let sent = loop {
            match stream.poll_reset(cx) {
                Poll::Ready(Ok(_reason)) => break Sent::Stopped,
                Poll::Ready(Err(_)) => break Sent::Gone,
                Poll::Pending => {}
            }
            let served = self.served.as_mut();
            if let Some(failed) = served.and_then(|served| served.poll_failed(cx, self.sent)) {
                break ready!(failed);
            }
            match poll_window(stream, cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => break Sent::Gone,
                Poll::Pending => {
                    self.body.poll_progress(cx);
                    let Some(served) = &mut self.served else { return Poll::Pending };
                    ready!(served.poll_stalled(cx, self.sent));
                    break Sent::Stalled;
                }
            }
            let (done, end) = match self.body.poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(Frame::Data(data)))) => {
                    self.sent += data.len() as u64;
                    let end = self.body.length() == Length::Exactly(0);
                    (stream.send_data(data, end), end)
                }
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    (stream.send_trailers(trailers), true)
                }
                Poll::Ready(None) => (stream.send_data(Bytes::new(), true), true),
                Poll::Ready(Some(Err(error))) => {
                    let Some(served) = &mut self.served else { break Sent::Failed(error) };
                    served.failed = Some((error, Farewell::begin(stream)));
                    continue;
                }
            };
            if done.is_err() {
                break Sent::Gone;
            }
            if end {
                break Sent::Whole;
            }
        };
        if matches!(sent, Sent::Failed(_) | Sent::Stalled) {
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        self.abandon();
        Poll::Ready(sent)
    }
}

/// Ready when the peer's window is open, with false when it never will be.
fn poll_window(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<bool> {
    while stream.capacity() == 0 {
        stream.reserve_capacity(1);
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(false),
        }
    }
    Poll::Ready(true)
}

impl Served {
    /// How a body that failed ends, once what came before is out; `None` while it has not failed.
    fn poll_failed(&mut self, cx: &mut Context<'_>, sent: u64) -> Option<Poll<Sent>> {
        let (_, farewell) = self.failed.as_ref()?;
        if farewell.poll(cx).is_pending() {
            return Some(self.poll_stalled(cx, sent).map(|()| Sent::Stalled));
        }
        self.failed.take().map(|(error, _)| Poll::Ready(Sent::Failed(error)))
    }

    /// Ready when the client took nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>, sent: u64) -> Poll<()> {
        if self.stalled_at != Some(sent) {
            self.stalled_at = Some(sent);
            self.alarm.set(self.stall);
        }
        self.alarm.poll(cx)
    }
}
