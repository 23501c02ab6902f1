//! Waiting for a request.
use super::{Closed, Connection};
use crate::{
    h1::{
        names::Spelling,
        request::{self, Parsed},
    },
    outcome::Refusal,
};
use http::StatusCode;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    Request(Box<Parsed>),
    Refused(Refusal),
    Closed(Closed),
}

/// What the alarm rings for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Unset,
    ForRequest,
    ForHead,
}

impl Connection<'_> {
    /// Waits for the next head.
    pub(super) async fn receive(&mut self) -> Received {
        let mut waits = Waits::Unset;
        poll_fn(|cx| {
            self.line.belongs_to(cx.waker());
            self.poll_receive(cx, &mut waits)
        })
        .await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>, waits: &mut Waits) -> Poll<Received> {
        let line = Arc::clone(&self.line);
        let mut incoming = line.incoming();
        let inbox = &mut incoming.reader.inbox;
        loop {
            if !inbox.is_empty() {
                match request::parse(inbox.bytes(), self.options.scheme, self.options.limits) {
                    Ok(None) => {}
                    Ok(Some(mut parsed)) => {
                        let head = inbox.bytes().get(..parsed.len).unwrap_or_default();
                        parsed.head.spelling = Spelling::kept(self.options.names, head);
                        inbox.advance(parsed.len);
                        return Poll::Ready(Received::Request(Box::new(parsed)));
                    }
                    Err(refusal) => return Poll::Ready(Received::Refused(refusal)),
                }
            }
            let begun = !inbox.is_empty();
            match inbox.poll_fill(cx, &line.io, None) {
                Poll::Ready(Ok(0)) if begun => {
                    return Poll::Ready(Received::Closed(Closed::Broken(
                        crate::outcome::Ended::DownstreamGone,
                    )));
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Received::Closed(Closed::Left));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return self.poll_waits(cx, waits, begun).map(Into::into),
            }
        }
    }

    /// Ready when there is nothing to wait for any more.
    fn poll_waits(&mut self, cx: &mut Context<'_>, waits: &mut Waits, begun: bool) -> Poll<Over> {
        let now = if begun { Waits::ForHead } else { Waits::ForRequest };
        if *waits != now {
            *waits = now;
            if begun {
                self.alarm.set(self.options.head);
            } else {
                let idle = self.options.idle.and_then(|idle| Instant::now().checked_add(idle));
                self.alarm.set_at(idle.into_iter().chain(self.end).min());
            }
        }
        let rings = self.alarm.poll(cx).is_ready();
        if begun {
            return if rings { Poll::Ready(Over::SlowHead) } else { Poll::Pending };
        }
        if rings || self.finishing.poll(cx) {
            let old = self.end.is_some_and(|end| end <= Instant::now());
            let finished = old || self.finishing.poll(cx);
            return Poll::Ready(if finished { Over::Finished } else { Over::Idle });
        }
        Poll::Pending
    }
}

/// Why a connection does not wait on.
enum Over {
    Idle,
    Finished,
    SlowHead,
}

impl From<Over> for Received {
    fn from(over: Over) -> Self {
        match over {
            Over::Idle => Self::Closed(Closed::Idle),
            Over::Finished => Self::Closed(Closed::Finished),
            Over::SlowHead => {
                Self::Refused(Refusal::new(StatusCode::REQUEST_TIMEOUT, "request_header_timeout"))
            }
        }
    }
}
