//! What is below and above TLS in a link.
use super::link::{Link, LinkEnd};
use crate::copy::{Appetite, Buffer, Grade, read};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The largest read from a link's socket; TLS by itself reads 4 to 16 KiB at a time.
const READ_MAX: Grade = Grade::Large;

/// How much is read from a link before others on the thread get their turn. It also bounds what
/// small frames can pile up before the relays they are for have run.
const TURN: usize = 1 << 20;

/// A socket that is read in large pieces.
///
/// Holds a buffer only between a read of the socket and TLS taking the last of it, so a link at
/// rest has none.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    tcp: TcpStream,
    buffer: Option<Buffer>,
    from: u32,
    to: u32,
    appetite: Appetite,
    /// Left of this turn.
    left: usize,
}

/// TLS, with what it tells noted in the link.
#[derive(Debug)]
pub(super) struct Noted<IO> {
    io: IO,
    link: Arc<Link>,
}

impl ReadAhead {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        let appetite = Appetite::new(READ_MAX);
        Self { tcp, buffer: None, from: 0, to: 0, appetite, left: TURN }
    }

    /// Reads from the socket; `false` at its end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.left == 0 {
                self.left = TURN;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.tcp.poll_read_ready(cx)?.is_pending() {
                self.left = TURN;
                return Poll::Pending;
            }
            let mut buffer = Buffer::borrow(self.appetite.grade());
            match read(&self.tcp, buffer.bytes_mut()) {
                Ok(0) => return Poll::Ready(Ok(false)),
                Ok(read) => {
                    self.appetite.read(read, buffer.grade());
                    self.left = self.left.saturating_sub(read);
                    // No grade is anywhere near 4 GiB.
                    (self.from, self.to) = (0, u32::try_from(read).unwrap_or(u32::MAX));
                    self.buffer = Some(buffer);
                    return Poll::Ready(Ok(true));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.buffer.is_none() && !ready!(self.poll_fill(cx))? {
            return Poll::Ready(Ok(()));
        }
        let Self { buffer, from, to, .. } = &mut *self;
        let Some(filled) = buffer else { return Poll::Ready(Ok(())) };
        let there = &filled.bytes()[*from as usize..*to as usize];
        let taken = there.len().min(out.remaining());
        out.put_slice(&there[..taken]);
        *from += u32::try_from(taken).unwrap_or(u32::MAX);
        if from == to {
            *buffer = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl<IO> Noted<IO> {
    pub(super) fn new(io: IO, link: Arc<Link>) -> Self {
        Self { io, link }
    }

    /// Keeps what went wrong, for HTTP/2 keeps only its text.
    fn note<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        outcome.map_err(|error| {
            let copy = io::Error::new(error.kind(), error.to_string());
            self.link.ended(LinkEnd::Io(Arc::new(error)));
            copy
        })
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Noted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, out);
        if outcome.is_ready() {
            self.link.hear();
        }
        self.note(outcome)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Noted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.note(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.note(outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
