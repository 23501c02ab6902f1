//! Ending a connection from outside of its task.
//!
//! What a connection waits for is polled under its [`Cut`]: whoever cuts it wakes it, and it ends
//! as its own task, with everything said and counted that its end asks for.
use crate::judge::Denial;
use culvert_model::close::CloseReason;
use culvert_policy::NoRoute;
use parking_lot::Mutex;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// Why a connection was cut.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Why {
    #[error("policy no longer lets it pass")]
    Revoked(#[source] Denial),
    #[error("policies decide about it in L7 now, which it does not pass")]
    PastL7,
    #[error("it may no longer go there")]
    NoRoute(#[source] NoRoute),
    #[error("nobody announces the destination any more, or says what may reach it")]
    Unannounced,
    #[error("the certificate of one of the two pods is no longer believed")]
    Disbelieved,
    #[error("the destination's namespace vanished")]
    PodGone,
    #[error("the destination left, and the time for what was open is over")]
    Drained,
}

/// Where one connection can be cut.
#[derive(Debug, Default)]
pub(crate) struct Cut(Mutex<State>);

/// What [`Cut::guard`] makes; by hand, for an `async fn` keeps its arguments twice.
#[derive(Debug)]
#[must_use = "does nothing unless it is awaited"]
pub(crate) struct Guard<'a, F> {
    cut: &'a Cut,
    work: F,
}

#[derive(Debug)]
enum State {
    /// Whom to wake.
    Whole(Option<Waker>),
    Cut(Arc<Why>),
}

impl Why {
    pub(crate) fn reason(&self) -> CloseReason {
        match self {
            Self::Revoked(_) | Self::PastL7 | Self::NoRoute(_) | Self::Unannounced => {
                CloseReason::PolicyRevoked
            }
            Self::Disbelieved => CloseReason::CertRevoked,
            Self::PodGone => CloseReason::PodGone,
            Self::Drained => CloseReason::Drained,
        }
    }
}

impl Cut {
    /// Ends it; false when it was cut before.
    pub(crate) fn cut(&self, why: Why) -> bool {
        let mut state = self.0.lock();
        let State::Whole(waker) = &mut *state else { return false };
        let waker = waker.take();
        *state = State::Cut(Arc::new(why));
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Why it was cut, if it was.
    pub(crate) fn why(&self) -> Option<Arc<Why>> {
        match &*self.0.lock() {
            State::Whole(_) => None,
            State::Cut(why) => Some(Arc::clone(why)),
        }
    }

    /// Waits for `work`, or until it is cut.
    pub(crate) fn guard<F: Future + Unpin>(&self, work: F) -> Guard<'_, F> {
        Guard { cut: self, work }
    }

    /// Resolves when it is cut.
    pub(crate) fn poll_cut(&self, cx: &Context<'_>) -> Poll<Arc<Why>> {
        match &mut *self.0.lock() {
            State::Cut(why) => Poll::Ready(Arc::clone(why)),
            State::Whole(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl<F: Future + Unpin> Future for Guard<'_, F> {
    type Output = Result<F::Output, Arc<Why>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.cut.poll_cut(cx) {
            Poll::Ready(why) => Poll::Ready(Err(why)),
            Poll::Pending => Pin::new(&mut self.work).poll(cx).map(Ok),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Whole(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, ready},
        pin::pin,
    };

    #[tokio::test]
    async fn who_waits_is_woken_and_told_why_once() {
        let cut = Cut::default();
        assert_eq!(cut.guard(ready(7)).await.unwrap(), 7);
        let cutter = async {
            tokio::task::yield_now().await;
            (cut.cut(Why::PodGone), cut.cut(Why::Drained))
        };
        let endless = pin!(pending::<()>());
        let (ended, first) = tokio::join!(cut.guard(endless), cutter);
        assert_eq!((ended.unwrap_err().reason(), first), (CloseReason::PodGone, (true, false)));
        assert!(cut.guard(ready(7)).await.is_err(), "it stays cut");
    }
}
