//! The way of a request to an endpoint and of its response back: tries, timeouts, retries, mirrors.
//!
//! Decides nothing: where a try goes, what its head says, and whether a failure is tried again is
//! asked of a [`Way`], which knows the route.
//!
//! Reading order: [`Way`], [`forward`]; `clock` (every timeout is one timer), `source` (a body that
//! can be sent again), `watch` (a response on its way back), [`reply`] (what is said when there is
//! none), [`mirror`].
mod clock;
pub mod mirror;
pub mod reply;
mod source;
mod watch;

pub use clock::{Expired, Limits};
pub use watch::{Cut, Fate};

use crate::{
    body::Body,
    link::Link,
    message::{Interim, RequestHead, Response, ResponseHead},
    outcome::Reset,
    pool::{Failed, Pool},
    share::Share,
};
use clock::Clock;
use http::HeaderMap;
use source::Source;
use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Context,
    time::Duration,
};
use tokio::time;

/// Where a request's tries go, and what is made of their ends.
pub trait Way: Send {
    type Chosen: Chosen;

    /// An endpoint for the next try; the first is 1.
    ///
    /// # Errors
    ///
    /// When there is none.
    fn choose(&mut self, attempt: u32)
    -> impl Future<Output = Result<Self::Chosen, NoHost>> + Send;

    /// The head as it is sent to `chosen`; `last` when it is not asked for again.
    fn head(&mut self, attempt: u32, chosen: &Self::Chosen, last: bool) -> Cow<'_, RequestHead>;

    /// Whether a body is kept so that it can be sent again, and up to which size.
    fn keeps(&self) -> Option<usize>;

    /// Whether something is to be done while nothing comes.
    fn watches(&self) -> bool {
        false
    }

    /// Nothing has come yet.
    fn poll_meanwhile(&mut self, cx: &mut Context<'_>) {
        let _nothing = cx;
    }

    /// A try has had an answer or has failed, whatever becomes of that.
    fn tried(&mut self, tried: Tried<'_>) {
        let _nobody = tried;
    }

    /// What came of a try is not what the client gets.
    fn lost(&mut self, ended: Result<&ResponseHead, &Failure>) {
        let _nobody = ended;
    }

    /// Whether the request may go elsewhere by what `head` says, and its body be wanted again.
    fn leads_on(&self, head: &ResponseHead) -> bool {
        let _nowhere = head;
        false
    }

    /// What becomes of a try; asked only while there could be another.
    fn judge(&mut self, tried: Tried<'_>) -> Verdict;
}

/// The endpoint of one try; counts as busy until it is dropped.
pub trait Chosen: Send + Sync + 'static {
    fn pool(&self) -> &Pool;

    /// A try is sent on this connection.
    fn goes_by(&self, link: &Arc<Link>) {
        let _nobody = link;
    }

    /// It answered.
    fn answered(&self, head: &ResponseHead);

    /// What came behind the body of its answer; nothing if that had no trailers.
    fn finished(&self, trailers: Option<&HeaderMap>) {
        let _nothing = trailers;
    }

    /// Its answer had begun, and did not end in time.
    fn expired(&self, expired: Expired) {
        let _nobody = expired;
    }

    /// It did not.
    fn failed(&self, reset: Option<Reset>);
}

/// There is no endpoint to send a request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHost;

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub enum Tried<'a> {
    Answered(&'a ResponseHead),
    /// `sent`: something of the request may have got there.
    Failed {
        reset: Reset,
        sent: bool,
    },
    /// It took longer than a try may.
    TooSlow,
}

/// What becomes of a try.
#[derive(Debug)]
pub enum Verdict {
    /// What came is the answer.
    Final,
    /// Again, after so long; the share counts the retry while it is on its way.
    Again(Duration, Option<Share>),
    /// It would be tried again, but was often enough.
    Exhausted,
    /// It would be tried again, but too many are.
    Overflow,
}

/// What became of a request.
#[derive(Debug)]
pub struct Forwarded {
    pub answer: Result<Response, Failure>,
    /// How many tries it took.
    pub attempts: u32,
    /// It was often enough (`URX`).
    pub exhausted: bool,
    /// What becomes of the response's body, told when it is over.
    pub fate: Fate,
    /// The request's body once more, where the response may lead on and all of it is here.
    pub again: Option<Body>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    NoHost,
    Reset { reset: Reset, why: Option<Arc<str>> },
    Expired(Expired),
}

/// How one try went.
enum Outcome {
    Answered(ResponseHead, Body),
    Failed(Failed),
    Expired(Expired),
}

/// Sends a request, whose head `way` has, until it is answered or there is nothing more to try.
///
/// Dropped half-way, it gives the request up.
pub async fn forward<W: Way>(
    body: Body,
    interim: &Interim,
    way: &mut W,
    limits: Limits,
) -> Forwarded {
    let mut clock = Clock::new(limits, &body);
    let mut source = Source::new(clock.watching(body), way.keeps());
    let (mut attempts, mut exhausted, mut retry) = (0, false, None);
    loop {
        attempts += 1;
        let end = |answer, fate, exhausted| {
            let again = None;
            Forwarded { answer, attempts, exhausted, fate, again }
        };
        let Ok(chosen) = way.choose(attempts).await else {
            return end(Err(Failure::NoHost), Fate::default(), exhausted);
        };
        let body = source.take();
        let last = !source.can_repeat();
        let outcome = if way.watches() {
            clock.start_try();
            // Seldom, and as large as the other.
            let mut sends = Box::pin(watched(way, (attempts, last), &chosen, body, interim));
            clock.limit(sends.as_mut()).await
        } else {
            let head = way.head(attempts, &chosen, last);
            clock.start_try();
            let by = |link: &Arc<Link>| chosen.goes_by(link);
            // Large: handed on where it is.
            let sends = pin!(chosen.pool().send_by(head, body, interim, by));
            clock.limit(sends).await
        };
        clock.end_try();
        drop(retry.take());
        let (verdict, ended) = judge(way, &mut source, &chosen, outcome);
        if matches!(verdict, Verdict::Again(..)) || ended.is_err() {
            way.lost(ended.as_ref().map(|(head, _)| head));
        }
        match verdict {
            Verdict::Again(wait, share) => {
                // What came of the try is not wanted any more, and its endpoint is free.
                drop((ended, chosen));
                retry = share;
                if let Err(expired) = clock.limit_all(time::sleep(wait)).await {
                    return end(Err(Failure::Expired(expired)), Fate::default(), exhausted);
                }
                continue;
            }
            Verdict::Exhausted => exhausted = true,
            Verdict::Final | Verdict::Overflow => {}
        }
        return match ended {
            Ok((head, body)) => {
                let again = if way.leads_on(&head) { source.whole() } else { None };
                let (body, fate) = watch::watched(body, chosen, clock, &head);
                Forwarded { again, ..end(Ok(Response { head, body }), fate, exhausted) }
            }
            Err(failure) => end(Err(failure), Fate::default(), exhausted),
        };
    }
}

/// Waits for an answer, while `way` watches.
async fn watched<W: Way>(
    way: &mut W,
    (attempt, last): (u32, bool),
    chosen: &W::Chosen,
    body: Body,
    interim: &Interim,
) -> Result<(ResponseHead, Body), Failed> {
    let head = way.head(attempt, chosen, last).into_owned();
    let by = |link: &Arc<Link>| chosen.goes_by(link);
    let mut sends = pin!(chosen.pool().send_by(Cow::Owned(head), body, interim, by));
    poll_fn(|cx| {
        let polled = sends.as_mut().poll(cx);
        if polled.is_pending() {
            way.poll_meanwhile(cx);
        }
        polled
    })
    .await
}

/// Tells the endpoint, and asks what becomes of the try if there could be another.
fn judge<W: Way>(
    way: &mut W,
    source: &mut Source,
    chosen: &W::Chosen,
    outcome: Outcome,
) -> (Verdict, Result<(ResponseHead, Body), Failure>) {
    match outcome {
        Outcome::Answered(head, body) => {
            chosen.answered(&head);
            way.tried(Tried::Answered(&head));
            let again = source.can_repeat();
            let verdict = if again { way.judge(Tried::Answered(&head)) } else { Verdict::Final };
            (verdict, Ok((head, body)))
        }
        Outcome::Failed(Failed { reset, why, unsent }) => {
            chosen.failed(Some(reset));
            let sent = unsent.is_none();
            if let Some(body) = unsent {
                source.give_back(body);
            }
            let again = source.can_repeat();
            let tried = Tried::Failed { reset, sent };
            way.tried(tried);
            let verdict = if again { way.judge(tried) } else { Verdict::Final };
            (verdict, Err(Failure::Reset { reset, why }))
        }
        Outcome::Expired(expired) => {
            chosen.failed(None);
            way.tried(Tried::TooSlow);
            let again = source.can_repeat() && expired.is_of_try();
            let verdict = if again { way.judge(Tried::TooSlow) } else { Verdict::Final };
            (verdict, Err(Failure::Expired(expired)))
        }
    }
}

impl Clock {
    /// Waits for a try as long as it may take.
    async fn limit(
        &mut self,
        sends: Pin<&mut impl Future<Output = Result<(ResponseHead, Body), Failed>>>,
    ) -> Outcome {
        match self.limit_all(sends).await {
            Ok(Ok((head, body))) => Outcome::Answered(head, body),
            Ok(Err(failed)) => Outcome::Failed(failed),
            Err(expired) => Outcome::Expired(expired),
        }
    }
}
