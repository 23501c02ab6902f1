//! Bytes both ways between two connections, until both have said all they have to say.
//!
//! What one side does the other one sees: its end, while the other direction goes on; its reset.
//! While nothing is under way a connection has no memory for bytes; they pass through what a thread
//! has for all its connections, and only what a slow side does not take stays.
use crate::{alarm::Alarm, io::Io};
use bytes::{Buf as _, BytesMut};
use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    time::Instant,
};

/// How much is read at once.
const PIECE: usize = 128 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// How long it may take, and how much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Neither side says anything.
    pub(super) idle: Option<Duration>,
    pub(super) until: Option<Instant>,
    /// Bytes that a slow side has not taken.
    pub(super) buffer: usize,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    Finished,
    /// That side is gone.
    Broken(Side),
    /// By the first byte's judge.
    Denied,
    Idle,
    TooLong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Upstream,
}

/// Told of bytes as they pass.
pub(super) trait Tally {
    /// `by` has said so many, or its end; false: nothing of it goes on.
    fn said(&mut self, by: Side, bytes: usize) -> bool;

    /// How many there may be before somebody else must be let through; called between pieces.
    fn due(&mut self) -> Option<Instant> {
        None
    }

    /// It is due.
    fn tell(&mut self) {}
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    waiting: BytesMut,
    /// Something was written and may not have been handed on.
    unflushed: bool,
    ended: bool,
    done: bool,
}

/// Why a direction broke.
enum Broken {
    From,
    To,
    Denied,
}

/// Relays until both have ended, or either is gone, or the time is over.
pub(super) async fn relay(
    client: &mut Io,
    upstream: &mut Io,
    limits: Limits,
    tally: &mut impl Tally,
) -> Ended {
    let (mut up, mut down) = (Half::default(), Half::default());
    let (mut idle, mut end, mut due) = (Alarm::default(), Alarm::default(), Alarm::default());
    idle.set(limits.idle);
    end.set_at(limits.until);
    let size = limits.buffer.clamp(1, PIECE);
    let ended = poll_fn(|cx| {
        let mut moved = false;
        let sent = up.poll(cx, (client, upstream), size, |bytes| {
            moved = true;
            tally.said(Side::Client, bytes)
        });
        if let Poll::Ready(Err(broken)) = sent {
            return Poll::Ready(broken.ended(Side::Client, Side::Upstream));
        }
        let received = down.poll(cx, (upstream, client), size, |bytes| {
            moved = true;
            tally.said(Side::Upstream, bytes)
        });
        if let Poll::Ready(Err(broken)) = received {
            return Poll::Ready(broken.ended(Side::Upstream, Side::Client));
        }
        if sent.is_ready() && received.is_ready() {
            return Poll::Ready(Ended::Finished);
        }
        if moved {
            idle.set(limits.idle);
        }
        due.set_at(tally.due());
        if due.poll(cx).is_ready() {
            tally.tell();
            due.set_at(tally.due());
            if due.poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        if end.poll(cx).is_ready() {
            return Poll::Ready(Ended::TooLong);
        }
        if idle.poll(cx).is_ready() { Poll::Ready(Ended::Idle) } else { Poll::Pending }
    })
    .await;
    match ended {
        // The side that is still there is to know that this is not how it was to end.
        Ended::Broken(Side::Client) => upstream.reset_on_close(),
        Ended::Broken(Side::Upstream) => client.reset_on_close(),
        Ended::Finished | Ended::Denied => {}
        Ended::Idle | Ended::TooLong => {
            // TLS has a word for the end; nobody waits for it to be taken.
            for io in [client, upstream] {
                poll_fn(|cx| {
                    let _taken = io.poll_shutdown(cx);
                    Poll::Ready(())
                })
                .await;
            }
        }
    }
    ended
}

impl Broken {
    const fn ended(&self, from: Side, to: Side) -> Ended {
        match self {
            Self::From => Ended::Broken(from),
            Self::To => Ended::Broken(to),
            Self::Denied => Ended::Denied,
        }
    }
}

impl Half {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&mut Io, &mut Io),
        size: usize,
        mut said: impl FnMut(usize) -> bool,
    ) -> Poll<Result<(), Broken>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        loop {
            while !self.waiting.is_empty() {
                let written = ready!(to.poll_write(cx, &[IoSlice::new(&self.waiting)]));
                self.waiting.advance(written.ok().ok_or(Broken::To)?);
                self.unflushed = true;
            }
            if self.ended {
                ready!(to.poll_shutdown(cx)).ok().ok_or(Broken::To)?;
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            match self.poll_piece(cx, (from, to), size, &mut said) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending => {
                    if self.unflushed {
                        ready!(to.poll_flush(cx)).ok().ok_or(Broken::To)?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads a piece and writes what is taken of it.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        (from, to): (&mut Io, &mut Io),
        size: usize,
        said: &mut impl FnMut(usize) -> bool,
    ) -> Poll<Result<usize, Broken>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = scratch.get_mut(..size).unwrap_or_default();
            let mut buf = ReadBuf::new(room);
            match ready!(Pin::new(from).poll_read(cx, &mut buf)) {
                // Many end TLS without a word.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(_) => return Poll::Ready(Err(Broken::From)),
                Ok(()) => {}
            }
            let piece = buf.filled();
            if !said(piece.len()) {
                return Poll::Ready(Err(Broken::Denied));
            }
            if piece.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let written = match to.poll_write(cx, &[IoSlice::new(piece)]) {
                Poll::Ready(written) => written.ok().ok_or(Broken::To)?,
                Poll::Pending => 0,
            };
            self.unflushed = true;
            self.waiting.extend_from_slice(piece.get(written..).unwrap_or_default());
            Poll::Ready(Ok(piece.len()))
        })
    }
}
