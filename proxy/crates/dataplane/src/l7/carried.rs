//! A connection in the hands of an engine, with its accounts.
use crate::{
    account::{Account, Meter},
    conn::Abrupt,
    copy::{Moved, Side},
    cut::Why,
    errors::CopyError,
    hbone::bytes,
};
use culvert_model::close::CloseReason;
use culvert_runtime::doors::{Carries, Stream};
use socket2::SockRef;
use std::{
    io::{self, IoSlice},
    mem,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Bytes that an engine reads and writes; dropped, it closes its accounts.
#[derive(Debug)]
pub(crate) struct Carried {
    io: Io,
    /// Who is at the other end.
    other: Side,
    accounts: Vec<(Account, Meter)>,
    /// What ended it early.
    broken: Option<io::Error>,
    cut: Option<Arc<Why>>,
    resets: bool,
}

/// What they come from.
#[derive(Debug)]
pub(crate) enum Io {
    Tcp(Abrupt),
    Tunnel(bytes::Bytes),
    /// To another engine of this process.
    Here(DuplexStream),
    Closed,
}

impl Carried {
    /// `other`: the source, of a connection that was accepted; the destination, of one that was
    /// opened.
    pub(crate) fn new(io: Io, other: Side, accounts: impl IntoIterator<Item = Account>) -> Self {
        // Nothing is counted before it is opened.
        let accounts = accounts.into_iter().map(|account| (account, Meter::default())).collect();
        Self { io, other, accounts, broken: None, cut: None, resets: false }
    }

    pub(super) fn accounts(&self) -> impl DoubleEndedIterator<Item = &Account> {
        self.accounts.iter().map(|(account, _)| account)
    }

    /// Notes that the other end is there.
    pub(crate) fn opened(&mut self) {
        for (account, meter) in &mut self.accounts {
            account.opened();
            *meter = account.meter();
        }
    }

    /// Notes that an engine has it, which finds out for the last of its accounts what it carries.
    pub(super) fn taken(&mut self) {
        let Some(((last, meter), others)) = self.accounts.split_last_mut() else { return };
        last.taken();
        *meter = last.meter();
        for (account, meter) in others {
            account.opened();
            *meter = account.meter();
        }
    }

    /// Whether somebody has cut it.
    fn check(&mut self, cx: &Context<'_>) -> io::Result<()> {
        if self.cut.is_none() {
            let cut = self.accounts.iter().find_map(|(account, _)| match account.poll_cut(cx) {
                Poll::Ready(why) => Some(why),
                Poll::Pending => None,
            });
            self.cut = cut;
        }
        match &self.cut {
            Some(_) => Err(io::ErrorKind::ConnectionReset.into()),
            None => Ok(()),
        }
    }

    fn count(&self, read: usize, written: usize) {
        let (read, written) = (read as u64, written as u64);
        let moved = match self.other {
            Side::Source => Moved { sent: read, received: written },
            Side::Destination => Moved { sent: written, received: read },
        };
        self.accounts.iter().for_each(|(_, meter)| meter.count(moved));
    }

    /// Keeps what ended it, and gives the engine one like it.
    fn noted<T>(&mut self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        outcome.map_err(|error| {
            let same = error
                .raw_os_error()
                .map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error);
            self.broken.get_or_insert(error);
            same
        })
    }
}

impl Stream for Carried {
    fn reset_on_close(&mut self) {
        self.resets = true;
    }

    fn carries(&mut self, what: Carries) {
        let Some((account, meter)) = self.accounts.last_mut() else { return };
        match what {
            Carries::Bytes => account.opened(),
            Carries::Requests => account.carry_requests(),
        }
        *meter = account.meter();
    }
}

impl AsyncRead for Carried {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let before = buf.filled().len();
        let outcome = this.io.poll_read(cx, buf);
        this.count(buf.filled().len() - before, 0);
        this.noted(outcome)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        let outcome = this.io.poll_write(cx, pieces);
        if let Poll::Ready(Ok(written)) = &outcome {
            this.count(0, *written);
        }
        this.noted(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.io, Io::Tcp(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Here(pipe) => Pin::new(pipe).poll_flush(cx),
            Io::Tcp(_) | Io::Tunnel(_) | Io::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Tcp(tcp) => Poll::Ready(SockRef::from(&**tcp).shutdown(Shutdown::Write)),
            Io::Tunnel(bytes) => Pin::new(bytes).poll_shutdown(cx),
            Io::Here(pipe) => Pin::new(pipe).poll_shutdown(cx),
            Io::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl Io {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => loop {
                ready!(tcp.poll_read_ready(cx))?;
                match tcp.try_read(buf.initialize_unfilled()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                    Ok(read) => {
                        buf.advance(read);
                        return Poll::Ready(Ok(()));
                    }
                }
            },
            Self::Tunnel(bytes) => Pin::new(bytes).poll_read(cx, buf),
            Self::Here(pipe) => Pin::new(pipe).poll_read(cx, buf),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = || pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |one| one);
        match self {
            Self::Tcp(tcp) => loop {
                ready!(tcp.poll_write_ready(cx))?;
                match tcp.try_write_vectored(pieces) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    outcome => return Poll::Ready(outcome),
                }
            },
            Self::Tunnel(bytes) => Pin::new(bytes).poll_write(cx, first()),
            Self::Here(pipe) => Pin::new(pipe).poll_write(cx, first()),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let is_whole = self.broken.is_none() && self.cut.is_none() && !self.resets;
        match mem::replace(&mut self.io, Io::Closed) {
            Io::Tcp(tcp) if is_whole => tcp.close(),
            Io::Tunnel(mut bytes) if !is_whole => bytes.reset_on_close(),
            // Dropped here: who reads of the end finds it ended.
            Io::Tcp(_) | Io::Tunnel(_) | Io::Here(_) | Io::Closed => {}
        }
        if thread::panicking() {
            // The accounts say so themselves.
            return;
        }
        let broken = self.broken.take().map(|error| CopyError::broken(self.other, error));
        for (account, _) in self.accounts.drain(..) {
            match (&self.cut, &broken) {
                (Some(why), _) => account.close_cut(why),
                (None, Some(error)) => account.close(error.reason(), error.detail()),
                (None, None) if account.pod().is_gone() => {
                    account.close(CloseReason::PodGone, None);
                }
                (None, None) => account.close(CloseReason::Done, None),
            }
        }
    }
}
