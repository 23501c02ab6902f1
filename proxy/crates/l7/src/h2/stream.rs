//! One request and its response.
use super::{
    convert,
    incoming::Incoming,
    server::Tally,
    upload::{Sent, Upload},
};
use crate::{
    body::{Body, Length},
    message::{Inform, Interim, Request, Response, ResponseHead},
    outcome::{Ended, Exchanged},
    service::Service,
};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// What a stream has of its connection.
#[derive(Debug)]
pub(super) struct Run<S> {
    pub(super) service: Arc<S>,
    pub(super) tally: Arc<Tally>,
    pub(super) answers_expect: bool,
    pub(super) stall: Option<Duration>,
}

/// What is to be said before the response.
#[derive(Debug, Default)]
struct Before(Mutex<Vec<ResponseHead>>);

impl Inform for Before {
    fn inform(&self, head: ResponseHead) {
        self.0.lock().push(head);
    }
}

/// Answers one request.
pub(super) async fn run<S: Service>(
    run: Run<S>,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let Run { service, tally, answers_expect, stall } = run;
    let (parts, stream) = request.into_parts();
    let mut head = match convert::request(parts) {
        Ok(head) => head,
        Err(refusal) => {
            let response = service.refused(refusal);
            send::<S>(respond, response, Sending { to_head: false, stall }, None).await;
            return;
        }
    };
    let (to_head, received) = (head.method == http::Method::HEAD, Arc::new(AtomicU64::new(0)));
    let body = if stream.is_end_stream() {
        Body::Empty
    } else {
        Body::H2(Incoming::new(stream, &head.headers).counted(&received))
    };
    if answers_expect && head.headers.remove(header::EXPECT).is_some() && !body.is_empty() {
        let go_on = convert::to_response(ResponseHead::new(StatusCode::CONTINUE));
        // A stream that cannot be written to has been reset, which is heard of below.
        let _sent = respond.send_informational(go_on);
    }
    let before = Arc::new(Before::default());
    let interim = Interim::new(Arc::clone(&before) as Arc<dyn Inform>);
    let mut answer = pin!(service.call(Request { head, body, interim }));
    let answered = poll_fn(|cx| poll_answer(cx, answer.as_mut(), &before, &mut respond)).await;
    let Some((response, mut record)) = answered else {
        tally.reset.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let told = Told { service: &*service, record: &mut record, received: &received };
    let (ended, sent) = send(respond, response, Sending { to_head, stall }, Some(told)).await;
    let received = received.load(Ordering::Relaxed);
    service.ended(record, Exchanged { ended, received, sent });
}

/// Polls the service, passes on what is to be said before its response, and listens for the
/// client's reset: `None` when it came first.
fn poll_answer<T>(
    cx: &mut Context<'_>,
    answer: Pin<&mut impl Future<Output = T>>,
    before: &Before,
    respond: &mut SendResponse<Bytes>,
) -> Poll<Option<T>> {
    let answered = answer.poll(cx);
    let interim = std::mem::take(&mut *before.0.lock());
    for head in interim {
        // See above.
        let _sent = respond.send_informational(convert::to_response(head));
    }
    if let Poll::Ready(answered) = answered {
        return Poll::Ready(Some(answered));
    }
    respond.poll_reset(cx).map(|_reason| None)
}

/// How a response is sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    to_head: bool,
    /// How long the client may take nothing of it.
    stall: Option<Duration>,
}

/// Who is told how far it is, if that is due.
struct Told<'a, S: Service> {
    service: &'a S,
    record: &'a mut S::Record,
    received: &'a AtomicU64,
}

/// Sends a response; how it ended and how many bytes of its body were sent.
async fn send<S: Service>(
    mut respond: SendResponse<Bytes>,
    response: Response,
    Sending { to_head, stall }: Sending,
    mut told: Option<Told<'_, S>>,
) -> (Ended, u64) {
    let Response { mut head, body } = response;
    let bodiless =
        to_head || head.status == StatusCode::NO_CONTENT || head.status == StatusCode::NOT_MODIFIED;
    let length = body.length();
    if let (Length::Exactly(length), Body::Full(_)) = (length, &body)
        && !bodiless
        && head.status != StatusCode::SWITCHING_PROTOCOLS
        && !(length == 0 && is_grpc(&head))
    {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let end = bodiless || body.is_empty();
    let Ok(mut stream) = respond.send_response(convert::to_response(head), end) else {
        return (Ended::DownstreamGone, 0);
    };
    if end {
        return (Ended::Whole, 0);
    }
    if let Body::Full(bytes) = body {
        let length = bytes.len() as u64;
        return match stream.send_data(bytes, true) {
            Ok(()) => (Ended::Whole, length),
            Err(_) => (Ended::DownstreamGone, 0),
        };
    }
    let mut upload = Upload::of_response(stream, body, stall);
    let sends = poll_fn(|cx| {
        let polled = upload.poll(cx);
        if polled.is_pending()
            && let Some(Told { service, record, received }) = &mut told
            && service.poll_due(record, cx).is_ready()
        {
            service.report(record, received.load(Ordering::Relaxed), upload.sent());
        }
        polled
    });
    let ended = match sends.await {
        Sent::Whole => Ended::Whole,
        Sent::Failed(_) => Ended::BodyFailed,
        Sent::Stalled => Ended::Stalled,
        Sent::Stopped | Sent::Gone => Ended::DownstreamGone,
    };
    (ended, upload.sent())
}

/// A response that is all head is not announced as one without a body.
fn is_grpc(head: &ResponseHead) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
