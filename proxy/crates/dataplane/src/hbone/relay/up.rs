//! From the application into the tunnel.
use super::{Broken, Spent};
use crate::{
    copy::{Appetite, Grade, TURN_BYTES, Watch, watch_reset},
    hbone::{parcel::Parcel, tunnel::Tunnel},
};
use std::{
    fmt, io,
    task::{Context, Poll, ready},
};
use tokio::net::TcpStream;

/// The largest read, which becomes a frame.
const READ_MAX: Grade = Grade::Large;

pub(super) struct Up<'a> {
    appetite: Appetite,
    finished: bool,
    /// Tells that the socket was reset while nothing is read from it; see `copy`.
    watch: Option<Watch<'a>>,
}

impl<'a> Up<'a> {
    pub(super) fn new(max: Grade) -> Self {
        let appetite = Appetite::new(max.min(READ_MAX));
        Self { appetite, finished: false, watch: None }
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
                return Poll::Pending;
            }
            // Nothing is read that cannot be sent: what waits, waits in the kernel.
            let want = Parcel::room(self.appetite.grade());
            let Poll::Ready(room) = tunnel.poll_room(cx, want).map_err(Broken::Tunnel)? else {
                return self.poll_reset(cx, tcp);
            };
            self.watch = None;
            let mut parcel = tunnel.parcel(self.appetite.grade(), room);
            let grade = parcel.grade();
            match parcel.read(tcp, room.bytes) {
                Ok(filled) if 0 < parcel.content() => {
                    let read = parcel.content();
                    // A full one is full, although a part of it is never used.
                    self.appetite.read(if filled { grade.size() } else { read }, grade);
                    tunnel.send(parcel, room);
                    *moved += read as u64;
                    left = left.saturating_sub(read);
                }
                Ok(_) => {
                    tunnel.waive(room);
                    self.finished = true;
                    tunnel.finish().map_err(Broken::Tunnel)?;
                }
                Err(error) => {
                    tunnel.waive(room);
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Poll::Ready(Err(Broken::Tcp(error)));
                    }
                }
            }
        }
    }

    /// Reads and sends what is there without waiting, although the socket is broken.
    pub(super) fn rescue(&mut self, tcp: &TcpStream, tunnel: &mut Tunnel, moved: &mut u64) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut left = TURN_BYTES;
        while 0 < left && !self.finished {
            let want = Parcel::room(self.appetite.grade());
            let Poll::Ready(Ok(room)) = tunnel.poll_room(&mut cx, want) else { return };
            let mut parcel = tunnel.parcel(self.appetite.grade(), room);
            // Past tokio's readiness, which may not have heard of it yet.
            match parcel.read_now(tcp, room.bytes) {
                Ok((read, _)) if 0 < read => {
                    tunnel.send(parcel, room);
                    *moved += read as u64;
                    left = left.saturating_sub(read);
                }
                Ok(_) | Err(_) => return tunnel.waive(room),
            }
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
        let Self { appetite, finished, watch } = self;
        f.debug_struct("Up")
            .field("appetite", appetite)
            .field("finished", finished)
            .field("watched", &watch.is_some())
            .finish()
    }
}
