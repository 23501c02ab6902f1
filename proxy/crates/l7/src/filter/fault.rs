//! `envoy.filters.http.fault`: requests delayed, refused or slowed on purpose.
use super::{Kept, Making, Place};
use crate::{
    alarm::Alarm,
    body::{Body, BodyError, Frame, Length, Pull},
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
    message::Response,
    outcome::Flag,
    stats::{Counter, Gauge, Late, Raised},
};
use bytes::Bytes;
use culvert_model::http::{fault as model, filter::OverrideConfig};
use culvert_policy::http::fault::{Abort, Around, inject};
use culvert_runtime::dice::dice;
use http::StatusCode;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{self, Instant};

/// How often a slowed response gets its share.
const TICK: Duration = Duration::from_millis(50);

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct Fault {
    config: Arc<model::Fault>,
    active: Late<Gauge>,
    delays: Late<Counter>,
    aborts: Late<Counter>,
    rates: Late<Counter>,
    overflow: Late<Counter>,
}

/// A fault under way.
#[derive(Debug)]
pub(crate) struct Active {
    raised: Raised,
    /// KiB a second, of the response.
    rate: Option<u64>,
}

impl Fault {
    pub(super) fn new(config: &Arc<model::Fault>, making: &Making<'_>) -> Self {
        let scope = making.scope.scope("fault");
        Self {
            config: Arc::clone(config),
            active: scope.late("active_faults"),
            delays: scope.late("delays_injected"),
            aborts: scope.late("aborts_injected"),
            rates: scope.late("response_rl_injected"),
            overflow: scope.late("faults_overflow"),
        }
    }

    pub(super) async fn request(
        &self,
        place: Place<'_>,
        record: &mut Record,
    ) -> Result<(), Refused> {
        let config = match place.config(record) {
            Some(OverrideConfig::Fault(config)) => Arc::clone(config),
            _ => Arc::clone(&self.config),
        };
        let around = Around {
            cluster: record.routed.cluster.as_deref(),
            runtime: &record.now.runtime,
            active: self.active.value(),
        };
        let injected = inject(&config, &record.request(), around, &mut dice);
        if injected == culvert_policy::http::fault::Injected::default() {
            if config.max_active.is_some_and(|most| u64::from(most) <= self.active.value()) {
                self.overflow.inc();
            }
            return Ok(());
        }
        let raised = self.active.raise();
        if injected.rate.is_some() {
            self.rates.inc();
        }
        if let Some(wait) = injected.delay {
            self.delays.inc();
            record.flags.set(Flag::DelayInjected);
            time::sleep(wait).await;
        }
        if let Some(abort) = injected.abort {
            self.aborts.inc();
            let (status, code) = match abort {
                Abort::Status(status) => (status, None),
                // Whoever asked otherwise than by gRPC sees no more than the text.
                Abort::Grpc(code) => (StatusCode::OK, Some(i64::from(code))),
            };
            let mut local = Local::new(status, "fault filter abort", "fault_filter_abort");
            local.grpc = code;
            return Err(local.flag(Flag::FaultInjected).boxed());
        }
        record.keep(place.at, Kept::Fault(Active { raised, rate: injected.rate }));
        Ok(())
    }
}

pub(super) fn response(place: Place<'_>, record: &mut Record, response: &mut Response) {
    let Some(Kept::Fault(Active { raised, rate })) = record.take_kept(place.at) else { return };
    let Some(kib) = rate else {
        // Active for as long as the request is.
        record.keep(place.at, Kept::Fault(Active { raised, rate: None }));
        return;
    };
    if response.body.is_empty() {
        return;
    }
    let body = std::mem::take(&mut response.body);
    let share = usize::try_from(kib.saturating_mul(1024) / 20).unwrap_or(usize::MAX).max(1);
    let mut alarm = Alarm::default();
    alarm.set(None);
    response.body = Body::boxed(Slow {
        body,
        rest: Bytes::new(),
        share,
        left: share,
        alarm,
        next: Instant::now() + TICK,
        _raised: raised,
    });
}

/// A response that comes slowly.
struct Slow {
    body: Body,
    /// What is here, and has to wait.
    rest: Bytes,
    /// How much may pass at each tick.
    share: usize,
    left: usize,
    alarm: Alarm,
    next: Instant,
    _raised: Raised,
}

impl Pull for Slow {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.rest.is_empty() {
            match self.body.poll_frame(cx) {
                Poll::Ready(Some(Ok(Frame::Data(data)))) => self.rest = data,
                other @ (Poll::Ready(_) | Poll::Pending) => return other,
            }
        }
        let now = Instant::now();
        if self.next <= now {
            self.left = self.share;
            self.next = now + TICK;
        }
        if self.left == 0 {
            self.alarm.set_at(Some(self.next));
            if self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.left = self.share;
            self.next += TICK;
        }
        let data = self.rest.split_to(self.left.min(self.rest.len()));
        self.left -= data.len();
        Poll::Ready(Some(Ok(Frame::Data(data))))
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn length(&self) -> Length {
        match self.body.length() {
            Length::Exactly(left) => Length::Exactly(left + self.rest.len() as u64),
            Length::Unknown => Length::Unknown,
        }
    }
}
