//! A connection of an application and the tunnel that continues it, both directions in one task.
//!
//! Like [`copy`](crate::copy), with a tunnel as one end: what is not yet written to the socket is
//! not released to the peer, so that a stuck reader stops its writer and nobody else. A relay at
//! rest holds no buffer. Most of what comes it never sees: whoever reads the link writes it to the
//! socket, and the relay goes on only with what the socket did not take.
mod down;
mod up;

use super::tunnel::{Tunnel, TunnelError};
use crate::copy::{Bounds, Ended, Idle, Moved, Side};
use down::Down;
use std::{
    future::{Future, poll_fn},
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, task};
use up::Up;

/// A direction has used up its turn and could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent;

/// Which end failed.
#[derive(Debug)]
enum Broken {
    Tcp(io::Error),
    Tunnel(TunnelError),
}

#[derive(Debug)]
struct Relay<'a> {
    tcp: &'a Arc<TcpStream>,
    tcp_is: Side,
    tunnel: &'a mut Tunnel,
    /// From the application into the tunnel.
    up: Up<'a>,
    down: Down,
    idle: Option<Box<Idle>>,
}

/// What a turn came to.
#[derive(Debug)]
enum Turn {
    /// There is more to do, after others had their turn.
    Spent,
    Finished,
    Broken(Broken),
    Idle(Duration),
}

/// Carries the connection until the end and tells `count` what went through, once per turn.
///
/// `tcp_is` says which end of the connection the socket is; it stays open: whoever owns it closes
/// it, or resets it if the end was not [`Ended::Finished`]. The tunnel is reset here, after what
/// the application said before it was reset itself.
pub(crate) fn relay<'a>(
    tcp: &'a Arc<TcpStream>,
    tcp_is: Side,
    tunnel: &'a mut Tunnel,
    bounds: Bounds,
    count: impl Fn(Moved) + Clone + Send + Sync + 'static,
) -> impl Future<Output = Ended> {
    let idle = bounds.idle.map(|limit| Box::new(Idle::new(limit)));
    let heard = idle.as_ref().map(|idle| idle.heard());
    let came = count.clone();
    tunnel.drain_into(tcp, move |bytes| {
        came(moved(tcp_is, 0, bytes));
        if let Some(heard) = &heard {
            heard.now();
        }
    });
    let (up, down) = (Up::new(bounds.buffer), Down::default());
    // Made here, for the arguments of an `async fn` are kept beside what is made of them.
    let mut relay = Relay { tcp, tcp_is, tunnel, up, down, idle };
    async move {
        loop {
            match poll_fn(|cx| relay.poll(cx, &count)).await {
                // Goes to the end of the queue and has the sockets of others looked at first.
                Turn::Spent => task::yield_now().await,
                Turn::Finished => return Ended::Finished,
                Turn::Idle(limit) => {
                    relay.tunnel.reset();
                    return Ended::Idle(limit);
                }
                Turn::Broken(Broken::Tcp(error)) => {
                    relay.last_words(&count);
                    return Ended::Broken { side: tcp_is, error };
                }
                Turn::Broken(Broken::Tunnel(error)) => {
                    return Ended::Broken { side: other(tcp_is), error: error.into() };
                }
            }
        }
    }
}

impl Relay<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, count: &impl Fn(Moved)) -> Poll<Turn> {
        let (mut up, mut down) = (0, 0);
        let turn = self.poll_turn(cx, &mut up, &mut down);
        let moved = moved(self.tcp_is, up, down);
        if moved != Moved::default() {
            count(moved);
        }
        match &mut self.idle {
            Some(idle) if turn.is_pending() => idle.poll(cx, moved).map(Turn::Idle),
            _ => turn,
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, up: &mut u64, down: &mut u64) -> Poll<Turn> {
        // Down first: what it finds of the tunnel's end matters to up.
        let down_turn = self.down.poll(cx, self.tunnel, self.tcp, down);
        if let Poll::Ready(Err(broken)) = down_turn {
            return Poll::Ready(Turn::Broken(broken));
        }
        let up_turn = self.up.poll(cx, self.tcp, self.tunnel, up);
        if let Poll::Ready(Err(broken)) = up_turn {
            return Poll::Ready(Turn::Broken(broken));
        }
        if self.up.is_finished() && self.down.is_finished() {
            return Poll::Ready(Turn::Finished);
        }
        // Up would not hear of it while the application says nothing.
        if self.down.is_finished()
            && let Poll::Ready(broken) = self.tunnel.poll_broken(cx)
        {
            return Poll::Ready(Turn::Broken(Broken::Tunnel(broken)));
        }
        match (up_turn, down_turn) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            (Poll::Ready(_), _) | (_, Poll::Ready(_)) => Poll::Ready(Turn::Spent),
        }
    }

    /// Passes on what the application said before its socket broke (an early answer is not lost),
    /// then breaks the tunnel.
    fn last_words(&mut self, count: &impl Fn(Moved)) {
        let mut up = 0;
        self.up.rescue(self.tcp, self.tunnel, &mut up);
        if 0 < up {
            count(moved(self.tcp_is, up, 0));
        }
        self.tunnel.reset();
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.tunnel.detach();
    }
}

/// What went from the application into the tunnel, and the other way, as the ends see it.
const fn moved(tcp_is: Side, up: u64, down: u64) -> Moved {
    match tcp_is {
        Side::Source => Moved { sent: up, received: down },
        Side::Destination => Moved { sent: down, received: up },
    }
}

const fn other(side: Side) -> Side {
    match side {
        Side::Source => Side::Destination,
        Side::Destination => Side::Source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a relay while it lives; there is one per connection.
    const RELAY_MAX: usize = 320;

    fn size_of_relay<'a, F: Future>(
        _relay: impl Fn(&'a Arc<TcpStream>, Side, &'a mut Tunnel, Bounds, fn(Moved)) -> F,
    ) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_relay_is_small() {
        let size = size_of_relay(relay);
        assert!(size <= RELAY_MAX, "{size}");
    }
}
