//! Asking the peer from time to time whether it is there.
use super::{
    http2::frame::write,
    settings::{PING_EVERY, PONG_WITHIN},
    wire::Wire,
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{self, Instant, Sleep};

/// What our pings say.
pub(super) const PING: [u8; 8] = *b"culvert?";

#[derive(Debug)]
pub(super) struct Pinger {
    tick: Pin<Box<Sleep>>,
    /// When the one that is under way was sent.
    asked: Option<Instant>,
}

impl Pinger {
    pub(super) fn new() -> Self {
        Self { tick: Box::pin(time::sleep(PING_EVERY)), asked: None }
    }

    /// Sends a ping now, unless one is under way.
    pub(super) fn ask(&mut self, wire: &Wire) {
        if self.asked.is_none() {
            self.asked = Some(Instant::now());
            wire.with_line(|line| line.frames(|out| write::ping(PING, out)));
        }
    }

    /// The answer came.
    pub(super) fn answered(&mut self) {
        self.asked = None;
    }

    /// Resolves when the peer did not answer in time; `on_tick` is called every now and then.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wire: &Wire,
        mut on_tick: impl FnMut(),
    ) -> Poll<()> {
        while self.tick.as_mut().poll(cx).is_ready() {
            on_tick();
            match self.asked {
                Some(asked) if PONG_WITHIN <= asked.elapsed() => return Poll::Ready(()),
                Some(asked) => {
                    self.tick.as_mut().reset(asked + PONG_WITHIN);
                    continue;
                }
                None => self.ask(wire),
            }
            self.tick.as_mut().reset(Instant::now() + PING_EVERY);
        }
        Poll::Pending
    }
}
