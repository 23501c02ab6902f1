//! Trailers, kept for logs.
use crate::{
    body::{Body, BodyError, Frame, Length, Pull},
    manager::record::Trailers,
};
use std::task::{Context, Poll, ready};

/// A response whose trailers logs want.
pub(super) struct Trailing {
    pub(super) body: Body,
    pub(super) kept: Trailers,
}

impl Pull for Trailing {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = ready!(self.body.poll_frame(cx));
        if let (Some(Ok(Frame::Trailers(trailers))), Some(kept)) = (&next, &self.kept) {
            *kept.lock() = Some(trailers.clone());
        }
        Poll::Ready(next)
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn length(&self) -> Length {
        self.body.length()
    }
}
