//! How long a request may take to come: `request_timeout`.
use crate::{
    alarm::Alarm,
    body::{Body, BodyError, Frame, Length, Pull},
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

/// A request's body whose end is noticed.
struct Noticed {
    body: Body,
    over: Arc<AtomicBool>,
}

/// Waits for `work`, which is given `body`, for as long as the body may take; `None` if it took
/// longer. Once it is here, the work may take any time.
pub(super) async fn within<T, F: Future<Output = T>>(
    limit: Option<Duration>,
    body: Body,
    work: impl FnOnce(Body) -> F,
) -> Option<T> {
    let Some(limit) = limit.filter(|_| !matches!(body, Body::Empty | Body::Full(_))) else {
        return Some(work(body).await);
    };
    let over = Arc::new(AtomicBool::new(false));
    let body = Body::boxed(Noticed { body, over: Arc::clone(&over) });
    let mut alarm = Alarm::default();
    alarm.set(Some(limit));
    let mut work = pin!(work(body));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if over.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        alarm.poll(cx).map(|()| None)
    })
    .await
}

impl Pull for Noticed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = ready!(self.body.poll_frame(cx));
        let data = matches!(next, Some(Ok(Frame::Data(_))));
        if !data || self.body.length() == Length::Exactly(0) {
            self.over.store(true, Ordering::Release);
        }
        Poll::Ready(next)
    }

    fn length(&self) -> Length {
        self.body.length()
    }
}
