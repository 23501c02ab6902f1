//! A body on its way out.
use super::{
    encode::{self, Coding},
    outbox::Outbox,
};
use crate::body::{Body, BodyError, Frame, Length};
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll};

/// What is left of a body, and how it is written.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: Body,
    coding: Coding,
    trailers: bool,
    sent: u64,
    /// All of it is in the outbox.
    over: bool,
}

impl Outgoing {
    pub(super) fn new(body: Body, coding: Coding, trailers: bool) -> Self {
        Self { body, coding, trailers, sent: 0, over: coding == Coding::None }
    }

    /// Bytes of the body so far.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether all of it is in the outbox.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Nothing more is written, and nobody asks for the rest.
    pub(super) fn abandon(&mut self) {
        self.body = Body::Empty;
        self.over = true;
    }

    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    /// Puts what is there of the body into `outbox`.
    pub(super) fn fill(
        &mut self,
        cx: &mut Context<'_>,
        outbox: &mut Outbox,
    ) -> Result<(), BodyError> {
        while !self.over && !outbox.is_full() {
            match self.body.poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(frame)) => match frame? {
                    Frame::Data(data) => self.data(data, outbox)?,
                    Frame::Trailers(trailers) => self.end(Some(&trailers), outbox)?,
                },
                Poll::Ready(None) => self.end(None, outbox)?,
            }
        }
        Ok(())
    }

    fn data(&mut self, data: Bytes, outbox: &mut Outbox) -> Result<(), BodyError> {
        const LONGER: BodyError = BodyError::Other("the body is longer than was said");
        self.sent += data.len() as u64;
        match &mut self.coding {
            Coding::None => {}
            Coding::Raw => outbox.push(data),
            Coding::Exactly(left) => {
                // More than was said would be read as the next message.
                *left = left.checked_sub(data.len() as u64).ok_or(LONGER)?;
                outbox.push(data);
                self.over = *left == 0 && self.body.length() == Length::Exactly(0);
            }
            Coding::Chunked => {
                outbox.write(64, |out| encode::chunk(out, data.len()));
                outbox.push(data);
                outbox.push(Bytes::from_static(b"\r\n"));
            }
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>, outbox: &mut Outbox) -> Result<(), BodyError> {
        self.over = true;
        match self.coding {
            Coding::Exactly(1..) => {
                return Err(BodyError::Other("the body is shorter than was said"));
            }
            Coding::Chunked => {
                let trailers = trailers.filter(|_| self.trailers);
                outbox.write(256, |out| encode::end(out, trailers));
            }
            Coding::None | Coding::Raw | Coding::Exactly(0) => {}
        }
        Ok(())
    }
}
