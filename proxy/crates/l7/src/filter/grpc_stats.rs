//! `envoy.filters.http.grpc_stats`: calls and messages of gRPC, counted.
use super::{Kept, Making, Place};
use crate::{
    body::{Body, BodyError, Frame, Length, Pull},
    manager::record::Record,
    message::Response,
    shared::Shared,
    stats::{Counter, Histogram, Late, Scope, Tag, tag},
};
use culvert_model::http::filter::{self as model, GrpcMethods};
use culvert_policy::http::grpc;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct GrpcStats {
    config: Arc<model::GrpcStats>,
    shared: Arc<Shared>,
    /// By cluster and method.
    calls: Mutex<HashMap<Of, Arc<Calls>>>,
}

/// A cluster, and a method of a service or none.
type Of = (Arc<str>, String);

/// The numbers of one method, or of a cluster's calls all together.
#[derive(Debug)]
pub(super) struct Calls {
    scope: Scope,
    total: Late<Counter>,
    success: Late<Counter>,
    failure: Late<Counter>,
    requests: Late<Counter>,
    responses: Late<Counter>,
    time: Late<Histogram>,
}

/// How many messages a call has had so far, both ways; a filter's state for those that log.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    requests: AtomicU64,
    responses: AtomicU64,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Arc<Calls>,
    messages: Option<Arc<Messages>>,
    began: Instant,
}

impl GrpcStats {
    pub(super) fn new(config: &Arc<model::GrpcStats>, making: &Making<'_>) -> Self {
        let shared = Arc::clone(making.shared);
        Self { config: Arc::clone(config), shared, calls: Mutex::default() }
    }

    pub(super) fn request(&self, place: Place<'_>, record: &mut Record, body: &mut Body) {
        let head = record.request();
        if !head.is_grpc() {
            return;
        }
        let Some(cluster) = record.routed.cluster.clone() else { return };
        let calls = self.calls(cluster, self.method(head.bare_path()));
        let inner = std::mem::take(body);
        let messages: Option<Arc<Messages>> = self.config.emit_filter_state.then(Arc::default);
        record.messages.clone_from(&messages);
        *body = Body::boxed(Counted {
            body: inner,
            frames: Frames::default(),
            calls: Arc::clone(&calls),
            messages: messages.clone(),
            call: None,
        });
        let began = Instant::now();
        record.keep(place.at, Kept::GrpcStats(Call { calls, messages, began }));
    }

    pub(super) fn response(&self, place: Place<'_>, record: &mut Record, response: &mut Response) {
        let Some(Kept::GrpcStats(call)) = record.take_kept(place.at) else { return };
        call.calls.total.inc();
        if let Some(status) = grpc::status(&response.head.headers) {
            return call.end(status, self.config.upstream);
        }
        let body = std::mem::take(&mut response.body);
        let (calls, messages) = (Arc::clone(&call.calls), call.messages.clone());
        let call = Some((call, self.config.upstream));
        let frames = Frames::default();
        response.body = Body::boxed(Counted { body, frames, calls, messages, call });
    }

    /// The method that is counted by itself, if this one is.
    fn method<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
        let counted = match &self.config.methods {
            GrpcMethods::None => false,
            GrpcMethods::All => true,
            GrpcMethods::Only(list) => list.iter().any(|one| {
                *one.name == *service && one.methods.iter().any(|name| **name == *method)
            }),
        };
        counted.then_some((service, method))
    }

    fn calls(&self, cluster: Arc<str>, method: Option<(&str, &str)>) -> Arc<Calls> {
        let text =
            method.map_or_else(String::new, |(service, method)| format!("{service}/{method}"));
        let mut calls = self.calls.lock();
        let make = |(cluster, _): &Of| {
            let scope = self.shared.stats.scope("cluster", Tag::new(tag::CLUSTER, cluster));
            let scope = scope.scope("grpc");
            let scope = match method {
                None => scope,
                Some((service, method)) => scope.tagged("", tag::GRPC_SERVICE, service).tagged(
                    "",
                    tag::GRPC_METHOD,
                    method,
                ),
            };
            Arc::new(Calls::new(scope))
        };
        let entry = calls.entry((cluster, text));
        Arc::clone(entry.or_insert_with_key(make))
    }
}

impl Calls {
    fn new(scope: Scope) -> Self {
        Self {
            total: scope.late("total"),
            success: scope.late("success"),
            failure: scope.late("failure"),
            requests: scope.late("request_message_count"),
            responses: scope.late("response_message_count"),
            time: scope.late("upstream_rq_time"),
            scope,
        }
    }
}

impl Messages {
    /// Where others find it.
    pub(crate) const KEY: &'static str = "envoy.filters.http.grpc_stats";

    /// As Envoy prints it; nothing before the first message.
    pub(crate) fn text(&self) -> Option<String> {
        let count = |name: &str, of: &AtomicU64| match of.load(Ordering::Relaxed) {
            0 => None,
            count => Some(format!("\"{name}\":\"{count}\"")),
        };
        let counts = [
            count("requestMessageCount", &self.requests),
            count("responseMessageCount", &self.responses),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        (!counts.is_empty()).then(|| format!("{{{}}}", counts.join(",")))
    }
}

impl Call {
    fn end(&self, status: i64, timed: bool) {
        self.calls.scope.counter(&status.to_string()).inc();
        if status == 0 {
            self.calls.success.inc();
        } else {
            self.calls.failure.inc();
        }
        if timed {
            let took = self.began.elapsed().as_millis();
            self.calls.time.record(u64::try_from(took).unwrap_or(u64::MAX));
        }
    }
}

/// A body whose messages are counted; a response's trailers tell how the call ended.
struct Counted {
    body: Body,
    frames: Frames,
    calls: Arc<Calls>,
    messages: Option<Arc<Messages>>,
    /// Of a response; and whether its time is measured.
    call: Option<(Call, bool)>,
}

impl Pull for Counted {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = ready!(self.body.poll_frame(cx));
        match &next {
            Some(Ok(Frame::Data(data))) => {
                let count = self.frames.count(data);
                let answers = self.call.is_some();
                let of = if answers { &self.calls.responses } else { &self.calls.requests };
                of.add(count);
                if let Some(messages) = &self.messages {
                    let of = if answers { &messages.responses } else { &messages.requests };
                    of.fetch_add(count, Ordering::Relaxed);
                }
            }
            Some(Ok(Frame::Trailers(trailers))) => {
                if let Some((call, timed)) = &self.call
                    && let Some(status) = grpc::status(trailers)
                {
                    call.end(status, *timed);
                }
            }
            Some(Err(_)) | None => {}
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

/// Where in a message of gRPC (a flag, four bytes of length, so many bytes) a stream is.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Of the five bytes.
    head: [u8; 5],
    have: usize,
    /// Of the message.
    left: u64,
}

impl Frames {
    /// How many messages begin in `data`.
    pub(crate) fn count(&mut self, mut data: &[u8]) -> u64 {
        let mut count = 0;
        while !data.is_empty() {
            let skip = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
            if 0 < skip {
                self.left -= skip as u64;
                data = data.get(skip..).unwrap_or_default();
                continue;
            }
            if let (Some((byte, rest)), Some(place)) =
                (data.split_first(), self.head.get_mut(self.have))
            {
                *place = *byte;
                self.have += 1;
                data = rest;
            }
            if self.have == self.head.len() {
                let [_, a, b, c, d] = self.head;
                self.left = u32::from_be_bytes([a, b, c, d]).into();
                self.have = 0;
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_message_counts_once_however_it_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10),
            cut in 1_usize..9,
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.push(0);
                stream.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
                stream.extend(message);
            }
            let mut frames = Frames::default();
            let count: u64 = stream.chunks(cut).map(|piece| frames.count(piece)).sum();
            prop_assert_eq!(count, messages.len() as u64);
        }
    }
}
