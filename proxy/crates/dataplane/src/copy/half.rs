//! One direction of a copied connection.
use super::buffer::{Appetite, Buffer, Grade};
use socket2::SockRef;
use std::{
    fmt,
    future::Future,
    io::{self, IoSlice, Read as _},
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{io::Interest, net::TcpStream};

/// How much one direction may move before others on the thread get their turn.
///
/// Large enough that a bulk stream's own cost hides the price of the turn (one `epoll_wait`), small
/// enough (some 200 µs) that a request beside it does not notice.
pub(crate) const TURN_BYTES: usize = 1 << 20;

/// What is read at one end and written to the other.
pub(super) struct Half<'a> {
    state: State,
    appetite: Appetite,
    /// Tells that the reading end was reset while nothing is read from it. Boxed and made only
    /// then: most connections never need it.
    watch: Option<Watch<'a>>,
}

pub(crate) type Watch<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

#[derive(Debug)]
enum State {
    /// Waits for something to read; holds no buffer.
    Reading,
    /// `buffer[from..to]` waits to be written.
    Writing { buffer: Buffer, from: u32, to: u32 },
    /// The reading end finished and the writing end was told.
    Finished,
}

/// A direction has used up its turn and could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

/// One end failed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) end: End,
    pub(super) error: io::Error,
}

/// Which end of the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Reading,
    Writing,
}

impl<'a> Half<'a> {
    pub(super) const fn new(max: Grade) -> Self {
        Self { state: State::Reading, appetite: Appetite::new(max), watch: None }
    }

    /// Moves what can be moved from `from` to `to`, at most one turn's worth, and adds it to
    /// `moved`.
    ///
    /// Pending when it waits for a socket or has come to its end.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &'a TcpStream,
        to: &TcpStream,
        moved: &mut u64,
    ) -> Poll<Result<Spent, Broken>> {
        let mut left = TURN_BYTES;
        loop {
            match &mut self.state {
                State::Reading => {
                    if left == 0 {
                        return Poll::Ready(Ok(Spent));
                    }
                    ready!(from.poll_read_ready(cx)).map_err(Broken::reading)?;
                    self.watch = None;
                    left = left.saturating_sub(self.read(from, to)?);
                }
                State::Writing { buffer, from: start, to: end } => {
                    let waiting = &buffer.bytes()[*start as usize..*end as usize];
                    if to.poll_write_ready(cx).map_err(Broken::writing)?.is_pending() {
                        return self.poll_reset(cx, from);
                    }
                    let written = write(to, waiting).map_err(Broken::writing)?;
                    *moved += u64::from(written);
                    *start += written;
                    if start == end {
                        self.state = State::Reading;
                    }
                }
                State::Finished => return self.poll_reset(cx, from),
            }
        }
    }

    /// Whether the end of this direction was passed on.
    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Passes on what already came in and goes out without waiting, because the connection is
    /// about to be reset: what a peer said before it went (an early answer) is not lost.
    pub(super) fn rescue(&mut self, from: &TcpStream, to: &TcpStream, moved: &mut u64) {
        let mut left = TURN_BYTES;
        while 0 < left {
            match &mut self.state {
                State::Reading => {
                    // Past tokio's readiness, which may not have heard of it yet.
                    let mut buffer = Buffer::borrow(self.appetite.grade());
                    match (&*SockRef::from(from)).read(buffer.bytes_mut()) {
                        Ok(read) if 0 < read => self.state = State::filled(buffer, read),
                        Ok(_) | Err(_) => return,
                    }
                }
                State::Writing { buffer, from: start, to: end } => {
                    let waiting = &buffer.bytes()[*start as usize..*end as usize];
                    let Ok(written) = send(to, waiting) else { return };
                    *moved += u64::from(written);
                    *start += written;
                    left = left.saturating_sub(written as usize);
                    if start == end {
                        self.state = State::Reading;
                    }
                }
                State::Finished => return,
            }
        }
    }

    /// Reads once and returns how much; passes the end on when that was all.
    fn read(&mut self, from: &TcpStream, to: &TcpStream) -> Result<usize, Broken> {
        let mut buffer = Buffer::borrow(self.appetite.grade());
        match read(from, buffer.bytes_mut()) {
            Ok(0) => {
                drop(buffer);
                SockRef::from(to).shutdown(Shutdown::Write).map_err(Broken::writing)?;
                self.state = State::Finished;
                Ok(0)
            }
            Ok(read) => {
                self.appetite.read(read, buffer.grade());
                self.state = State::filled(buffer, read);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(Broken::reading(error)),
        }
    }

    /// Waits for a reset of `from`, which no read would tell of now.
    fn poll_reset(
        &mut self,
        cx: &mut Context<'_>,
        from: &'a TcpStream,
    ) -> Poll<Result<Spent, Broken>> {
        let error = ready!(watch_reset(&mut self.watch, cx, from));
        Poll::Ready(Err(Broken::reading(error)))
    }
}

impl fmt::Debug for Half<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, appetite, watch } = self;
        f.debug_struct("Half")
            .field("state", state)
            .field("appetite", appetite)
            .field("watched", &watch.is_some())
            .finish()
    }
}

impl State {
    fn filled(buffer: Buffer, read: usize) -> Self {
        // No grade is anywhere near 4 GiB.
        Self::Writing { buffer, from: 0, to: u32::try_from(read).unwrap_or(u32::MAX) }
    }
}

impl Broken {
    fn reading(error: io::Error) -> Self {
        Self { end: End::Reading, error }
    }

    fn writing(error: io::Error) -> Self {
        Self { end: End::Writing, error }
    }
}

/// Waits for a reset of `io`, which nothing else would tell of now.
pub(crate) fn watch_reset<'a>(
    watch: &mut Option<Watch<'a>>,
    cx: &mut Context<'_>,
    io: &'a TcpStream,
) -> Poll<io::Error> {
    let wait = || -> Watch<'a> { Box::pin(async { io.ready(Interest::ERROR).await.map(drop) }) };
    let woken = ready!(watch.get_or_insert_with(wait).as_mut().poll(cx));
    *watch = None;
    Poll::Ready(match woken {
        Err(error) => error,
        // The other direction may have taken the error already.
        Ok(()) => io
            .take_error()
            .unwrap_or_else(Some)
            .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
    })
}

/// Reads what is there; one that does not fill `buf` has emptied the socket, which is noted so that
/// no other read must find out.
pub(crate) fn read(io: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    let outcome = io.try_io(Interest::READABLE, || {
        read = (&*SockRef::from(io)).read(buf)?;
        if 0 < read && read < buf.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(error) if read == 0 => Err(error),
        Err(_) | Ok(()) => Ok(read),
    }
}

/// Writes what fits; zero when nothing did.
fn write(io: &TcpStream, bytes: &[u8]) -> io::Result<u32> {
    let written = write_by(io, bytes.len(), || send(io, bytes).map(|sent| sent as usize))?;
    // No grade is anywhere near 4 GiB.
    Ok(u32::try_from(written).unwrap_or(u32::MAX))
}

/// Writes what fits of several pieces, `whole` bytes together.
pub(crate) fn write_all_of(
    io: &TcpStream,
    pieces: &[IoSlice<'_>],
    whole: usize,
) -> io::Result<usize> {
    write_by(io, whole, || SockRef::from(io).send_vectored_with_flags(pieces, libc::MSG_NOSIGNAL))
}

/// Writes `whole` bytes by `send`; zero when nothing fitted.
fn write_by(
    io: &TcpStream,
    whole: usize,
    send: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut written = 0;
    let outcome = io.try_io(Interest::WRITABLE, || {
        written = send()?;
        // One that did not take all has filled the socket.
        if written < whole { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(error) if written == 0 && error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Err(_) | Ok(()) => Ok(written),
    }
}

fn send(io: &TcpStream, bytes: &[u8]) -> io::Result<u32> {
    let sent = SockRef::from(io).send_with_flags(bytes, libc::MSG_NOSIGNAL)?;
    // No grade is anywhere near 4 GiB.
    Ok(u32::try_from(sent).unwrap_or(u32::MAX))
}
