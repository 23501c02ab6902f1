//! One connection in a link: the seam behind which HTTP/2 can be made by somebody else.
//!
//! A half close is `END_STREAM`, a TCP reset is `RST_STREAM(CONNECT_ERROR)`, both ways. A peer that
//! resets with `NO_ERROR` or `CANCEL`, as ztunnel does where it merely lets go, is read as one that
//! finished. A tunnel that is dropped before both ends finished is reset.
use super::{
    chunk::Chunk,
    link::{LinkEnd, Place},
    settings::SEND_MAX,
};
use bytes::Bytes;
use culvert_model::close::CloseReason;
use h2::{Reason, RecvStream, SendStream};
use std::{
    io,
    task::{Context, Poll, ready},
};

/// An open CONNECT stream, of either end.
#[derive(Debug)]
pub(crate) struct Tunnel {
    send: SendStream<Chunk>,
    receive: RecvStream,
    sending: bool,
    receiving: bool,
    place: Place,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(Bytes),
    /// The peer finished.
    End,
}

/// Why a tunnel broke.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    /// The far application's connection was reset, or the far proxy gave it up.
    #[error("the far end reset the connection")]
    Reset,
    #[error("the far end ended the stream: {0}")]
    Stream(Reason),
    #[error("{0}")]
    Link(String, CloseReason),
}

impl Tunnel {
    pub(super) fn new(send: SendStream<Chunk>, receive: RecvStream, place: Place) -> Self {
        Self { send, receive, sending: true, receiving: true, place }
    }

    /// What came next. Its bytes count against the peer's window until [`release`](Self::release).
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, TunnelError>> {
        if !self.receiving {
            return Poll::Pending;
        }
        match ready!(self.receive.poll_data(cx)) {
            Some(Ok(bytes)) => {
                self.place.wait(bytes.len());
                return Poll::Ready(Ok(Received::Bytes(bytes)));
            }
            None => {}
            Some(Err(error)) => match self.judge(error) {
                None => {}
                Some(error) => return Poll::Ready(Err(error)),
            },
        }
        self.receiving = false;
        Poll::Ready(Ok(Received::End))
    }

    /// Lets the peer send as much more: so much has left this process.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.place.go(bytes);
        // Fails only when more is released than came.
        drop(self.receive.flow_control().release_capacity(bytes));
    }

    /// How much may be sent now, at most `want`, which is what is about to be sent.
    pub(crate) fn poll_capacity(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Result<usize, TunnelError>> {
        self.send.reserve_capacity(want);
        loop {
            let capacity = self.send.capacity();
            if 0 < capacity {
                return Poll::Ready(Ok(capacity.min(want)));
            }
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                // The stream is closed; why, it says itself.
                None => {
                    let why = ready!(self.poll_reset(cx));
                    return Poll::Ready(Err(why));
                }
            }
        }
    }

    /// Gives back what [`poll_capacity`](Self::poll_capacity) promised: other tunnels of the link
    /// can have it.
    pub(crate) fn waive(&mut self) {
        self.send.reserve_capacity(0);
    }

    /// Sends; not more than there is capacity for.
    pub(crate) fn send(&mut self, chunk: Chunk) -> Result<(), TunnelError> {
        self.send.send_data(chunk, false).map_err(|error| self.broken(error))
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) -> Result<(), TunnelError> {
        self.sending = false;
        match self.send.send_data(Chunk::default(), true) {
            Ok(()) => Ok(()),
            // To a peer that has let go of the stream already this is no news.
            Err(_) if !self.receiving => Ok(()),
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Waits until everything that was sent is on its way.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.send.reserve_capacity(SEND_MAX);
        while self.send.capacity() < SEND_MAX {
            if !matches!(ready!(self.send.poll_capacity(cx)), Some(Ok(_))) {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Waits until the stream is of no use any more although nothing is sent or received.
    pub(crate) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<TunnelError> {
        match ready!(self.send.poll_reset(cx)) {
            Ok(Reason::NO_ERROR | Reason::CANCEL | Reason::CONNECT_ERROR) => {
                Poll::Ready(TunnelError::Reset)
            }
            Ok(reason) => Poll::Ready(TunnelError::Stream(reason)),
            Err(error) => Poll::Ready(self.broken(error)),
        }
    }

    /// Breaks the connection off, for the far end to see.
    pub(crate) fn reset(&mut self) {
        (self.sending, self.receiving) = (false, false);
        self.send.send_reset(Reason::CONNECT_ERROR);
    }

    /// What an error of receiving means; `None`: the peer merely let go.
    fn judge(&self, error: h2::Error) -> Option<TunnelError> {
        match error.reason() {
            Some(Reason::NO_ERROR | Reason::CANCEL) if error.is_reset() => None,
            _ => Some(self.broken(error)),
        }
    }

    fn broken(&self, error: h2::Error) -> TunnelError {
        if error.is_reset() {
            return match error.reason() {
                None | Some(Reason::CONNECT_ERROR) => TunnelError::Reset,
                Some(reason) => TunnelError::Stream(reason),
            };
        }
        let known = |end: &LinkEnd| TunnelError::Link(end.to_string(), end.reason());
        match self.place.link().end() {
            Some(end) => known(end),
            None => known(&LinkEnd::of(error)),
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if self.sending || self.receiving {
            self.reset();
        }
    }
}

impl TunnelError {
    /// Why a connection was closed that this ended.
    pub(crate) fn reason(&self) -> Option<CloseReason> {
        match self {
            Self::Reset => None,
            Self::Stream(_) => Some(CloseReason::TunnelFailed),
            Self::Link(_, reason) => Some(*reason),
        }
    }

    /// The [`CloseReason`] of a copy's error, if it came from here and was not the far end's reset.
    pub(crate) fn reason_of(error: &io::Error) -> Option<CloseReason> {
        error.get_ref()?.downcast_ref::<Self>()?.reason()
    }
}

impl From<TunnelError> for io::Error {
    fn from(error: TunnelError) -> Self {
        match error {
            TunnelError::Reset => Self::from(io::ErrorKind::ConnectionReset),
            TunnelError::Stream(_) | TunnelError::Link(..) => {
                Self::new(io::ErrorKind::ConnectionAborted, error)
            }
        }
    }
}
