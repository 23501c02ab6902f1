//! A tunnel whose end is in this process: bytes that are read and written, without a socket.
use super::{
    parcel::Parcel,
    tunnel::{Received, Tunnel, TunnelError},
};
use crate::copy::Grade;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Dropped, it lets go of the tunnel as one that has said everything.
#[derive(Debug)]
pub(crate) struct Bytes {
    tunnel: Tunnel,
    ended: bool,
    finished: bool,
    resets: bool,
}

impl Bytes {
    pub(crate) const fn new(tunnel: Tunnel) -> Self {
        Self { tunnel, ended: false, finished: false, resets: false }
    }

    /// Has the far end see a reset when it is dropped.
    pub(crate) const fn reset_on_close(&mut self) {
        self.resets = true;
    }

    fn finish(&mut self) -> Result<(), TunnelError> {
        if self.finished {
            return Ok(());
        }
        self.finished = true;
        self.tunnel.finish()
    }
}

impl AsyncRead for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.tunnel.poll_data(cx))? {
            Received::Bytes => self.tunnel.read(buf),
            Received::End => self.ended = true,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let fits = |grade: &Grade| bytes.len() <= Parcel::room(*grade);
        let grade = [Grade::Small, Grade::Medium].into_iter().find(fits).unwrap_or(Grade::Large);
        let want = bytes.len().min(Parcel::room(grade));
        let room = ready!(self.tunnel.poll_room(cx, want))?;
        let mut parcel = self.tunnel.parcel(grade, room);
        parcel.fill(&bytes[..want.min(room.bytes())]);
        let written = parcel.content();
        self.tunnel.send(parcel, room);
        Poll::Ready(Ok(written))
    }

    /// What was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish().map_err(Into::into))
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if self.resets {
            return self.tunnel.reset();
        }
        // Whoever is at the far end has gone already, if it cannot be told.
        let _gone = self.finish();
        self.tunnel.let_go();
    }
}
