//! From the application into the tunnel.
use super::{Broken, Spent};
use crate::{
    copy::{Appetite, Buffer, Grade, TURN_BYTES, Watch, read, watch_reset},
    hbone::{chunk::Chunk, tunnel::Tunnel},
};
use socket2::SockRef;
use std::{
    fmt,
    io::{self, Read as _},
    task::{Context, Poll, ready},
};
use tokio::net::TcpStream;

/// The largest read, which becomes a frame.
///
/// Larger ones cost more (`cargo bench --bench hbone`: 1.17 CPU seconds per GB against 1.32 with
/// 256 KiB, 1.19 against 1.55 with four streams): the far end collects a whole frame before anything
/// of it is written, in memory that is fresh each time.
const READ_MAX: Grade = Grade::Medium;

pub(super) struct Up<'a> {
    appetite: Appetite,
    /// Whether the link keeps capacity for us.
    reserved: bool,
    finished: bool,
    /// Tells that the socket was reset while nothing is read from it; see `copy`.
    watch: Option<Watch<'a>>,
}

impl<'a> Up<'a> {
    pub(super) fn new(max: Grade) -> Self {
        let appetite = Appetite::new(max.min(READ_MAX));
        Self { appetite, reserved: false, finished: false, watch: None }
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Moves what can be moved, at most one turn's worth, and adds it to `moved`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &'a TcpStream,
        tunnel: &mut Tunnel,
        moved: &mut u64,
    ) -> Poll<Result<Spent, Broken>> {
        let mut left = TURN_BYTES;
        loop {
            if self.finished {
                return self.poll_reset(cx, tcp);
            }
            if left == 0 {
                return Poll::Ready(Ok(Spent));
            }
            if tcp.poll_read_ready(cx).map_err(Broken::Tcp)?.is_pending() {
                self.waive(tunnel);
                return Poll::Pending;
            }
            // Nothing is read that cannot be sent: what waits, waits in the kernel.
            self.reserved = true;
            let want = Chunk::room(self.appetite.grade());
            let Poll::Ready(room) = tunnel.poll_capacity(cx, want).map_err(Broken::Tunnel)? else {
                return self.poll_reset(cx, tcp);
            };
            self.watch = None;
            let read = self.read(tcp, tunnel, room)?;
            *moved += read as u64;
            left = left.saturating_sub(read);
        }
    }

    /// Reads and sends what is there without waiting, although the socket is broken.
    pub(super) fn rescue(&mut self, tcp: &TcpStream, tunnel: &mut Tunnel, moved: &mut u64) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut left = TURN_BYTES;
        while 0 < left && !self.finished {
            let want = Chunk::room(self.appetite.grade());
            let Poll::Ready(Ok(room)) = tunnel.poll_capacity(&mut cx, want) else { return };
            let mut buffer = Buffer::borrow(self.appetite.grade());
            let space = Chunk::space(&mut buffer, room);
            // Past tokio's readiness, which may not have heard of it yet.
            match (&*SockRef::from(tcp)).read(space) {
                Ok(read) if 0 < read => {
                    if tunnel.send(Chunk::filled(buffer, read)).is_err() {
                        return;
                    }
                    *moved += read as u64;
                    left = left.saturating_sub(read);
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Reads once, at most `room`, and sends it; passes the end on when that was all.
    fn read(&mut self, tcp: &TcpStream, tunnel: &mut Tunnel, room: usize) -> Result<usize, Broken> {
        let mut buffer = Buffer::borrow(self.appetite.grade());
        let space = Chunk::space(&mut buffer, room);
        let whole = space.len();
        match read(tcp, space) {
            Ok(0) => {
                drop(buffer);
                self.waive(tunnel);
                self.finished = true;
                tunnel.finish().map_err(Broken::Tunnel)?;
                Ok(0)
            }
            Ok(read) => {
                // A full one is full, although a part of it is never used.
                let used = if read == whole { buffer.grade().size() } else { read };
                self.appetite.read(used, buffer.grade());
                tunnel.send(Chunk::filled(buffer, read)).map_err(Broken::Tunnel)?;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(Broken::Tcp(error)),
        }
    }

    fn waive(&mut self, tunnel: &mut Tunnel) {
        if self.reserved {
            tunnel.waive();
            self.reserved = false;
        }
    }

    fn poll_reset(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &'a TcpStream,
    ) -> Poll<Result<Spent, Broken>> {
        let error = ready!(watch_reset(&mut self.watch, cx, tcp));
        Poll::Ready(Err(Broken::Tcp(error)))
    }
}

impl fmt::Debug for Up<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { appetite, reserved, finished, watch } = self;
        f.debug_struct("Up")
            .field("appetite", appetite)
            .field("reserved", reserved)
            .field("finished", finished)
            .field("watched", &watch.is_some())
            .finish()
    }
}
