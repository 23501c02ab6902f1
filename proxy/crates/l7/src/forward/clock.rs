//! Every limit of a request's time, on one timer.
use crate::{
    alarm::Alarm,
    body::{Body, BodyError, Frame, Length, Pull},
};
use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// How long a request may take; `None`: as long as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// From the end of the request to the end of the response, all tries together.
    pub whole: Option<Duration>,
    /// The same, of one try, up to the response's head.
    pub per_try: Option<Duration>,
    /// How long nothing may come of one try.
    pub per_try_idle: Option<Duration>,
    /// How long nothing may move, either way.
    pub idle: Option<Duration>,
    /// From the beginning of the request, whatever moves.
    pub duration: Option<Duration>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    Whole,
    PerTry,
    PerTryIdle,
    /// `asked`: the request had come to its end.
    Idle {
        asked: bool,
    },
    Duration,
}

/// The clock of one request.
#[derive(Debug)]
pub(super) struct Clock {
    limits: Limits,
    alarm: Alarm,
    began: Instant,
    /// When the try began that is on its way.
    tried: Option<Instant>,
    moved: Instant,
    /// When the request had come to its end.
    asked: Option<Instant>,
    upload: Option<Arc<Mutex<Upload>>>,
}

/// What is known of a request's body.
#[derive(Debug)]
struct Upload {
    moved: Instant,
    over: bool,
}

impl Expired {
    /// Whether another try could still be in time.
    pub const fn is_of_try(self) -> bool {
        matches!(self, Self::PerTry | Self::PerTryIdle)
    }
}

impl Limits {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Clock {
    pub(super) fn new(limits: Limits, body: &Body) -> Self {
        let now = Instant::now();
        let here = matches!(body, Body::Empty | Body::Full(_));
        Self {
            limits,
            alarm: Alarm::default(),
            began: now,
            tried: None,
            moved: now,
            asked: here.then_some(now),
            upload: None,
        }
    }

    /// `body`, such that its end is noticed where that matters.
    pub(super) fn watching(&mut self, body: Body) -> Body {
        if self.asked.is_some() || self.limits.is_none() {
            return body;
        }
        let upload = Arc::new(Mutex::new(Upload { moved: self.began, over: false }));
        self.upload = Some(Arc::clone(&upload));
        Body::boxed(Watched { body, upload })
    }

    pub(super) fn start_try(&mut self) {
        self.moved = Instant::now();
        self.tried = Some(self.moved);
    }

    pub(super) fn end_try(&mut self) {
        self.tried = None;
    }

    /// A response has begun: it may take as long as the whole; a tunnel as long as it moves.
    pub(super) fn answered(&mut self, tunnel: bool) {
        self.limits.per_try = None;
        self.tried = Some(self.began);
        if tunnel {
            self.limits.whole = None;
        }
        self.moved();
    }

    /// Something of the response came.
    pub(super) fn moved(&mut self) {
        if self.limits.idle.is_some() || self.limits.per_try_idle.is_some() {
            self.moved = Instant::now();
        }
    }

    /// Waits for `work` as long as every limit allows.
    pub(super) async fn limit_all<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Expired> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            self.poll(cx).map(Err)
        })
        .await
    }

    /// Ready when a limit is reached.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.limits.is_none() {
            return Poll::Pending;
        }
        self.look_at_upload();
        loop {
            let Some((deadline, expired)) = self.next() else { return Poll::Pending };
            self.alarm.set_at(Some(deadline));
            if self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.look_at_upload();
            if self.next().is_some_and(|(deadline, _)| deadline <= Instant::now()) {
                return Poll::Ready(expired);
            }
        }
    }

    fn look_at_upload(&mut self) {
        let Some(upload) = &self.upload else { return };
        let Upload { moved, over } = *upload.lock();
        self.moved = self.moved.max(moved);
        if over {
            self.asked = Some(moved);
            self.upload = None;
        }
    }

    /// The limit that is reached next, if nothing more moves.
    fn next(&self) -> Option<(Instant, Expired)> {
        let Limits { whole, per_try, per_try_idle, idle, duration } = self.limits;
        let (asked, tried) = (self.asked, self.asked.zip(self.tried));
        let after = |from: Option<Instant>, limit: Option<Duration>, expired| {
            Some((from?.checked_add(limit?)?, expired))
        };
        [
            after(asked, whole, Expired::Whole),
            after(tried.map(|(asked, tried)| asked.max(tried)), per_try, Expired::PerTry),
            after(tried.and(Some(self.moved)), per_try_idle, Expired::PerTryIdle),
            after(Some(self.moved), idle, Expired::Idle { asked: asked.is_some() }),
            after(Some(self.began), duration, Expired::Duration),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(deadline, _)| *deadline)
    }
}

/// A request's body whose end is noticed.
struct Watched {
    body: Body,
    upload: Arc<Mutex<Upload>>,
}

impl Pull for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = self.body.poll_frame(cx);
        if let Poll::Ready(next) = &next {
            let data = matches!(next, Some(Ok(Frame::Data(_))));
            let over = !data || self.body.length() == Length::Exactly(0);
            *self.upload.lock() = Upload { moved: Instant::now(), over };
        }
        next
    }

    fn length(&self) -> Length {
        self.body.length()
    }
}
