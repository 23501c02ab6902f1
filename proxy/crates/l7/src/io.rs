//! The two ends of bytes: a socket, or whatever stands for one.
//!
//! A closed type, so that nothing above it is generic. Reading and writing take `&self`: one task
//! does both, but through a body and a connection that are separate values.
mod plain;

use bytes::{Buf as _, Bytes, BytesMut};
use culvert_runtime::doors;
use parking_lot::Mutex;
use plain::Plain;
use socket2::SockRef;
use std::{
    fmt,
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// Whatever else bytes come from and go to: TLS, a tunnel, a pair in memory.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A connection's bytes.
pub struct Io(Kind);

enum Kind {
    Tcp(TcpStream),
    /// The lock is never waited for: one task uses it.
    Boxed(Mutex<Box<dyn doors::Stream>>),
}

impl From<TcpStream> for Io {
    fn from(tcp: TcpStream) -> Self {
        Self(Kind::Tcp(tcp))
    }
}

impl From<Box<dyn doors::Stream>> for Io {
    fn from(stream: Box<dyn doors::Stream>) -> Self {
        Self(Kind::Boxed(Mutex::new(stream)))
    }
}

impl Io {
    pub fn boxed(stream: impl Stream) -> Self {
        Self::from(Box::new(Plain(stream)) as Box<dyn doors::Stream>)
    }

    /// `self`, of which `ahead` was read already.
    #[must_use]
    pub fn after(self, ahead: Bytes) -> Self {
        if ahead.is_empty() {
            return self;
        }
        Self::from(Box::new(After { ahead, io: self }) as Box<dyn doors::Stream>)
    }

    /// The socket, if it is nothing else.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(tcp) => Some(tcp),
            Kind::Boxed(_) => None,
        }
    }

    /// Reads once into new memory of `size` bytes, made only when there is something to read.
    ///
    /// Ready with an empty buffer at the end.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<io::Result<BytesMut>> {
        match &self.0 {
            Kind::Tcp(tcp) => loop {
                ready!(tcp.poll_read_ready(cx))?;
                match read(tcp, size) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    outcome => return Poll::Ready(outcome),
                }
            },
            Kind::Boxed(stream) => {
                let mut bytes = BytesMut::zeroed(size);
                let mut buf = ReadBuf::new(&mut bytes);
                ready!(Pin::new(&mut **stream.lock()).poll_read(cx, &mut buf))?;
                let read = buf.filled().len();
                bytes.truncate(read);
                Poll::Ready(Ok(bytes))
            }
        }
    }

    /// Writes once, as much as fits.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Kind::Tcp(tcp) => loop {
                ready!(tcp.poll_write_ready(cx))?;
                match write(tcp, pieces) {
                    Ok(0) => {}
                    outcome => return Poll::Ready(outcome),
                }
            },
            Kind::Boxed(stream) => {
                let mut stream = stream.lock();
                let written = ready!(Pin::new(&mut **stream).poll_write_vectored(cx, pieces))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(written))
            }
        }
    }

    /// Hands on what a stream that buffers, such as TLS, still holds.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Tcp(_) => Poll::Ready(Ok(())),
            Kind::Boxed(stream) => Pin::new(&mut **stream.lock()).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Tcp(tcp) => Poll::Ready(SockRef::from(tcp).shutdown(Shutdown::Write)),
            Kind::Boxed(stream) => Pin::new(&mut **stream.lock()).poll_shutdown(cx),
        }
    }

    /// Whether nothing came in and the peer is still there, as far as is known without a wait.
    pub(crate) fn is_quiet(&self) -> bool {
        match &self.0 {
            Kind::Tcp(tcp) => match tcp.try_read(&mut [0; 1]) {
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                Ok(_) => false,
            },
            Kind::Boxed(stream) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let mut byte = [0; 1];
                Pin::new(&mut **stream.lock())
                    .poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
                    .is_pending()
            }
        }
    }

    /// Makes closing a reset, so that the peer does not take what it got for all there was.
    pub fn reset_on_close(&self) {
        match &self.0 {
            Kind::Tcp(tcp) => {
                // At worst the peer sees an orderly end of something that is framed anyway.
                let _closed = tcp.set_zero_linger();
            }
            Kind::Boxed(stream) => stream.lock().reset_on_close(),
        }
    }

    /// Tells whoever handed it over what it carries.
    pub(crate) fn carries(&self, what: doors::Carries) {
        if let Kind::Boxed(stream) = &self.0 {
            stream.lock().carries(what);
        }
    }
}

/// A connection that begins with what was read of it to see what it is.
struct After {
    ahead: Bytes,
    io: Io,
}

impl doors::Stream for After {
    fn reset_on_close(&mut self) {
        self.io.reset_on_close();
    }

    fn carries(&mut self, what: doors::Carries) {
        self.io.carries(what);
    }
}

impl AsyncRead for After {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let len = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..len]);
        this.ahead.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for After {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Kind::Boxed(stream) => Pin::new(&mut **stream.get_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Kind::Boxed(stream) => Pin::new(&mut **stream.get_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Kind::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            Kind::Boxed(stream) => {
                Pin::new(&mut **stream.get_mut()).poll_write_vectored(cx, pieces)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Tcp(tcp) => tcp.is_write_vectored(),
            Kind::Boxed(stream) => stream.lock().is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(&self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(&self, cx)
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp(tcp) => f.debug_tuple("Tcp").field(tcp).finish(),
            Kind::Boxed(_) => f.write_str("Boxed"),
        }
    }
}

/// Reads what is there; one that does not fill its memory has emptied the socket, which is noted so
/// that no other read must find out.
fn read(tcp: &TcpStream, size: usize) -> io::Result<BytesMut> {
    let mut bytes = BytesMut::with_capacity(size);
    let room = bytes.capacity();
    let outcome = tcp.try_io(Interest::READABLE, || {
        let read = tcp.try_read_buf(&mut bytes)?;
        if 0 < read && read < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(error) if bytes.is_empty() => Err(error),
        Err(_) | Ok(()) => Ok(bytes),
    }
}

/// Writes what fits; zero when nothing did.
fn write(tcp: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut written = 0;
    let outcome = tcp.try_io(Interest::WRITABLE, || {
        let socket = SockRef::from(tcp);
        written = match pieces {
            [piece] => socket.send_with_flags(piece, libc::MSG_NOSIGNAL)?,
            pieces => socket.send_vectored_with_flags(pieces, libc::MSG_NOSIGNAL)?,
        };
        // One that did not take all has filled the socket.
        let whole: usize = pieces.iter().map(|piece| piece.len()).sum();
        if written < whole { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(error) if written == 0 && error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Err(_) | Ok(()) => Ok(written),
    }
}
