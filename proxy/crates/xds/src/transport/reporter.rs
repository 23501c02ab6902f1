//! The node's end of the report.
use super::upstream::{Upstream, UpstreamError};
use crate::report::{Order, Sheet};
use culvert_proto::culvert::node::v1 as pb;
use culvert_runtime::{backoff::Backoff, dice::dice, drain::Worker};
use pb::node_service_client::NodeServiceClient as Stub;
use std::{convert::Infallible, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tokio_stream::wrappers::ReceiverStream;

/// After the first failure.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// However often it failed.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Reports on their way out.
const OUTGOING: usize = 16;

/// Orders that were not yet followed.
const ORDERS: usize = 64;

/// Says what is so, and says it again to whoever comes next.
#[derive(Clone, Debug)]
pub struct Reporter(watch::Sender<Option<Sheet>>);

/// What runs.
struct Reporting {
    upstream: Upstream,
    hello: pb::Hello,
    /// `None`: nothing is known yet, which is not the same as that there is nothing.
    sheet: watch::Receiver<Option<Sheet>>,
    orders: mpsc::Sender<Order>,
    backoff: Backoff,
}

impl Reporter {
    /// Reports until the worker finishes; what comes out is what the control plane orders.
    ///
    /// On each new stream the first order is a welcome.
    pub fn start(
        upstream: Upstream,
        hello: pb::Hello,
        worker: &Worker,
    ) -> (Self, mpsc::Receiver<Order>) {
        let (told, sheet) = watch::channel(None);
        let (orders, followed) = mpsc::channel(ORDERS);
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let reporting = Reporting { upstream, hello, sheet, orders, backoff };
        let finishing = worker.clone();
        worker.spawn(async move {
            tokio::select! {
                () = finishing.finishing() => {}
                () = reporting.run(&finishing) => {}
            }
        });
        (Self(told), followed)
    }

    /// Changes what is so; only what is so at last is said.
    ///
    /// Before the first change nothing is said: a node that does not know its pods yet must not
    /// seem to have none.
    pub fn change(&self, change: impl FnOnce(&mut Sheet)) {
        self.0.send_modify(|sheet| change(sheet.get_or_insert_default()));
    }
}

impl Reporting {
    async fn run(mut self, worker: &Worker) {
        while !worker.is_finishing() {
            let Err(error) = self.stream().await;
            tracing::info!("report: {error}");
            time::sleep(self.backoff.next(dice())).await;
        }
    }

    /// One stream, until it ends.
    async fn stream(&mut self) -> Result<Infallible, UpstreamError> {
        let channel = self.upstream.channel().await?;
        let (outgoing, reports) = mpsc::channel(OUTGOING);
        let hello = pb::node_report::Report::Hello(self.hello.clone());
        let closed = |_gone| UpstreamError::Closed;
        outgoing.send(pb::NodeReport { report: Some(hello) }).await.map_err(closed)?;
        let request = self.upstream.request(ReceiverStream::new(reports))?;
        let mut incoming = Stub::new(channel).report(request).await?.into_inner();
        let mut told: Option<Sheet> = None;
        self.sheet.mark_changed();
        loop {
            tokio::select! {
                order = incoming.message() => {
                    let order = Order::decode(order?.ok_or(UpstreamError::Closed)?);
                    self.backoff.reset();
                    match order {
                        Ok(order) => self.orders.send(order).await.map_err(|_gone| UpstreamError::Closed)?,
                        Err(error) => tracing::warn!("report: an order that cannot be followed: {error}"),
                    }
                }
                changed = self.sheet.changed() => {
                    changed.map_err(|_gone| UpstreamError::Closed)?;
                    let now = self.sheet.borrow_and_update().clone();
                    let Some(now) = now else { continue };
                    for report in now.since(told.as_ref()) {
                        outgoing.send(report).await.map_err(closed)?;
                    }
                    told = Some(now);
                }
            }
        }
    }
}
