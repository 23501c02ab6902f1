//! Pings, to notice a peer that is gone without a word.
use crate::alarm::Alarm;
use h2::{Ping, PingPong};
use std::{
    task::{Context, Poll},
    time::Duration,
};

/// How often to ask, and how long to wait for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    pub interval: Duration,
    pub timeout: Duration,
}

/// The pings of one connection.
pub(super) struct Pings {
    keepalive: Keepalive,
    pings: PingPong,
    alarm: Alarm,
    waits: bool,
}

impl Pings {
    pub(super) fn new(keepalive: Keepalive, pings: PingPong) -> Self {
        let mut alarm = Alarm::default();
        alarm.set(Some(keepalive.interval));
        Self { keepalive, pings, alarm, waits: false }
    }

    /// Ready when the peer did not answer in time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waits {
                match self.pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => {
                        self.waits = false;
                        self.alarm.set(Some(self.keepalive.interval));
                    }
                    // The connection itself tells why.
                    Poll::Ready(Err(_)) => return Poll::Pending,
                    Poll::Pending => return self.alarm.poll(cx),
                }
            }
            if self.alarm.poll(cx).is_pending() || self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            self.waits = true;
            self.alarm.set(Some(self.keepalive.timeout));
        }
    }
}

impl std::fmt::Debug for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pings").field("waits", &self.waits).finish_non_exhaustive()
    }
}
