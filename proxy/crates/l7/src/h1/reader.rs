//! A body on its way in.
use super::{
    Framing,
    chunked::{Chunked, Step},
    inbox::Inbox,
};
use crate::{
    body::{BodyError, Frame, Length},
    io::Io,
};
use std::{
    io,
    task::{Context, Poll, ready},
};

/// What of the bytes of a connection is the body, and how much of it was read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) inbox: Inbox,
    state: State,
    /// Bytes of this body so far.
    received: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between two bodies.
    #[default]
    Done,
    Exactly(u64),
    Chunked(Chunked),
    Rest,
    /// It ended before its end: nothing that comes can be understood.
    Broken,
}

impl Reader {
    /// A body begins with what is in the inbox.
    pub(super) const fn begin(&mut self, framing: Framing) {
        self.received = 0;
        self.state = match framing {
            Framing::Exactly(0) => State::Done,
            Framing::Exactly(left) => State::Exactly(left),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::Rest | Framing::Tunnel => State::Rest,
        };
    }

    /// Whether the body was read to its end, so that the next message can follow.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether it ended before its end.
    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    pub(super) const fn length(&self) -> Length {
        match self.state {
            State::Done => Length::Exactly(0),
            State::Exactly(left) => Length::Exactly(left),
            State::Chunked(_) | State::Rest | State::Broken => Length::Unknown,
        }
    }

    /// The next piece; `None` at the end.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = ready!(self.poll_next(cx, io));
        match &next {
            Some(Ok(Frame::Data(data))) => self.received += data.len() as u64,
            Some(Err(_)) => self.state = State::Broken,
            Some(Ok(Frame::Trailers(_))) | None => {}
        }
        Poll::Ready(next)
    }

    /// The next piece if it is here already.
    pub(super) fn frame_at_hand(&mut self) -> Option<Result<Frame, BodyError>> {
        match self.step() {
            Ok(Some(frame)) => {
                if let Frame::Data(data) = &frame {
                    self.received += data.len() as u64;
                }
                Some(Ok(frame))
            }
            Ok(None) => None,
            Err(error) => {
                self.state = State::Broken;
                Some(Err(error))
            }
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        loop {
            if let Some(frame) = self.step()? {
                return Poll::Ready(Some(Ok(frame)));
            }
            let want = match self.state {
                State::Done => return Poll::Ready(None),
                State::Broken => return Poll::Ready(Some(Err(BodyError::Closed))),
                State::Exactly(left) => Some(left),
                State::Chunked(chunked) => Some(chunked.wants()).filter(|left| 0 < *left),
                State::Rest => None,
            };
            match ready!(self.inbox.poll_fill(cx, io, want)) {
                Ok(0) => return Poll::Ready(self.ended()),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(closed(error)))),
            }
        }
    }

    /// What the inbox has of the body; `None` when that is not enough, or the body is over.
    fn step(&mut self) -> Result<Option<Frame>, BodyError> {
        match &mut self.state {
            State::Done | State::Broken => Ok(None),
            State::Exactly(left) => {
                if self.inbox.is_empty() {
                    return Ok(None);
                }
                let data = self.inbox.take_up_to(*left);
                *left -= data.len() as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(Some(Frame::Data(data)))
            }
            State::Chunked(chunked) => match chunked.step(&mut self.inbox)? {
                Step::More => Ok(None),
                Step::End => {
                    self.state = State::Done;
                    Ok(None)
                }
                Step::Frame(frame) => {
                    if matches!(frame, Frame::Trailers(_)) {
                        self.state = State::Done;
                    }
                    Ok(Some(frame))
                }
            },
            State::Rest if self.inbox.is_empty() => Ok(None),
            State::Rest => Ok(Some(Frame::Data(self.inbox.take_up_to(u64::MAX)))),
        }
    }

    /// The peer has finished.
    fn ended(&mut self) -> Option<Result<Frame, BodyError>> {
        if self.state == State::Rest {
            self.state = State::Done;
            return None;
        }
        Some(Err(BodyError::Closed))
    }
}

/// A reset says as little as an end.
fn closed(error: io::Error) -> BodyError {
    let gone = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    if gone.contains(&error.kind()) { BodyError::Closed } else { BodyError::Io(error) }
}
