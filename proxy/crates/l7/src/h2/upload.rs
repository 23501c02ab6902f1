//! A body on its way out.
use crate::body::{Body, BodyError, Frame, Length};
use bytes::Bytes;
use h2::{Reason, SendStream};
use std::task::{Context, Poll};

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
    /// Why the body failed, and how often the connection may still write before that is said.
    failed: Option<(BodyError, u8)>,
}

/// A reset takes along what the connection has not yet written of its stream: so often it is let to.
const TURNS: u8 = 3;

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
}

impl Upload {
    pub(super) const fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self { stream: Some(stream), body, sent: 0, failed: None }
    }

    /// There is nothing to send.
    pub(super) const fn done() -> Self {
        Self { stream: None, body: Body::Empty, sent: 0, failed: None }
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
            if let Some((error, turns)) = self.failed.take() {
                if let Some(left) = turns.checked_sub(1) {
                    self.failed = Some((error, left));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                stream.send_reset(Reason::INTERNAL_ERROR);
                break Sent::Failed(error);
            }
            if stream.capacity() == 0 {
                stream.reserve_capacity(1);
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(_)) | None) => break Sent::Gone,
                    Poll::Pending => {
                        self.body.poll_progress(cx);
                        return Poll::Pending;
                    }
                }
                if stream.capacity() == 0 {
                    continue;
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
                    self.failed = Some((error, TURNS));
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
        self.abandon();
        Poll::Ready(sent)
    }
}
