//! The end of a stream whose body failed: what was said before it goes out, then the reset.
//!
//! A reset takes along what the connection has not written of its stream yet. So a frame without
//! data is put behind that, and the reset waits until the connection lets go of the frame: it does
//! when the frame is written, and when it never will be.
use bytes::Bytes;
use h2::SendStream;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// Waits until all of a stream is written.
#[derive(Debug)]
pub(super) struct Farewell(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    gone: bool,
    waker: Option<Waker>,
}

/// What the frame holds.
struct Mark(Arc<Mutex<Written>>);

impl Farewell {
    /// Behind everything that was sent on `stream`.
    pub(super) fn begin(stream: &mut SendStream<Bytes>) -> Self {
        let written = Arc::default();
        let mark = Bytes::from_owner(Mark(Arc::clone(&written)));
        // A stream that takes nothing more lets go of it at once.
        let _sent = stream.send_data(mark, false);
        Self(written)
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut written = self.0.lock();
        if written.gone {
            return Poll::Ready(());
        }
        written.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsRef<[u8]> for Mark {
    fn as_ref(&self) -> &[u8] {
        &[]
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let waker = {
            let mut written = self.0.lock();
            written.gone = true;
            written.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_the_last_of_the_frame_is_gone() {
        let written = Arc::default();
        let frame = Bytes::from_owner(Mark(Arc::clone(&written)));
        let farewell = Farewell(written);
        let cx = Context::from_waker(Waker::noop());
        assert!(frame.is_empty() && farewell.poll(&cx).is_pending());
        let again = frame.clone();
        drop(frame);
        assert!(farewell.poll(&cx).is_pending());
        drop(again);
        assert!(farewell.poll(&cx).is_ready());
    }
}
