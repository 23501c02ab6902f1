//! What is noted of a request for a ledger, where there is one.
use crate::{
    body::{Body, BodyError, Frame, Length, Pull},
    filter::grpc_stats::Frames,
    ledger::{self, Endpoint, Over},
    manager::{
        known,
        record::{Record, Went},
    },
    message::{RequestHead, Response},
};
use culvert_model::http::value::Metadata;
use culvert_policy::http::{facts::is_grpc, grpc};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

/// Of one request.
#[derive(Debug)]
pub(crate) struct Noted {
    request_head: u64,
    response_head: u64,
    call: Option<Arc<Call>>,
}

/// A call of gRPC.
#[derive(Debug, Default)]
struct Call {
    requests: AtomicU64,
    responses: AtomicU64,
    status: Mutex<Option<i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Noted {
    pub(super) fn new(head: &RequestHead) -> Self {
        let path = head.path.as_ref().map_or(0, |path| path.as_str().len());
        let authority = head.authority.as_ref().map_or(0, |authority| authority.as_str().len());
        let line = (head.method.as_str().len() + path + authority) as u64;
        let call = is_grpc(&head.headers).then(Arc::default);
        Self { request_head: line + size(&head.headers), response_head: 0, call }
    }

    /// The body of a request, watched if anything of it is to be known.
    pub(super) fn request(&self, body: Body) -> Body {
        match &self.call {
            Some(call) if !body.is_empty() => watched(call, Side::Request, body),
            Some(_) | None => body,
        }
    }

    /// What is known of a response before its body, which is watched as a request's.
    pub(super) fn response(&mut self, response: &mut Response) {
        self.response_head = size(&response.head.headers);
        let Some(call) = &self.call else { return };
        *call.status.lock() = grpc::status(&response.head.headers);
        if !response.body.is_empty() {
            let body = std::mem::take(&mut response.body);
            response.body = watched(call, Side::Response, body);
        }
    }

    /// Tells the ledger, if there is one.
    pub(super) fn tell(&self, record: &Record) {
        let Some(ledger) = record.manager.shared().ledger() else { return };
        let exchanged = record.exchanged();
        let code = record.status;
        let went = record.went.as_ref();
        ledger.note(&Over {
            connection: &record.connection.facts,
            head: (!record.headless).then(|| record.request()),
            version: known::version(record.head.version),
            status: code.as_ref().map_or(0, StatusCode::as_u16),
            call: self.call.as_ref().map(|call| call.over(code)),
            flags: record.flags,
            details: &record.details,
            received: self.request_head + exchanged.map_or(0, |exchanged| exchanged.received),
            sent: self.response_head + exchanged.map_or(0, |exchanged| exchanged.sent),
            took: record.elapsed(),
            route: record.routed.route.as_ref().map(|route| &*route.name),
            cluster: record.routed.cluster.as_deref(),
            metadata: match (went, &record.cluster) {
                (Some(went), _) => went.cluster.metadata.clone(),
                (None, Some(cluster)) => cluster.config().metadata.clone(),
                (None, None) => Metadata::default(),
            },
            endpoint: went.map(endpoint),
            failure: record.failure.as_deref(),
            configuration: &record.now.version,
        });
    }
}

fn endpoint(went: &Went) -> Endpoint {
    let link = went.link.as_ref().and_then(|link| link.link());
    Endpoint { address: went.host.destination(), path: link.map(|link| link.path) }
}

/// What headers take, as names and values.
fn size(headers: &HeaderMap) -> u64 {
    let each = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    each.sum::<usize>() as u64
}

impl Call {
    fn over(&self, code: Option<StatusCode>) -> ledger::Call {
        let said = *self.status.lock();
        ledger::Call {
            status: said.or_else(|| code.map(grpc::from_http)),
            requests: self.requests.load(Relaxed),
            responses: self.responses.load(Relaxed),
        }
    }
}

fn watched(call: &Arc<Call>, side: Side, body: Body) -> Body {
    Body::boxed(Watched { body, side, call: Arc::clone(call), frames: Frames::default() })
}

/// A body of which messages are counted; a response's trailers tell how the call ended.
struct Watched {
    body: Body,
    side: Side,
    call: Arc<Call>,
    frames: Frames,
}

impl Pull for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = ready!(self.body.poll_frame(cx));
        match (&next, self.side) {
            (Some(Ok(Frame::Data(data))), side) => {
                let call = &self.call;
                let of = if side == Side::Request { &call.requests } else { &call.responses };
                of.fetch_add(self.frames.count(data), Relaxed);
            }
            (Some(Ok(Frame::Trailers(trailers))), Side::Response) => {
                let said = grpc::status(trailers);
                let mut status = self.call.status.lock();
                *status = said.or(*status);
            }
            (Some(Ok(Frame::Trailers(_))), Side::Request) | (Some(Err(_)) | None, _) => {}
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
