//! From the tunnel to the application: what was not written as it came.
use super::{Broken, Spent};
use crate::{
    copy::TURN_BYTES,
    hbone::tunnel::{Received, Tunnel},
};
use socket2::SockRef;
use std::{
    net::Shutdown,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

#[derive(Debug, Default)]
pub(super) struct Down {
    finished: bool,
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
            match tunnel.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Received::End)) => {
                    self.finished = true;
                    SockRef::from(tcp).shutdown(Shutdown::Write).map_err(Broken::Tcp)?;
                }
                Poll::Ready(Err(broken)) => {
                    // What came before the end still goes, as far as it goes without waiting.
                    *moved += tunnel.write(tcp).unwrap_or_default() as u64;
                    return Poll::Ready(Err(Broken::Tunnel(broken)));
                }
                Poll::Ready(Ok(Received::Bytes)) => {
                    if tcp.poll_write_ready(cx).map_err(Broken::Tcp)?.is_pending() {
                        return Poll::Pending;
                    }
                    let written = tunnel.write(tcp).map_err(Broken::Tcp)?;
                    *moved += written as u64;
                    left = left.saturating_sub(written);
                }
            }
        }
        Poll::Pending
    }
}
