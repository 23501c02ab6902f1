//! One stream of a link, as its ends share it: the driver of the link, and whoever has the tunnel.
use super::{inlet::Inlet, settings::STREAM_WINDOW};
use parking_lot::Mutex;
use std::{fmt, task::Waker};

/// A CONNECT, from its request on.
pub(super) struct Stream {
    pub(super) id: u32,
    /// Locked alone, or after the link's [`Line`](super::line::Line).
    pub(super) send: Mutex<Send>,
    pub(super) inlet: Mutex<Inlet>,
}

/// The way out.
pub(super) struct Send {
    /// What it may still send, as far as it alone is concerned; may be less than nothing.
    pub(super) window: i64,
    /// Whom to wake when it may send.
    pub(super) waker: Option<Waker>,
    /// Whether it stands in line.
    pub(super) stands: bool,
    /// Whether we said that nothing more comes, or broke it off.
    pub(super) finished: bool,
}

impl Stream {
    pub(super) fn new(id: u32, window: i64) -> Self {
        let send = Send { window, waker: None, stands: false, finished: false };
        Self { id, send: Mutex::new(send), inlet: Mutex::new(Inlet::new(STREAM_WINDOW)) }
    }

    /// Nothing more is sent; who waits to send something looks again.
    pub(super) fn break_off(&self) {
        let mut send = self.send.lock();
        send.finished = true;
        if let Some(waker) = send.waker.take() {
            waker.wake();
        }
    }

    /// The peer takes so much more, or less; `None`: more than there can be.
    pub(super) fn widen(&self, change: i64) -> Option<()> {
        let mut send = self.send.lock();
        send.window += change;
        if i64::from(super::http2::frame::LARGEST) < send.window {
            return None;
        }
        if 0 < send.window
            && let Some(waker) = send.waker.take()
        {
            waker.wake();
        }
        Some(())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).finish_non_exhaustive()
    }
}
