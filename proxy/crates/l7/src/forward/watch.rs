//! A response on its way back, while its endpoint is busy and its time runs.
use super::{
    Chosen,
    clock::{Clock, Expired},
};
use crate::{
    body::{Body, BodyError, Frame, Length, Pull},
    message::ResponseHead,
    outcome::{Details, Flag, Flags, Reset},
};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll},
};

/// What became of a response's body; known when it is over.
#[derive(Clone, Debug, Default)]
pub struct Fate(Option<Arc<Mutex<Option<Cut>>>>);

/// Why a response ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub flags: Flags,
    pub details: Details,
    /// Its time was up.
    pub expired: Option<Expired>,
}

struct Watched<C> {
    body: Body,
    chosen: C,
    clock: Clock,
    cut: Arc<Mutex<Option<Cut>>>,
    finished: bool,
}

impl Fate {
    /// Why it ended before its end, if it did.
    pub fn cut(&self) -> Option<Cut> {
        self.0.as_ref().and_then(|cut| cut.lock().clone())
    }
}

/// `body`, watched; one that is here already needs no watching.
pub(super) fn watched<C: Chosen>(
    body: Body,
    chosen: C,
    mut clock: Clock,
    head: &ResponseHead,
) -> (Body, Fate) {
    if matches!(body, Body::Empty | Body::Full(_)) {
        chosen.finished(None);
        return (body, Fate::default());
    }
    clock.answered(head.status == StatusCode::SWITCHING_PROTOCOLS);
    let cut = Arc::default();
    let fate = Fate(Some(Arc::clone(&cut)));
    (Body::boxed(Watched { body, chosen, clock, cut, finished: false }), fate)
}

impl<C: Chosen> Pull for Watched<C> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.body.poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => {
                let reset = reset(&error);
                self.chosen.failed(Some(reset));
                *self.cut.lock() = Some(Cut::reset(reset));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(next) => {
                self.clock.moved();
                match &next {
                    Some(Ok(Frame::Trailers(trailers))) => self.finish(Some(trailers)),
                    None => self.finish(None),
                    _ => {}
                }
                Poll::Ready(next)
            }
            Poll::Pending => self.clock.poll(cx).map(|expired| Some(Err(self.expire(expired)))),
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn length(&self) -> Length {
        self.body.length()
    }
}

impl<C: Chosen> Watched<C> {
    /// Once.
    fn finish(&mut self, trailers: Option<&HeaderMap>) {
        if !std::mem::replace(&mut self.finished, true) {
            self.chosen.finished(trailers);
        }
    }

    fn expire(&mut self, expired: Expired) -> BodyError {
        self.chosen.failed(None);
        self.chosen.expired(expired);
        let (flag, details) = expired.said();
        *self.cut.lock() = Some(match expired {
            // The listener's and the route's limit, not a cluster's.
            Expired::Duration => Cut {
                flags: Flags::default(),
                details: "max_duration_timeout".into(),
                expired: Some(expired),
            },
            Expired::Whole | Expired::PerTry | Expired::PerTryIdle | Expired::Idle { .. } => Cut {
                flags: Flags::from_iter([flag]),
                details: details.into(),
                expired: Some(expired),
            },
        });
        self.body = Body::Empty;
        BodyError::TimedOut(details)
    }
}

impl Cut {
    fn reset(reset: Reset) -> Self {
        let reason = reset.to_string().replace(' ', "_");
        let details = format!("upstream_reset_after_response_started{{{reason}}}");
        let flags = Flags::from_iter([reset.flag()]);
        Self { flags, details: details.into(), expired: None }
    }
}

impl Expired {
    /// Envoy's words for it.
    pub const fn said(self) -> (Flag, &'static str) {
        match self {
            Self::Whole => (Flag::UpstreamRequestTimeout, "response_timeout"),
            Self::PerTry => (Flag::UpstreamRequestTimeout, "upstream_per_try_timeout"),
            Self::PerTryIdle => (Flag::StreamIdleTimeout, "upstream_per_try_idle_timeout"),
            Self::Idle { .. } => (Flag::StreamIdleTimeout, "stream_idle_timeout"),
            Self::Duration => {
                (Flag::UpstreamMaxStreamDurationReached, "upstream_max_stream_duration_reached")
            }
        }
    }
}

/// What an endpoint did whose response ended so.
fn reset(error: &BodyError) -> Reset {
    match error {
        BodyError::Closed | BodyError::Io(_) => Reset::ConnectionTermination,
        BodyError::Malformed(_) => Reset::ProtocolError,
        BodyError::Reset(_) => Reset::RemoteReset,
        BodyError::TooLarge { .. }
        | BodyError::TimedOut(_)
        | BodyError::Over
        | BodyError::Other(_) => Reset::LocalReset,
    }
}
