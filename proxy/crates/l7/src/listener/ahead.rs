//! A connection's first bytes, looked at before anybody takes them.
use crate::io::Io;
use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use std::io::{self, Read as _};
use tokio::{
    io::{AsyncReadExt as _, Interest},
    net::TcpStream,
};

/// A connection, and what is known of what it says.
///
/// A socket's bytes stay in the socket, so that whoever gets it has a socket and nothing slower.
#[derive(Debug)]
pub(crate) struct Ahead {
    io: Io,
    /// Of a socket, a copy of what it holds.
    bytes: BytesMut,
}

impl Ahead {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, bytes: BytesMut::new() }
    }

    /// What has come so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    /// Waits for more; false: it has ended.
    ///
    /// Cancel safe.
    pub(crate) async fn more(&mut self) -> io::Result<bool> {
        match self.io.tcp() {
            Some(tcp) => peek(tcp, &mut self.bytes).await,
            None => Ok(self.io.read_buf(&mut self.bytes).await? != 0),
        }
    }

    /// Takes the first bytes away for good; they have been looked at.
    pub(crate) fn skip(&mut self, count: usize) -> io::Result<()> {
        self.bytes.advance(count);
        let Some(tcp) = self.io.tcp() else { return Ok(()) };
        // They are there, as they were looked at: this does not wait.
        (&*SockRef::from(tcp)).read_exact(&mut vec![0; count])
    }

    /// The connection, as if nobody had looked.
    pub(crate) fn into_io(self) -> Io {
        match self.io.tcp() {
            Some(_) => self.io,
            None => self.io.after(self.bytes.freeze()),
        }
    }
}

/// Copies what the socket holds, once it is more than it was.
async fn peek(tcp: &TcpStream, seen: &mut BytesMut) -> io::Result<bool> {
    const FIRST: usize = 2 << 10;
    let known = seen.len();
    let mut room = vec![0; FIRST.max(known * 2)];
    loop {
        let found = tcp.peek(&mut room).await?;
        if known < found {
            seen.extend_from_slice(room.get(known..found).unwrap_or_default());
            return Ok(true);
        }
        if found == 0 {
            return Ok(false);
        }
        if tcp.ready(Interest::READABLE).await?.is_read_closed() {
            // What came before the end may have come since.
            let found = tcp.peek(&mut room).await?;
            seen.extend_from_slice(room.get(known..found).unwrap_or_default());
            return Ok(known < found);
        }
        // The socket stays readable; that it is has to be forgotten, unless more has come.
        let forgotten = tcp.try_io(Interest::READABLE, || {
            let mut scratch = Vec::with_capacity(room.len());
            match SockRef::from(tcp).peek(scratch.spare_capacity_mut())? {
                found if found <= known => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        });
        match forgotten {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) => tcp.readable().await?,
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    async fn reads_piece_by_piece(mut near: impl tokio::io::AsyncWrite + Unpin, far: Io) {
        let mut ahead = Ahead::new(far);
        let mut written = 0;
        for piece in ["a", "bc", &"d".repeat(5000), "e"] {
            near.write_all(piece.as_bytes()).await.unwrap();
            written += piece.len();
            while ahead.bytes().len() < written {
                assert!(ahead.more().await.unwrap());
            }
        }
        assert!(ahead.bytes().starts_with(b"abcddd"));
        ahead.skip(2).unwrap();
        assert!(ahead.bytes().starts_with(b"cdd"));
        drop(near);
        assert!(!ahead.more().await.unwrap(), "it has ended");
        let mut left = String::new();
        ahead.into_io().read_to_string(&mut left).await.unwrap();
        assert_eq!(left.len(), written - 2);
        assert!(left.starts_with("cdd") && left.ends_with("de"));
    }

    #[tokio::test]
    async fn a_socket_keeps_what_was_looked_at() {
        let (near, far) = pair().await;
        near.set_nodelay(true).unwrap();
        reads_piece_by_piece(near, far.into()).await;
    }

    #[tokio::test]
    async fn other_streams_begin_with_it_again() {
        let (near, far) = tokio::io::duplex(10_000);
        reads_piece_by_piece(near, Io::boxed(far)).await;
    }

    #[tokio::test]
    async fn the_end_of_silence_is_seen() {
        let (near, far) = pair().await;
        drop(near);
        assert!(!Ahead::new(far.into()).more().await.unwrap());
    }
}
