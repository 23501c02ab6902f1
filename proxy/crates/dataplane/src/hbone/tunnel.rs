//! One connection in a link: the seam between links and what they are used for.
//!
//! A half close is `END_STREAM`, a TCP reset is `RST_STREAM(CONNECT_ERROR)`, both ways. A peer that
//! resets with `NO_ERROR` or `CANCEL`, as ztunnel does where it merely lets go, is read as one that
//! finished. A tunnel that is dropped before both ends finished is reset.
use super::{
    http2::{code::Code, frame::Head},
    inlet::{Outfall, Phase, Taken},
    line::{Line, Room},
    link::Place,
    parcel::Parcel,
    queue::Queue,
    stream::Stream,
    wire::Wire,
};
use culvert_model::close::CloseReason;
use std::{
    io, mem,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{io::ReadBuf, net::TcpStream};

/// An open CONNECT stream, of either end.
#[derive(Debug)]
pub(crate) struct Tunnel {
    wire: Arc<Wire>,
    stream: Arc<Stream>,
    /// What came, was not taken at once, and is to be written next.
    held: Queue,
    sending: bool,
    receiving: bool,
    _place: Place,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    /// Something is to be [written](Tunnel::write).
    Bytes,
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
    Stream(Code),
    #[error("{0}")]
    Link(String, CloseReason),
}

impl Tunnel {
    pub(super) fn new(wire: Arc<Wire>, stream: Arc<Stream>, place: Place) -> Self {
        let held = Queue::default();
        Self { wire, stream, held, sending: true, receiving: true, _place: place }
    }

    /// Has what comes written to `tcp` at once, as far as it goes, from now on.
    pub(crate) fn drain_into(
        &mut self,
        tcp: &Arc<TcpStream>,
        meter: impl Fn(u64) + Send + Sync + 'static,
    ) {
        let outfall = Outfall { tcp: Arc::clone(tcp), meter: Box::new(meter) };
        self.stream.inlet.lock().drain_into(outfall);
    }

    /// Lets go of the socket.
    pub(crate) fn detach(&mut self) {
        self.stream.inlet.lock().detach();
    }

    /// What came and was not written at once. It counts against the peer's window until it is.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received, TunnelError>> {
        if !self.receiving {
            return Poll::Pending;
        }
        let mut inlet = self.stream.inlet.lock();
        inlet.hold(&mut self.held);
        let phase = inlet.phase();
        let waits = !self.held.is_empty();
        // As long as something waits, only the end is news.
        inlet.listen(cx.waker());
        drop(inlet);
        match phase {
            Phase::Reset(code) if !is_finish(code) => Poll::Ready(Err(reset(code))),
            Phase::Open if self.is_over() => Poll::Ready(Err(self.broken())),
            _ if waits => Poll::Ready(Ok(Received::Bytes)),
            Phase::Open => Poll::Pending,
            Phase::Ended | Phase::Reset(_) | Phase::Deaf => {
                self.receiving = false;
                Poll::Ready(Ok(Received::End))
            }
        }
    }

    /// Resolves when the tunnel broke although the peer has said everything.
    pub(crate) fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<TunnelError> {
        let mut inlet = self.stream.inlet.lock();
        inlet.listen(cx.waker());
        let phase = inlet.phase();
        drop(inlet);
        match phase {
            Phase::Reset(code) if !is_finish(code) => Poll::Ready(reset(code)),
            _ if self.is_over() => Poll::Ready(self.broken()),
            Phase::Open | Phase::Ended | Phase::Reset(_) | Phase::Deaf => Poll::Pending,
        }
    }

    /// Writes what came, once; the peer may send as much more.
    pub(crate) fn write(&mut self, tcp: &TcpStream) -> io::Result<usize> {
        let written = self.held.write(tcp)?;
        if 0 < written {
            self.taken(written);
        }
        Ok(written)
    }

    /// So much of what came is where it belongs.
    fn taken(&self, gone: usize) {
        self.wire.link.go(gone);
        let update = self.stream.inlet.lock().leave(gone);
        self.wire.update(&self.stream, Taken { gone, update });
    }

    /// Reads what came, once; the peer may send as much more.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let read = self.held.read(buf);
        if 0 < read {
            self.taken(read);
        }
    }

    /// Keeps room to send something, at most `want`, which is what is about to be sent.
    pub(crate) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
    ) -> Poll<Result<Room, TunnelError>> {
        let room = self.wire.line(|line| match line.closed {
            true => Poll::Ready(None),
            false => line.reserve(&self.stream, want, cx.waker()),
        });
        room.map(|room| room.ok_or_else(|| self.gone()))
    }

    /// Gives back what [`poll_room`](Self::poll_room) kept.
    pub(crate) fn waive(&mut self, room: Room) {
        self.wire.with_line(|line| {
            line.give_back(&self.stream, room.bytes);
            line.let_in();
        });
    }

    /// An empty parcel for what there is room for.
    pub(crate) fn parcel(&self, grade: crate::copy::Grade, room: Room) -> Parcel {
        Parcel::new(grade, self.stream.id, room.frame_max)
    }

    /// Sends what was read into the `room` that was kept.
    pub(crate) fn send(&mut self, parcel: Parcel, room: Room) {
        let spare = room.bytes - parcel.content();
        self.wire.with_line(|line| {
            line.give_back(&self.stream, spare);
            line.data(parcel);
        });
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) -> Result<(), TunnelError> {
        self.sending = false;
        let mut send = self.stream.send.lock();
        if send.finished {
            drop(send);
            // To a peer that has let go of the stream already this is no news.
            return if self.receiving { Err(self.gone()) } else { Ok(()) };
        }
        send.finished = true;
        drop(send);
        let id = self.stream.id;
        self.wire.with_line(|line| {
            line.frames(|out| out.extend_from_slice(&Head::data(id, 0, true).write()));
            line.let_in();
        });
        self.wire.remove_finished(&self.stream);
        Ok(())
    }

    /// Breaks the connection off, for the far end to see.
    pub(crate) fn reset(&mut self) {
        (self.sending, self.receiving) = (false, false);
        let sending = !self.stream.send.lock().finished;
        if sending || self.stream.inlet.lock().phase() == Phase::Open {
            self.wire.reset(&self.stream, Code::CONNECT_ERROR);
        }
    }

    /// Says that nothing more is taken, to a peer that has heard everything.
    pub(super) fn let_go(&mut self) {
        if mem::take(&mut self.receiving) && self.stream.inlet.lock().phase() == Phase::Open {
            self.wire.reset(&self.stream, Code::NO_ERROR);
        }
    }

    fn is_over(&self) -> bool {
        self.wire.link.end().is_some()
    }

    /// Why nothing can be sent although nothing was finished here.
    fn gone(&self) -> TunnelError {
        let phase = self.stream.inlet.lock().phase();
        match phase {
            Phase::Reset(code) if !is_finish(code) => reset(code),
            Phase::Reset(_) | Phase::Deaf => TunnelError::Reset,
            Phase::Open | Phase::Ended => self.broken(),
        }
    }

    fn broken(&self) -> TunnelError {
        match self.wire.link.end() {
            Some(end) => TunnelError::Link(end.to_string(), end.reason()),
            None => match self.wire.link.is_unwritable() {
                Some(error) => TunnelError::Link(
                    format!("the tunnel broke: {error}"),
                    CloseReason::TunnelFailed,
                ),
                None => TunnelError::Reset,
            },
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if self.sending || self.receiving {
            self.reset();
        }
        let waits = self.held.len() + self.stream.inlet.lock().deafen();
        self.wire.thrown_away(&self.stream, waits);
        // It may be the one that was let in last.
        self.wire.line(Line::let_in);
    }
}

/// Whether a peer that resets with it has merely let go.
fn is_finish(code: Code) -> bool {
    matches!(code, Code::NO_ERROR | Code::CANCEL)
}

fn reset(code: Code) -> TunnelError {
    match code {
        Code::CONNECT_ERROR => TunnelError::Reset,
        code => TunnelError::Stream(code),
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
