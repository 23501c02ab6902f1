//! From the tunnel to the application.
use super::{Broken, Spent};
use crate::{
    copy::{TURN_BYTES, write_all_of},
    hbone::tunnel::{Received, Tunnel},
};
use bytes::{Buf as _, Bytes, BytesMut};
use socket2::SockRef;
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    net::Shutdown,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

/// How much is taken from the tunnel before it is written: enough for one large write.
const BATCH: usize = 256 << 10;

/// Frames smaller than this are put together: many of them must not become as many pieces, and one
/// that waits must not keep alive the large block that it came in.
const SMALL: usize = 8 << 10;

/// How much small frames are put together to.
const GATHERED: usize = 64 << 10;

/// How many pieces one write takes.
const PIECES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Down {
    queue: Queue,
    /// The peer will send no more.
    ended: bool,
    finished: bool,
}

/// What came and is not written yet; the peer's window bounds it.
#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    /// Small frames, after `pieces`.
    gathered: BytesMut,
    bytes: usize,
}

impl Down {
    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Moves what can be moved, at most about one turn's worth, and adds it to `moved`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        tunnel: &mut Tunnel,
        tcp: &TcpStream,
        moved: &mut u64,
    ) -> Poll<Result<Spent, Broken>> {
        let mut left = TURN_BYTES;
        while !self.finished {
            if left == 0 {
                return Poll::Ready(Ok(Spent));
            }
            if let Err(broken) = self.take(cx, tunnel, BATCH) {
                // What came before the end still goes, as far as it goes without waiting.
                *moved += self.write(tcp, tunnel).unwrap_or_default() as u64;
                return Poll::Ready(Err(broken));
            }
            if self.queue.bytes == 0 {
                if !self.ended {
                    return Poll::Pending;
                }
                self.finished = true;
                SockRef::from(tcp).shutdown(Shutdown::Write).map_err(Broken::Tcp)?;
            } else if tcp.poll_write_ready(cx).map_err(Broken::Tcp)?.is_pending() {
                // Small frames would wait at a higher price where they are.
                self.take(cx, tunnel, usize::MAX)?;
                return Poll::Pending;
            } else {
                let written = self.write(tcp, tunnel).map_err(Broken::Tcp)?;
                *moved += written as u64;
                left = left.saturating_sub(written);
            }
        }
        Poll::Pending
    }

    /// Takes what is there until `most` is in the queue.
    fn take(
        &mut self,
        cx: &mut Context<'_>,
        tunnel: &mut Tunnel,
        most: usize,
    ) -> Result<(), Broken> {
        while !self.ended && self.queue.bytes < most {
            match tunnel.poll_data(cx).map_err(Broken::Tunnel)? {
                Poll::Ready(Received::Bytes(bytes)) => self.queue.push(bytes),
                Poll::Ready(Received::End) => self.ended = true,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Writes once; the peer may send as much more.
    fn write(&mut self, tcp: &TcpStream, tunnel: &mut Tunnel) -> io::Result<usize> {
        let written = self.queue.write(tcp)?;
        if 0 < written {
            tunnel.release(written);
        }
        Ok(written)
    }
}

impl Queue {
    fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        if SMALL <= bytes.len() {
            self.close_gathered();
            self.pieces.push_back(bytes);
            return;
        }
        if GATHERED < self.gathered.len() + bytes.len() {
            self.close_gathered();
        }
        self.gathered.extend_from_slice(&bytes);
    }

    fn close_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.gathered).freeze());
        }
    }

    fn write(&mut self, tcp: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let all = self.pieces.iter().map(|piece| &piece[..]).chain([&self.gathered[..]]);
        let (mut used, mut whole) = (0, 0);
        for (slice, piece) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(piece);
            used += 1;
            whole += piece.len();
        }
        let written = write_all_of(tcp, &slices[..used], whole)?;
        self.drop_front(written);
        Ok(written)
    }

    fn drop_front(&mut self, mut count: usize) {
        self.bytes -= count;
        if self.bytes == 0 {
            // At rest it holds nothing.
            *self = Self::default();
            return;
        }
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
        self.gathered.advance(count);
    }
}
